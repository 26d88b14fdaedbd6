"""DeepLabCut's HRNet (3.x, PyTorch engine) as ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pose_deeplabcut.mapping import Converted, freeze_bn, keep_names, refuse_unknown

_NAMES = {"hrnet_w18": 18, "hrnet_w32": 32, "hrnet_w48": 48}
_BRANCHES = {(False, False): "first", (True, False): "concatenated", (False, True): "incremental"}
_KNOWN = {
    *("type", "model_name", "pretrained", "stride", "interpolate_branches", "increased_channel_count"),
    *("freeze_bn_stats", "freeze_bn_weights"),
}


def backbone(part: Mapping[str, Any], about: Mapping[str, Any]) -> Converted:
    """Map an ``HRNet`` to ``hrnet/hrnet``.

    Args:
        part: ``model.backbone``, of type ``HRNet``.
        about: what else is known of the model; nothing of it matters here.

    Returns:
        the config of ``hrnet/hrnet``, and a function from a key of the snapshot (without ``backbone.``) to
        one of our network, which raises KeyError for a key that an HRNet does not have.

    Raises:
        ValueError: the section describes a network that ``hrnet/hrnet`` is not.
    """
    refuse_unknown(part, _KNOWN, "HRNet")
    name = part.get("model_name", "hrnet_w32")
    if name not in _NAMES:
        raise ValueError(f"model_name: {name} cannot be imported; {', '.join(_NAMES)} can")
    if part.get("stride", 4) != 4:
        raise ValueError(f"stride: the HRNet has stride 4, not {part['stride']}")
    output = (bool(part.get("interpolate_branches", False)), bool(part.get("increased_channel_count", False)))
    if output not in _BRANCHES:
        raise ValueError("interpolate_branches cannot be imported together with increased_channel_count")
    config = {
        "type": "hrnet/hrnet",
        "width": _NAMES[name],
        "branches": _BRANCHES[output],
        "pretrained": False,
        "freeze_bn": freeze_bn(part),
    }
    # The names are timm's in both.
    return config, keep_names(config)
