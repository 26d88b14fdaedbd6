"""Count what is labelled in a project."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from pose_core.data.auto_sizes import animal_lengths
from pose_core.structures import LabelledDataset, present_keypoints


@dataclass(frozen=True)
class LabelSummary:
    """What is labelled, in numbers.

    Attributes:
        images: number of labelled images.
        unlabelled: of these, those without any label.
        sizes: (width, height) in pixels -> number of images, the most frequent first.
        animals: number of labelled animals.
        most_animals: in one image.
        labelled: keypoint -> number of animals (or images, for keypoints that exist once a frame) that have it.
        occluded: number of labelled keypoints that are marked as hidden.
        lengths: 10th percentile, median and 90th percentile of the animals' lengths in pixels; None where no
            animal's size is known.
    """

    images: int
    unlabelled: int
    sizes: dict[tuple[int, int], int]
    animals: int
    most_animals: int
    labelled: dict[str, int]
    occluded: int
    lengths: tuple[float, float, float] | None


def summarize_labels(dataset: LabelledDataset) -> LabelSummary:
    """Count images, animals and keypoints of a project.

    Args:
        dataset: the labelled project.
    """
    skeleton, images = dataset.skeleton, dataset.images
    present = [present_keypoints(image.instances.keypoints) for image in images]
    unique = [present_keypoints(image.unique_keypoints) for image in images]
    animals = [int(there.any(axis=1).sum()) for there in present]
    counts = np.concatenate([*present, np.zeros((0, skeleton.num_keypoints), bool)]).sum(axis=0)
    of_frames = np.stack(unique).sum(axis=0) if unique and skeleton.unique_keypoints else np.zeros(0, int)
    names = (*skeleton.keypoints, *skeleton.unique_keypoints)
    lengths = animal_lengths(dataset, range(len(images)))
    return LabelSummary(
        images=len(images),
        unlabelled=sum(not n and not there.any() for n, there in zip(animals, unique, strict=True)),
        sizes=dict(Counter((image.width, image.height) for image in images).most_common()),
        animals=sum(animals),
        most_animals=max(animals, default=0),
        labelled=dict(zip(names, [*counts.tolist(), *of_frames.tolist()], strict=True)),
        occluded=sum(int(image.occluded.sum()) for image in images),
        lengths=tuple(np.percentile(lengths, (10, 50, 90)).tolist()) if len(lengths) else None,
    )
