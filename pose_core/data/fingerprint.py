"""Hash labels and images, so that a run can tell which data it was trained with."""

from __future__ import annotations

import hashlib

import numpy as np

from pose_core.structures import EmbeddedImage, ImageReference, LabelledDataset, VideoFrame

_LOOKED_AT = 1 << 16
"""Bytes at the beginning of a file that tell it, with its size, from others; whole files would take minutes."""


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


def hash_image(image: ImageReference) -> str:
    """Hash where pixels come from: 16 hexadecimal digits that copies of a picture share under any name.

    Size and first 64 KiB of the file count, and the number of a frame or the key of an embedded image.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=8)
    with image.path.open("rb") as file:
        digest.update(file.read(_LOOKED_AT))
        digest.update(f"\0{file.seek(0, 2)}\0".encode())
    if isinstance(image, VideoFrame):
        digest.update(f"{image.index}".encode())
    elif isinstance(image, EmbeddedImage):
        digest.update(image.key.encode(errors="surrogateescape"))
    return digest.hexdigest()
