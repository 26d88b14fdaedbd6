"""Find the keypoints that no training image has a label of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_core.structures import LabelledDataset, present_keypoints


def find_untrained(dataset: LabelledDataset, rows: Sequence[int]) -> tuple[str, ...]:
    """Find the keypoints that these images have no label of, unique ones last.

    A network has learned nothing of them: whatever it puts out is no position.

    Args:
        dataset: the project.
        rows: the training images.
    """
    skeleton = dataset.skeleton
    seen = np.zeros(skeleton.num_keypoints, bool)
    unique = np.zeros(len(skeleton.unique_keypoints), bool)
    for row in rows:
        image = dataset.images[row]
        seen |= present_keypoints(image.instances.keypoints).any(axis=0)
        unique |= present_keypoints(image.unique_keypoints)
    names = (*skeleton.keypoints, *skeleton.unique_keypoints)
    return tuple(name for name, there in zip(names, [*seen, *unique], strict=True) if not there)
