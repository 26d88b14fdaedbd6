"""Tracks in pose evaluate: where labels say who is who over time."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pose_core.cli.evaluate import make_overall_table
from pose_core.evaluation.metrics import Measured, measure
from pose_core.evaluation.output import write_folder
from pose_core.evaluation.tracks import ALL, compute_track_metrics
from pose_core.interfaces import PredictionsHeader
from pose_core.specs import EvaluationSpec
from pose_core.structures import Frame, ImageFile, Instances, LabelledImage, Skeleton

SKELETON = Skeleton(("nose", "tail", "ear"), individuals=("ann", "bob"), identified=True)
SHAPE = np.array([[0.0, 0], [30, 0], [0, 30]])
CENTRES = np.array([[40.0, 40], [140, 40]])

Pair = tuple[LabelledImage, Frame]


def pair(name: str, truth: list[int], found: list[int], what: str = "track") -> Pair:
    """Animals side by side, found where they are; tracks (or identities) of labels and of predictions."""
    points = CENTRES[: len(truth), None] + SHAPE
    labels = Instances.from_keypoints(points, **{what: truth})  # type: ignore[arg-type]
    animals = Instances.from_keypoints(CENTRES[: len(found), None] + SHAPE, **{what: found})  # type: ignore[arg-type]
    return LabelledImage.create(ImageFile(Path(name)), name, 200, 200, labels), Frame(0, animals)


def video(name: str, *found: list[int], what: str = "track") -> list[Pair]:
    return [pair(f"{name}/{t}.png", [0, 1], ids, what) for t, ids in enumerate(found)]


def run(pairs: list[Pair], skeleton: Skeleton = SKELETON) -> Measured:
    return measure(pairs, skeleton, EvaluationSpec(bootstrap=0))


def test_switches_and_fragments_are_counted_by_video_and_over_all() -> None:
    good = video("good", [5, 6], [5, 6], [5, 6], [5, 6])
    # An exchange of both, and one that is not found for a frame.
    poor = video("poor", [5, 6], [6, 5], [6], [6, 5])
    scores = compute_track_metrics([*good, *poor], SKELETON)
    assert list(scores) == ["good", "poor", ALL]
    assert (good_one := scores["good"].keypoints).hota == 1.0
    assert (good_one.switches, good_one.fragments) == (0, 0)
    assert (scores["poor"].keypoints.switches, scores["poor"].keypoints.fragments) == (2, 1)
    whole = scores[ALL].keypoints
    assert (whole.switches, whole.animals, whole.missed) == (2, 16, 1)
    assert whole.switches_per_1000 == pytest.approx(1000 * 2 / 16)
    # Counts are summed up: one association over both, and not the mean of two.
    assert whole.mota == pytest.approx((15 - 2) / 16)
    assert scores["poor"].keypoints.hota < whole.hota < 1


def test_boxes_are_compared_by_their_overlap() -> None:
    """Poses turned around in their boxes are others, and their boxes the same; shifted boxes are half matches."""
    frames = video("v", [5, 6], [5, 6])
    upside_down = SHAPE[[1, 0, 2]] + np.array([0, 0])
    turned = [
        (
            labels,
            replace(found, instances=Instances.from_keypoints(CENTRES[:, None] + upside_down, track=[5, 6])),
        )
        for labels, found in frames
    ]
    metrics = compute_track_metrics(turned, SKELETON)["v"]
    assert metrics.boxes.hota == 1.0
    assert metrics.keypoints.hota < 0.6
    shifted = [
        (
            labels,
            replace(
                found, instances=Instances.from_keypoints(CENTRES[:, None] + SHAPE + [10, 0], track=[5, 6])
            ),
        )
        for labels, found in frames
    ]
    # Two thirds of 30 pixels in common, of 40: half; that counts from each threshold up to 0.5.
    boxes = compute_track_metrics(shifted, SKELETON)["v"].boxes
    assert boxes.hota == pytest.approx(10 / 19)


def test_images_come_in_the_order_of_their_numbers() -> None:
    frames = video("v", [5, 6], [5, 6], [6, 5], [6, 5])
    assert compute_track_metrics(frames, SKELETON)["v"].keypoints.switches == 2
    assert compute_track_metrics([frames[i] for i in (2, 0, 3, 1)], SKELETON)["v"].keypoints.switches == 2


def test_names_serve_where_there_are_no_tracks_and_a_project_names_its_animals() -> None:
    frames = video("v", [0, 1], [1, 0], [0, 1], what="identity")
    assert compute_track_metrics(frames, SKELETON)["v"].keypoints.switches == 4
    assert compute_track_metrics(frames, replace(SKELETON, identified=False)) == {}


def test_nothing_is_measured_where_nobody_says_who_is_who() -> None:
    assert compute_track_metrics(video("v", [-1, -1], [-1, -1]), SKELETON) == {}
    # A single image of a folder is no video; an animal without a track is in no image that counts.
    assert compute_track_metrics([pair("v/1.png", [0, 1], [0, 1])], SKELETON) == {}
    unknown = [pair(f"v/{t}.png", [0, -1], [0, 1]) for t in range(3)]
    assert compute_track_metrics(unknown, SKELETON) == {}


def test_metrics_reach_json_the_table_and_a_file(tmp_path: Path) -> None:
    pairs = [*video("a", [5, 6], [6, 5]), *video("b", [5, 6], [5, 6])]
    measured = run(pairs)
    content = json.loads(json.dumps(measured.result.to_json()))
    assert content["tracks"]["all"]["keypoints"]["switches"] == 2
    assert content["tracks"]["all"]["boxes"]["switches"] == 2
    stream = io.StringIO()
    Console(file=stream, width=160).print(make_overall_table(measured.result))
    lines = stream.getvalue().splitlines()
    assert any("HOTA" in line and "2 videos" in line for line in lines)
    assert any("switches" in line and "per 1,000 frames and animal" in line for line in lines)
    assert any("HOTA of boxes" in line for line in lines)
    header = PredictionsHeader(SKELETON, "images", len(pairs), 200, 200, 0.0, "", "")
    indexed: Any = [(labels, found.renumbered(i)) for i, (labels, found) in enumerate(pairs)]
    write_folder(tmp_path / "test", indexed, measured, SKELETON, header)
    with (tmp_path / "test" / "tracks.csv").open() as file:
        rows = list(csv.DictReader(file))
    both = ("keypoints", "boxes")
    assert [(row["video"], row["similarity"], row["switches"]) for row in rows] == [
        (name, similarity, switches)
        for name, switches in (("a", "2"), ("b", "0"), ("all", "2"))
        for similarity in both
    ]


def test_without_tracks_an_evaluation_looks_as_before(tmp_path: Path) -> None:
    measured = run(video("v", [-1, -1], [-1, -1]))
    assert measured.result.to_json()["tracks"] == {}
    stream = io.StringIO()
    Console(file=stream, width=160).print(make_overall_table(measured.result))
    assert "HOTA" not in stream.getvalue()
