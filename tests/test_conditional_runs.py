"""A conditional model trains, predicts, tracks and is evaluated, with real networks in real processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pose_buctd.stages.initial_poses import read_poses

from pose_core.formats.project_writing import Example, write_project
from pose_core.runs.run_folder import Run
from pose_core.structures import ByteArray, Instances, Skeleton

SIGMA = 3.0
OFFSETS = np.array([[-12.0, 4.0], [0.0, -9.0], [13.0, 6.0]])
"""An animal is a red, a green and a blue blob about its middle."""
PEAKS = (250.0, 180.0, 120.0)
SKELETON = Skeleton(("red", "green", "blue"), individuals=("one", "two", "three"))


def animal(x: float, y: float) -> Any:
    return OFFSETS + np.array([x, y])


def picture(animals: Any, size: tuple[int, int] = (160, 240)) -> ByteArray:
    y, x = np.mgrid[: size[0], : size[1]]
    image = np.zeros((*size, 3))
    for points in animals:
        for k, (px, py) in enumerate(points):
            blob = PEAKS[k] * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * SIGMA**2))
            image[..., k] = np.maximum(image[..., k], blob)
    return np.round(image).astype(np.uint8)


TINY = (
    "model.backbone.backbone.filters=4",
    "model.backbone.backbone.max_stride=8",
    "model.preprocess.size=[32,32]",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two animals an image, 24 images of 96 x 64."""
    rng = np.random.default_rng(0)

    def example(number: int) -> Example:
        middles = rng.uniform((18, 18), (30, 46)), rng.uniform((62, 18), (78, 46))
        animals = [animal(*middle) * 0.6 + middle * 0.4 for middle in map(np.array, middles)]
        points = np.stack(animals).astype(np.float32)
        return Example(f"{number:02d}.png", picture(animals, (64, 96)), Instances.from_keypoints(points))

    folder = tmp_path_factory.mktemp("pairs") / "project"
    skeleton = Skeleton(
        SKELETON.keypoints, edges=(("red", "green"), ("green", "blue")), individuals=("one", "two")
    )
    write_project(folder, skeleton, (example(n) for n in range(24)), name="pairs")
    return folder


@pytest.mark.long
def test_a_conditional_model_trains_predicts_tracks_and_is_evaluated(
    pose: Any, project: Path, tmp_path: Path
) -> None:
    source, refiner = tmp_path / "source", tmp_path / "refiner"
    common = ["--device", "cpu", "--seed", "1"]
    process = pose.train(project, source, "--epochs", "60", "--set", "train.ema=null")
    assert process.returncode == 0, process.stderr
    settings = [part for setting in TINY for part in ("--set", setting)]
    command = [
        "train",
        project,
        "--model",
        "ctd_prenet_unet",
        "--out",
        refiner,
        "--epochs",
        "30",
        *settings,
        *common,
    ]
    wrong = pose.refuses(*command, "--conditions", tmp_path)
    assert "not a run folder" in wrong
    process = pose(*command, "--conditions", source)
    assert process.returncode == 0, process.stderr
    held = Run.open(refiner).stages["conditions"]
    assert held is not None
    assert held.name == Run.open(source).name

    images = sorted((project / "images").glob("*.png"))[:6]
    for options in ([], ["--follow"]):
        out = tmp_path / f"out{len(options)}"
        process = pose("predict", refiner, *images, "--out", out, "--device", "cpu", *options)
        assert process.returncode == 0, process.stderr
        predictions = read_poses(Path(process.stdout.strip()), SKELETON)
        assert sorted(predictions) == list(range(6))
        if options:
            for frame in predictions.values():
                assert len(set(frame.instances.track.tolist())) == len(frame.instances)
                assert set(frame.instances.track.tolist()) <= {0, 1}

    process = pose("evaluate", refiner, "--json", "--device", "cpu", "--split", "all")
    assert process.returncode == 0, process.stderr
    assert "--conditions: " in pose.refuses(
        "predict", source, images[0], "--out", tmp_path / "o", "--conditions", source
    )
