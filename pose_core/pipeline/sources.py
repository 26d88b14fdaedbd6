"""Sources of frames: a video, image files, arrays in memory.

A source numbers its frames from 0 in the order in which they are shown, and yields every number exactly once.
A frame that cannot be decoded is yielded with the reason and without a picture, so that later numbers stay
right.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from pose_core.data.images import measure_reference_peak, open_image
from pose_core.errors import DataError
from pose_core.escapes import escape_name
from pose_core.io.frame_ranges import FrameRange
from pose_core.io.images import read_image_size
from pose_core.structures import ByteArray, FrameSpan, ImageFile, ImageReference, Instances, IntArray

IMAGE_EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
"""Files that are taken for images, in lower case."""

PEEKED = 8
"""Frames whose values are looked at before a source is predicted."""


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """One frame of a source.

    Attributes:
        index: from 0, in the order in which frames are shown.
        load: makes the picture, (H, W, 3) uint8 RGB; may be called in any thread and may raise a
            :class:`~pose_core.errors.PoseError`. None when the frame could not be decoded.
        reason: why there is no picture; None when there is one.
        image: the image as text, with bytes that are not UTF-8 escaped; None for videos and arrays.
        time: seconds after the first frame; None where the source has no times.
        given: poses that a caller gave with an image in memory, by the name of their supplier.
        on_device: the picture on the device where it was decoded there, (H, W, 3) uint8 RGB; ``load`` copies it.
    """

    index: int
    load: Callable[[], ByteArray] | None
    reason: str | None = None
    image: str | None = None
    time: float | None = None
    given: Mapping[str, Instances] = field(default_factory=dict)
    on_device: Tensor | None = None


@dataclass(frozen=True)
class SourceInfo:
    """Size and rate of a source, as known before reading.

    Attributes:
        name: the path as the user gave it, or ``array``.
        frames: how many there are.
        width, height: of the frames in pixels; 0 where unknown beforehand (image files).
        fps: frames a second, on average; 0 for images and arrays.
        even: whether frames follow each other at this rate, so that their numbers give their times.
        step: usual seconds between two frames; 0 where unknown.
    """

    name: str
    frames: int
    width: int
    height: int
    fps: float
    even: bool = True
    step: float = 0.0


class FrameSource(ABC):
    """A finite sequence of frames.

    Attributes:
        video: the file, where it is one of many frames; None for images.
        selected: which frames of a video or sequence these are, where they are not all.
    """

    video: Path | None = None
    selected: tuple[FrameSpan, ...] = ()

    @property
    @abstractmethod
    def info(self) -> SourceInfo:
        """Name, number of frames, size."""

    @property
    def total(self) -> int:
        """Number of frames of the video or sequence, of which some may have been selected."""
        return self.info.frames

    @property
    def numbers(self) -> Sequence[int] | IntArray:
        """Numbers of the frames, in order; by default all from 0."""
        return range(self.info.frames)

    @property
    def notes(self) -> list[str]:
        """A line for each thing that a user of the source should know and that is no damage."""
        return []

    @abstractmethod
    def read(self, start: int = 0) -> Iterator[SourceFrame]:
        """Yield the frames from the one at place ``start`` on, each once, in order."""

    @property
    def unseekable(self) -> str | None:
        """Why reading from a frame in the middle decodes all frames before it; None, the default: it does not."""
        return None

    def keep_index(self) -> None:
        """Keep what other processes would have to find out again about the source; by default nothing.

        Raises:
            OSError: it cannot be written.
        """
        return

    def remove_index(self) -> None:
        """Remove what :meth:`keep_index` wrote."""
        return

    def find_doubtful(self, missing: Mapping[str, Sequence[FrameRange]]) -> list[FrameRange]:
        """Find frames that were decoded after a damaged one which they refer to, and may show something wrong.

        Args:
            missing: ranges (first, last) of missing frames, by the reason that :meth:`read` gave; damage that it met
                in frames which are not wanted is known besides.

        Returns:
            ranges (first, last); none by default.
        """
        return []

    def identity(self) -> dict[str, object]:
        """Plain values that tell this source from another; empty for arrays.

        An interrupted prediction is resumed only where they are the same.
        """
        return {}

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Width and height of the frames, as far as they are known before reading, and what messages call
        these."""
        if self.info.width:
            yield "", (self.info.width, self.info.height)

    def measure_peaks(self) -> list[int]:
        """Find the largest values of the first frames of 16 bits that do not say how many of these they use.

        Empty for other frames, and by default.
        """
        return []


class ImageSource(FrameSource):
    """Images as one sequence.

    Args:
        name: path as the user gave it.
        images: in order; their files must exist.
    """

    def __init__(self, name: str, images: Sequence[ImageReference]) -> None:
        self._name = name
        self._images = list(images)

    @property
    def info(self) -> SourceInfo:
        """The size is 0: it is known only when the files are decoded."""
        return SourceInfo(self._name, len(self._images), 0, 0, 0.0)

    def read(self, start: int = 0) -> Iterator[SourceFrame]:
        """Yield the images from ``start`` on."""
        for index in range(start, len(self._images)):
            reference = self._images[index]
            try:
                # A file is decoded, and refused, when a helper thread loads the frame; a frame of a video is
                # decoded here, since a decoder goes through a video in order.
                yield SourceFrame(index, open_image(reference), image=escape_name(reference))
            except DataError as error:
                yield SourceFrame(index, None, str(error), escape_name(reference))

    def identity(self) -> dict[str, object]:
        """Number of images, and a hash of their names and of the sizes and times of their files."""
        digest = hashlib.sha256()
        for reference in self._images:
            stat = reference.path.stat()
            # Sizes and times, not contents: those would mean to read all files first.
            digest.update(f"{escape_name(reference.name)}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
        return {"images": [len(self._images), digest.hexdigest()]}

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Of each image file; damaged ones are reported when they are predicted."""
        for reference in self._images:
            if isinstance(reference, ImageFile):
                with suppress(DataError):
                    yield str(reference), read_image_size(reference.path)

    def measure_peaks(self) -> list[int]:
        """Of the first images; damaged ones are reported when they are predicted."""
        peaks: list[int] = []
        for reference in self._images[:PEEKED]:
            with suppress(DataError):
                peak = measure_reference_peak(reference)
                peaks += [] if peak is None else [peak]
        return peaks


class ArraySource(FrameSource):
    """Images in memory.

    Args:
        images: (B, H, W, 3) or (B, H, W) uint8, or a sequence of (H, W, 3) or (H, W) uint8 arrays.
        given: for each image poses by the name of their supplier; None: none are given.

    Attributes:
        images: (H, W, 3) uint8 RGB each.

    Raises:
        DataError: an image is not uint8 or has another shape; the message names it.
    """

    def __init__(
        self,
        images: Sequence[object] | npt.NDArray[np.generic],
        given: Sequence[Mapping[str, Instances]] | None = None,
    ) -> None:
        self.images = [as_rgb(image, f"image {i}") for i, image in enumerate(images)]
        self.given = [{}] * len(self.images) if given is None else list(given)

    @property
    def info(self) -> SourceInfo:
        """The size is 0 where images differ."""
        sizes = {image.shape[:2] for image in self.images}
        height, width = sizes.pop() if len(sizes) == 1 else (0, 0)
        return SourceInfo("array", len(self.images), width, height, 0.0)

    def read(self, start: int = 0) -> Iterator[SourceFrame]:
        """Yield the images without copying them."""
        for index in range(start, len(self.images)):
            yield SourceFrame(index, partial(_return_image, self.images[index]), given=self.given[index])


def _return_image(image: ByteArray) -> ByteArray:
    return image


def as_rgb(image: object, what: str) -> ByteArray:
    """Convert an image in memory to (H, W, 3) uint8 RGB.

    Args:
        image: (H, W, 3), (H, W, 1) or (H, W) uint8; gray gets three equal channels.
        what: how a message calls it.

    Raises:
        DataError: another type or shape, or no pixels.
    """
    if not isinstance(image, np.ndarray):
        raise DataError(
            f"{what} is a {type(image).__name__}; give numpy arrays of shape (H, W, 3) and dtype uint8"
        )
    if image.dtype != np.uint8:
        hint = "multiply by 255 and convert" if image.dtype.kind == "f" else "convert"
        raise DataError(f"{what} has dtype {image.dtype}; {hint} to uint8 in [0, 255] first")
    gray = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1)
    if not gray and not (image.ndim == 3 and image.shape[2] == 3):
        raise DataError(f"{what} has shape {image.shape}; it must be (H, W, 3) RGB or (H, W) gray")
    if 0 in image.shape:
        raise DataError(f"{what} has shape {image.shape}: it has no pixels")
    if gray:
        return cv2.cvtColor(image.reshape(image.shape[:2]), cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]
    return image
