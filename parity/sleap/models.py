"""Models of SLEAP-NN that are made, saved and imported: their configurations.

Read by both Pythons, as ``cases.py``.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from cases import CASES, weight
from torch import Tensor

NODES = ["nose", "ear_l", "ear_r", "tail"]
EDGES = [["nose", "tail"], ["nose", "ear_l"], ["nose", "ear_r"]]
CLASSES = ["Ada", "Bea", "Cleo"]
CROP = 64
CENTRES = ((31.5, 31.5), (47.5, 31.5), (80.5, 31.5))
"""Of crops, x and y; those of CROP pixels around them begin at whole pixels and lie in the image."""
THRESHOLD = 0.2
SKELETON = {
    "name": "mouse",
    "nodes": [{"name": node} for node in NODES],
    "edges": [{"source": {"name": a}, "destination": {"name": b}} for a, b in EDGES],
    "symmetries": [[{"name": "ear_l"}, {"name": "ear_r"}]],
}
"""As SLEAP-NN writes it into training_config.yaml."""


def _confmaps(stride: int, **more: Any) -> dict[str, Any]:
    return {"part_names": NODES, "sigma": 2.5, "output_stride": stride, **more}


def _heads(model_type: str, stride: int) -> dict[str, Any]:
    if model_type == "centroid":
        return {"confmaps": {"anchor_part": "nose", "sigma": 2.5, "output_stride": stride}}
    if model_type == "bottomup":
        fields = {"edges": EDGES, "sigma": 15.0, "output_stride": 2 * stride, "loss_weight": 1.0}
        return {"confmaps": _confmaps(stride, loss_weight=1.0), "pafs": fields}
    if model_type == "multi_class_bottomup":
        maps = {"classes": CLASSES, "sigma": 5.0, "output_stride": stride, "loss_weight": 1.0}
        return {"confmaps": _confmaps(stride, loss_weight=1.0), "class_maps": maps}
    if model_type == "centered_instance":
        return {"confmaps": _confmaps(stride, anchor_part="nose", loss_weight=1.0)}
    if model_type == "multi_class_topdown":
        vectors = {
            "classes": CLASSES,
            "num_fc_layers": 2,
            "num_fc_units": 16,
            "global_pool": True,
            "output_stride": 16,
            "loss_weight": 1.0,
        }
        return {
            "confmaps": _confmaps(stride, anchor_part="nose", loss_weight=1.0),
            "class_vectors": vectors,
        }
    return {"confmaps": _confmaps(stride)}


def _model(network: str, model_type: str, channels: int = 3, scale: float = 1.0) -> dict[str, Any]:
    """A configuration as it is given to a training."""
    case = CASES[network]
    stride = case.strides[0]
    crops = model_type in ("centered_instance", "multi_class_topdown")
    return {
        "data_config": {
            "preprocessing": {
                "ensure_rgb": channels == 3,
                "ensure_grayscale": channels == 1,
                "scale": scale,
                "crop_size": CROP if crops else None,
            },
            "skeletons": [SKELETON],
        },
        "model_config": {
            "backbone_config": {case.kind: {**case.config, "in_channels": channels}},
            "head_configs": {model_type: _heads(model_type, stride)},
        },
    }


TYPES = (
    "single_instance",
    "centroid",
    "centered_instance",
    "bottomup",
    "multi_class_bottomup",
    "multi_class_topdown",
)
MODELS: dict[str, dict[str, Any]] = {
    **{f"unet, {name}": _model("unet", name) for name in TYPES},
    **{f"convnext, {name}": _model("convnext", name) for name in TYPES},
    **{f"swint, {name}": _model("swint", name) for name in TYPES},
    "unet, gray": _model("unet", "single_instance", channels=1),
    "unet, transposed, scale 0.5": _model("unet, transposed", "single_instance", scale=0.5),
    "unet, stem": _model("unet, stem", "single_instance"),
    "unet, stem, multi_class_topdown": _model("unet, stem", "multi_class_topdown"),
}
"""What is compared, by name."""


def make_weight(theirs: str, ours: str, shape: torch.Size) -> Tensor:
    """Values for a weight, by SLEAP-NN's name of it and ours; confidence maps come out above 0.

    Positions are means of cells weighted by values, which below 0 lead SLEAP-NN anywhere.
    """
    raised = re.fullmatch(r"head_layers\.0\.\w+\.0\.bias", theirs)
    return weight(ours, shape) + (10.0 if raised else 0.0)
