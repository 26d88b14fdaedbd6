"""Heads decide values of their config by the data, after training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from pose_core.formats.project_writing import Example, write_project
from pose_core.interfaces import BuildContext, Calibration, Head, Labels, Predictor
from pose_core.runs.run_folder import Run
from pose_core.specs import AnyHead, Feature
from pose_core.structures import Instances, Skeleton

PRUNED = "model.heads.keypoints.graph=pruned"


def test_limbs_that_lie_are_left_out() -> None:
    """Ideal fields of every pair, but those of one keypoint say that it belongs to the other animal."""
    from pydantic import TypeAdapter

    skeleton = Skeleton(("a", "b", "c", "d"), individuals=("one", "two"))
    config = TypeAdapter(AnyHead).validate_python({"type": "paf/paf", "graph": "pruned", "deconv_layers": 0})
    context = BuildContext(skeleton, (Feature(4, 4),))
    head: Head = context.build("head", config)
    rng = torch.Generator().manual_seed(0)
    middles = torch.tensor([[[40.0, 40.0], [90.0, 90.0]], [[90.0, 30.0], [30.0, 95.0]]])
    points = middles[:, :, None] + torch.rand(2, 2, 4, 2, generator=rng) * 40 - 20
    labels = Labels(
        points,
        torch.zeros(2, 2, 4).bool(),
        torch.zeros(2, 2, 4),
        torch.zeros(2, 2),
        torch.zeros(2, 2).long(),
        torch.zeros(2, 0, 2),
    )
    shapes = {"heatmap": (2, 4, 32, 32), "locref": (2, 8, 32, 32), "paf": (2, 12, 32, 32)}
    targets = head.target_generator(labels, {name: torch.zeros(shape) for name, shape in shapes.items()})
    outputs = {name: target.value.clone() for name, target in targets.items()}
    lying = [
        i
        for i, limb in enumerate([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])
        if limb in ((0, 3), (1, 3))
    ]
    for limb in lying:
        outputs["paf"][:, 2 * limb : 2 * limb + 2] *= -1

    class Shown(Calibration):
        seed = 0

        def training(self) -> Iterator[tuple[Mapping[str, Tensor], Labels]]:
            yield outputs, labels

        def errors(self, predictors: Sequence[Predictor]) -> list[float]:
            self.limbs = [len(p.limbs) for p in predictors]  # type: ignore[attr-defined]
            return [1.0 for _ in predictors]

    shown = Shown()
    decided = head.calibrate(shown)["predictor"]["limbs"]
    assert shown.limbs == sorted(shown.limbs)
    assert len(decided) == 3, "of equal graphs the smallest: a tree"
    assert not set(decided) & set(lying)
    fixed = TypeAdapter(AnyHead).validate_python({"type": "paf/paf", "graph": "full", "deconv_layers": 0})
    assert context.build("head", fixed).calibrate(shown) == {}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two animals of three blobs an image."""
    rng = np.random.default_rng(0)

    def example(number: int) -> Example:
        image = rng.integers(90, 120, (64, 96, 3)).astype(np.uint8)
        points = (
            np.array([[18, 20], [18, 40], [34, 30]])
            + np.array([[[0, 0]], [[44, 0]]])
            + rng.uniform(-6, 6, (2, 1, 2))
        )
        for one in points:
            for k, (x, y) in enumerate(one):
                image[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = np.eye(3)[k] * 220
        return Example(f"{number:02d}.png", image, Instances.from_keypoints(points))

    folder = tmp_path_factory.mktemp("pruned") / "project"
    skeleton = Skeleton(("a", "b", "c"), individuals=("one", "two"))
    write_project(folder, skeleton, (example(n) for n in range(16)), name="pruned")
    return folder


@pytest.mark.long
def test_what_was_decided_is_in_the_run_and_does_not_hinder_its_resumption(
    pose: Any, project: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    options = ["--set", PRUNED]
    process = pose.train(project, run, "--epochs", "2", *options)
    assert process.returncode == 0, process.stderr
    assert "decided by the data: model.heads.keypoints.predictor.limbs: [" in process.stderr
    config = yaml.safe_load((run / "config.yaml").read_text())
    limbs = config["model"]["heads"]["keypoints"]["predictor"]["limbs"]
    assert 2 <= len(limbs) <= 3
    opened = Run.open(run)
    assert opened.metrics()["calibrated"] == ["model.heads.keypoints.predictor.limbs"]
    predictor: Any = opened.load_model().heads["keypoints"].predictor
    assert len(predictor.limbs) == len(limbs)
    resumed = pose.train(project, run, "--epochs", "3", "--resume", *options)
    assert resumed.returncode == 0, resumed.stderr
    assert "decided by the data" in resumed.stderr
