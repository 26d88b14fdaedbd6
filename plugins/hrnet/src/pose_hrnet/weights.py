"""From the names of published ImageNet weights to ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CLASSIFIER = ("incre_modules.", "downsamp_modules.", "final_layer.", "classifier.")
"""What belongs to the classifier: the beginnings of its names in timm."""


def from_imagenet(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors of timm's classification network under the names of the backbone, the classifier left out.

    Args:
        tensors: by the names of timm.

    Returns:
        tensors by the names in ``HRNet.state_dict()``, for any ``branches`` but ``incremental``.
    """
    return {f"model.{name}": tensor for name, tensor in tensors.items() if not name.startswith(CLASSIFIER)}
