"""Published ImageNet weights: files, and what of them is the backbone. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

FILES = {
    "tiny": "swin_t-704ceda3.pth",
    "small": "swin_s-5e29d889.pth",
    "base": "swin_b-68c6b09e.pth",
}
"""Files of torchvision's ImageNet weights (IMAGENET1K_V1), by size."""


def from_imagenet(tensors: Mapping[str, T]) -> dict[str, T]:
    """Leave out the classifier of torchvision's network.

    Args:
        tensors: by the names of torchvision.

    Returns:
        tensors by the names in ``Swin.state_dict()``, for ``out_features`` with stage 4.
    """
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("head.")}
