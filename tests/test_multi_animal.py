"""Several animals from labels to metrics: padding, mirroring, identities, assignment, crossing scenes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_core.catalog import get_catalog
from pose_core.data.augment import Augmenter
from pose_core.data.batches import Batch, collate
from pose_core.data.geometry import transform_points
from pose_core.data.matching import match_animals
from pose_core.data.sample import Sample, place_labels
from pose_core.data.samples import PoseSamples
from pose_core.evaluation.metrics import measure
from pose_core.formats.parquet import ParquetWriter
from pose_core.interfaces import FrameGeometry, Predictions, PredictionsHeader
from pose_core.specs import EvaluationSpec, Preprocess
from pose_core.specs.train import DecidedAugmentationSpec, DecidedCropSpec
from pose_core.structures import Frame, ImageFile, Instances, LabelledDataset, LabelledImage, Skeleton
from pose_core.synthetic.scenes import Scene, SceneSpec

NAN = np.nan
MOST = 12
SKELETON = Skeleton(
    ("nose", "left", "right"),
    symmetry=(("left", "right"),),
    individuals=tuple(f"a{i}" for i in range(MOST)),
    identified=True,
)


def animals(rng: np.random.Generator, count: int, size: float = 200.0) -> Instances:
    """Animals that are whole and well inside, in any order of individuals."""
    points = rng.uniform(20, size - 20, (count, 3, 2))
    return Instances.from_keypoints(points, identity=rng.permutation(MOST)[:count])


def record(instances: Instances, size: int = 200) -> LabelledImage:
    return LabelledImage.create(ImageFile(Path("a.png")), "a.png", size, size, instances)


@settings(max_examples=40)
@given(st.integers(0, MOST), st.integers(0, 1000))
def test_mirroring_exchanges_left_and_right_of_every_animal(count: int, seed: int) -> None:
    """(DeepLabCut 3.0 exchanges those of the first animal only.)"""
    labels = record(animals(np.random.default_rng(seed), count))
    mirror = FrameGeometry(np.array([[-1.0, 0, 199], [0, 1, 0], [0, 0, 1]]), 200, 200)
    placed = place_labels(labels, np.arange(count), mirror, SKELETON)
    expected = labels.instances.keypoints[:, [0, 2, 1]] * [-1, 1] + [199, 0]
    np.testing.assert_allclose(placed.keypoints, expected, atol=1e-4)
    np.testing.assert_array_equal(placed.identity, labels.instances.identity)


@settings(max_examples=25)
@given(st.lists(st.integers(0, MOST), min_size=1, max_size=5), st.integers(0, 1000))
def test_batches_of_none_to_twelve_animals(counts: list[int], seed: int) -> None:
    """Every animal keeps its keypoints, its box and its identity; what is filled up is no animal."""
    rng = np.random.default_rng(seed)
    whole = FrameGeometry(np.eye(3), 200, 200)
    made = []
    for index, count in enumerate(counts):
        labels = place_labels(record(animals(rng, count)), np.arange(count), whole, SKELETON)
        made.append(Sample(np.zeros((200, 200, 3), np.uint8), labels, np.eye(3), index))
    labels = collate(made).labels
    assert labels.keypoints.shape == (len(counts), max(counts), 3, 2)
    for row, (count, sample) in enumerate(zip(counts, made, strict=True)):
        np.testing.assert_array_equal(labels.identity[row, :count], sample.labels.identity)
        np.testing.assert_array_equal(labels.keypoints[row, :count], sample.labels.keypoints)
        assert (labels.identity[row, count:] == -1).all()
        assert torch.isnan(labels.keypoints[row, count:]).all()
        assert torch.isnan(labels.boxes[row, count:]).all()


@pytest.mark.parametrize("view", ["frame", "animal"])
def test_identities_follow_their_animals_through_augmentation(tmp_path: Path, view: str) -> None:
    """The name of the individual stays with its keypoints, whatever is turned, mirrored or cut off."""
    rng = np.random.default_rng(3)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((200, 200, 3), np.uint8))
    labels = replace(record(animals(rng, 5)), image=ImageFile(tmp_path / "a.png"))
    dataset = LabelledDataset(SKELETON, (labels,), tmp_path, "five")
    preprocess = (
        Preprocess(scale=1.0) if view == "frame" else Preprocess(view="animal", size=(64, 64), min_box=0.0)
    )
    spec = DecidedAugmentationSpec(crop=DecidedCropSpec(size=(96, 96)), rotation=180, flip=0.5)
    samples = PoseSamples(dataset, [0], preprocess, 32, Augmenter(spec, SKELETON), 0, 1 << 20)
    truth = {int(i): p for i, p in zip(labels.instances.identity, labels.instances.keypoints, strict=True)}
    seen = set()
    for epoch in range(30):
        for number in range(len(samples)):
            batch: Batch = collate([samples[epoch, number]])
            matrix = batch.matrices[0].numpy()
            order = [0, 2, 1] if np.linalg.det(matrix) < 0 else [0, 1, 2]
            found = zip(batch.labels.identity[0].tolist(), batch.labels.keypoints[0].numpy(), strict=True)
            for at, (identity, points) in enumerate(found):
                assert view == "frame" or at > 0 or identity == labels.instances.identity[number]
                there = ~np.isnan(points[:, 0])
                if identity < 0:
                    assert not there.any()
                    continue
                expected = transform_points(truth[identity][order], matrix)
                np.testing.assert_allclose(points[there], expected[there], atol=1e-3)
                seen.add((identity, np.linalg.det(matrix) < 0))
    assert len(seen) == 10  # all five, as they are and mirrored


def test_identities_return_from_a_table_and_unknown_ones_stay_unknown(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    known = animals(rng, 4)
    frames = [
        Frame(0, replace(known, identity_scores=rng.uniform(size=4).astype(np.float32))),
        Frame(1, Instances.empty(3)),
        Frame(2, replace(known, identity=np.array([-1, 11, -1, 0]))),
        Frame(3, replace(known, identity=np.full(4, -1))),
    ]
    header = PredictionsHeader(SKELETON, "v.mp4", len(frames), 200, 200, 25.0, "m", "r", {})
    component = get_catalog().component("writer", "core/parquet")
    writer = ParquetWriter(component.config_class()(type=component.full_name))
    writer.write(tmp_path / "p.parquet", header, frames)
    back = list(writer.read(tmp_path / "p.parquet"))
    assert [f.instances.identity.tolist() for f in back] == [f.instances.identity.tolist() for f in frames]
    # How probable a name is comes back too, and is 0 where there is none.
    for one, other in zip(frames, back, strict=True):
        expected = np.where(one.instances.identity >= 0, one.instances.identity_scores, 0)
        np.testing.assert_array_equal(other.instances.identity_scores, expected)


def test_what_a_keypoint_head_finds_has_no_name() -> None:
    found = Predictions.none(2, SKELETON).with_animals(torch.zeros(2, 3, 3, 2), torch.ones(2, 3, 3))
    assert found.identity.tolist() == [[-1] * 3] * 2


def test_pixel_errors_are_those_of_the_best_assignment_with_misses_and_false_positives_beside_them() -> None:
    """Two animals found in the other order, one missed, one invented; far from the labels' order and
    score."""
    corners = np.array([[20, 20], [60, 20], [20, 60]])
    truth = corners + np.array([[[0, 0]], [[80, 0]], [[0, 100]]])
    guess = np.array([truth[1] + [3, 4], [[150, 150], [190, 150], [150, 190]], truth[0] + [0, 1]])
    labels = record(Instances.from_keypoints(truth, identity=[2, 0, 1]))
    found = Frame(0, Instances.from_keypoints(guess, scores=[0.2, 0.9, 0.5]))
    measured = measure([(labels, found)], SKELETON, EvaluationSpec(bootstrap=0))
    (match,) = measured.matches
    assert (match.labelled.tolist(), match.predicted.tolist()) == ([0, 1], [2, 0])
    assert (match.missed.tolist(), match.false.tolist()) == ([2], [1])
    counts = measured.result.counts
    assert (counts.animals, counts.matched, counts.missed, counts.false_positives) == (3, 2, 1, 1)
    assert (counts.keypoints, counts.missing) == (9, 3)
    assert measured.result.error.mean.value == pytest.approx(3)  # three of 5 px, three of 1 px


@settings(max_examples=60)
@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 10_000))
def test_no_other_assignment_is_better(count: int, guesses: int, seed: int) -> None:
    from itertools import permutations

    rng = np.random.default_rng(seed)
    count, guesses = min(count, 4), min(guesses, 4)
    # Animals of one size, so that the cost of a pair is proportional to its mean distance.
    centres = rng.uniform(50, 150, (count, 1, 2))
    truth = centres + np.array([[0, 0], [40, 0], [0, 40]])
    guess = rng.uniform(50, 150, (guesses, 1, 2)) + np.array([[0, 0], [40, 0], [0, 40]])
    labels = record(Instances.from_keypoints(truth.reshape(-1, 3, 2)))
    match = match_animals(labels, Frame(0, Instances.from_keypoints(guess.reshape(-1, 3, 2))), several=True)
    assert len(match.labelled) + len(match.missed) == count
    assert len(match.predicted) + len(match.false) == guesses
    distance = (
        np.linalg.norm(truth[:, None] - guess[None], axis=-1).mean(-1).reshape(count, guesses).clip(max=40)
    )
    ours = distance[match.labelled, match.predicted].sum() + 40 * (min(count, guesses) - len(match.labelled))
    if count <= guesses:
        best = min(
            sum(distance[i, p] for i, p in enumerate(order)) for order in permutations(range(guesses), count)
        )
    else:
        best = min(
            sum(distance[p, j] for j, p in enumerate(order)) for order in permutations(range(count), guesses)
        )
    assert ours == pytest.approx(best, abs=1e-3)


def test_an_animal_with_a_box_alone_is_neither_missed_nor_a_false_positive() -> None:
    points = np.full((2, 3, 2), NAN, np.float32)
    points[0] = [[20, 20], [60, 20], [20, 60]]
    boxes = np.array([[15, 15, 65, 65], [100, 100, 180, 180]], np.float32)
    labels = record(Instances.from_keypoints(points, boxes=boxes))
    guess = np.array([points[0], [[110, 110], [150, 120], [130, 170]], [[90, 10], [190, 20], [195, 40]]])
    found = Frame(0, Instances.from_keypoints(guess, scores=[0.5, 0.9, 0.1]))
    result = measure([(labels, found)], SKELETON, EvaluationSpec(bootstrap=0)).result
    counts = result.counts
    assert (counts.animals, counts.matched, counts.missed) == (1, 1, 0)
    assert (counts.false_positives, counts.ignored) == (1, 1)
    # The prediction in the box ranks first and would halve the precision if it counted.
    assert result.oks.ap.value == pytest.approx(1)
    assert result.error.mean.value == 0


def test_keypoints_that_a_model_has_no_head_for_are_in_no_metric() -> None:
    skeleton = replace(SKELETON, unique_keypoints=("corner", "lamp"))
    labels = replace(
        record(animals(np.random.default_rng(0), 2)), unique_keypoints=np.array([[1, 2], [3, 4]], np.float32)
    )
    nothing = np.full((2, 2), NAN, np.float32)
    found = Frame(0, labels.instances, nothing, np.zeros(2, np.float32))
    spec = EvaluationSpec(bootstrap=0)
    counted = measure([(labels, found)], skeleton, spec).result
    assert (counted.counts.keypoints, counted.counts.missing, counted.notes) == (8, 2, ())
    fair = measure([(labels, found)], skeleton, spec, unique=False).result
    assert (fair.counts.keypoints, fair.counts.missing) == (6, 0)
    assert [k.name for k in fair.keypoints] == list(SKELETON.keypoints)
    (note,) = fair.notes
    assert (
        note == "the model has no head for keypoints that exist once an image: corner, lamp are in no metric"
    )


def test_animals_of_scenes_cross_and_hide_each_other() -> None:
    """Boxes overlap, paths cross, keypoints of one lie under the other; each keeps its identity all the
    time."""
    scene = Scene(SceneSpec(seed=2, frames=70, size=(128, 128), animals=4, length=44, clutter=0.2))
    alone = Scene(replace(scene.spec, animals=1))
    assert scene.skeleton.individuals == ("animal1", "animal2", "animal3", "animal4")
    frames = list(scene)
    centres = np.full((len(frames), 4, 2), NAN)
    overlapping = hidden = 0
    for t, frame in enumerate(frames):
        identity = frame.instances.identity
        assert len(set(identity.tolist())) == len(identity)
        centres[t, identity] = np.nanmean(frame.instances.keypoints, axis=1)
        boxes = frame.instances.boxes
        low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        overlapping += int((high > low).all(-1).sum() > len(boxes))
        hidden += int(frame.occluded.sum())
    assert overlapping > 15
    few = [int(alone.frame(t).occluded.sum()) for t in range(0, 70, 5)]
    assert hidden / len(frames) > 2 * sum(few) / len(few)
    # Animals change sides in both directions.
    sides = np.sign(centres[:, :, None] - centres[:, None])
    changed = ((np.nanmin(sides, axis=0) < 0) & (np.nanmax(sides, axis=0) > 0)).any(-1)
    assert changed.sum() >= 4
    # An identity does not jump from one animal to another: no animal moves more than a body's length in a
    # frame.
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=-1)
    assert np.nanmax(steps) < 24
