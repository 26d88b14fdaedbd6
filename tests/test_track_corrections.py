"""What a person decided holds in the result, and what cannot hold is refused in one line."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crowd_files import store
from hypothesis import given, settings
from hypothesis import strategies as st

import pose_core
from pose_core.errors import ConfigError, DataError
from pose_core.interfaces import open_predictions
from pose_core.interfaces.writer import PredictionsHeader
from pose_core.structures import Frame
from pose_core.synthetic.crowd import CROWD_SKELETON, Crowd, CrowdSpec
from pose_core.tracking.choose import Tracking
from pose_core.tracking.follow import TrackedFrames
from pose_core.tracking.switches import list_switches

CROWD = CrowdSpec(seed=1, frames=400, animals=3, size=(620, 620), pull=0.5, lost=0.2, hidden=0.1, noise=0.05)
FRAMES = list(Crowd(CROWD).found())
HEADER = PredictionsHeader(CROWD_SKELETON, "clip.mp4", len(FRAMES), 620, 620, 30.0, "", "")


def follow(rows: list[tuple[int, int, int]], tracker: str = "oks") -> list[Frame]:
    tracking = Tracking.choose(tracker, 3, rows or None)
    with TrackedFrames(lambda: FRAMES, HEADER, tracking) as tracked:
        return list(tracked.apply(FRAMES))


PLAIN = follow([])


def place(frame: Frame, track: int) -> np.ndarray[Any, Any] | None:
    rows = np.flatnonzero(frame.instances.track == track)
    return frame.instances.keypoints[rows[0]] if len(rows) else None


def test_an_exchange_holds_from_its_frame_to_the_end() -> None:
    fixed = follow([(200, 0, 1), (200, 1, 0)])
    for before, after in zip(PLAIN[:200], fixed[:200], strict=True):
        assert before.instances.track.tolist() == after.instances.track.tolist()
    exchanged = {-1: -1, 0: 1, 1: 0, 2: 2}
    for before, after in zip(PLAIN[200:240], fixed[200:240], strict=True):
        assert [exchanged[i] for i in before.instances.track.tolist()] == after.instances.track.tolist()


def test_one_row_is_enough_where_only_one_other_animal_is_free() -> None:
    assert [f.instances.track.tolist() for f in follow([(200, 0, 1)])][200:230] == [
        f.instances.track.tolist() for f in follow([(200, 0, 1), (200, 1, 0)])
    ][200:230]


def test_to_confirm_what_is_there_changes_nothing_near() -> None:
    confirmed = follow([(200, 0, 0), (200, 1, 1), (200, 2, 2)])
    assert [f.instances.track.tolist() for f in confirmed[:230]] == [
        f.instances.track.tolist() for f in PLAIN[:230]
    ]


ROW = st.tuples(st.integers(0, len(FRAMES) - 1), st.integers(0, 2), st.integers(0, 2))


@settings(deadline=None, max_examples=30)
@given(st.lists(ROW, min_size=1, max_size=5))
def test_every_correction_holds_or_is_refused_with_the_other(rows: list[tuple[int, int, int]]) -> None:
    refused, fixed = "", []
    try:
        fixed = follow(rows)
    except DataError as error:
        refused = str(error)
    if refused:
        assert any(word in refused for word in ("contradicts", "the same as", "is seen last"))
        assert "\n" not in refused
        return
    for frame, again in zip(PLAIN, fixed, strict=True):
        ids = again.instances.track[again.instances.track >= 0].tolist()
        assert len(ids) == len(set(ids))
        assert set(ids) <= {0, 1, 2}
        # Coordinates are never touched.
        assert np.array_equal(frame.instances.keypoints, again.instances.keypoints, equal_nan=True)
    for number, track, should_be in rows:
        # Where the track is seen next, the animal is the one that it should be, unless another row speaks up till then.
        at = next(i for i in range(number, len(PLAIN)) if place(PLAIN[i], track) is not None)
        others = [row for row in rows if row != (number, track, should_be)]
        if any(number < other[0] <= at for other in others):
            continue
        now = place(fixed[at], should_be)
        assert now is not None
        assert np.array_equal(now, place(PLAIN[at], track), equal_nan=True)


@pytest.mark.parametrize(("tracker", "seed"), [("oks", 1), ("boxes", 2)])
def test_after_corrections_the_switches_are_gone(tracker: str, seed: int) -> None:
    crowd = Crowd(replace(CROWD, seed=seed, frames=1000))
    found, truth = list(crowd.found()), list(crowd.truth())
    header = replace(HEADER, frames=len(found))

    def track(rows: list[tuple[int, int, int]] | None) -> list[Frame]:
        with TrackedFrames(lambda: found, header, Tracking.choose(tracker, 3, rows)) as tracked:
            return list(tracked.apply(found))

    plain = track(None)
    switches = list_switches(truth, plain)
    assert len(switches) >= 4
    # As a person would: who is who is said anew from each switch on, by the names in the first frames.
    names: dict[int, int] = {}
    rows = []
    for switch in sorted(switches, key=lambda s: s.frame):
        names.setdefault(switch.animal, switch.tracks[0])
        rows.append((switch.frame, switch.tracks[1], names[switch.animal]))
    assert not list_switches(truth, track(rows))


def test_any_tracker_can_be_corrected() -> None:
    fixed = follow([(200, 0, 1), (200, 1, 0)], "boxes")
    plain = follow([], "boxes")
    at = next(i for i in range(200, 400) if place(plain[i], 0) is not None)
    assert np.array_equal(place(fixed[at], 1), place(plain[at], 0), equal_nan=True)


def test_the_command_and_python_take_a_file(pose: Any, tmp_path: Path) -> None:
    store(tmp_path / "clip.parquet", FRAMES)
    (tmp_path / "fix.csv").write_text("frame;track;should_be\n200;0;1\n\n200.0;1;0\n")
    done = pose("track", "clip.parquet", "--animals", "3", "--fix", "fix.csv", "--out", "fixed")
    assert done.returncode == 0, done.stderr
    pose_core.track(tmp_path / "clip.parquet", tmp_path / "too", animals=3, fix=[(200, 0, 1), (200, 1, 0)])
    one, other = (open_predictions(tmp_path / folder / "clip.parquet") for folder in ("fixed", "too"))
    for mine, theirs in zip(one, other, strict=True):
        assert mine.instances.track.tolist() == theirs.instances.track.tolist()
    made = json.loads(one.header.metadata["tracker"])
    assert made["corrections"] == [[200, 0, 1], [200, 1, 0]]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("frame,track\n1,2\n", "needs the columns frame, track, should_be"),
        ("frame,track,should_be\n", "has no row"),
        ("frame,track,should_be\n1,a,0\n", "fix.csv line 2: needs three whole numbers"),
        ("frame,track,should_be\n1.5,1,0\n", "line 2: needs three whole numbers"),
        ("frame,track,should_be\n-1,1,0\n", "line 2: needs three whole numbers"),
        ("frame,track,should_be\n9999,1,0\n", "has no frame 9999, only 0 to 399"),
        ("frame,track,should_be\n10,7,0\n", "has no track 7, only 0, 1, 2"),
        ("frame,track,should_be\n10,1,3\n", "no animal 3 where there are 3"),
        ("frame,track,should_be\n10,1,0\n10,1,0\n", "line 3 (10, 1, 0): says the same as fix.csv line 2"),
        (
            "frame,track,should_be\n10,1,0\n10,1,2\n",
            "line 3 (10, 1, 2): contradicts fix.csv line 2 (10, 1, 0)",
        ),
        (
            "frame,track,should_be\n10,1,0\n10,2,0\n",
            "line 3 (10, 2, 0): contradicts fix.csv line 2 (10, 1, 0)",
        ),
    ],
)
def test_what_cannot_hold_is_one_line(pose: Any, tmp_path: Path, text: str, line: str) -> None:
    store(tmp_path / "clip.parquet", FRAMES)
    (tmp_path / "fix.csv").write_text(text)
    done = pose("track", "clip.parquet", "--animals", "3", "--fix", "fix.csv", "--out", "fixed")
    assert done.returncode == 2
    assert line in done.stderr
    assert len([text for text in done.stderr.splitlines() if "error" in text]) == 1
    assert not (tmp_path / "fixed/clip.parquet").exists()


def test_corrections_need_a_number_of_animals_and_one_video(tmp_path: Path) -> None:
    clip = store(tmp_path / "clip.parquet", FRAMES[:50])
    store(tmp_path / "other.parquet", FRAMES[:50])
    with pytest.raises(ConfigError, match="need the number of animals"):
        pose_core.track(clip, tmp_path / "out", fix=[(1, 0, 1)])
    with pytest.raises(ConfigError, match="of one video"):
        pose_core.track(tmp_path, tmp_path / "out", animals=3, fix=[(1, 0, 1)])


def test_the_order_of_rows_means_nothing() -> None:
    rows = [(100, 0, 1), (100, 1, 0), (250, 2, 0)]
    results = {
        json.dumps([f.instances.track.tolist() for f in follow(list(order))])
        for order in itertools.permutations(rows)
    }
    assert len(results) == 1
