"""List the frames of a .slp file that predictions can be made of: suggested for labelling, labelled, marked empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pose_core.errors import DataError
from pose_core.structures import ImageReference, IntArray, VideoRange
from pose_sleap.places import Place, PlaceFinder
from pose_sleap.slp_file import USER, join_places, open_slp, split_places
from pose_sleap.slp_videos import SlpVideo, find_same, parse_videos


@dataclass(frozen=True)
class ProjectFrames:
    """Frames of a project.

    Attributes:
        places: image of each frame, with video and number of the frame; in that order, each once.
        suggested: for each whether it is suggested for labelling and has no labels of a user.
        videos: JSON of each video, as in the file.
        parsed: the videos.
        nodes: of each skeleton.
        reader: full name of the reader.
        lost: number of suggested frames whose images were to be embedded and are not.
    """

    places: list[tuple[Place, tuple[int, int]]]
    suggested: list[bool]
    videos: list[dict[str, Any]]
    parsed: list[SlpVideo]
    nodes: list[tuple[str, ...]]
    reader: str
    lost: int

    @classmethod
    def read(cls, path: Path, folder: str | None = None, reader: str = "sleap/sleap") -> ProjectFrames:
        """Read the frames of a project.

        Args:
            path: of the .slp file.
            folder: of videos, as in the reader's settings.
            reader: full name of the reader.

        Raises:
            DataError: the file is spoilt, or lacks a video.
        """
        with open_slp(path) as slp:
            videos, contents = parse_videos(slp), slp.videos
            nodes = [skeleton.nodes for skeleton in slp.skeletons]
            frames, instances = slp.read_frames(), slp.read_instances()
            suggestions, negative = slp.read_suggestions(), slp.read_negative_frames()
            position, numbers = frames.list_instances(np.arange(len(frames.frame)))
            user = np.unique(position[instances["instance_type"][numbers] == USER])
        labelled = frames.keys[user]
        waiting = join_places(suggestions[:, 0], suggestions[:, 1])
        known = {*labelled.tolist(), *join_places(negative[:, 0], negative[:, 1]).tolist()}
        keys = np.unique(np.concatenate([waiting, np.array(sorted(known), np.int64)]))
        places = split_places(keys)
        found = PlaceFinder(path, videos, folder, reader, settable=False).find(places)
        new = [key not in known for key in keys.tolist()]
        rows = [(int(video), int(frame)) for video, frame in places.tolist()]
        return cls(
            places=[(place, row) for place, row in zip(found, rows, strict=True) if place is not None],
            suggested=[is_new for place, is_new in zip(found, new, strict=True) if place is not None],
            videos=contents,
            parsed=videos,
            nodes=nodes,
            reader=reader,
            lost=sum(is_new for place, is_new in zip(found, new, strict=True) if place is None),
        )


def find_ranges(
    path: Path, ranges: Sequence[VideoRange], folder: str | None, reader: str
) -> tuple[ImageReference, ...]:
    """Find ranges of frames of a project's videos.

    Args:
        path: of the .slp file.
        ranges: of one video or of each.
        folder: of videos, as in the reader's settings.
        reader: full name of the reader.

    Returns:
        the frames, by video and number, each once.

    Raises:
        DataError: the file is spoilt, lacks a video, or has no such frames.
    """
    with open_slp(path) as slp:
        videos = parse_videos(slp)
    finder = PlaceFinder(path, videos, folder, reader, settable=False)
    same = find_same(videos)
    keys: list[IntArray] = []
    for wanted in ranges:
        found = finder.find_videos(wanted.video) if wanted.video is not None else range(len(videos))
        chosen = sorted({int(same[i]) for i in found})
        if not chosen or (wanted.video is not None and len(chosen) > 1):
            raise DataError(
                f"{path}: {wanted.video} is the name of {len(chosen) or 'none'} of its videos, which are "
                f"{finder.describe_videos()}"
            )
        # Before as many numbers are made as somebody may have typed.
        lasts = finder.find(np.array([[video, wanted.last] for video in chosen], np.int64))
        if None in lasts:
            raise DataError(
                f"{path}: holds no image of frame {wanted.last} ({wanted}); name the video itself"
            )
        numbers = np.arange(wanted.first, wanted.last + 1, wanted.step)
        keys += [join_places(np.full(len(numbers), video), numbers) for video in chosen]
    places = finder.find(split_places(np.unique(np.concatenate(keys))))
    images = [place.image for place in places if place is not None]
    if len(images) < len(places):
        raise DataError(
            f"{path}: holds images of {len(images)} of the {len(places)} frames {', '.join(map(str, ranges))}; name "
            "the video itself"
        )
    return tuple(images)
