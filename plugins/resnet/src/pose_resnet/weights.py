"""From the names of published ImageNet weights to ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def from_imagenet(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors of timm's classification network under the names of the backbone, the classifier left out.

    Args:
        tensors: by the names of timm.

    Returns:
        tensors by the names in ``ResNet.state_dict()``, for ``out_features`` with stage 4.
    """
    return {f"model.{name}": tensor for name, tensor in tensors.items() if not name.startswith("fc.")}
