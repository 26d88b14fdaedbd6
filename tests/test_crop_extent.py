"""Crops of a fixed extent: what they show depends on the centre of an animal alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from blobs import BlobNetwork, blob_image, make_context
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pose_core.data.augment import Augmenter
from pose_core.data.auto_extent import auto_extent
from pose_core.data.boxes import CropRule, find_centres
from pose_core.data.geometry import (
    crop_view,
    frame_view,
    keypoint_matrix,
    transform_points,
)
from pose_core.data.samples import PoseSamples
from pose_core.errors import ConfigError
from pose_core.interfaces import Predictions, StageResult, View
from pose_core.pipeline.crops import CropStage
from pose_core.pipeline.detector_boxes import DetectorBoxes
from pose_core.pipeline.follow import FollowStage
from pose_core.pipeline.stage_configs import CropsConfig
from pose_core.pipeline.whole_frames import WholeFrames
from pose_core.specs import DetectorConfig, Preprocess
from pose_core.specs.model import ModelSpec
from pose_core.specs.train import DecidedAugmentationSpec, DecidedCropSpec
from pose_core.structures import (
    ImageFile,
    Instances,
    LabelledDataset,
    LabelledImage,
    Skeleton,
    keypoint_boxes,
)

PARTS = Skeleton(("nose", "back", "tail"), individuals=("a", "b"))
PIXELS = st.floats(20, 200, width=32)
EXTENT = Preprocess(view="animal", size=(64, 96), extent=40.0)


def record(
    keypoints: Any, boxes: Any = None, size: tuple[int, int] = (320, 240), **more: Any
) -> LabelledImage:
    instances = Instances.from_keypoints(np.asarray(keypoints, np.float32), boxes=boxes)
    return LabelledImage.create(ImageFile(Path("a.png")), "a.png", *size, instances, **more)


def dataset(*images: LabelledImage, skeleton: Skeleton = PARTS) -> LabelledDataset:
    return LabelledDataset(skeleton, images, Path("nowhere"), "toy")


@given(PIXELS, PIXELS, st.floats(0, 60), st.floats(0, 60), st.floats(8, 300))
def test_a_crop_shows_a_square_of_the_extent_around_the_centre_of_any_box(
    x: float, y: float, wide: float, high: float, extent: float
) -> None:
    preprocess = replace(EXTENT, extent=extent)
    geometry = crop_view((x - wide / 2, y - high / 2, x + wide / 2, y + high / 2), preprocess)
    assert (geometry.height, geometry.width) == (64, 96)
    # The centre of the animal is at the centre of the crop, and the square fills its shorter side.
    np.testing.assert_allclose(transform_points([x, y], geometry.matrix), [47.5, 31.5], atol=1e-3)
    corners = transform_points([[x, y - extent / 2], [x, y + extent / 2]], geometry.matrix)
    np.testing.assert_allclose(corners[:, 1], [-0.5, 63.5], atol=1e-3)
    # Not turned, not stretched.
    np.testing.assert_allclose(geometry.matrix[:2, :2], np.eye(2) * 64 / extent, rtol=1e-6)


def test_without_an_extent_the_box_and_its_margin_say_what_a_crop_shows() -> None:
    preprocess = replace(EXTENT, extent=None, margin=0.25)
    small, large = (crop_view((90, 50, 90 + s, 50 + s), preprocess).matrix[0, 0] for s in (20, 40))
    assert small == pytest.approx(2 * large)
    assert large == pytest.approx(64 / 60)


animals = st.lists(
    st.lists(st.none() | st.tuples(PIXELS, PIXELS), min_size=3, max_size=3), min_size=1, max_size=4
)


def points_of(drawn: Any) -> Any:
    return np.array([[(np.nan, np.nan) if p is None else p for p in animal] for animal in drawn], np.float32)


@given(animals, st.sampled_from(["box", "keypoints", "nose", "tail"]), st.floats(-30, 30, width=16))
def test_centres_move_with_the_animals(drawn: Any, centre: str, shift: float) -> None:
    points = points_of(drawn)
    here = find_centres(points, keypoint_boxes(points), centre, PARTS)
    there = find_centres(
        points + np.float32(shift), keypoint_boxes(points + np.float32(shift)), centre, PARTS
    )
    np.testing.assert_allclose(there, here + np.float32(shift), atol=1e-3)
    # Missing exactly where the animal has no keypoint.
    assert np.isnan(here).any(axis=1).tolist() == np.isnan(points).all(axis=(1, 2)).tolist()


def test_what_stands_for_an_animal_that_lacks_the_keypoint() -> None:
    nan = [np.nan, np.nan]
    points = np.array([[[10, 0], [30, 10], [50, 50]], [nan, [30, 10], [50, 50]], [nan] * 3], np.float32)
    boxes = np.array([[0, 0, 100, 60], [0, 0, 100, 60], [10, 20, 30, 60]], np.float32)
    assert find_centres(points, boxes, "box", PARTS).tolist() == [[50, 30], [50, 30], [20, 40]]
    assert find_centres(points, boxes, "keypoints", PARTS).tolist() == [[30, 20], [40, 30], [20, 40]]
    assert find_centres(points, boxes, "nose", PARTS).tolist() == [[10, 0], [40, 30], [20, 40]]
    corner = replace(PARTS, landmarks=("tail",))
    assert find_centres(points, boxes, "keypoints", corner)[0].tolist() == [20, 5]
    with pytest.raises(
        ConfigError, match=r"model.preprocess.centre: no keypoint is called 'ear'; write box, k"
    ):
        find_centres(points, boxes, "ear", PARTS)


@given(animals, st.sampled_from(["keypoints", "nose"]), st.floats(0, 40))
def test_labelled_boxes_are_around_the_centre_and_within_the_image(
    drawn: Any, centre: str, least: float
) -> None:
    points = points_of(drawn)
    rule, labelled = CropRule(PARTS, least, centre), record(points)
    boxes = rule.around_labels(labelled)
    wanted = find_centres(points, keypoint_boxes(points), centre, PARTS)
    np.testing.assert_allclose((boxes[:, :2] + boxes[:, 2:]) / 2, wanted, atol=1e-3)
    # Poses are cut around the same centres as labels are.
    poses = rule.around_poses(points)
    np.testing.assert_allclose((poses[:, :2] + poses[:, 2:]) / 2, wanted, atol=1e-3)
    plain = CropRule(PARTS, least).around_labels(labelled)
    sides, before = boxes[:, 2:] - boxes[:, :2], plain[:, 2:] - plain[:, :2]
    known = np.isfinite(boxes).all(axis=1)
    assert (sides[known] <= before[known] + 1e-3).all()
    assert (sides[known] >= before[known] / 4 - 1e-3).all()
    inside = known & (sides > before / 4 + 1e-2).all(axis=1)
    assert (boxes[inside, :2] >= -0.5 - 1e-3).all()
    assert (boxes[inside, 2:] <= np.array([319.5, 239.5]) + 1e-3).all()


@settings(max_examples=60)
@given(
    animals,
    st.sampled_from(["box", "keypoints", "nose"]),
    st.floats(0, 180),
    st.floats(1, 1.6),
    st.floats(0, 0.2),
    st.integers(0, 1000),
)
def test_the_automatic_extent_holds_all_keypoints_in_every_random_view(
    drawn: Any, centre: str, rotation: float, zoom: float, shift: float, seed: int
) -> None:
    points = points_of(drawn)
    # One animal is all there is, so that no percentile leaves any out.
    labelled = record(points[:1])
    there = points[0][np.isfinite(points[0]).all(axis=-1)]
    assume(len(there) > 1 and np.ptp(there, axis=0).max() > 4)
    augmentation = DecidedAugmentationSpec(
        rotation=rotation, scale=(0.7, zoom), translation=shift, crop=DecidedCropSpec(size=None)
    )
    found = auto_extent(dataset(labelled), [0], centre, augmentation)
    preprocess = Preprocess(view="animal", size=(64, 64), extent=found.side, centre=centre)
    box = CropRule(PARTS, 0.0, centre).around_labels(labelled)[0]
    base = crop_view(box, preprocess)
    rng = np.random.default_rng(seed)
    for _ in range(8):
        view = Augmenter(augmentation, PARTS).animal_geometry(base, rng)
        seen = transform_points(there, view.matrix)
        # The side is rounded to three digits.
        assert (np.abs(seen - 31.5) <= 32 * 1.01).all()


def test_the_automatic_extent_without_random_views_leaves_a_fifth() -> None:
    still = DecidedAugmentationSpec(rotation=0, scale=(1, 1), translation=0, crop=DecidedCropSpec(size=None))
    labels = dataset(record([[[10, 50], [30, 50], [50, 50]]]))
    # 20 pixels to either side, and at the nose 40 to one of them.
    assert auto_extent(labels, [0], "box", still).side == pytest.approx(48)
    assert auto_extent(labels, [0], "nose", still).side == pytest.approx(96)
    one = dataset(record([[[10, 50]]], boxes=[[0, 40, 30, 60]]), skeleton=Skeleton(("nose",)))
    found = auto_extent(one, [0], "box", still)
    # The box, whose keypoint is nearer to its centre.
    assert found.side == pytest.approx(36)
    alone = dataset(record([[[10, 50]]]), skeleton=Skeleton(("nose",)))
    assert auto_extent(alone, [0], "box", still).side == pytest.approx(72)


@pytest.mark.parametrize(
    ("large", "side", "why"),
    [
        # The median animal needs 40 px, which is seen up to 1.25 times as large and 8 % of the crop away.
        (20.0, 59.5, "1.49 times twice the latter for random views"),
        (24.0, 59.5, "1.49 times twice the latter for random views"),
        (40.0, 96.0, "1.2 times twice the former, as centres are predicted"),
    ],
)
def test_the_automatic_extent_of_animals_of_different_sizes(large: float, side: float, why: str) -> None:
    """Large animals fit as they are, the median one in every random view too."""
    views = DecidedAugmentationSpec(
        rotation=0, scale=(0.75, 1.25), translation=0.08, crop=DecidedCropSpec(size=None)
    )
    reaches = [20.0] * 6 + [large] * 4
    animals = [record([[[100 - r, 50], [100, 50], [100 + r, 50]]]) for r in reaches]
    found = auto_extent(dataset(*animals), list(range(10)), "box", views)
    assert found.side == pytest.approx(side)
    assert found.why.endswith(why)
    assert f"up to {large:.0f} px from the centre, 20 px in the median animal" in found.why


class BlobDetector(torch.nn.Module):
    """Finds one box about the bright pixels, as far as the animal reaches and not as far as the frame."""

    size_multiple = 2
    config = DetectorConfig(size=None)

    def predict(self, images: Any) -> Any:
        network = BlobNetwork(Skeleton(("blob",)))
        found = network.predict(images)
        points = found.keypoints[:, 0]
        return torch.cat([points - 30, points + 30], -1), found.scores


@pytest.mark.parametrize("x", [13.0, 17.3, 160.0])
def test_a_box_beyond_the_edge_of_the_frame_does_not_move_what_a_crop_shows(x: float) -> None:
    image = blob_image([(x, 80.0)])
    shown: list[np.ndarray] = []

    class Watched(BlobNetwork):
        def predict(self, images: Any, initial: Predictions | None = None) -> Predictions:
            shown.append(images.numpy())
            return super().predict(images)

    preprocess = Preprocess(view="animal", size=(64, 64), extent=80.0)
    context = make_context(Watched(Skeleton(("blob",))), preprocess)
    detector = DetectorBoxes(BlobDetector(), None, clip=False)  # type: ignore[arg-type]
    view = View(torch.from_numpy(image).permute(2, 0, 1)[None], np.eye(3))
    boxes, scores = detector.predict(view, 320, 240)
    middle = (boxes[0, 0, 0] + boxes[0, 0, 2]) / 2
    assert abs(float(middle) - x) < 0.3
    clipped, _ = DetectorBoxes(BlobDetector(), None).predict(view, 320, 240)  # type: ignore[arg-type]
    assert (float(clipped[0, 0, 0]) == -0.5) == (x < 30)
    group = make_group([image])
    found = CropStage(CropsConfig(), context).run(group, None, StageResult(boxes=boxes, box_scores=scores))
    assert found.predictions is not None
    np.testing.assert_allclose(found.predictions.keypoints[0, 0, 0], [x, 80], atol=0.1)
    # Magnified as everywhere, 64 pixels of crop for 80 of the frame, with the blob in its middle.
    across = shown[0][0, 0, 31:33].mean(axis=0)
    assert abs(int(across.argmax()) - 31.5) <= 1


def make_group(images: list[Any]) -> Any:
    from pose_core.interfaces import FrameGroup

    height, width = images[0].shape[:2]
    indices = list(range(len(images)))
    return FrameGroup(indices, [None] * len(images), width, height, [], images, torch.device("cpu"))


def test_following_one_animal_with_crops_of_fixed_extent() -> None:
    single = Skeleton(("blob",))
    points = [(60.0 + 5 * i, 110.0) for i in range(8)]
    preprocess = Preprocess(view="animal", size=(64, 64), extent=70.0)
    context = make_context(BlobNetwork(single), preprocess, follow_threshold=0.3)
    stage = FollowStage(context).begin(None)
    for image, point in zip((blob_image([p]) for p in points), points, strict=True):
        found = stage.run(make_group([image]), None, StageResult())
        assert found.predictions is not None
        np.testing.assert_allclose(found.predictions.keypoints[0, 0, 0], point, atol=0.15)


def test_two_poses_of_one_animal_around_two_points() -> None:
    """Points tell nothing of two animals that are one; overlapping boxes are the detector's business."""
    skeleton = Skeleton(("blob",), individuals=("a", "b"))
    context = make_context(BlobNetwork(skeleton), Preprocess(view="animal", size=(64, 64), extent=64.0))
    image = blob_image([(100.0, 80.0)])
    points = torch.tensor([[[100.0, 80, 100, 80], [104, 81, 104, 81]]])
    scores = torch.tensor([[0.8, 0.9]])

    def count(boxes: Any, config: CropsConfig) -> list[bool]:
        found = CropStage(config, context).run(
            make_group([image]), None, StageResult(boxes=boxes, box_scores=scores)
        )
        assert found.predictions is not None
        assert (found.boxes is None) == (boxes is points)
        return (found.predictions.scores[0] > 0).tolist()

    assert count(points, CropsConfig()) == [False, True]
    assert count(points, CropsConfig(duplicate=None)) == [True, True]
    boxes = points + torch.tensor([-9.0, -9, 9, 9])
    assert count(boxes, CropsConfig()) == [True, True]
    assert count(boxes, CropsConfig(duplicate=0.7)) == [False, True]
    # Crops as large as boxes are as they always were, points or not.
    as_boxes = make_context(BlobNetwork(skeleton), Preprocess(view="animal", size=(64, 64)))
    found = CropStage(CropsConfig(), as_boxes).run(
        make_group([image]), None, StageResult(boxes=points, box_scores=scores)
    )
    assert found.boxes is points
    assert found.predictions is not None
    assert (found.predictions.scores > 0).all()


def spec(method: str, **preprocess: Any) -> Any:
    head = {"single_animal": "heatmap/heatmap", "top_down": "heatmap/heatmap"}[method]
    size = {"size": (64, 64)} if method == "top_down" else {}
    return ModelSpec.model_validate(
        {
            "method": method,
            "preprocess": {**size, **preprocess},
            "backbone": {"type": "unet/unet"},
            "heads": {"keypoints": {"type": head}},
        }
    )


@pytest.mark.parametrize(
    ("method", "preprocess", "message"),
    [
        (
            "single_animal",
            {"extent": 50.0},
            "extent\n  is for crops, and single_animal looks at whole frames",
        ),
        ("top_down", {"centre": "nose"}, "centre\n  is for crops of fixed extent and for centroid models"),
        ("single_animal", {"label_offset": 0.5}, "label_offset\n  is for crops"),
        ("single_animal", {"label_zoom": 1.02}, "label_zoom\n  is for crops"),
        ("top_down", {"extent": 0.0}, "greater than 0"),
        ("top_down", {"extent": float("inf")}, "finite"),
    ],
)
def test_settings_that_mean_nothing_are_refused(method: str, preprocess: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spec(method, **preprocess)


def test_an_extent_that_is_not_decided_is_not_used() -> None:
    undecided = spec("top_down", extent="auto", scale=1.0, min_box=0.0)
    with pytest.raises(ConfigError, match=r"model\.preprocess\.extent: is still 'auto'"):
        undecided.decided_preprocess()


@given(st.floats(0.2, 2.0), PIXELS, PIXELS)
def test_half_pixel_false_puts_keypoints_of_whole_frames_at_x_times_s(s: float, x: float, y: float) -> None:
    preprocess = Preprocess(scale=s, half_pixel=False)
    base = frame_view(320, 240, preprocess, 32).matrix
    found = transform_points([x, y], keypoint_matrix(base, preprocess))
    np.testing.assert_allclose(found, [x * s, y * s], atol=1e-3)


@given(st.floats(0.3, 1.0), st.integers(0, 1000), PIXELS, PIXELS)
def test_half_pixel_false_comes_before_the_random_view(s: float, seed: int, x: float, y: float) -> None:
    preprocess = Preprocess(scale=s, half_pixel=False)
    base = frame_view(320, 240, preprocess, 32)
    augmentation = DecidedAugmentationSpec(crop=DecidedCropSpec(size=None))
    labelled = record([[[x, y]] * 3])
    view = Augmenter(augmentation, PARTS).frame_geometry(
        labelled, np.array([0]), base, np.random.default_rng(seed)
    )
    after = view.matrix @ np.linalg.inv(base.matrix)
    found = transform_points([x, y], keypoint_matrix(view.matrix, preprocess, base.matrix))
    np.testing.assert_allclose(found, transform_points([x * s, y * s], after), atol=1e-2)


def test_half_pixel_false_in_training_and_prediction_of_whole_frames(tmp_path: Path) -> None:
    import cv2

    single, point, s = Skeleton(("blob",)), (150.0, 90.0), 0.5
    image = blob_image([point])
    cv2.imwrite(str(tmp_path / "a.png"), image)
    instances = Instances.from_keypoints(np.array([[point]], np.float32))
    labelled = LabelledImage.create(ImageFile(tmp_path / "a.png"), "a.png", 320, 240, instances)
    plain, off = Preprocess(scale=s), Preprocess(scale=s, half_pixel=False)
    taught = [
        PoseSamples(dataset(labelled, skeleton=single), [0], p, 2, None, 0, 0)[0].labels.keypoints[0, 0]
        for p in (plain, off)
    ]
    np.testing.assert_allclose(taught[0], (np.array(point) + 0.5) * s - 0.5, atol=1e-4)
    np.testing.assert_allclose(taught[1], np.array(point) * s, atol=1e-4)
    # A network that was taught x' = x s sees a blob where it is not, and is read as it was taught.
    network = BlobNetwork(single)
    there, shifted = (
        WholeFrames(network, p).predict_frame(image).keypoints[0, 0, 0].numpy() for p in (plain, off)
    )
    np.testing.assert_allclose(there, point, atol=0.1)
    np.testing.assert_allclose(there - shifted, (1 / s - 1) / 2, atol=1e-3)
    box = np.array([120, 60, 180, 120], np.float32)
    windowed = WholeFrames(network, off).predict_window(image, box).keypoints[0, 0, 0].numpy()
    np.testing.assert_allclose(windowed, shifted, atol=0.02)


@given(
    x=st.floats(-30, 90),
    y=st.floats(-30, 90),
    offset=st.floats(-3, 3),
    zoom=st.floats(0.9, 1.1),
    half_pixel=st.booleans(),
)
def test_labels_beside_what_a_crop_shows(
    x: float, y: float, offset: float, zoom: float, half_pixel: bool
) -> None:
    """A pixel at c + d from the centre c of a crop belongs to the label at c + (d - offset) / zoom."""
    preprocess = Preprocess(
        "animal", size=(48, 64), extent=96.0, half_pixel=half_pixel, label_offset=offset, label_zoom=zoom
    )
    matrix = crop_view((20, 30, 20, 30), preprocess).matrix
    straight = replace(preprocess, label_offset=0.0, label_zoom=1.0)
    shown = transform_points([x, y], keypoint_matrix(matrix, straight))
    # Without the half pixel, keypoints of a crop at scale s lie (1 - s) / 2 on.
    scale = matrix[0, 0]
    centre = np.array([31.5, 23.5]) + (0 if half_pixel else (1 - scale) / 2)
    found = transform_points([x, y], keypoint_matrix(matrix, preprocess))
    np.testing.assert_allclose(found, centre + (shown - centre - offset) / zoom, atol=1e-3)
