"""DeepLabCut's HRNet (3.x, PyTorch engine) as ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from pose_core.interfaces import BuildContext
from pose_core.structures import Skeleton
from pose_hrnet.config import HRNetConfig
from pose_hrnet.network import HRNet

_NAMES = {"hrnet_w18": 18, "hrnet_w32": 32, "hrnet_w48": 48}
_BRANCHES = {(False, False): "first", (True, False): "concatenated", (False, True): "incremental"}
_KNOWN = {
    *("type", "model_name", "pretrained", "stride", "interpolate_branches", "increased_channel_count"),
    *("freeze_bn_stats", "freeze_bn_weights"),
}


def convert(part: Mapping[str, Any], about: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[str], str | None]]:
    """Our config for a section of ``pytorch_config.yaml``, and our name for each of its parameters.

    Args:
        part: ``model.backbone``, of type ``HRNet``.
        about: what else is known of the model; nothing of it matters here.

    Returns:
        the config of ``hrnet/hrnet``, and a function from a key of the snapshot (without ``backbone.``) to one of our
        network, which raises KeyError for a key that an HRNet does not have.

    Raises:
        ValueError: the section describes a network that ``hrnet/hrnet`` is not.
    """
    if unknown := sorted(set(part) - _KNOWN):
        raise ValueError(f"{unknown[0]}: no setting of HRNet that can be imported")
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
        "freeze_bn": _freeze_bn(part),
    }
    # The names are timm's in both; the network, made without memory, says which there are.
    with torch.device("meta"):
        names = frozenset(HRNet(HRNetConfig(**config), BuildContext(skeleton=Skeleton(("any",)))).state_dict())

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
