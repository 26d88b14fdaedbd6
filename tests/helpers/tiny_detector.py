"""Runs of SSDLite with random weights that find boxes of many scores in noise."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from calibrated import build_calibrated, calibrate
from tiny_run import make_run

from pose_core.data.projects import read_project
from pose_core.model.build import build_model
from pose_core.runs.run_folder import STAGES, Run
from pose_core.specs import DetectorRunSpec, RunSpec
from pose_core.specs.run import stage_of_run

TOP_DOWN: Mapping[str, Any] = {
    "method": "top_down",
    "preprocess": {"scale": 1.0, "min_box": 16.0, "size": [32, 32]},
}


SKELETON: Mapping[str, Any] = {
    "keypoints": ["red", "green"],
    "edges": [["red", "green"]],
    "individuals": ["one", "two", "three"],
}


def make_detector(path: Path, project: Path | None = None, **network: Any) -> Path:
    """A detector of three animals; ``network`` goes into its settings.

    Args:
        path: of the run.
        project: whose first images are those of its validation; None: it has none.
    """
    spec = DetectorRunSpec.model_validate(
        {
            "skeleton": SKELETON,
            "data": {"source": str(project or "nowhere")},
            "network": {
                "type": "torchvision/ssdlite",
                "size": [128, 160],
                "threshold": 0.4,
                "nms": 0.3,
                **network,
            },
            "min_box": 16.0,
        }
    )
    torch.manual_seed(0)
    model = build_model(spec)
    detector = cast(Any, model.network)
    images = torch.rand(2, 3, 128, 160)

    def compute() -> None:
        features = detector.model.backbone(detector.model.transform(images)[0].tensors)
        if spec.network.type.endswith("ssdlite"):
            detector.model.head(list(features.values()))

    calibrate(detector, compute)
    run = Run.create(path, spec, _choose_images(project))
    run.save_weights(model.state_dict())
    return path


def make_top_down(path: Path, project: Path | None = None, **network: Any) -> Path:
    """A top-down run of a tiny network, and such a detector in its folder."""
    make_detector(path / STAGES / "detector", project, **network)
    detector = Run.open(path / STAGES / "detector", DetectorRunSpec)
    content = Run.open(make_run(path / "plain", model=TOP_DOWN), RunSpec).spec.model_dump(mode="json")
    shutil.rmtree(path / "plain")
    content["data"]["source"] = str(project or "nowhere")
    content |= {"skeleton": SKELETON, "stages": {"detector": stage_of_run(detector.spec)}}
    spec = RunSpec.model_validate(content)
    Run.create(path, spec, _choose_images(project)).save_weights(build_calibrated(spec).state_dict())
    return path


def _choose_images(project: Path | None) -> dict[str, Any]:
    if project is None:
        return {}
    names = [image.name for image in read_project(project).images]
    return {"split": {"train": names[7:], "validation": names[:7], "test": names[7:10]}}
