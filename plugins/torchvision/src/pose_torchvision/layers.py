"""Layers that replace those inside torchvision's detectors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.image_list import ImageList

Targets = list[dict[str, Tensor]]
"""Boxes, labels and scores of each image, as torchvision passes them."""

# Of ImageNet, which all published backbones were trained with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class BatchNorm(nn.BatchNorm2d):
    """Batch norm without the counter of batches.

    Only a momentum of ``None`` needs that counter; without it a detector has the same entries in its
    ``state_dict`` as torchvision's with frozen batch norms. A batch with one value a channel (one image, a
    map of one cell) has no statistics; the running ones are used for it.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1) -> None:
        super().__init__(num_features, eps, momentum)
        self.num_batches_tracked = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, h, w)."""
        if self.training and x.numel() == x.shape[1]:
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        # nn.BatchNorm2d would add the counter to the entries, which would then be refused as unexpected.
        state_dict.pop(prefix + "num_batches_tracked", None)
        nn.Module._load_from_state_dict(self, state_dict, prefix, *args)


def replace_norms(module: nn.Module) -> None:
    """Replace every batch norm below ``module`` by a new :class:`BatchNorm` of the same settings."""
    for name, child in module.named_children():
        # Not isinstance: those that are replaced already are subclasses.
        if type(child) is nn.BatchNorm2d:
            setattr(module, name, BatchNorm(child.num_features, eps=child.eps, momentum=child.momentum))
        else:
            replace_norms(child)


class NormalizeOnly(nn.Module):
    """Normalise images of one size without resizing them, in place of torchvision's transform.

    Args:
        mean, std: of RGB in [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        # Not persistent: torchvision's transform has no entries in the state_dict either.
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor, targets: Targets | None = None) -> tuple[ImageList, Targets | None]:
        """Normalise (B, 3, H, W) in [0, 1]; targets stay unchanged."""
        height, width = images.shape[-2:]
        return ImageList((images - self.mean) / self.std, [(height, width)] * len(images)), targets

    def postprocess(self, result: Targets, image_shapes: object, original_image_sizes: object) -> Targets:
        """Return the boxes unchanged."""
        return result


def group_mobilenet_blocks(blocks: Sequence[nn.Module]) -> list[nn.Module]:
    """Group the 17 blocks of a MobileNetV3-Large into 6.

    Args:
        blocks: stem, 15 inverted residuals and the last convolution.
    """
    # Each group begins with a block that halves the map, but for the last convolution.
    starts = (0, 2, 4, 7, 13, 16, 17)
    return [nn.ModuleList(blocks[a:b]) for a, b in pairwise(starts)]
