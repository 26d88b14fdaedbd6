"""Rename published ImageNet weights to those of the backbone. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def from_imagenet(tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename the weights of timm's classification network, and leave out the classifier.

    Args:
        tensors: by the names of timm.

    Returns:
        tensors by the names in ``ResNet.state_dict()``, for ``out_features`` with stage 4.
    """
    return {f"model.{name}": tensor for name, tensor in tensors.items() if not name.startswith("fc.")}
