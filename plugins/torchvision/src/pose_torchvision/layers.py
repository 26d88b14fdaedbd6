"""Parts that replace torchvision's inside its detectors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.image_list import ImageList

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class BatchNorm(nn.BatchNorm2d):
    """Batch norm without the counter of batches, which only a momentum of ``None`` needs.

    So a detector has the same entries in its ``state_dict`` as torchvision's with frozen batch norms. A batch with
    one value a channel (one image, a map of one cell) has no statistics; the running ones are used for it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.num_batches_tracked = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        if self.training and x.numel() == x.shape[1]:
            return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        # nn.BatchNorm2d would add the counter to the entries, which would then be refused as unexpected.
        state_dict.pop(prefix + "num_batches_tracked", None)
        nn.Module._load_from_state_dict(self, state_dict, prefix, *args)


def replace_norms(module: nn.Module) -> None:
    """Every batch norm below ``module`` becomes a :class:`BatchNorm` with the same settings and fresh values."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            setattr(module, name, BatchNorm(child.num_features, eps=child.eps, momentum=child.momentum))
        else:
            replace_norms(child)


class Normalised(nn.Module):
    """In place of torchvision's transform: images of one size are normalised and not resized.

    Args:
        mean, std: of RGB in [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor, targets: Any = None) -> tuple[ImageList, Any]:
        """(B, 3, H, W) in [0, 1] -> the same, normalised, with its sizes; and the targets as they are."""
        height, width = images.shape[-2:]
        return ImageList((images - self.mean) / self.std, [(height, width)] * len(images)), targets

    def postprocess(self, result: Any, image_shapes: Any, original_image_sizes: Any) -> Any:
        """The boxes as they are."""
        return result


def mobilenet_groups(blocks: Sequence[nn.Module]) -> list[nn.Module]:
    """The 17 blocks of a MobileNetV3-Large in 6 groups, each of which halves the map (but for the last convolution).

    Args:
        blocks: stem, 15 inverted residuals and the last convolution.
    """
    starts = (0, 2, 4, 7, 13, 16, 17)
    return [nn.ModuleList(blocks[a:b]) for a, b in pairwise(starts)]
