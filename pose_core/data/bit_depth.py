"""Decide how many bits the samples of a project's 16-bit images use.

Machine-vision cameras store 10 or 12 bits in 16, and few files say so. The depth is decided once for all
images of a project, and kept with the run: decided image by image, brightness would change from frame to
frame, and between training and prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pose_core.data.images import measure_reference_peak
from pose_core.errors import setting
from pose_core.structures import ImageReference, LabelledDataset

DEPTHS = (10, 12, 14, 16)
"""Depths of cameras that store samples in 16 bits."""

_AT_ONCE = 4


def decide_bit_depth(images: Sequence[ImageReference]) -> tuple[int | None, tuple[str, ...]]:
    """Decide the depth by the largest value of all images that do not say theirs.

    Args:
        images: of the project.

    Returns:
        the depth, None where every image has 8 bits or says its depth; and notes for the user.

    Raises:
        DataError: an image cannot be read.
    """
    peaks = measure_peaks(images)
    if not peaks:
        return None, ()
    depth = min(d for d in DEPTHS if max(peaks) < 2**d)
    if depth == 16:
        return depth, ()
    note = (
        f"{describe_peaks(peaks)}: read as {depth} bits in 16, here and in prediction; "
        f"{setting('data.bit_depth=16')} (or 12 ...) states another depth"
    )
    return depth, (note,)


def measure_peaks(images: Sequence[ImageReference]) -> list[int]:
    """Find the largest values of the 16-bit images that do not say how many bits they use.

    Raises:
        DataError: an image cannot be read.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [peak for peak in pool.map(measure_reference_peak, images) if peak is not None]


def describe_peaks(peaks: Sequence[int]) -> str:
    """Count the images and name their largest value."""
    count = "1 image is" if len(peaks) == 1 else f"{len(peaks)} images are"
    return f"{count} 16-bit with values up to {max(peaks)} only"


def with_bit_depth(dataset: LabelledDataset, depth: int | None) -> LabelledDataset:
    """The same project with its images read at this depth."""
    if depth is None:
        return dataset
    images = (replace(image, image=replace(image.image, bit_depth=depth)) for image in dataset.images)
    return replace(dataset, images=tuple(images))
