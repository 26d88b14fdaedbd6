"""Moments in which a swap is likely: found, sorted, and listed beside the result."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crowd_files import store

import pose_core
from pose_core.interfaces import open_predictions
from pose_core.structures import Frame, Instances, Skeleton
from pose_core.synthetic.crowd import Crowd, CrowdSpec
from pose_core.tracking.doubts import DoubtFinder, Doubts
from pose_core.tracking.switches import list_switches

BODY = np.array([[0, 0], [20, 0], [40, 0]], float)
SKELETON = Skeleton(("a", "b", "c"), individuals=("anna", "bert"))
HARD = CrowdSpec(seed=1, frames=1000, animals=3, size=(620, 620), pull=0.5, lost=0.15, hidden=0.1, noise=0.05)

Places = Callable[[int], Sequence[tuple[float, float] | None]]


def find(
    places: Places, frames: int = 100, pieces: Callable[[int, int], int] = lambda t, i: i, **more: Any
) -> Doubts:
    """Find doubts in animals that are at ``places(t)``, the track of each its position in that list."""
    finder = DoubtFinder(SKELETON, {0: 0, 1: 1}, **{k: v for k, v in more.items() if k == "most"})
    for t in range(frames):
        there = [(i, place) for i, place in enumerate(places(t)) if place is not None]
        tracks = np.array([i for i, _ in there], np.int64)
        animals = Instances.from_keypoints(
            np.array([BODY + np.array(place) for _, place in there]).reshape(-1, 3, 2), track=tracks
        )
        for name in ("track_margins", "identity_probabilities"):
            if name in more:
                animals = replace(animals, **{name: np.asarray(more[name](t), np.float32)[tracks]})
        finder.watch(Frame(t, animals), np.array([pieces(t, i) for i in tracks.tolist()], np.int64))
    return finder.finish()


def test_animals_that_stay_apart_leave_no_doubt() -> None:
    assert find(lambda t: [(2 * t, 0), (2 * t, 200)]) == Doubts(())


def test_a_small_margin_at_a_crossing_is_one_moment_of_both() -> None:
    def margins(t: int) -> list[float]:
        return [0.02, 0.02] if t == 50 else [0.9, 0.9]

    (doubt,) = find(lambda t: [(2 * t, 0), (200 - 2 * t, 5)], track_margins=margins).found
    assert (doubt.tracks, doubt.kind) == ((0, 1), "margin")
    assert 40 <= doubt.first < 50 < doubt.last <= 60
    assert doubt.need > 0.8
    assert "0.02 ahead" in doubt.look
    assert "tracks 0 and 1 are" in doubt.look
    # The same crossing is none where the tracker was sure.
    assert not find(lambda t: [(2 * t, 0), (200 - 2 * t, 5)], track_margins=lambda t: [0.9, 0.9]).found


def test_without_margins_crossings_are_doubtful_by_themselves() -> None:
    (doubt,) = find(lambda t: [(2 * t, 0), (200 - 2 * t, 1)]).found
    assert (doubt.kind, doubt.tracks) == ("crossing", (0, 1))


def test_who_is_found_again_elsewhere_beside_another_is_a_doubt_and_alone_is_none() -> None:
    def places(t: int, apart: float) -> list[tuple[float, float] | None]:
        place = 100.0 if t < 60 else 130.0
        return [(place, 0.0) if not 40 < t < 60 else None, (place, apart)]

    def pieces(t: int, i: int) -> int:
        return 5 if i == 0 and t >= 60 else i

    (doubt,) = find(lambda t: places(t, 15), pieces=pieces, track_margins=lambda t: [0.9, 0.9]).found
    assert (doubt.kind, doubt.tracks) == ("lost", (0, 1))
    assert doubt.first <= 40 < 60 <= doubt.last
    assert "19 frames" in doubt.look
    assert not find(lambda t: places(t, 300), pieces=pieces).found


def test_a_jump_against_the_motion_is_a_doubt() -> None:
    (doubt,) = find(lambda t: [(t if t < 50 else t + 90, 0), (0, 300)]).found
    assert (doubt.first, doubt.last, doubt.kind, doubt.tracks) == (49, 50, "jump", (0,))


def test_names_against_a_track_are_a_doubt() -> None:
    def chances(t: int) -> list[list[float]]:
        # From frame 60 on the model takes each for the other one.
        return [[0.9, 0.1], [0.1, 0.9]] if t < 60 else [[0.1, 0.9], [0.9, 0.1]]

    found = find(lambda t: [(0, 0), (0, 300)], identity_probabilities=chances).found
    assert [(d.kind, d.tracks) for d in found] == [("identity", (0,)), ("identity", (1,))]
    assert all(60 < d.first < 75 and d.last == 99 for d in found)
    assert "than anna" in found[0].look


def test_animals_that_lie_on_each_other_for_long_are_several_moments() -> None:
    found = find(lambda t: [(0, 0), (0, 1 + t % 3)], 3000).found
    assert all(d.last - d.first <= 600 and len(d.look.split("; ")) <= 3 for d in found)
    assert 5 <= len(found) <= 15
    seen = {frame for d in found for frame in range(d.first, d.last + 1)}
    assert seen == set(range(3000))


def test_those_with_most_need_are_kept_and_the_others_counted() -> None:
    def places(t: int) -> list[tuple[float, float] | None]:
        # Jumps that become larger, each after a rest.
        return [(sum(50 + 3 * n for n in range(t // 50)), 0.0)]

    whole = find(places, 500)
    assert [d.first for d in whole.found] == sorted((d.first for d in whole.found), reverse=True)
    few = find(places, 500, most=3)
    assert few.found == whole.found[:3]
    assert few.left_out == len(whole.found) - 3 > 0


def test_swaps_that_the_tracker_makes_are_among_the_doubts(tmp_path: Path) -> None:
    swaps = covered = 0
    for name in ("oks", "boxes"):
        crowd = Crowd(HARD)
        found = store(tmp_path / f"{name}.parquet", list(crowd.found()))
        (outcome,) = pose_core.track(found, tmp_path / "out", tracker=name, animals=3)
        assert outcome is not None
        # They are few: not a list of everything.
        doubtful = sum((d.last - d.first + 1) * len(d.tracks) for d in outcome.doubts.found)
        assert doubtful < 0.4 * 3 * HARD.frames
        for swap in list_switches(crowd.truth(), open_predictions(outcome.result)):
            swaps += 1
            covered += any(
                d.first - 5 <= swap.frame and swap.before <= d.last + 5 and set(d.tracks) & set(swap.tracks)
                for d in outcome.doubts.found
            )
    assert swaps >= 10
    assert covered >= 0.9 * swaps


def test_doubts_are_beside_the_result_and_said_in_a_line(pose: Any, tmp_path: Path) -> None:
    store(tmp_path / "clip.parquet", list(Crowd(HARD).found()))
    done = pose("track", "clip.parquet", "--animals", "3", "--out", "tracks")
    assert "moments to look at in tracks/clip.doubts.csv" in done.stderr
    with (tmp_path / "tracks/clip.doubts.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    needs = [float(row["need"]) for row in rows]
    assert needs == sorted(needs, reverse=True)
    assert all(0.5 <= need <= 1 for need in needs)
    assert {row["kind"] for row in rows} <= {"crossing", "margin", "lost", "jump", "identity"}
    assert all(0 <= int(row["first_frame"]) <= int(row["last_frame"]) < HARD.frames for row in rows)
    # A table of doubts is no prediction, and needs no note where a folder is tracked.
    again = pose("track", "tracks", "--animals", "3", "--out", "again", "--json")
    assert "left out" not in again.stderr.replace("are left out", "")
    (made,) = json.loads(again.stdout)
    assert made["doubts"] == {"file": "again/clip.doubts.csv", "listed": len(rows), "left_out": 0}
    margins = [f.instances.track_margins for f in open_predictions(tmp_path / "again/clip.parquet")]
    assert np.isfinite(np.concatenate(margins)).any()


@pytest.mark.parametrize("format", ["dlc-h5", "slp", "coco"])
def test_other_formats_leave_margins_out(tmp_path: Path, format: str) -> None:
    skeleton = replace(Crowd(HARD).skeleton, individuals=("anna", "bert", "carl"))
    found = store(
        tmp_path / "clip.parquet",
        list(Crowd(replace(HARD, frames=30, double=0)).found()),
        skeleton=skeleton,
    )
    (outcome,) = pose_core.track(found, tmp_path / "out", animals=3, format=format)
    assert outcome is not None
    assert (tmp_path / "out" / f"{outcome.result.stem}.doubts.csv").exists()
