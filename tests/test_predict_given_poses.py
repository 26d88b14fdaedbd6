"""Poses in memory as conditions: the same result as those poses in a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_run import make_run

import pose_core
from pose_core.errors import ConfigError, DataError
from pose_core.formats.config import ParquetConfig
from pose_core.formats.parquet import ParquetWriter
from pose_core.interfaces import PredictionsHeader
from pose_core.interfaces.prediction_files import open_predictions
from pose_core.structures import ByteArray, Frame, Instances, Skeleton

WIDTH, HEIGHT, FRAMES = 120, 90, 7
REGION = (8, 4, 104, 84)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional model of random weights."""
    unet = {"type": "unet/unet", "filters": 4, "max_stride": 8, "output_stride": 4}
    return make_run(
        tmp_path_factory.mktemp("runs") / "ctd",
        model={
            "method": "conditional_top_down",
            "preprocess": {"size": [32, 32], "scale": 1.0, "margin": 0.25, "min_box": 16.0},
            "inputs": {"conditions": {"type": "buctd/conditions", "sigma": 2.0}},
            "backbone": {"type": "buctd/prenet", "backbone": unet},
        },
    )


@pytest.fixture(scope="module")
def images() -> list[ByteArray]:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(FRAMES)]
    return [cv2.GaussianBlur(image, (0, 0), 2) for image in noise]  # type: ignore[misc]


@pytest.fixture(scope="module")
def poses() -> list[Instances]:
    """No animal in the first frame, then one."""
    rng = np.random.default_rng(1)
    return [
        Instances.from_keypoints(
            rng.uniform((20, 20), (90, 70), (int(i > 0), 2, 2)),
            keypoint_scores=np.full((int(i > 0), 2), 0.5),
            scores=np.full(int(i > 0), 0.75),
        )
        for i in range(FRAMES)
    ]


@pytest.fixture(scope="module")
def file(poses: list[Instances], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("poses") / "poses.parquet"
    header = PredictionsHeader(Skeleton(("nose", "tail")), "v", FRAMES, WIDTH, HEIGHT, 0.0, "m", "r")
    frames = [Frame(i, each) for i, each in enumerate(poses)]
    ParquetWriter(ParquetConfig(type="core/parquet")).write(path, header, frames)
    return path


def same(found: list[Frame], expected: list[Frame]) -> None:
    assert [len(f.instances) for f in found] == [len(f.instances) for f in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.index == other.index
        np.testing.assert_allclose(one.instances.keypoints, other.instances.keypoints, atol=1e-3)
        np.testing.assert_allclose(one.instances.scores, other.instances.scores, rtol=1e-4)


@pytest.mark.parametrize("region", [None, REGION])
def test_poses_in_memory_give_what_the_same_poses_in_a_file_give(
    region: Any, run: Path, images: list[ByteArray], poses: list[Instances], file: Path
) -> None:
    expected = pose_core.load(run, "cpu", conditions=file, region=region).predict(images)
    assert [len(frame.instances) for frame in expected] == [0, *[1] * (FRAMES - 1)]
    estimator = pose_core.load(run, "cpu", conditions=True, region=region)
    same(estimator.predict(images, conditions=poses), expected)
    # In one batch; as predictions; as arrays with scores; one after the other.
    same(estimator.predict(images, FRAMES, conditions=[Frame(0, each) for each in poses]), expected)
    arrays = [np.concatenate([p.keypoints, p.keypoint_scores[..., None]], -1) for p in poses]
    found = estimator.predict(images, conditions=arrays)
    np.testing.assert_allclose(found[3].instances.keypoints, expected[3].instances.keypoints, atol=1e-3)
    live = estimator.predict(iter(images), conditions=iter(poses))
    assert isinstance(live, Iterator)
    same(list(live), expected)
    other = estimator.predict(images, conditions=[each.keypoints + 9 for each in poses])
    assert not np.allclose(other[3].instances.keypoints, expected[3].instances.keypoints)


def test_the_command_takes_the_same_poses_from_a_file(
    pose: Any, run: Path, images: list[ByteArray], poses: list[Instances], file: Path, tmp_path: Path
) -> None:
    (tmp_path / "shots").mkdir()
    for i, image in enumerate(images):
        cv2.imwrite(str(tmp_path / "shots" / f"{i}.png"), image[..., ::-1])
    pose("predict", run, tmp_path / "shots", "--conditions", file, "--out", tmp_path / "o", "--device", "cpu")
    (path,) = (tmp_path / "o").glob("*.parquet")
    estimator = pose_core.load(run, "cpu", conditions=True)
    same(estimator.predict(images, conditions=poses), list(open_predictions(path)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"was loaded to get conditions with the images; give conditions=\.\.\."),
        ({"boxes": []}, r"predict\(boxes=\.\.\.\): the model does not wait for it; load it with boxes=True"),
        ({"conditions": [np.zeros((1, 2, 2))] * 6}, r"conditions: ends before image 6"),
        ({"conditions": [np.zeros((1, 2, 2))] * 8}, r"has poses of more than 7 images"),
        ({"conditions": [np.zeros((1, 3, 2))] * 7}, r"image 0: has 3 keypoints, the model has 2: nose, tail"),
        ({"conditions": [np.zeros((2, 2))] * 7}, r"image 0: has shape \(2, 2\); it must be \(N, K, 2\)"),
        ({"conditions": ["a"] * 7}, r"image 0: is no array of numbers"),
        ({"conditions": 3}, r"must be a sequence with the poses of each image"),
    ],
)
def test_poses_that_do_not_fit_are_a_line(
    given: dict[str, Any], message: str, run: Path, images: list[ByteArray]
) -> None:
    estimator = pose_core.load(run, "cpu", conditions=True)
    with pytest.raises((ConfigError, DataError), match=message) as caught:
        estimator.predict(images, **given)
    assert "\n" not in str(caught.value)


def test_files_need_a_file_of_poses(run: Path, file: Path, images: list[ByteArray], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), images[0])
    with pytest.raises(ConfigError, match=r"conditions=True: is for images in memory; give a file of poses"):
        pose_core.predict(run, tmp_path / "a.png", tmp_path / "o", device="cpu", conditions=True)
    with pytest.raises(ConfigError, match="was loaded to get conditions with images in memory; give a file"):
        pose_core.load(run, "cpu", conditions=True).predict_video("v.mp4")
    with pytest.raises(ConfigError, match=r"does not wait for it; load it with conditions=True"):
        pose_core.load(run, "cpu", conditions=file).predict(images, conditions=[])
    with pytest.raises(ConfigError, match="needs a value"):
        pose_core.load(run, "cpu", conditions=file, boxes=True)
