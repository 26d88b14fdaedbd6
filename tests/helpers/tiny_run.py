"""A run folder with a tiny network of random weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pose_core.model.build import build_model
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec


def make_run(path: Path, seed: int = 0, model: Mapping[str, Any] | None = None, **data: object) -> Path:
    """A network that finds a nose and a tail; ``model`` and ``data`` go into its spec."""
    spec = RunSpec.model_validate(
        {
            "skeleton": {"keypoints": ["nose", "tail"], "edges": [["nose", "tail"]]},
            "data": {"source": "nowhere", **data},
            "model": {
                "name": "tiny",
                "preprocess": {"scale": 0.5, "min_box": 16.0},
                "backbone": {"type": "unet/unet", "filters": 4, "max_stride": 8, "output_stride": 4},
                "heads": {"keypoints": {"type": "heatmap/heatmap"}},
                **(model or {}),
            },
            "inference": {"batch_size": 4},
            "metadata": {"scorer": "me"},
        }
    )
    torch.manual_seed(seed)
    run = Run.create(path, spec, {})
    run.save_weights(build_model(spec).state_dict())
    return path
