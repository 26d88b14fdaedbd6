"""Choose frames of videos, and read them one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pose_core.data.images import read_image
from pose_core.errors import DataError
from pose_core.io.video import open_video
from pose_core.structures import ByteArray, Region, VideoFrame


class SampledFrame(NamedTuple):
    """A frame of a video.

    Attributes:
        video: number of the video, from 0.
        frame: its number, from 0.
        image: (H, W, 3) uint8 RGB, the region of the frame that counts; None where it cannot be decoded.
    """

    video: int
    frame: int
    image: ByteArray | None


def choose_frames(counts: Sequence[int], number: int) -> list[tuple[int, int]]:
    """Choose frames evenly from all videos, one behind the other as if they were one.

    Args:
        counts: frames of each video.
        number: frames that are wanted; all, where there are not more.

    Returns:
        (number of the video, number of the frame), in order, each once.
    """
    ends = np.cumsum(counts)
    total = int(ends[-1])
    taken = min(number, total)
    # The middles of equal parts: neither the first frame nor the last, which often show a hand.
    places = (2 * np.arange(taken, dtype=np.int64) + 1) * total // (2 * taken)
    videos = np.searchsorted(ends, places, side="right")
    starts = ends - np.asarray(counts)
    return [(int(video), int(place - starts[video])) for video, place in zip(videos, places, strict=True)]


def read_frames(
    videos: Sequence[Path], number: int, bit_depth: int | None, regions: Mapping[int, Region | None]
) -> Iterator[SampledFrame]:
    """Read frames that are spread evenly over videos; see :func:`choose_frames`.

    Args:
        videos: their files.
        number: frames that are wanted.
        bit_depth: bits that samples of 16-bit formats use; None: all.
        regions: the part of frames that counts, by the number of the video; None: whole frames.

    Raises:
        VideoError: a file is missing, is no video, or none of its frames can be decoded.
    """
    counts = [open_video(path).timeline.frames for path in videos]
    for video, index in choose_frames(counts, number):
        try:
            image = read_image(VideoFrame(videos[video], index, bit_depth))
        except DataError:
            # Single frames of a recording may be damaged; how many is said at the end.
            yield SampledFrame(video, index, None)
            continue
        region = regions[video]
        if region is not None:
            image = np.ascontiguousarray(image[region.y1 : region.y2, region.x1 : region.x2])
        yield SampledFrame(video, index, image)
