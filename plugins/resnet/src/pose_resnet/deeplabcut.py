"""DeepLabCut's ResNet (3.x, PyTorch engine) as ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from pose_core.interfaces import BuildContext
from pose_core.structures import Skeleton
from pose_resnet.config import ResNetConfig
from pose_resnet.network import ResNet

_NAMES = {
    **{f"resnet{depth}": (depth, "batch") for depth in (18, 34, 50, 101, 152)},
    "resnet50_gn": (50, "group"),
}
_KNOWN = {
    *("type", "model_name", "pretrained", "output_stride", "drop_path_rate", "drop_block_rate"),
    *("freeze_bn_stats", "freeze_bn_weights"),
}


def convert(part: Mapping[str, Any], about: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[str], str | None]]:
    """Our config for a section of ``pytorch_config.yaml``, and our name for each of its parameters.

    Args:
        part: ``model.backbone``, of type ``ResNet``.
        about: what else is known of the model; nothing of it matters here.

    Returns:
        the config of ``resnet/resnet``, and a function from a key of the snapshot (without ``backbone.``) to one of
        our network, which raises KeyError for a key that a ResNet does not have.

    Raises:
        ValueError: the section describes a network that ``resnet/resnet`` is not.
    """
    if unknown := sorted(set(part) - _KNOWN):
        raise ValueError(f"{unknown[0]}: no setting of ResNet that can be imported")
    name = part.get("model_name", "resnet50")
    if name not in _NAMES:
        raise ValueError(f"model_name: {name} cannot be imported; {', '.join(_NAMES)} can")
    stride = part.get("output_stride", 32)
    if stride not in (8, 16, 32):
        raise ValueError(f"output_stride: {stride} cannot be imported; 8, 16 and 32 can")
    for key in ("drop_path_rate", "drop_block_rate"):
        if part.get(key):
            raise ValueError(f"{key}: {part[key]} cannot be imported; set it to 0, it has no effect on predictions")
    depth, norm = _NAMES[name]
    config = {
        "type": "resnet/resnet",
        "depth": depth,
        "norm": norm,
        "output_stride": stride,
        "pretrained": False,
        "freeze_bn": _freeze_bn(part) if norm == "batch" else False,
    }
    # The names are timm's in both; the network, made without memory, says which there are.
    with torch.device("meta"):
        names = frozenset(ResNet(ResNetConfig(**config), BuildContext(skeleton=Skeleton(("any",)))).state_dict())

    def rename(key: str) -> str | None:
        if key not in names:
            raise KeyError(key)
        return key

    return config, rename


def _freeze_bn(part: Mapping[str, Any]) -> str | bool:
    """Our ``freeze_bn``. Both settings are on where the file does not say otherwise."""
    statistics, weights = part.get("freeze_bn_stats", True), part.get("freeze_bn_weights", True)
    if weights and not statistics:
        raise ValueError("freeze_bn_weights without freeze_bn_stats cannot be imported; set both or neither")
    return True if weights else "statistics" if statistics else False
