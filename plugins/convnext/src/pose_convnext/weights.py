"""Published ImageNet weights: files, and what of them is the backbone. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

FILES = {
    "tiny": "convnext_tiny-983f1562.pth",
    "small": "convnext_small-0c510722.pth",
    "base": "convnext_base-6075fbad.pth",
    "large": "convnext_large-ea097f82.pth",
}
"""Files of torchvision's ImageNet weights (IMAGENET1K_V1), by size."""


def from_imagenet(tensors: Mapping[str, T]) -> dict[str, T]:
    """Leave out the classifier of torchvision's network.

    Args:
        tensors: by the names of torchvision.

    Returns:
        tensors by the names in ``ConvNeXt.state_dict()``, for ``out_features`` with stage 4.
    """
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("classifier.")}
