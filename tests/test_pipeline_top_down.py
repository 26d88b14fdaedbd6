"""Detector -> crops -> poses: geometry, batching, and where boxes come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from blobs import SIGMA, BlobNetwork, blob_image, make_context
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pose_core.errors import ConfigError, DataError
from pose_core.interfaces import (
    FrameGroup,
    Predictions,
    Stage,
    StageResult,
    View,
)
from pose_core.pipeline.box_file import BoxFileStage, read_boxes
from pose_core.pipeline.crops import Crops, CropStage, make_crop_stage
from pose_core.pipeline.engine import Pipeline
from pose_core.pipeline.follow import FollowStage
from pose_core.pipeline.sources import ArraySource
from pose_core.pipeline.stage_configs import BoxesConfig, CropsConfig
from pose_core.specs import Preprocess
from pose_core.structures import Skeleton


@pytest.fixture(scope="module")
def skeleton() -> Skeleton:
    return Skeleton(("blob",), individuals=tuple(f"a{i}" for i in range(30)))


def crop_preprocess(size: tuple[int, int] = (64, 64)) -> Preprocess:
    return Preprocess(view="animal", size=size, min_box=0.0, scale=1.0)


@given(
    dx=st.floats(-3, 3),
    dy=st.floats(-3, 3),
    length=st.floats(30, 60),
    wide=st.booleans(),
)
def test_moving_the_box_does_not_move_the_keypoint(dx: float, dy: float, length: float, wide: bool) -> None:
    # DeepLabCut cuts crops at whole pixels: there, keypoints move by up to a pixel with the box.
    skeleton = Skeleton(("blob",))
    point = np.array([151.3, 118.6])
    poses = Crops(BlobNetwork(skeleton), crop_preprocess((64, 96) if wide else (64, 64)), 8)
    image = blob_image([point])
    at_rest = np.array([*(point - length / 2), *(point + length / 2)])
    moved = at_rest + np.array([dx, dy, dx, dy])
    found = (
        poses.predict([image, image], np.stack([at_rest, moved]).astype(np.float32))
        .keypoints[:, 0, 0]
        .numpy()
    )
    assert np.abs(found[0] - found[1]).max() < 0.05
    assert np.abs(found - point).max() < 0.1


class GivenBoxes(Stage):
    """Boxes around points that are known for each frame number."""

    def __init__(self, points: list[Any]) -> None:
        self.points = points

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        most = max((len(self.points[i]) for i in group.indices), default=0)
        boxes = torch.full((len(group.indices), most, 4), torch.nan)
        scores = torch.zeros(len(group.indices), most)
        for row, index in enumerate(group.indices):
            for n, (x, y) in enumerate(self.points[index]):
                boxes[row, n] = torch.tensor([x - 22, y - 21, x + 20, y + 19])
                scores[row, n] = 0.9
        return StageResult(boxes=boxes, box_scores=scores)


def test_frames_with_none_and_with_thirty_animals_in_one_stream(skeleton: Skeleton) -> None:
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(6) * 100 + 60, np.arange(5) * 100 + 60), -1).reshape(-1, 2)
    points = [grid[:n] + rng.uniform(-8, 8, (n, 2)) for n in (0, 30, 0, 1, 7, 0, 30, 2, 0)]
    images = [blob_image(p, size=(560, 660)) for p in points]
    network = BlobNetwork(skeleton)
    stages = [GivenBoxes(points), CropStage(CropsConfig(), make_context(network, crop_preprocess(), 16))]
    pipeline = Pipeline(stages, skeleton, torch.device("cpu"), batch_size=4)
    frames = [f for result in pipeline.run(ArraySource(images)) for f in result.frames]
    assert [len(f.instances) for f in frames] == [len(p) for p in points]
    for frame, expected in zip(frames, points, strict=True):
        if len(expected):
            np.testing.assert_allclose(frame.instances.keypoints[:, 0], expected, atol=0.15)
            np.testing.assert_allclose(frame.instances.boxes[:, 0], expected[:, 0] - 22, atol=1e-3)
            assert (frame.instances.scores <= 0.9).all()
    # Crops of several frames share a batch: 31 of the first four frames, 39 of the next, 0 of the last.
    assert network.batches == [16, 15, 16, 16, 7]


def test_boxes_without_a_pose_network_that_finds_one_animal_are_refused(skeleton: Skeleton) -> None:
    class Several(BlobNetwork):
        def predict(self, images: Tensor, initial: Predictions | None = None) -> Predictions:
            found = super().predict(images)
            return found.with_animals(
                found.keypoints.repeat(1, 2, 1, 1), found.keypoint_scores.repeat(1, 2, 1)
            )

    poses = Crops(Several(skeleton), crop_preprocess(), 8)
    with pytest.raises(ValueError, match="one animal a crop"):
        poses.predict([blob_image([(100, 100)])], np.array([[80, 80, 120, 120]], np.float32))


def moving(count: int) -> list[Any]:
    t = np.arange(count)
    return [np.array([[60 + 6 * i, 110 + 25 * np.sin(i / 5)]]) for i in t]


@pytest.mark.parametrize("view", ["animal", "frame"])
def test_follow_finds_the_animal_in_every_frame_and_again_after_it_was_gone(view: str) -> None:
    single = Skeleton(("blob",))
    preprocess = crop_preprocess() if view == "animal" else Preprocess(view="frame", scale=1.0)
    points = moving(30)
    points[10] = points[11] = np.zeros((0, 2))
    points[20] = np.array([[260.0, 40.0]])  # jumps out of the crop
    images = [blob_image(p) for p in points]
    # Three pixels long and a pixel thin, a pose spans too little to follow: min_box says how large an animal
    # is.
    preprocess = replace(preprocess, min_box=40.0)
    network = BlobNetwork(single)
    stage = FollowStage(make_context(network, preprocess, follow_threshold=0.5))
    pipeline = Pipeline([stage], single, torch.device("cpu"), batch_size=4)
    frames = [f for result in pipeline.run(ArraySource(images)) for f in result.frames]
    for number, (frame, expected) in enumerate(zip(frames, points, strict=True)):
        if len(expected):
            assert len(frame.instances) == 1, number
            assert np.abs(frame.instances.keypoints[0, 0] - expected[0]).max() < 0.6, number
        else:
            assert not len(frame.instances) or frame.instances.scores[0] < 0.1
    # Going on from the middle computes the same as going through, as after an interruption.
    again = [
        f
        for result in pipeline.run(ArraySource(images), start=16, previous=frames[15])
        for f in result.frames
    ]
    for one, other in zip(frames[16:], again, strict=True):
        np.testing.assert_array_equal(one.instances.keypoints, other.instances.keypoints)
    # Another stream does not remember this one.
    first = next(iter(pipeline.run(ArraySource(images)))).frames[0]
    np.testing.assert_array_equal(first.instances.keypoints, frames[0].instances.keypoints)


def test_follow_looks_at_the_whole_frame_only_when_the_animal_is_lost() -> None:
    single = Skeleton(("blob",))
    sizes: list[tuple[int, int]] = []

    class Watched(BlobNetwork):
        def predict(self, images: Tensor, initial: Predictions | None = None) -> Predictions:
            sizes.append((images.shape[2], images.shape[3]))
            return super().predict(images)

    context = make_context(Watched(single), Preprocess(view="frame", scale=1.0), follow_threshold=0.3)
    pipeline = Pipeline([FollowStage(context)], single, torch.device("cpu"), batch_size=4)
    images = [blob_image(p) for p in moving(8)]
    assert len([f for result in pipeline.run(ArraySource(images)) for f in result.frames]) == 8
    assert sizes[0] == (240, 320)
    assert sizes[1:] == [(64, 64)] * 7


def test_boxes_from_a_csv_file(tmp_path: Path, skeleton: Skeleton) -> None:
    points = [np.array([[60.0, 50], [200, 150]]), np.zeros((0, 2)), np.array([[100.0, 90]])]
    lines = ["frame,x1,y1,x2,y2,score"]
    lines += [
        f"{frame},{x - 20},{y - 20},{x + 20},{y + 20},{0.5 + n / 10}"
        for frame, found in enumerate(points)
        for n, (x, y) in enumerate(found)
    ]
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    context = make_context(BlobNetwork(skeleton), crop_preprocess(), file=tmp_path / "boxes.csv")
    stages = [BoxFileStage(BoxesConfig(), context), CropStage(CropsConfig(), context)]
    pipeline = Pipeline(stages, skeleton, torch.device("cpu"), batch_size=2)
    frames = pipeline.run_once([blob_image(p) for p in points])
    assert [len(f.instances) for f in frames] == [2, 0, 1]
    # The box with the highest score comes first.
    np.testing.assert_allclose(frames[0].instances.keypoints[:, 0], points[0][::-1], atol=0.15)


def test_boxes_of_images_and_what_spreadsheets_write(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(
        "\ufeffimage,y1,x1,x2,y2\r\n./here/a.png,2,1,3,4\r\nb.png,0,0,9.5,9\r\na.png,5,5,6,6\r\n\r\n"
    )
    found = read_boxes(path).by_frame
    assert list(found) == ["a.png", "b.png"]
    np.testing.assert_array_equal(found["a.png"][0], [[1, 2, 3, 4], [5, 5, 6, 6]])
    np.testing.assert_array_equal(found["a.png"][1], [1, 1])
    assert found["b.png"][0].dtype == found["b.png"][1].dtype == np.float32


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("frame,x1,y1,x2\n0,1,2,3", "needs the columns"),
        ("frame,x1,y1,x2,y2,why\n0,1,2,3,4,5", "unknown column 'why'"),
        ("frame,x1,y1,x2,y2\n0,1,2,3,4\n1,9,2,3,4", "line 3"),
        ("frame,x1,y1,x2,y2\n0.5,1,2,3,4", "line 2"),
        ("frame,x1,y1,x2,y2,score\n0,1,2,3,4,1.5", "line 2"),
        ("frame,x1,y1,x2,y2\n0,1,2,3,oops", "line 2"),
        ("frame,x1,y1,x2,y2\n0,1,2,3,4,5", "line 2"),
        ("frame,x1,y1,x2,y2\n0,1,2,3", "line 2"),
        ("x1,y1,x2,y2,image\n1,2,3,4", "line 2"),
        ("frame,x1,y1,x2,y2\n\n0,1,2,nan,4", "line 3"),
        ("frame,x1,y1,x2,y2\n-1,1,2,3,4", "line 2"),
        ("frame,x1,y1,x2,y2,x1\n0,1,2,3,4,5", "'x1' is there twice"),
        ('frame,x1,y1,x2,y2\n0,1,2,3,"4', "line 2"),
        ("", "not a readable table"),
    ],
)
def test_wrong_box_files_are_refused_with_the_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as error:
        read_boxes(path)
    assert "\n" not in str(error.value)


def test_follow_is_for_one_animal_and_networks_that_take_windows(skeleton: Skeleton) -> None:
    with pytest.raises(ConfigError, match="follow: is for one animal, and the project of this run has 30"):
        FollowStage(make_context(BlobNetwork(skeleton), crop_preprocess()))
    fixed = Preprocess(view="frame", size=(64, 64))
    with pytest.raises(ConfigError, match="whole frames of one size only"):
        FollowStage(make_context(BlobNetwork(Skeleton(("blob",))), fixed))


def test_a_stage_says_which_network_it_misses(skeleton: Skeleton) -> None:
    context = make_context(BlobNetwork(skeleton), crop_preprocess())
    with pytest.raises(ConfigError, match="blob: is not a pose network that looks at whole frames"):
        context.whole_frames()
    with pytest.raises(
        ConfigError, match="blob: is not a detector, which is needed here; name the run of one"
    ):
        context.detector()


def test_crops_shrink_large_animals_without_aliasing() -> None:
    # A blob seen at a quarter of its size: the crop averages, and the keypoint stays where it is.
    single = Skeleton(("blob",))
    y, x = np.mgrid[:600, :600]
    image = 250 * np.exp(-((x - 303.4) ** 2 + (y - 291.7) ** 2) / (2 * (4 * SIGMA) ** 2))
    image = np.repeat(cv2.convertScaleAbs(image)[..., None], 3, axis=2)
    poses = Crops(BlobNetwork(single), crop_preprocess(), 8)
    boxes = np.array([[210, 200, 390, 380], [210.7, 200.3, 390.7, 380.3]], np.float32)
    found = poses.predict([image, image], boxes).keypoints[:, 0, 0].numpy()
    assert np.abs(found - [303.4, 291.7]).max() < 0.4
    assert np.abs(found[0] - found[1]).max() < 0.2


def test_half_pixel_false_puts_keypoints_where_such_models_learned_them() -> None:
    # A network trained on labels x' = (x - left) s reports them in that frame; reading it so gives x again.
    single = Skeleton(("blob",))

    class TrainedSo(BlobNetwork):
        def predict(self, images: Tensor, initial: Predictions | None = None) -> Predictions:
            found = super().predict(images)
            return found.with_animals(found.keypoints + 0.5 * (1 - 64 / 60), found.keypoint_scores)

    point = np.array([151.3, 118.6])
    image = blob_image([point])
    box = np.array([[*(point - 20), *(point + 20)]], np.float32)
    as_trained = replace(crop_preprocess(), half_pixel=False)
    plain = Crops(BlobNetwork(single), crop_preprocess(), 8).predict([image], box)
    trained = Crops(TrainedSo(single), as_trained, 8).predict([image], box)
    np.testing.assert_allclose(trained.keypoints.numpy(), plain.keypoints.numpy(), atol=1e-3)


class _Liking(Crops):
    """Crops that are surest of an animal in a box of one width; the keypoint tells which width that was."""

    def __init__(self, skeleton: Skeleton, widths: list[float]) -> None:
        self.skeleton, self.widths, self.fixed_extent = skeleton, widths, False

    def predict(self, frames: Any, boxes: Any, initial: Predictions | None = None) -> Predictions:
        width = torch.from_numpy(boxes[:, 2] - boxes[:, 0])
        wanted = torch.tensor([self.widths[round(float(box[0] + box[2])) // 200] for box in boxes])
        score = 1 / (1 + (width - wanted).abs())
        nothing = Predictions.none(len(boxes), self.skeleton)
        points = torch.stack([width, torch.from_numpy(boxes[:, 1])], 1)[:, None, None]
        return nothing.with_animals(points, score[:, None, None])


def test_of_several_scales_each_animal_keeps_the_pose_with_the_highest_score(skeleton: Skeleton) -> None:
    # Centres at x = 50 and 150; the boxes are 40 wide, and the second animal fits one of 60.
    boxes = torch.tensor([[[30.0, 10, 70, 50], [130, 10, 170, 50]]])
    crops = _Liking(skeleton, [40.0, 60.0])

    def found(*scales: float) -> Predictions:
        config = CropsConfig(type="core/crops", duplicate=None, **({"scales": scales} if scales else {}))
        stage = CropStage(
            config, replace(make_context(BlobNetwork(skeleton), crop_preprocess()), crops=crops)
        )
        group = FrameGroup(
            [0], [None], 200, 60, [None], [np.zeros((60, 200, 3), np.uint8)], torch.device("cpu")
        )
        result = stage.run(group, None, StageResult(None, boxes, torch.ones(1, 2))).predictions
        assert result is not None
        return result

    np.testing.assert_allclose(found().keypoints[0, :, 0], [[40, 10], [40, 10]])
    both = found(1.0, 1.5, 0.5)
    np.testing.assert_allclose(both.keypoints[0, :, 0], [[40, 10], [60, 0]], atol=1e-4)
    np.testing.assert_allclose(both.scores[0], [1.0, 1.0], atol=1e-4)
    np.testing.assert_allclose(found(1.5).keypoints[0, :, 0], [[60, 0], [60, 0]], atol=1e-4)


def test_scales_that_would_do_nothing_are_refused(skeleton: Skeleton) -> None:
    crops = _Liking(skeleton, [40.0])
    crops.fixed_extent = True
    config = CropsConfig(type="core/crops", scales=(1.0, 2.0))
    with pytest.raises(ConfigError, match="crops have a fixed extent"):
        CropStage(config, replace(make_context(BlobNetwork(skeleton), crop_preprocess()), crops=crops))
    with pytest.raises(ConfigError, match=r"scales.*: are tried around boxes, and follow=True looks"):
        make_crop_stage(
            config, replace(make_context(BlobNetwork(skeleton), crop_preprocess()), crops=crops, follow=True)
        )
