"""Average precision against pycocotools, sigmas, and why it is low."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pose_core.data.average_precision import CocoTask, coco_task
from pose_core.data.matching import match_animals
from pose_core.data.sigmas import resolve_sigmas
from pose_core.errors import ConfigError
from pose_core.evaluation.explain import half_radius
from pose_core.evaluation.metrics import measure
from pose_core.specs import EvaluationSpec
from pose_core.structures import Frame, ImageFile, Instances, LabelledImage, Skeleton


def image(points, *, areas=None, ignore=None, boxes=None, name="a.png", size=(400, 300)):
    instances = Instances.from_keypoints(
        np.asarray(points, np.float32).reshape(-1, *np.shape(points)[-2:]), boxes=boxes
    )
    return LabelledImage.create(ImageFile(Path(name)), name, *size, instances, areas=areas, ignore=ignore)


def frame(points, scores=None, index=0):
    return Frame(index, Instances.from_keypoints(np.asarray(points, np.float32), scores=scores))


def reference(truth, results, sigmas):
    """The ten metrics of pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        labels = COCO()
        labels.dataset = truth
        labels.createIndex()
        if results:
            found = labels.loadRes(results)
        else:  # pycocotools cannot load an empty list
            found = COCO()
            found.dataset = {**truth, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(labels, found, "keypoints")
        evaluation.params.kpt_oks_sigmas = np.asarray(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def scene(rng, images, keypoints, animals, noise, ties=True):
    """Random labels and predictions, as records of ours and, written out independently, as COCO
    dictionaries."""
    pairs, annotations, results = [], [], []
    for at in range(images):
        n = int(rng.integers(0, animals + 1))
        centres = rng.uniform(50, 250, (n, 1, 2))
        truth = (centres + rng.normal(0, 20, (n, keypoints, 2))).astype(np.float32)
        truth[rng.uniform(size=truth.shape[:2]) < 0.2] = np.nan
        areas = rng.uniform(200, 9000, n).astype(np.float32)
        low, high = np.nanmin(np.r_[truth.reshape(-1, 2), [[0, 0]]]), 400
        boxes = np.array([[low, low, high, high]] * n, np.float32).reshape(n, 4)
        # Some labels have no area of their own, and that of their box counts.
        no_area = rng.uniform(size=n) < 0.3
        boxes[no_area, 2:] = low + rng.uniform(20, 90, (int(no_area.sum()), 2))
        given = np.where(no_area, np.nan, areas)
        areas = np.where(
            no_area, (boxes[:, 2:].astype(float) - boxes[:, :2]).prod(axis=1), areas.astype(float)
        )
        regions = rng.uniform(0, 150, (int(rng.integers(0, 2)), 4)).astype(np.float32)
        regions[:, 2:] += regions[:, :2]
        extra = rng.uniform(0, 300, (int(rng.integers(0, 3)), keypoints, 2))
        guess = np.concatenate(
            [truth + rng.normal(0, noise, truth.shape) * rng.integers(0, 2, (n, 1, 1)), extra]
        )
        guess = np.where(np.isnan(guess), rng.uniform(0, 300, guess.shape), guess).astype(np.float32)
        guess[rng.uniform(size=guess.shape[:2]) < 0.1] = np.nan
        guess = guess[rng.permutation(len(guess))][: int(rng.integers(0, n + 3))]
        scores = (rng.integers(0, 5, len(guess)) / 4 if ties else rng.uniform(size=len(guess))).astype(
            np.float32
        )
        pairs.append((image(truth, areas=given, ignore=regions, boxes=boxes), frame(guess, scores)))
        for points, area, box in zip(truth, areas, boxes, strict=True):
            seen = ~np.isnan(points[:, 0])
            annotations.append(
                {
                    "image_id": at + 7,
                    "category_id": 3,
                    "keypoints": np.c_[np.nan_to_num(points.astype(float)), 2 * seen].ravel().tolist(),
                    "num_keypoints": int(seen.sum()),
                    "area": float(area),
                    "bbox": [float(v) for v in (*box[:2], *(box[2:].astype(float) - box[:2]))],
                    "iscrowd": 0,
                }
            )
        for box in regions.astype(float):
            width, height = box[2:] - box[:2]
            annotations.append(
                {
                    "image_id": at + 7,
                    "category_id": 3,
                    "keypoints": [0.0] * 3 * keypoints,
                    "num_keypoints": 0,
                    "area": width * height,
                    "bbox": [box[0], box[1], width, height],
                    "iscrowd": 1,
                }
            )
        for points, score in zip(guess.astype(float), scores, strict=True):
            if np.isnan(points).all():
                continue
            seen = ~np.isnan(points[:, :1])
            results.append(
                {
                    "image_id": at + 7,
                    "category_id": 3,
                    "keypoints": np.c_[np.where(seen, points, -1e12), 2 * seen].ravel().tolist(),
                    "score": float(score),
                    "bbox": [0, 0, 10, 10],
                }
            )
    for number, annotation in enumerate(annotations):
        annotation["id"] = number + 1
    truth = {
        "images": [{"id": at + 7, "width": 400, "height": 300} for at in range(images)],
        "annotations": annotations,
        "categories": [{"id": 3, "name": "mouse"}],
    }
    return pairs, truth, results


def skeleton_of(keypoints, individuals=5):
    return Skeleton(
        tuple(f"k{i}" for i in range(keypoints)), individuals=tuple(f"a{i}" for i in range(individuals))
    )


@pytest.mark.parametrize("block", range(10))
def test_average_precision_is_that_of_pycocotools(block):
    assert compare(range(40 * block, 40 * block + 40), 4) > 30


def test_average_precision_of_crowded_images_is_that_of_pycocotools():
    assert compare(range(1000, 1030), 12) > 25


def test_average_precision_of_more_predictions_than_count_is_that_of_pycocotools():
    """COCO takes the twenty with the highest scores, and among equal scores the first."""
    crowds = []
    assert compare(range(4000, 4030), 80, crowds) > 25
    assert sum(count > 20 for count in crowds) > 20


def test_random_scenes_hold_everything_that_may_go_wrong():
    """What the comparisons with pycocotools would otherwise not be about."""
    seen = dict.fromkeys(
        ("no animal", "no prediction", "crowd", "no area", "unlabelled animal", "equal scores", "many"), 0
    )
    for seed in [*range(60), *range(4000, 4010)]:
        rng = np.random.default_rng(seed)
        keypoints = int(rng.integers(1, 8))
        pairs, _, _ = scene(
            rng, int(rng.integers(1, 6)), keypoints, 80 if seed >= 4000 else 4, rng.uniform(0, 30)
        )
        for labels, found in pairs:
            scores = found.instances.scores
            unlabelled = np.isnan(labels.instances.keypoints).all(axis=(1, 2))
            seen["no animal"] += not len(labels.instances)
            seen["no prediction"] += not len(found.instances)
            seen["crowd"] += len(labels.ignore) > 0
            seen["no area"] += bool(np.isnan(labels.areas).any())
            seen["unlabelled animal"] += bool(unlabelled.any())
            seen["equal scores"] += len(set(scores.tolist())) < len(scores)
            seen["many"] += len(scores) > 20
    assert min(seen.values()) >= 5, seen


@pytest.mark.slow
@pytest.mark.parametrize("most", [1, 4, 12, 80])
def test_average_precision_of_thousands_of_scenes_is_that_of_pycocotools(most):
    assert compare(range(2000, 3000), most) > 600


def compare(seeds, most, crowds=None):
    """Hold the metrics of random scenes with up to ``most`` animals an image against pycocotools; how many
    had any. ``crowds`` gets the number of predictions of each image."""
    compared = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        keypoints = int(rng.integers(1, 8))
        pairs, truth, results = scene(rng, int(rng.integers(1, 6)), keypoints, most, rng.uniform(0, 30))
        if crowds is not None:
            crowds += [len(found.instances) for _, found in pairs]
        sigmas = rng.uniform(0.02, 0.3, keypoints)
        by_name = {f"k{i}": float(s) for i, s in enumerate(sigmas)}
        oks = measure(
            pairs, skeleton_of(keypoints, max(most, 2)), EvaluationSpec(sigmas=by_name, bootstrap=0)
        ).result.oks
        stats = reference(truth, results, sigmas)
        if stats[0] == -1:
            assert oks.ap.value is None
            assert "no labelled animal" in oks.ap.reason
            continue
        ours = [oks.ap.value, oks.ap50.value, oks.ap75.value, oks.ar.value]
        np.testing.assert_allclose(ours, stats[[0, 1, 2, 5]], rtol=0, atol=1e-9, err_msg=f"seed {seed}")
        compared += 1
    return compared


def test_a_resampling_is_what_pycocotools_says_of_the_images_drawn():
    from pose_core.evaluation import oks as module
    from pose_core.evaluation.bootstrap import Bootstrap

    for seed in range(12):
        rng = np.random.default_rng(seed)
        # Without ties: COCO ranks equal scores by the order of images, which repeating an image changes.
        pairs, truth, results = scene(rng, 6, 4, 4, 8.0, ties=False)
        skeleton, sigmas = skeleton_of(4), (0.1,) * 4
        matches = [match_animals(a, b, several=True) for a, b in pairs]
        bootstrap = Bootstrap(len(pairs), 4, seed)
        resampled = module.resample_precision(coco_task(pairs, matches, skeleton), sigmas, bootstrap)
        for r, counts in enumerate(bootstrap.counts):
            drawn = [i + 7 for i, count in enumerate(counts) for _ in range(count)]
            again = {
                "images": [{"id": n, "width": 400, "height": 300} for n in range(len(drawn))],
                "categories": truth["categories"],
                "annotations": [
                    {**a, "image_id": n}
                    for n, i in enumerate(drawn)
                    for a in truth["annotations"]
                    if a["image_id"] == i
                ],
            }
            for number, annotation in enumerate(again["annotations"]):
                annotation["id"] = number + 1
            stats = reference(
                again,
                [{**d, "image_id": n} for n, i in enumerate(drawn) for d in results if d["image_id"] == i],
                sigmas,
            )
            ours = [resampled[name][r] for name in ("ap", "ap50", "ap75", "ar")]
            np.testing.assert_allclose(ours, stats[[0, 1, 2, 5]], rtol=0, atol=1e-9)


def test_the_library_prints_nothing(capfd):
    pairs, _, _ = scene(np.random.default_rng(1), 4, 3, 3, 4.0)
    measure(pairs, skeleton_of(3), EvaluationSpec(bootstrap=10))
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_a_hand_computed_similarity():
    # One animal of area 10000, all keypoints 20 px off, sigma 0.1: OKS = exp(-400 / (2 * 10000 * 0.04)) =
    # 0.6065, which counts at the thresholds 0.50, 0.55 and 0.60 of ten.
    points = np.array([[[10, 10], [110, 10], [10, 110], [110, 110]]], float)
    pairs = [(image(points, areas=[10000]), frame(points + np.array([20, 0])))]
    oks = measure(pairs, skeleton_of(4, 1), EvaluationSpec()).result.oks
    assert oks.ap.value == pytest.approx(0.3)
    assert oks.ap50.value == pytest.approx(1)
    assert oks.ap75.value == 0
    assert oks.ar.value == pytest.approx(0.3)
    assert half_radius(0.1, 10000) == pytest.approx(23.548, abs=1e-3)
    assert oks.why is None


def test_an_area_that_is_unknown_is_that_of_the_box_and_said_so():
    points = np.array([[[10, 10], [110, 10], [10, 110], [110, 110]]], float)
    oks = measure(
        [(image(points), frame(points + np.array([20, 0])))], skeleton_of(4, 1), EvaluationSpec()
    ).result.oks
    assert oks.ap.value == pytest.approx(0.3)
    assert any("area of 1 of 1 animals from their box" in note for note in oks.notes)


def test_a_missing_keypoint_counts_as_wrong_in_the_similarity():
    points = np.array([[[10, 10], [110, 10], [10, 110], [110, 110]]], float)
    guess = points.copy()
    guess[0, 3] = np.nan  # OKS 0.75: found at 0.50 ... 0.75, six of ten
    assert measure(
        [(image(points), frame(guess))], skeleton_of(4, 1), EvaluationSpec()
    ).result.oks.ap.value == (pytest.approx(0.6))


@pytest.mark.parametrize(
    ("labels", "sigma", "reason"),
    [
        ([[[5.0, 5], [np.nan, np.nan]]], 0.1, "no labelled animal with an area above 0"),
        ([[[np.nan, np.nan], [np.nan, np.nan]]], 0.1, "no labelled animal with an area above 0"),
        ([[[5.0, 5], [50, 60]]], 0.0, "the OKS sigma of k0, k1 is 0; it must be above 0"),
    ],
)
def test_undefined_precision_has_a_reason(labels, sigma, reason):
    pairs = [(image(labels), frame([[[5.0, 5], [50, 60]]]))] * 2
    result = measure(pairs, skeleton_of(2, 1), EvaluationSpec(sigmas=sigma)).result
    for name in ("ap", "ap50", "ap75", "ar"):
        assert result.to_json()[name] is None
        assert result.to_json()["reasons"][name] == reason


def test_an_animal_without_area_is_left_out_with_its_prediction():
    whole, single = [[10.0, 10], [110, 110]], [[300.0, 50], [np.nan, np.nan]]
    skeleton = skeleton_of(2)
    guess = [[[10.0, 10], [110, 110]], [[300.0, 50], [320, 60]]]
    with_single = measure([(image([whole, single]), frame(guess, [0.5, 0.9]))], skeleton, EvaluationSpec())
    assert with_single.result.oks.ap.value == pytest.approx(1)
    assert any("leaves out 1 animals of area 0" in note for note in with_single.result.oks.notes)


def test_only_the_best_twenty_predictions_count():
    points = np.array([[[10.0, 10], [110, 110]]])
    crowd = np.concatenate([points + 200] * 20 + [points])
    oks = measure(
        [(image(points), frame(crowd, [0.9] * 20 + [0.1]))], skeleton_of(2), EvaluationSpec()
    ).result.oks
    assert oks.ap.value == 0
    assert any("best 20 predictions of 1 images" in note for note in oks.notes)


def test_sigmas_by_name_and_their_errors():
    skeleton = Skeleton(("snout", "tail"), unique_keypoints=("corner",))
    assert resolve_sigmas(0.05, skeleton) == {"snout": 0.05, "tail": 0.05}
    assert resolve_sigmas({"tail": 0.2, "snout": 0.1}, skeleton) == {"snout": 0.1, "tail": 0.2}
    for sigmas, said in (
        ({"snoot": 0.1, "tail": 0.1}, "evaluation.sigmas.snoot: .* did you mean snout"),
        ({"xyz": 0.1}, "there are snout, tail"),
        ({"corner": 0.1, "snout": 0.1, "tail": 0.1}, "exists once an image"),
        ({"snout": 0.1}, "no sigma for tail"),
        ({"snout": 0.1, "tail": -0.1}, "sigma of tail must be a number above 0, not -0.1"),
    ):
        with pytest.raises(ConfigError, match=said) as caught:
            resolve_sigmas(sigmas, skeleton)
        assert "\n" not in str(caught.value)


def why(labels, guess, scores=None, individuals=1):
    skeleton = skeleton_of(np.shape(labels)[-2], individuals)
    return measure(
        [(image(labels), frame(guess, scores))] * 2, skeleton, EvaluationSpec(bootstrap=0)
    ).result.oks.why


def test_why_precision_is_low():
    points = np.array([[[10, 10], [60, 10], [10, 60], [60, 60]]], float)  # area 2500: OKS 0.5 at 11.8 px
    nothing = np.zeros((0, 4, 2))
    assert why(points, points) is None
    assert why(points, nothing) == "the model predicted no animal in any image"
    said = why(points, points + np.array([40, 0]))
    assert said.startswith("predictions are on average 40 px from the labels")
    assert "11.8 px, where OKS falls to 0.5 (sigma 0.1, median animal area 2500 px²)" in said
    partly = points.copy()
    partly[0, 1:] = np.nan
    assert why(points, partly).startswith("75% of the labelled keypoints have no prediction")
    crowd = np.concatenate([points + 200, points + 220, points + 240, points])
    assert "4 animals" not in (why(points, points, individuals=3) or "")
    assert "8 animals were predicted where 2 are labelled" in why(points, crowd, [0.9, 0.8, 0.7, 0.1], 3)


def test_a_task_is_what_coco_files_hold():
    points = np.array([[[10, 20], [np.nan, np.nan], [40, 60]]])
    pairs = [(image(points, areas=[77]), frame(points, [0.5]))]
    task = coco_task(pairs, [match_animals(*pairs[0], several=False)], skeleton_of(3, 1))
    assert isinstance(task, CocoTask)
    (annotation,) = task.truth["annotations"]
    assert annotation["keypoints"] == [10, 20, 2, 0, 0, 0, 40, 60, 2]
    assert (annotation["num_keypoints"], annotation["area"], annotation["bbox"]) == (2, 77, [10, 20, 30, 40])
    assert task.results[0]["bbox"] == [10, 20, 30, 40]
