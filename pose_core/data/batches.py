"""Collate samples into batches, which training and validation read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pose_core.data.sample import Sample
from pose_core.data.samples import ImageSamples
from pose_core.interfaces import Labels


@dataclass(frozen=True)
class Batch:
    """Inputs of the network with their labels.

    Attributes:
        images: (B, 3, H, W) uint8 RGB, channels last in memory.
        labels: in pixels of ``images``.
        matrices: (B, 3, 3) float64, keypoints of the image file -> keypoints of ``labels``.
        indices: (B,) int64, rows of ``LabelledDataset.images``.
    """

    images: Tensor
    labels: Labels
    matrices: Tensor
    indices: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Move the batch to a device."""
        # Matrices and indices stay where they are: only the CPU needs them.
        return replace(
            self,
            images=self.images.to(device, non_blocking=non_blocking),
            labels=self.labels.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> Batch:
        """Copy the batch to page-locked memory; the data loader calls it."""
        # The data loader pins tensors and containers itself, and other classes by a method of this name.
        tensors = {f.name: getattr(self.labels, f.name) for f in fields(self.labels)}
        pinned = {name: tensor.pin_memory() for name, tensor in tensors.items() if tensor is not None}
        return replace(self, images=self.images.pin_memory(), labels=Labels(**pinned))


def collate(samples: Sequence[Sample]) -> Batch:
    """Collate samples: pad images to the largest, animals with NaN rows."""
    # Padded on the right and at the bottom, which moves nothing: labels and matrices stay as they are.
    height, width = (max(s.image.shape[axis] for s in samples) for axis in (0, 1))
    images = np.zeros((len(samples), height, width, 3), np.uint8)
    for image, sample in zip(images, samples, strict=True):
        image[: sample.image.shape[0], : sample.image.shape[1]] = sample.image
    labels = [s.labels for s in samples]
    animals = max(len(part.keypoints) for part in labels)

    def padded(arrays: Sequence[npt.NDArray[np.generic]], fill: float) -> Tensor:
        stacked = np.full((len(arrays), animals, *arrays[0].shape[1:]), fill, arrays[0].dtype)
        for row, array in zip(stacked, arrays, strict=True):
            row[: len(array)] = array
        return torch.from_numpy(stacked)

    # Of one project, so either all samples say what is absent, or none.
    absent = [part.absent for part in labels if part.absent is not None] or None
    return Batch(
        # Seen as (B, 3, H, W) the bytes are channels last already.
        images=torch.from_numpy(images).permute(0, 3, 1, 2),
        labels=Labels(
            keypoints=padded([part.keypoints for part in labels], np.nan),
            occluded=padded([part.occluded for part in labels], False),
            boxes=padded([part.boxes for part in labels], np.nan),
            areas=padded([part.areas for part in labels], np.nan),
            identity=padded([part.identity for part in labels], -1),
            unique_keypoints=torch.from_numpy(np.stack([part.unique_keypoints for part in labels])),
            absent=None if absent is None else padded(absent, False),
        ),
        matrices=torch.from_numpy(np.stack([s.matrix for s in samples])),
        indices=torch.tensor([s.index for s in samples], dtype=torch.int64),
    )


class PlainBatches:
    """Iterate over samples in batches, in their order.

    It can be repeated; images stay in the cache.
    """

    def __init__(self, samples: ImageSamples, batch_size: int) -> None:
        self.samples = samples
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self.samples), self.batch_size):
            chosen = range(start, min(start + self.batch_size, len(self.samples)))
            yield collate([self.samples[i] for i in chosen])


def init_worker(worker: int) -> None:
    """Prepare a worker process; for ``DataLoader(worker_init_fn=...)``."""
    # OpenCV's thread pool does not survive the fork that makes a worker.
    cv2.setNumThreads(0)
