"""Hash the labels, so that a run can tell whether it is evaluated on the data it was trained with."""

from __future__ import annotations

import hashlib

import numpy as np

from pose_core.structures import LabelledDataset


def data_hash(dataset: LabelledDataset) -> str:
    """Hash keypoint names and, for each image in order of name, its name, size and all labels (sha256)."""
    digest = hashlib.sha256(repr((dataset.skeleton.keypoints, dataset.skeleton.unique_keypoints)).encode())
    for image in sorted(dataset.images, key=lambda i: i.name):
        digest.update(f"{image.name}\0{image.width}x{image.height}\0".encode())
        labels = image.instances
        for array in (
            labels.keypoints,
            labels.boxes,
            labels.identity,
            labels.track,
            image.occluded,
            image.unique_keypoints,
            image.areas,
            image.ignore,
        ):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
