"""Frames that the device resizes and crops give what the CPU gives: pixels, and keypoints to 0.02 px.

The device is the CPU here; the code is that of a GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pose_core
from pose_core.data.device_warp import show_frames, warp_frames
from pose_core.data.geometry import compute_crop_geometry, resize_matrix, translation_matrix, warp
from pose_core.interfaces import FrameGeometry, FrameGroup, Stage, StageResult, View
from pose_core.pipeline.crops import Crops, CropStage
from pose_core.pipeline.engine import Pipeline
from pose_core.pipeline.sources import ArraySource
from pose_core.pipeline.stage_configs import CropsConfig
from pose_core.pipeline.whole_frames import WholeFrames
from pose_core.specs import Preprocess
from pose_core.structures import ByteArray, Region, Skeleton
from tests.helpers.blobs import BlobNetwork, blob_image, make_context
from tests.helpers.tiny_run import make_run

CPU = torch.device("cpu")


def draw(seed: int, height: int, width: int) -> ByteArray:
    """Blurred noise: of sharper images the interpolation of OpenCV itself is less exact than a grey level."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.5), np.uint8)


def turn(angle: float) -> Any:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


@settings(max_examples=60)
@given(
    seed=st.integers(0, 5),
    height=st.integers(3, 90),
    width=st.integers(3, 90),
    scale=st.tuples(st.floats(0.08, 3), st.floats(0.08, 3)),
    x=st.floats(-60, 60),
    y=st.floats(-60, 60),
    angle=st.sampled_from([0.0, 0.0, 0.3, np.pi / 2]),
)
@example(seed=0, height=30, width=40, scale=(1.0, 1.0), x=0.0, y=0.0, angle=0.0)
@example(seed=0, height=30, width=40, scale=(0.5, 0.25), x=0.0, y=0.0, angle=0.0)
@example(seed=0, height=30, width=40, scale=(1.0, 1.0), x=500.0, y=-500.0, angle=0.0)
def test_the_device_warps_as_the_cpu_does(
    seed: int, height: int, width: int, scale: tuple[float, float], x: float, y: float, angle: float
) -> None:
    image = draw(seed, height, width)
    matrix = translation_matrix(x, y) @ turn(angle) @ resize_matrix(scale)
    geometry = FrameGeometry(matrix, 48, 40)
    wanted = warp(image, geometry)
    found = warp_frames(torch.from_numpy(image)[None], [0], [geometry])
    assert found.shape == (1, 3, 40, 48)
    assert found.is_contiguous(memory_format=torch.channels_last)
    off = np.abs(found[0].permute(1, 2, 0).numpy().astype(int) - wanted)
    assert off.max() <= 1, off.max()
    # In few pixels: rounding by another rule would be a grey level in one of eight.
    assert off.mean() <= 0.02


def test_views_of_several_zooms_and_frames_stay_in_their_order() -> None:
    frames = [draw(seed, 120, 160) for seed in range(3)]
    boxes = [
        (10, 10, 50, 40),
        (0, 0, 159, 119),
        (100, 20, 110, 30),
        (20.5, 30.25, 130, 100),
        (60, 60, 90, 80),
    ]
    geometries = [compute_crop_geometry(box, (32, 48), 0.1) for box in boxes]
    rows = [2, 0, 2, 1, 0]
    pictures = torch.from_numpy(np.stack(frames))
    apart = [pictures.unbind()[row] for row in rows]
    for found in (warp_frames(pictures, rows, geometries), show_frames(apart, geometries, CPU)):
        for view, (row, geometry) in enumerate(zip(rows, geometries, strict=True)):
            wanted = warp(frames[row], geometry).astype(int)
            assert np.abs(found[view].permute(1, 2, 0).numpy() - wanted).max() <= 1


def test_a_point_far_from_the_corner_is_where_the_matrix_puts_it() -> None:
    # In float32 a coordinate of 4000 has steps of a four-thousandth of a pixel.
    frame = np.zeros((8, 4096, 3), np.uint8)
    frame[:, 4000] = 255
    geometry = FrameGeometry(translation_matrix(-3990.5, 0.0), 32, 8)
    np.testing.assert_array_equal(
        warp_frames(torch.from_numpy(frame)[None], [0], [geometry])[0].permute(1, 2, 0).numpy(),
        warp(frame, geometry),
    )


class Boxes(Stage):
    """Boxes around points that are known for each frame number."""

    def __init__(self, points: np.ndarray[Any, Any]) -> None:
        self._points = points

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        points = torch.from_numpy(self._points[group.indices])
        corners = torch.cat([points - torch.tensor([21.0, 17.0]), points + torch.tensor([30.0, 26.0])], -1)
        return StageResult(boxes=corners.float(), box_scores=torch.ones(corners.shape[:2]))


def predict(
    stages: list[Stage], skeleton: Skeleton, frames: list[ByteArray], on_device: bool, **more: Any
) -> Any:
    pipeline = Pipeline(stages, skeleton, CPU, 4, device_views=on_device)
    results = [frame for result in pipeline.run(ArraySource(frames), **more) for frame in result.frames]
    assert all(len(frame.instances) for frame in results)
    return [frame.instances.keypoints for frame in results]


@pytest.mark.parametrize("region", [None, Region(20, 300, 10, 230)])
def test_crops_of_the_device_give_the_same_keypoints(region: Region | None) -> None:
    skeleton = Skeleton(("blob",), individuals=("a", "b", "c", "d"))
    random = np.random.default_rng(0)
    corners = np.array([[60, 60], [240, 60], [60, 180], [240, 180]])
    points = corners + random.uniform(-15, 15, (11, 4, 2))
    frames = [blob_image(each) for each in points]
    preprocess = Preprocess(view="animal", size=(64, 64), min_box=0.0, scale=1.0)
    context = make_context(BlobNetwork(skeleton), preprocess, at_once=5)
    seen = points if region is None else points - [region.x1, region.y1]
    stages: list[Stage] = [Boxes(seen), CropStage(CropsConfig(), context)]
    wanted, found = (predict(stages, skeleton, frames, on, region=region) for on in (False, True))
    for one, other, true in zip(found, wanted, points, strict=True):
        np.testing.assert_allclose(one, other, atol=0.02)
        assert np.abs(one[:, 0] - true).max() < 0.2


@pytest.mark.parametrize("scale", [1.0, 0.37, 0.81])
def test_whole_frames_of_the_device_give_the_same_keypoints(scale: float) -> None:
    skeleton = Skeleton(("blob",))
    points = np.random.default_rng(1).uniform(60, 180, (7, 1, 2))
    preprocess = Preprocess(view="frame", scale=scale, min_box=0.0)
    network = WholeFrames(BlobNetwork(skeleton), preprocess)

    class Whole(Stage):
        def view(self, width: int, height: int) -> FrameGeometry:
            return network.view(width, height)

        def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
            assert view is not None
            return StageResult(network.predict(view))

    frames = [blob_image(each) for each in points]
    wanted, found = (predict([Whole()], skeleton, frames, on) for on in (False, True))
    np.testing.assert_allclose(np.stack(found), np.stack(wanted), atol=0.02)


def test_one_frame_on_the_device_is_seen_alone() -> None:
    skeleton = Skeleton(("blob",))
    frame = blob_image([(151.3, 118.6)])
    network = BlobNetwork(skeleton)
    crops = Crops(network, Preprocess(view="animal", size=(64, 64), min_box=0.0, scale=1.0), 8)
    whole = WholeFrames(network, Preprocess(view="frame", scale=0.7, min_box=0.0))
    box = np.array([130, 100, 170, 140], np.float32)
    for see in (crops.predict_frame, whole.predict_frame, lambda picture: whole.predict_window(picture, box)):
        wanted, found = see(frame), see(torch.from_numpy(frame))
        torch.testing.assert_close(found.keypoints, wanted.keypoints, atol=0.02, rtol=0)


@pytest.mark.parametrize("how", [{}, {"follow": True}, {"tiles": 96}])
def test_a_run_predicts_the_same_with_frames_on_the_device(tmp_path: Path, how: dict[str, Any]) -> None:
    run = make_run(tmp_path / "run", model={"preprocess": {"scale": 0.6, "min_box": 16.0}})
    images = [draw(seed, 121, 173) for seed in range(6)]
    found = []
    for on_device in (False, True):
        estimator = pose_core.load(run, **how)
        estimator.pipeline.device_views = on_device
        found.append(np.stack([frame.instances.keypoints for frame in estimator.predict(images)]))
    # Maps of random weights are nearly flat: a grey level in some of the pixels moves their maxima further than others.
    np.testing.assert_allclose(found[1], found[0], atol=0.05)


def test_only_a_gpu_of_cuda_makes_views_unless_told_otherwise() -> None:
    skeleton = Skeleton(("blob",))
    for name, makes in (("cpu", False), ("mps", False), ("cuda", True)):
        assert Pipeline([], skeleton, torch.device(name), 4).device_views is makes
    assert not Pipeline([], skeleton, torch.device("cuda"), 4, device_views=False).device_views
