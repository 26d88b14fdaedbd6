"""Models of individuals, from labels to names in files: bottom-up and top-down, through Python and a process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

import pose_core
from pose_core.runs.run_folder import Run
from pose_core.structures import Instances, Skeleton
from pose_core.synthetic.projects import Example, write_project

NAMES = ("ann", "bob", "cat")
SKELETON = Skeleton(("head", "tail"), edges=(("head", "tail"),), individuals=NAMES, identified=True)
COATS = ((230, 40, 40), (40, 230, 40), (40, 40, 230))
"""The colour of each individual; its head is white."""
PLACES = np.array([[18.0, 18], [58, 18], [38, 46]])
SMALL: dict[str, Any] = {
    "model.backbone.filters": 4,
    "model.backbone.max_stride": 8,
    "model.backbone.output_stride": 2,
    "inference.identity_threshold": 0.0,
}
KINDS: dict[str, dict[str, Any]] = {
    "identity_unet": {"model.heads.peaks.predictor.threshold": 0.0},
    "top_down_identity_unet": {"model.preprocess.size": [32, 32]},
}
"""Model -> settings. Trained so shortly, it finds animals only if it is believed."""


def draw_example(number: int) -> Example:
    """Three animals in an order of their own; one image in four does not say who the second one is."""
    rng = np.random.default_rng(number)
    order = rng.permutation(3)
    image = rng.integers(90, 120, (64, 80, 3)).astype(np.uint8)
    points = PLACES[:, None] + rng.uniform(-3, 3, (3, 1, 2)) + np.array([[-6.0, 0], [6, 0]])
    for (head, tail), individual in zip(points, order, strict=True):
        cv2.line(image, *(tuple(np.rint(p).astype(int).tolist()) for p in (head, tail)), COATS[individual], 7)
        cv2.circle(image, tuple(np.rint(head).astype(int).tolist()), 3, (250, 250, 250), -1)
    return Example(
        f"{number:02d}.png", image, Instances.from_keypoints(points.astype(np.float32), identity=order)
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 images of 64 x 80 pixels."""
    folder = tmp_path_factory.mktemp("coats") / "project"
    write_project(folder, SKELETON, (draw_example(n) for n in range(20)), name="coats")
    return folder


@pytest.fixture(scope="module")
def trained(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    def train(model: str, epochs: int = 1, **more: Any) -> Run:
        out = tmp_path_factory.mktemp(model) / "run"
        run: Run = pose_core.train(
            project, model, out=out, epochs=epochs, device="cpu", settings={**SMALL, **KINDS[model], **more}
        )
        return run

    return train


@pytest.mark.parametrize("model", KINDS)
def test_names_and_their_probabilities_reach_metrics_and_files(
    model: str, trained: Callable[..., Run], project: Path, tmp_path: Path
) -> None:
    run = trained(model)
    assert [head.predicts_identity() for head in run.spec.model.heads.values()] == [False, True]
    # Boxes of the top-down model are those of the labels.
    result = pose_core.evaluate(run, "all")
    assert result.identity is not None
    assert 0 < result.identity.compared <= 60
    assert result.to_json()["identity"]["accuracy"] == pytest.approx(
        result.identity.right / result.identity.compared
    )
    if model.startswith("top_down"):
        (tmp_path / "boxes.csv").write_text(
            "frame,x1,y1,x2,y2\n" + "".join(f"0,{x - 12},{y - 9},{x + 12},{y + 9}\n" for x, y in PLACES)
        )
        sources = {"boxes": tmp_path / "boxes.csv"}
    else:
        sources = {}
    image = project / "images" / "00.png"
    (outcome,) = pose_core.predict(run.path, image, tmp_path / "found", device="cpu", **sources)
    assert outcome is not None
    table = pd.read_parquet(outcome.result)
    named = table.dropna(subset=["identity_score"])
    assert len(named)
    assert named["identity_score"].between(0, 1, inclusive="right").all()
    # All probabilities are stored, that of the name among them.
    for score, chances in zip(named["identity_score"], named["identity_probabilities"], strict=True):
        assert len(chances) == run.spec.skeleton.num_individuals
        assert score in chances


@pytest.mark.slow
@pytest.mark.parametrize("model", KINDS)
def test_names_are_learned(model: str, trained: Callable[..., Run]) -> None:
    settings = {"train.optimizer.lr": 0.003, "model.backbone.filters": 8}
    if model == "identity_unet":
        settings["model.heads.peaks.predictor.threshold"] = 0.1
    result = pose_core.evaluate(trained(model, 120, **settings), "all")
    assert result.identity is not None
    assert result.identity.compared > 45
    assert result.identity.accuracy.value is not None
    assert result.identity.accuracy.value > 0.9


@pytest.mark.parametrize("model", KINDS)
def test_a_project_without_names_is_refused_in_a_line(model: str, pose: Any, tmp_path: Path) -> None:
    unnamed = Skeleton(SKELETON.keypoints, individuals=NAMES)
    write_project(tmp_path / "project", unnamed, (draw_example(n) for n in range(4)), name="unnamed")
    line = pose.refuses("train", tmp_path / "project", "--model", model, "--out", tmp_path / "run")
    assert f"model '{model}' is for projects where the skeleton has several individuals" in line
    assert "identified: true" in line
    assert not (tmp_path / "run").exists()
