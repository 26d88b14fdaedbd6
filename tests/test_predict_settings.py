"""Settings of a prediction: through the command and through Python, with the same result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tiny_run import make_run

import pose_core
from pose_core.errors import ConfigError
from pose_core.interfaces import FrameGroup, Predictions, StageContext, StageResult, View
from pose_core.interfaces.prediction_files import open_predictions
from pose_core.pipeline.crops import Crops
from pose_core.pipeline.stage_configs import WholeFrameConfig
from pose_core.pipeline.whole_frames import WholeFrameStage
from pose_core.structures import ByteArray, Frame, Skeleton

WIDTH, HEIGHT, FRAMES = 120, 90, 6


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A top-down model of random weights."""
    return make_run(
        tmp_path_factory.mktemp("runs") / "crops",
        model={
            "method": "top_down",
            "preprocess": {"size": [32, 32], "scale": 1.0, "margin": 0.25, "min_box": 16.0},
        },
    )


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in") / "shots"
    folder.mkdir()
    for i, image in enumerate(pictures()):
        cv2.imwrite(str(folder / f"{i}.png"), image[..., ::-1])
    return folder


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In every frame an animal, the same a second time, and another one."""
    path = tmp_path_factory.mktemp("boxes") / "boxes.csv"
    rows = [
        f"{i},{x},10,{x + 40},50,{score}"
        for i in range(FRAMES)
        for x, score in ((10, 0.9), (10, 0.8), (70, 0.7))
    ]
    path.write_text("frame,x1,y1,x2,y2,score\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def pictures() -> list[ByteArray]:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(FRAMES)]
    return [cv2.GaussianBlur(image, (0, 0), 2) for image in noise]  # type: ignore[misc]


def read(folder: Path) -> list[Frame]:
    (path,) = folder.glob("*.parquet")
    return list(open_predictions(path))


def test_two_crops_of_one_animal_are_merged(
    pose: Any, crops: Path, shots: Path, boxes: Path, tmp_path: Path
) -> None:
    setting = "inference.stages.crops.duplicate"
    common = ["predict", crops, shots, "--boxes", boxes, "--max-animals", "none", "--device", "cpu"]
    pose(*common, "--out", tmp_path / "all")
    pose(*common, "--out", tmp_path / "once", "--set", f"{setting}=0.95")
    every, once = read(tmp_path / "all"), read(tmp_path / "once")
    assert [len(frame.instances) for frame in every] == [3] * FRAMES
    assert [len(frame.instances) for frame in once] == [2] * FRAMES
    # Of the two the one whose box is surer.
    for frame, whole in zip(once, every, strict=True):
        np.testing.assert_allclose(frame.instances.boxes, whole.instances.boxes[[0, 2]])
    estimator = pose_core.load(crops, "cpu", boxes=boxes, max_animals="none", settings={setting: 0.95})
    for frame, found in zip(once, estimator.predict(pictures()), strict=True):
        np.testing.assert_allclose(frame.instances.keypoints, found.instances.keypoints, atol=1e-3)


def test_frames_and_crops_have_batches_of_their_own(
    pose: Any, crops: Path, shots: Path, boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three crops a frame (more than the project's one animal): the pose network gets as many as it is set."""
    sizes: list[int] = []
    look = Crops._predict

    def count(self: Crops, frames: Any, *more: Any) -> Predictions:
        sizes.append(len(frames))
        return look(self, frames, *more)

    found = {}
    with monkeypatch.context() as patch:
        patch.setattr(Crops, "_predict", count)
        for batch_size, at_once, expected in ((3, 4, [4, 4, 1] * 2), (6, 18, [18]), (1, 2, [2, 1] * 6)):
            sizes.clear()
            estimator = pose_core.load(
                crops,
                "cpu",
                batch_size,
                boxes=boxes,
                max_animals="none",
                settings={"inference.crops": at_once},
            )
            found[at_once] = estimator.predict(pictures())
            assert sizes == expected
    pose(
        *("predict", crops, shots, "--boxes", boxes, "--max-animals", "none", "--device", "cpu"),
        *("--batch-size", "3", "--set", "inference.crops=4", "--out", tmp_path / "o"),
    )
    for frames in (*found.values(), read(tmp_path / "o")):
        for one, other in zip(frames, found[18], strict=True):
            np.testing.assert_allclose(one.instances.keypoints, other.instances.keypoints, atol=1e-3)


def test_thresholds_of_single_keypoints(
    pose: Any, crops: Path, shots: Path, boxes: Path, tmp_path: Path
) -> None:
    common = ["predict", crops, shots, "--boxes", boxes, "--device", "cpu"]
    pose(*common, "--out", tmp_path / "o", "--set", "inference.threshold={tail: 1.0}")
    settings = {"inference.threshold": {"tail": 1.0}}
    found = pose_core.load(crops, "cpu", boxes=boxes, settings=settings).predict(pictures())
    for frames in (read(tmp_path / "o"), found):
        points = np.concatenate([frame.instances.keypoints for frame in frames])
        assert len(points) == FRAMES
        assert np.isfinite(points[:, 0]).all()
        assert np.isnan(points[:, 1]).all()
    said = pose.refuses(*common, "--out", tmp_path / "p", "--set", "inference.threshold={ear: 1.0}")
    assert "there is no keypoint 'ear'" in said


@pytest.mark.parametrize("size", [0, -3])
def test_batches_of_nothing_are_refused_by_the_name_of_the_option(
    size: int, pose: Any, crops: Path, shots: Path, boxes: Path, tmp_path: Path
) -> None:
    said = pose.refuses(
        "predict", crops, shots, "--boxes", boxes, "--out", tmp_path / "o", "--batch-size", str(size)
    )
    assert f"--batch-size {size}: must be at least 1, in frames" in said
    with pytest.raises(ConfigError, match=f"batch_size={size}: must be at least 1, in frames"):
        pose_core.load(crops, "cpu", size, boxes=boxes)
    with pytest.raises(ConfigError, match=rf"predict\(batch_size={size}\): must be at least 1"):
        pose_core.load(crops, "cpu", boxes=boxes).predict(pictures(), size)
    said = pose.refuses(
        "predict", crops, shots, "--boxes", boxes, "--out", tmp_path / "o", "--set", f"inference.crops={size}"
    )
    assert "inference.crops: must be at least 1" in said


class Four:
    """Finds four animals, of other scores in each image."""

    fixed_size = False

    def predict(self, view: View, initial: Predictions | None = None) -> Predictions:
        scores = torch.tensor([[0.2, 0.9, 0.0, 0.5], [0.6, 0.1, 0.7, 0.3]])
        points = torch.arange(16.0).reshape(2, 4, 1, 2)
        return Predictions.none(2, Skeleton(("nose",))).with_animals(points, scores[..., None])


@pytest.mark.parametrize(
    ("most", "kept"), [(2, [[1, 3], [0, 2]]), (1, [[1], [2]]), (None, [[0, 1, 2, 3]] * 2)]
)
def test_models_of_whole_frames_keep_to_the_limit(most: int | None, kept: list[list[int]]) -> None:
    context = StageContext(Skeleton(("nose",)), torch.device("cpu"), "four", max_animals=most, frames=Four())  # type: ignore[arg-type]
    view = View(torch.zeros(2, 3, 8, 8), np.eye(3))
    group = FrameGroup([0, 1], [None] * 2, 8, 8, [view], [], torch.device("cpu"))
    found = WholeFrameStage(WholeFrameConfig(), context).run(group, view, StageResult()).predictions
    assert found is not None
    assert (found.keypoints[..., 0, 0] / 2).tolist() == [
        [float(4 * row + i) for i in places] for row, places in enumerate(kept)
    ]
