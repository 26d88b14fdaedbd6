"""Centroid and pose stages together, with networks that are exact: where an animal moves, its pose moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from blobs import BlobNetwork, blob_image, make_context
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_centroid.config import CentresConfig, CentresPredictorConfig
from pose_centroid.predictor import CentresPredictor
from pose_centroid.stage import CentresStage
from torch.nn import functional

from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, FrameGroup, Grid, Predictions, StageResult, View
from pose_core.pipeline.crops import CropStage
from pose_core.pipeline.engine import Pipeline
from pose_core.pipeline.sources import ArraySource
from pose_core.pipeline.stage_configs import CropsConfig
from pose_core.specs import Preprocess
from pose_core.structures import Skeleton

SKELETON = Skeleton(("blob",), individuals=("a", "b", "c"))


class CentreNetwork(BlobNetwork):
    """The picture of bright blobs is its own heatmap of centres, at stride 2."""

    def __init__(self, skeleton: Skeleton = SKELETON) -> None:
        super().__init__(skeleton)
        config = CentresPredictorConfig(type="centroid/centres", sigmoid=False)
        self.predictor = CentresPredictor(config, BuildContext(skeleton), Grid.cells(2))

    def predict(self, images: torch.Tensor, initial: Predictions | None = None) -> Predictions:
        maps = functional.avg_pool2d(images[:, :1].float() / 255, 2)
        return self.predictor({"heatmap": maps}, Predictions.none(len(images), self.skeleton))


def stages(extent: float = 48.0, scale: float = 0.5, max_animals: int | None = 3) -> list[Any]:
    centres = make_context(CentreNetwork(), Preprocess(scale=scale), max_animals=max_animals)
    preprocess = Preprocess(view="animal", size=(64, 64), extent=extent)
    crops = make_context(BlobNetwork(SKELETON), preprocess, max_animals=max_animals)
    return [CentresStage(CentresConfig(), centres), CropStage(CropsConfig(), crops)]


def predict(images: list[Any], **settings: Any) -> list[Any]:
    pipeline = Pipeline(stages(**settings), SKELETON, torch.device("cpu"), batch_size=4)
    return [frame.instances for result in pipeline.run(ArraySource(images)) for frame in result.frames]


@settings(max_examples=40)
@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([(150, 118), (20, 20), (300, 220)]),
    st.floats(40, 90),
    st.sampled_from([0.5, 0.7, 1.0]),
)
def test_moving_an_animal_by_parts_of_a_pixel_moves_its_pose_by_as_much(
    dx: float, dy: float, at: tuple[int, int], extent: float, scale: float
) -> None:
    here, there = np.array(at, float), np.array(at) + np.array([dx, dy])
    found = predict([blob_image([here]), blob_image([there])], extent=extent, scale=scale)
    assert [len(animals) for animals in found] == [1, 1]
    moved = found[1].keypoints[0, 0] - found[0].keypoints[0, 0]
    np.testing.assert_allclose(moved, [dx, dy], atol=0.05)
    np.testing.assert_allclose(found[1].keypoints[0, 0], there, atol=0.1)


def test_several_animals_some_at_the_edge_of_the_frame() -> None:
    points = [(12.0, 100.0), (170.4, 60.2), (305.7, 228.1)]
    (animals,) = predict([blob_image(points)])
    assert len(animals) == 3
    found = animals.keypoints[np.argsort(animals.keypoints[:, 0, 0]), 0]
    np.testing.assert_allclose(found, points, atol=0.15)
    # Points are no boxes of animals: those are around the keypoints then.
    np.testing.assert_allclose(animals.boxes[:, :2], animals.keypoints[:, 0], atol=1e-4)


def test_frames_without_animals_and_limits() -> None:
    frames = [blob_image([]), blob_image([(60, 60), (200, 100)]), blob_image([])]
    assert [len(animals) for animals in predict(frames)] == [0, 2, 0]
    assert [len(animals) for animals in predict(frames, max_animals=1)] == [0, 1, 0]


def test_a_stage_gives_boxes_without_extent_best_first() -> None:
    images = np.stack([blob_image([(60, 60)], peak=150), blob_image([(60, 60), (200, 100)])])
    images[1] = np.maximum(images[1], blob_image([(90, 200)], peak=120))
    stage = stages(scale=1.0)[0]
    view = View(torch.from_numpy(images).permute(0, 3, 1, 2), np.eye(3))
    group = FrameGroup([0, 1], [None] * 2, 320, 240, [view], [], torch.device("cpu"))
    found = stage.run(group, view, StageResult())
    assert found.boxes is not None
    assert found.box_scores is not None
    assert torch.equal(found.boxes[..., :2].nan_to_num(-1), found.boxes[..., 2:].nan_to_num(-1))
    assert (found.box_scores.diff(dim=1) <= 0).all()
    assert torch.isnan(found.boxes[found.box_scores == 0]).all()
    np.testing.assert_allclose(found.boxes[1, 2, :2], [90, 200], atol=0.1)


def test_a_network_that_finds_whole_poses_is_refused() -> None:
    whole = Skeleton(("nose", "tail"))
    context = make_context(BlobNetwork(whole), Preprocess(scale=1.0))
    with pytest.raises(ConfigError, match="blob: finds nose, tail, and a centroid model finds one point"):
        CentresStage(CentresConfig(), context)
