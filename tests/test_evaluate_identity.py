"""Names of animals: accuracy, swaps, and changes along a video."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from pose_core.cli.evaluate import make_keypoint_table, make_overall_table
from pose_core.evaluation.metrics import Measured, measure
from pose_core.evaluation.output import keypoint_rows
from pose_core.specs import EvaluationSpec
from pose_core.structures import Frame, ImageFile, Instances, LabelledImage, Skeleton

SKELETON = Skeleton(("nose", "tail", "ear"), individuals=("ann", "bob", "cat", "dan"), identified=True)
SHAPE = np.array([[0.0, 0], [30, 0], [0, 30]])
CENTRES = np.array([[40.0, 40], [140, 40], [40, 140], [140, 140]])


def pair(
    identity: list[int],
    guess: list[int],
    name: str = "v/1.png",
    *,
    label_track: Any = None,
    track: Any = None,
) -> tuple[LabelledImage, Frame]:
    """Animals side by side, found where they are, with labelled and predicted identities."""
    points = CENTRES[: len(identity), None] + SHAPE
    labels = Instances.from_keypoints(points, identity=identity, track=label_track)
    found = Instances.from_keypoints(CENTRES[: len(guess), None] + SHAPE + 1, identity=guess, track=track)
    return LabelledImage.create(ImageFile(Path(name)), name, 200, 200, labels), Frame(0, found)


def measured(
    *pairs: tuple[LabelledImage, Frame], skeleton: Skeleton = SKELETON, bootstrap: int = 0
) -> Measured:
    return measure(pairs, skeleton, EvaluationSpec(bootstrap=bootstrap))


def identities(*pairs: tuple[LabelledImage, Frame], skeleton: Skeleton = SKELETON) -> Any:
    return measured(*pairs, skeleton=skeleton).result.identity


def test_hand_counted_names() -> None:
    found = identities(
        pair([0, 1, 2, 3], [0, 1, 3, 2], "a/1.png"),  # a pair exchanged
        pair([0, 1, 2], [1, 2, 0], "b/1.png"),  # a ring: all wrong, no pair exchanged
        pair([0, -1, 2], [0, 1, -1], "c/1.png"),  # one unknown in the labels, one without a name
    )
    assert (found.compared, found.right, found.unnamed, found.swaps) == (8, 3, 1, 1)
    assert found.accuracy.value == pytest.approx(3 / 8)
    assert found.keypoints == dict.fromkeys(SKELETON.keypoints, (3, 8))


def test_misses_and_false_positives_are_not_names() -> None:
    labels, _ = pair([0, 1, 2], [])
    _, found = pair([], [0, 1, 2, 3])
    found = replace(found, instances=found.instances.select([1, 2, 3]))
    result = measured((labels, found)).result
    assert result.identity is not None
    assert (result.identity.compared, result.identity.right) == (2, 2)
    assert (result.counts.missed, result.counts.false_positives) == (1, 1)


def test_keypoints_put_together_with_those_of_another_animal() -> None:
    """Two noses exchanged: both animals are where they were and named right, their noses are not."""
    labels, found = pair([0, 1], [0, 1])
    points = found.instances.keypoints.copy()
    points[[0, 1], 0] = points[[1, 0], 0]
    metrics = identities((labels, replace(found, instances=replace(found.instances, keypoints=points))))
    assert metrics.accuracy.value == 1
    assert metrics.keypoints == {"nose": (0, 2), "tail": (2, 2), "ear": (2, 2)}


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_swaps_are_the_pairs_that_a_double_loop_finds(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    label, guess = rng.permutation(4)[:count].tolist(), rng.permutation(4)[:count].tolist()
    for names in (label, guess):
        if rng.uniform() < 0.3:
            names[int(rng.integers(count))] = -1
    found = identities(pair(label, guess))
    if all(name < 0 for name in guess):
        assert found is None
        return
    expected = sum(
        guess[i] == label[j]
        and guess[j] == label[i]
        and label[i] != label[j]
        and min(label[i], label[j]) >= 0
        for i, j in combinations(range(count), 2)
    )
    assert found.swaps == expected
    assert found.compared == sum(a >= 0 and b >= 0 for a, b in zip(label, guess, strict=True))


def test_changes_along_a_video_in_the_order_of_its_frames() -> None:
    """Frame 10 comes after frame 9, whatever the order of the pairs; videos do not touch each other."""
    names = {1: [0, 1], 2: [0, 1], 9: [1, 0], 10: [1, 0], 11: [0, 1]}
    frames = [pair([0, 1], names[number], f"v/img{number}.png") for number in (10, 2, 11, 1, 9)]
    other = pair([0, 1], [1, 0], "w/img3.png")
    switches = identities(*frames, other).switches
    assert set(switches) == {"identity"}
    # Each animal: 0 0 | 1 1 | 0, two changes in four times seen again.
    assert (switches["identity"].changes, switches["identity"].seen_again) == (4, 8)


def test_tracks_that_change_and_a_frame_without_the_animal() -> None:
    """The last track that was seen counts, over a gap too; individuals are told by their labelled track."""
    unnamed = replace(SKELETON, identified=False)
    shown = [[5, 7], [5, -1], [5, 7], [6, 7], [7, 6]]
    frames = [
        pair([0, 1], [-1, -1], f"v/{number}.png", label_track=[3, 4], track=tracks)
        for number, tracks in enumerate(shown)
    ]
    metrics = identities(*frames, skeleton=unnamed)
    assert (metrics.switches["track"].changes, metrics.switches["track"].seen_again) == (3, 7)
    assert metrics.accuracy.value is None
    assert metrics.accuracy.reason == "the project names no individuals"
    assert metrics.compared == 0


def test_nothing_is_reported_where_nothing_can_be_compared() -> None:
    without = measured(pair([0, 1], [-1, -1]))
    assert without.result.identity is None
    assert without.result.to_json()["identity"] is None
    assert identities(pair([0, 1], [0, 1]), skeleton=replace(SKELETON, identified=False)) is None
    unknown = identities(pair([-1, -1], [0, 1]))
    assert unknown.accuracy.value is None
    assert "no animal was found that has an identity in the labels" in unknown.accuracy.reason
    assert "identity_right" not in keypoint_rows(without)[0]


def test_figures_reach_json_tables_and_the_terminal() -> None:
    points = [pair([0, 1, 2], [0, 2, 1], f"v/{number}.png") for number in range(4)]
    labels, found = points[0]
    points[0] = (labels, replace(found, instances=found.instances.select([0, 1])))
    all_of_it = measured(*points, bootstrap=50)
    result = all_of_it.result
    assert result.identity is not None
    low, high = result.identity.accuracy.interval or (None, None)
    assert low is not None
    assert low <= 4 / 11 <= (high or 0)
    written = result.to_json()["identity"]
    assert (written["right"], written["compared"], written["swaps"]) == (4, 11, 3)
    assert written["keypoints"]["nose"]["compared"] == 11
    assert written["switches"]["identity"] == {"changes": 0, "seen_again": 8}
    assert keypoint_rows(all_of_it)[0]["identity_compared"] == 11
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(make_overall_table(result), make_keypoint_table(result))
    said = " ".join(console.export_text().split())
    assert "missed animals 1 of 12 labelled" in said
    assert "false positives 0 of 11 predicted" in said
    assert "4 of 11 animals" in said
    assert "swapped pairs 3" in said
    assert "identity changes 0 of 8 times" in said
    assert "PCK@0.2 identity nose" in said


def test_an_evaluation_of_one_animal_looks_as_before() -> None:
    lone = Skeleton(("nose", "tail", "ear"))
    result = measured(pair([0], [-1]), skeleton=lone).result
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(make_overall_table(result), make_keypoint_table(result))
    said = console.export_text()
    assert not any(word in said for word in ("missed", "false", "identity", "swapped"))
