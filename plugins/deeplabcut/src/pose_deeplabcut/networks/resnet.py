"""DeepLabCut's ResNet (3.x, PyTorch engine) as ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pose_deeplabcut.mapping import Converted, freeze_bn, keep_names, refuse_unknown

_NAMES = {
    **{f"resnet{depth}": (depth, "batch") for depth in (18, 34, 50, 101, 152)},
    "resnet50_gn": (50, "group"),
}
_KNOWN = {
    *("type", "model_name", "pretrained", "output_stride", "drop_path_rate", "drop_block_rate"),
    *("freeze_bn_stats", "freeze_bn_weights"),
}


def backbone(part: Mapping[str, Any], about: Mapping[str, Any]) -> Converted:
    """Map a ``ResNet`` to ``resnet/resnet``.

    Args:
        part: ``model.backbone``, of type ``ResNet``.
        about: what else is known of the model; nothing of it matters here.

    Returns:
        the config of ``resnet/resnet``, and a function from a key of the snapshot (without ``backbone.``) to
        one of our network, which raises KeyError for a key that a ResNet does not have.

    Raises:
        ValueError: the section describes a network that ``resnet/resnet`` is not.
    """
    refuse_unknown(part, _KNOWN, "ResNet")
    name = part.get("model_name", "resnet50")
    if name not in _NAMES:
        raise ValueError(f"model_name: {name} cannot be imported; {', '.join(_NAMES)} can")
    stride = part.get("output_stride", 32)
    if stride not in (8, 16, 32):
        raise ValueError(f"output_stride: {stride} cannot be imported; 8, 16 and 32 can")
    for key in ("drop_path_rate", "drop_block_rate"):
        if part.get(key):
            raise ValueError(
                f"{key}: {part[key]} cannot be imported; set it to 0, it has no effect on predictions"
            )
    depth, norm = _NAMES[name]
    config = {
        "type": "resnet/resnet",
        "depth": depth,
        "norm": norm,
        "output_stride": stride,
        "pretrained": False,
        "freeze_bn": freeze_bn(part) if norm == "batch" else False,
    }
    # The names are timm's in both.
    return config, keep_names(config)
