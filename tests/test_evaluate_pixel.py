"""Pixel errors, PCK and the assignment of animals: examples computed by hand, and laws."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError

from pose_core.data.matching import match_animals
from pose_core.errors import DataError
from pose_core.evaluation.metrics import measure
from pose_core.specs import EvaluationSpec
from pose_core.structures import Frame, ImageFile, Instances, LabelledImage, Skeleton

NAN = np.nan
SPEC = EvaluationSpec(bootstrap=20, pck=(0.1, 0.5))


def labelled(points, *, unique=None, ignore=None, boxes=None, name="img.png"):
    instances = Instances.from_keypoints(np.asarray(points, np.float32), boxes=boxes)
    return LabelledImage.create(
        ImageFile(Path(name)), name, 640, 480, instances, unique_keypoints=unique, ignore=ignore
    )


def found(points, keypoint_scores=None, unique=None, missing=None):
    instances = Instances.from_keypoints(np.asarray(points, np.float32), keypoint_scores=keypoint_scores)
    if unique is None:
        return Frame(0, instances, missing=missing)
    unique = np.asarray(unique, np.float32)
    return Frame(0, instances, unique, np.where(np.isnan(unique[:, 0]), 0, 0.9).astype(np.float32))


def skeleton(keypoints, individuals=1, unique=()):
    return Skeleton(
        tuple(f"k{i}" for i in range(keypoints)),
        individuals=tuple(f"a{i}" for i in range(individuals)),
        unique_keypoints=tuple(unique),
    )


def test_errors_computed_by_hand():
    pairs = [
        (labelled([[[0, 0], [100, 0]]]), found([[[3, 4], [100, 12]]])),  # 5 and 12
        (labelled([[[10, 10], [10, 60]]]), found([[[10, 10], [NAN, NAN]]])),  # 0 and missing
        (labelled([[[50, 50], [NAN, NAN]]]), found([[[50, 53], [1, 1]]])),  # 3, nothing to compare
    ]
    result = measure(pairs, skeleton(2), SPEC).result
    assert result.error.count == 4
    assert result.error.mean.value == pytest.approx(5)
    assert result.error.median.value == pytest.approx(4)
    assert result.error.rms.value == pytest.approx(math.sqrt((25 + 144 + 0 + 9) / 4))
    assert result.error.percentiles[50] == pytest.approx(4)
    counts = result.counts
    assert (counts.images, counts.animals, counts.matched, counts.keypoints, counts.missing) == (
        3,
        3,
        3,
        5,
        1,
    )
    first, second = result.keypoints
    assert (first.name, first.labelled, first.missing, first.error.count) == ("k0", 3, 0, 3)
    assert first.error.mean.value == pytest.approx(8 / 3)
    assert (second.name, second.labelled, second.missing) == ("k1", 2, 1)
    assert second.error.rms.value == pytest.approx(12)
    # PCK: boxes are 100 and 50 long, the third animal has no size. Correct at 0.1: 5 of <= 10 and 0 of <= 5.
    assert result.pck[0.1].value == pytest.approx(2 / 4)
    assert result.pck[0.5].value == pytest.approx(3 / 4)
    assert second.pck[0.5].value == pytest.approx(1 / 2)


def test_confident_keypoints_only():
    pairs = [
        (labelled([[[0, 0], [100, 0], [0, 100]]]), found([[[3, 4], [100, 50], [0, 101]]], [[0.9, 0.3, 0.6]]))
    ]
    confident = measure(pairs, skeleton(3), SPEC).result.confident
    assert confident.kept.value == pytest.approx(2 / 3)
    assert confident.error.mean.value == pytest.approx(3)
    nothing = measure(pairs, skeleton(3), SPEC.model_copy(update={"threshold": 0.95})).result.confident
    assert nothing.kept.value == 0
    assert nothing.error.mean.value is None
    assert nothing.error.mean.reason == "no labelled keypoint was predicted with a score of at least 0.95"


def test_unique_keypoints_are_pooled_as_keypoints_of_their_own():
    pairs = [
        (
            labelled([[[0, 0], [100, 0]]], unique=[[20, 20], [NAN, NAN]]),
            found([[[0, 0], [100, 0]]], unique=[[20, 28], [9, 9]]),
        ),
        (
            labelled([[[0, 0], [100, 0]]], unique=[[20, 20], [50, 50]]),
            found([[[0, 0], [100, 0]]], unique=[[20, 20], [NAN, NAN]]),
        ),
        (labelled([[[0, 0], [100, 0]]]), found([[[0, 0], [100, 0]]])),
    ]
    result = measure(pairs, skeleton(2, unique=("corner", "lamp")), SPEC).result
    corner, lamp = result.keypoints[2:]
    assert (corner.name, corner.labelled, corner.missing) == ("corner", 2, 0)
    assert corner.error.mean.value == pytest.approx(4)
    assert corner.pck[0.1].value is None
    assert "no animal's size" in corner.pck[0.1].reason
    assert (lamp.labelled, lamp.missing) == (1, 1)
    assert lamp.error.mean.reason == "none of the labelled keypoints was predicted"
    assert result.error.mean.value == pytest.approx(8 / 8)
    assert result.counts.keypoints == 9


def test_several_animals_are_assigned_optimally_with_misses_and_false_positives():
    a, b, c = ([[x, 100], [x + 40, 100]] for x in (100, 120, 500))
    # Greedy by distance would give the first prediction to b (10 px) and leave a with 30 px.
    near = [[[110, 100], [150, 100]], [[130, 100], [170, 100]], [[300, 400], [340, 400]]]
    pairs = [(labelled([a, b, c]), found(near))]
    measured = measure(pairs, skeleton(2, 3), SPEC)
    counts = measured.result.counts
    assert (counts.animals, counts.matched, counts.missed, counts.predicted, counts.false_positives) == (
        3,
        2,
        1,
        3,
        1,
    )
    (match,) = measured.matches
    assert match.labelled.tolist() == [0, 1]
    assert match.predicted.tolist() == [0, 1]
    assert match.missed.tolist() == [2]
    assert match.false.tolist() == [2]
    assert measured.result.error.mean.value == pytest.approx(10)
    assert (counts.keypoints, counts.missing) == (6, 2)
    assert measured.result.pck[0.5].value == pytest.approx(4 / 6)


def test_one_animal_is_paired_however_far_it_is():
    pairs = [(labelled([[[0, 0], [30, 0]]]), found([[[400, 300], [430, 300]]]))]
    assert measure(pairs, skeleton(2), SPEC).result.error.mean.value == pytest.approx(500)
    several = measure(pairs, skeleton(2, 2), SPEC).result
    assert (several.counts.missed, several.counts.false_positives) == (1, 1)
    assert several.error.mean.value is None


def test_a_complete_prediction_wins_over_a_single_close_keypoint():
    animal = [[[100, 100], [150, 100], [100, 150], [150, 150]]]
    whole = [[105, 100], [155, 100], [105, 150], [155, 150]]
    part = [[100, 100], [NAN, NAN], [NAN, NAN], [NAN, NAN]]
    match = match_animals(labelled(animal), found([part, whole]), several=True)
    assert match.predicted.tolist() == [1]
    assert match.false.tolist() == [0]


def test_predictions_in_regions_that_do_not_count():
    without_keypoints = [[[NAN, NAN], [NAN, NAN]]]
    labels = labelled(without_keypoints, boxes=[[0, 0, 50, 50]], ignore=[[200, 200, 300, 300]])
    predictions = found([[[10, 10], [20, 20]], [[210, 210], [400, 400]], [[400, 10], [420, 10]]])
    match = match_animals(labels, predictions, several=True)
    assert match.ignored.tolist() == [0, 1]
    assert match.false.tolist() == [2]
    assert len(match.missed) == 0


def test_an_empty_prediction_is_no_prediction():
    match = match_animals(labelled([[[1, 1], [9, 9]]]), found([[[NAN, NAN], [NAN, NAN]]]), several=False)
    assert match.missed.tolist() == [0]
    assert len(match.predicted) == len(match.false) == 0


def test_an_image_that_failed_is_counted_and_named():
    pairs = [
        (labelled([[[0, 0], [30, 0]]], name="good.png"), found([[[0, 0], [30, 0]]])),
        (labelled([[[0, 0], [30, 0]]], name="bad.png"), Frame.absent(1, skeleton(2), "not an image")),
    ]
    result = measure(pairs, skeleton(2), SPEC).result
    assert (result.counts.failed, result.counts.missed, result.counts.missing) == (1, 1, 2)
    assert "bad.png" in result.notes[0]


def test_undefined_figures_are_null_with_a_reason_and_the_json_is_strict():
    pairs = [(labelled(np.zeros((0, 2, 2))), found(np.zeros((0, 2, 2))))]
    report = measure(pairs, skeleton(2), SPEC).result.to_json()
    text = json.dumps(report, allow_nan=False)
    assert json.loads(text) == report
    assert report["pck"]["0.1"] is None
    for name in ("mean_error", "median_error", "rms_error", "pck.0.1", "ap"):
        assert report.get(name) is None
        assert report["reasons"][name]
    assert report["reasons"]["mean_error"] == "no keypoint is labelled in this split"


def test_a_single_image_has_no_interval_and_says_why():
    pairs = [(labelled([[[0, 0], [30, 20]]]), found([[[0, 3], [30, 20]]]))]
    report = measure(pairs, skeleton(2), SPEC).result.to_json()
    assert report["mean_error"] == pytest.approx(1.5)
    assert report["intervals"]["mean_error"] is None
    assert report["reasons"]["mean_error"] == "an interval needs at least two images"
    report = measure(pairs * 2, skeleton(2), EvaluationSpec(bootstrap=0)).result.to_json()
    assert report["reasons"]["ap"] == "no interval: evaluation.bootstrap is 0"


def test_bad_input_is_named():
    with pytest.raises(DataError, match="the validation split has no images"):
        measure([], skeleton(2), SPEC, split="validation")
    with pytest.raises(DataError, match=r"img.png: the predictions have 3 keypoints, the skeleton has 2"):
        measure([(labelled([[[0, 0], [1, 1]]]), found([[[0, 0], [1, 1], [2, 2]]]))], skeleton(2), SPEC)
    with pytest.raises(ValidationError, match="greater than 0"):
        EvaluationSpec(pck=(0.0,))


coordinates = st.floats(0, 400, width=32)


@st.composite
def scenes(draw, animals=4):
    """(labels (N, K, 2), predictions (P, K, 2)) with missing keypoints; one image."""
    k = draw(st.integers(1, 5))
    n, p = draw(st.integers(1, animals)), draw(st.integers(0, animals))
    both = []
    for count in (n, p):
        points = draw(arrays.arrays(np.float32, (count, k, 2), elements=coordinates))
        gone = draw(arrays.arrays(np.bool_, (count, k)))
        both.append(np.where(gone[..., None], np.float32(NAN), points))
    return both[0], both[1]


def metrics(truth, guess, individuals=4):
    pairs = [(labelled(truth), found(guess))] * 2
    return measure(pairs, skeleton(truth.shape[1], individuals), EvaluationSpec(bootstrap=5)).result.to_json()


@settings(max_examples=40)
@given(scenes())
def test_perfect_predictions_have_no_error(scene):
    truth, _ = scene
    report = metrics(truth, truth)
    assert (
        report["counts"]["missing"] == report["counts"]["missed"] == report["counts"]["false_positives"] == 0
    )
    if report["counts"]["keypoints"]:
        assert report["mean_error"] == report["rms_error"] == 0
        assert report["intervals"]["mean_error"] == [0, 0]
    assert report["ap"] in (None, pytest.approx(1))


@settings(max_examples=40)
@given(scenes(animals=1), st.integers(-100, 100), st.integers(-100, 100))
def test_moving_predictions_adds_their_distance(scene, x, y):
    truth, _ = scene
    report = metrics(np.round(truth), np.round(truth) + np.float32([x, y]), individuals=1)
    if report["counts"]["keypoints"]:
        assert report["mean_error"] == pytest.approx(math.hypot(x, y), abs=1e-4)
        assert report["median_error"] == pytest.approx(math.hypot(x, y), abs=1e-4)


@settings(max_examples=40)
@given(scenes(), st.integers(-50, 50), st.integers(-50, 50))
def test_moving_labels_and_predictions_changes_nothing(scene, x, y):
    truth, guess = (np.round(s) for s in scene)
    before, after = metrics(truth, guess), metrics(truth + np.float32([x, y]), guess + np.float32([x, y]))
    for name in ("mean_error", "median_error", "rms_error", "pck", "counts"):
        assert after[name] == pytest.approx(before[name]), name


@settings(max_examples=40)
@given(scenes(), st.randoms(use_true_random=False))
def test_the_order_of_animals_changes_nothing(scene, random):
    truth, guess = scene
    shuffled = [list(range(len(s))) for s in scene]
    for order in shuffled:
        random.shuffle(order)
    before, after = metrics(truth, guess), metrics(truth[shuffled[0]], guess[shuffled[1]])
    assert after["counts"]["matched"] == before["counts"]["matched"]
    assert after["counts"]["missed"] == before["counts"]["missed"]


@settings(max_examples=40)
@given(st.permutations(range(4)), st.permutations(range(4)), st.integers(0, 2**32 - 1))
def test_the_order_of_distinct_animals_changes_no_metric(first, second, seed):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 300, (4, 3, 2)).astype(np.float32)
    guess = (truth + rng.normal(0, 30, truth.shape)).astype(np.float32)
    before, after = metrics(truth, guess), metrics(truth[list(first)], guess[list(second)])
    for name in ("mean_error", "median_error", "rms_error", "pck", "counts"):
        assert after[name] == pytest.approx(before[name]), name


@settings(max_examples=40)
@given(scenes())
def test_every_label_and_every_prediction_is_counted_once(scene):
    truth, guess = scene
    counts = metrics(truth, guess)["counts"]
    assert (
        counts["matched"] + counts["missed"]
        == counts["animals"]
        == 2 * (~np.isnan(truth[..., 0])).any(1).sum()
    )
    predicted = 2 * (~np.isnan(guess[..., 0])).any(1).sum()
    assert (
        counts["matched"] + counts["false_positives"] + counts["ignored"] == counts["predicted"] == predicted
    )
    assert counts["keypoints"] == 2 * (~np.isnan(truth[..., 0])).sum()
    assert 0 <= counts["missing"] <= counts["keypoints"]
