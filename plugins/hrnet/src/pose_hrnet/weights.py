"""Rename published ImageNet weights to those of the backbone. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

CLASSIFIER = ("incre_modules.", "downsamp_modules.", "final_layer.", "classifier.")
"""Beginnings of the names of the classifier's weights in timm."""


def from_imagenet(tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename the weights of timm's classification network, and leave out the classifier.

    Args:
        tensors: by the names of timm.

    Returns:
        tensors by the names in ``HRNet.state_dict()``, for any ``branches`` but ``incremental``.
    """
    return {f"model.{name}": tensor for name, tensor in tensors.items() if not name.startswith(CLASSIFIER)}
