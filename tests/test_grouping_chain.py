"""Chains of heads and identities, through the ordinary commands: train, evaluate, predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

import pose_core
from pose_core.formats.parquet import ParquetPredictions
from pose_core.formats.project_writing import Example, write_project
from pose_core.runs.run_folder import Run
from pose_core.structures import Instances, Skeleton

COLOURS = ((230, 60, 60), (60, 220, 60), (70, 70, 235), (230, 220, 60))
SKELETON = Skeleton(
    ("nose", "back", "tail"),
    (("nose", "back"), ("back", "tail")),
    individuals=("ann", "bob", "cat"),
    identified=True,
)
CELLS = np.array([[32.0, 32], [96, 32], [32, 96], [96, 96]])
BACKBONE = {"type": "unet/unet", "filters": 8, "max_stride": 8, "output_stride": 4}
PEAKS = {
    "type": "heatmap/heatmap",
    "location_refinement": False,
    "deconv_layers": 1,
    "predictor": {"type": "heatmap/peaks", "threshold": 0.3},
}


def draw(rng: np.random.Generator, skeleton: Skeleton = SKELETON) -> Example:
    """Sticks, each of the colour of its individual, with a bright nose, in any order and place."""
    image = rng.integers(0, 40, (128, 128, 3)).astype(np.uint8)
    animals = skeleton.num_individuals
    centres = CELLS[rng.permutation(4)[:animals]] + rng.uniform(-6, 6, (animals, 2))
    turn = rng.uniform(0, 2 * np.pi, animals)
    way = np.stack([np.cos(turn), np.sin(turn)], -1)
    points = centres[:, None] + np.array([16.0, 0, -16])[None, :, None] * way[:, None]
    for individual, (nose, _, tail) in enumerate(np.round(points).astype(int).tolist()):
        cv2.line(image, nose, tail, COLOURS[individual], 5)
        cv2.circle(image, nose, 4, (255, 255, 255), -1)
    order = rng.permutation(animals)
    name = f"{int(rng.integers(1 << 40))}.png"
    return Example(name, image, Instances.from_keypoints(points[order], identity=order))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sticks") / "project"
    rng = np.random.default_rng(0)
    write_project(folder, SKELETON, [draw(rng) for _ in range(60)], name="sticks")
    return folder


def chain(heads: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": {
            "method": "bottom_up",
            "preprocess": {"scale": 1.0},
            "backbone": BACKBONE,
            "heads": {"peaks": PEAKS, **heads},
        },
        "augmentation": {"crop": {"size": [128, 128]}, "rotation": 10, "scale": [0.9, 1.1]},
        "train": {"batch_size": 8, "optimizer": {"lr": 3e-3}},
    }


FIELDS = {"fields": {"type": "paf/fields", "deconv_layers": 0}}
BY_IDENTITY = {
    "identity": {
        "type": "heatmap/identity",
        "deconv_layers": 0,
        "predictor": {"type": "heatmap/group_by_identity"},
    }
}


def test_peaks_and_fields_of_two_strides_train_evaluate_and_predict(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    project = tmp_path / "project"
    write_project(project, SKELETON, [draw(rng) for _ in range(12)], name="sticks")
    (tmp_path / "chain.yaml").write_text(yaml.safe_dump(chain(FIELDS), sort_keys=False))
    pose_core.train(project, config=tmp_path / "chain.yaml", out=tmp_path / "run", epochs=1, device="cpu")
    assert list(Run.open(tmp_path / "run").spec.model.heads) == ["peaks", "fields"]
    result = pose_core.evaluate(tmp_path / "run", device="cpu")
    assert result.counts.images > 0
    pose_core.predict(tmp_path / "run", project / "images", tmp_path / "found", device="cpu")
    (table,) = (tmp_path / "found").rglob("*.parquet")
    frames = list(ParquetPredictions(table))
    assert len(frames) == 12
    # At most as many animals as the project has, whatever the number of candidates.
    assert all(len(frame.instances) <= 3 for frame in frames)


def test_top_down_models_get_a_head_for_identities_and_are_measured_by_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    write_project(tmp_path / "project", SKELETON, [draw(rng) for _ in range(8)], name="sticks")
    settings = {
        "model.backbone.filters": 4,
        "model.backbone.max_stride": 4,
        "model.preprocess.size": [32, 32],
        "inference.identity_threshold": 0,
    }
    run = tmp_path / "run"
    pose_core.train(tmp_path / "project", "top_down_unet", out=run, epochs=1, device="cpu", settings=settings)
    assert Run.open(run).spec.model.heads["identity"].type == "heatmap/identity_vector"
    result = pose_core.evaluate(run, device="cpu")
    # Every animal of a labelled box that was matched has a name, right or wrong, and no frame has one twice.
    assert result.identity.compared == result.counts.matched > 0
    assert result.identity.unnamed == 0
    table = ParquetPredictions(Path(result.folder) / "predictions.parquet")
    for frame in table:
        names = frame.instances.identity.tolist()
        assert sorted(names) == sorted(set(names))
        assert (frame.instances.identity_scores > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("heads", [FIELDS, BY_IDENTITY, {**FIELDS, "identity": {"type": "heatmap/identity"}}])
def test_chains_of_heads_learn(project: Path, tmp_path: Path, heads: dict[str, Any]) -> None:
    (tmp_path / "chain.yaml").write_text(yaml.safe_dump(chain(heads), sort_keys=False))
    pose_core.train(project, config=tmp_path / "chain.yaml", out=tmp_path / "run", epochs=40, device="cpu")
    result = pose_core.evaluate(tmp_path / "run", device="cpu")
    assert result.oks.ap.value > 0.5
    if "identity" in heads:
        assert result.identity.accuracy.value > 0.9


@pytest.mark.slow
def test_identities_of_crops_are_learned(project: Path, tmp_path: Path) -> None:
    settings = {
        "model.backbone.filters": 8,
        "model.backbone.max_stride": 8,
        "model.preprocess.size": [64, 64],
        "train.optimizer.lr": 3e-3,
    }
    pose_core.train(
        project, "top_down_unet", out=tmp_path / "run", epochs=20, device="cpu", settings=settings
    )
    result = pose_core.evaluate(tmp_path / "run", device="cpu")
    assert result.identity.accuracy.value > 0.9
