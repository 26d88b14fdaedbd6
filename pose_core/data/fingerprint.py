"""A hash of the labels, so that a run can tell whether it is evaluated on the data it was trained with."""

from __future__ import annotations

import hashlib

import numpy as np

from pose_core.structures import LabelledDataset


def data_hash(dataset: LabelledDataset) -> str:
    """sha256 over keypoint names and, for each image in order of name, its name, size and labels."""
    digest = hashlib.sha256(repr((dataset.skeleton.keypoints, dataset.skeleton.unique_keypoints)).encode())
    for image in sorted(dataset.images, key=lambda i: i.name):
        digest.update(f"{image.name}\0{image.width}x{image.height}\0".encode())
        for array in (image.instances.keypoints, image.unique_keypoints, image.instances.identity):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
