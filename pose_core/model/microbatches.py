"""Divide a batch into the images that PyTorch computes together."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

PIXELS = 1 << 19
"""Pixels of images that are computed together: one of 640 x 480, or eight crops of 256 x 256.

More of them gain nothing on a CPU, and cost memory. The C library maps a tensor of more than 32 MB anew each time, and
every page of it is cleared: of eight images of 640 x 480 together each took resnet_50 140,000 page faults and 689 ms,
one at a time none and 543 ms (hrnet_w18: 505 and 460 ms). Other runtimes keep memory of their own.
"""


def split_batch(images: Tensor) -> list[slice]:
    """Divide a batch into rows that are computed together.

    Args:
        images: (B, C, H, W).

    Returns:
        slices of the rows, in order, at least one: the whole batch on a GPU, which fills up by large ones.
    """
    count, _, height, width = images.shape
    if images.device.type != "cpu" or not count:
        return [slice(0, count)]
    most = max(1, PIXELS // max(height * width, 1))
    # As many in each as possible: 9 by at most 8 are 5 and 4, which is as fast, and needs less memory, than 8 and 1.
    parts = -(-count // most)
    bounds = [round(part * count / parts) for part in range(parts + 1)]
    return [slice(first, stop) for first, stop in pairwise(bounds)]
