"""List the frames of a .slp file that predictions can be made of: suggested for labelling, labelled, marked empty."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pose_sleap.places import Place, PlaceFinder
from pose_sleap.slp_file import USER, join_places, open_slp, split_places
from pose_sleap.slp_videos import parse_videos


@dataclass(frozen=True)
class ProjectFrames:
    """Frames of a project.

    Attributes:
        places: image of each frame, with video and number of the frame; in that order, each once.
        suggested: for each whether it is suggested for labelling and has no labels of a user.
        videos: JSON of each video, as in the file.
        lost: number of suggested frames whose images were to be embedded and are not.
    """

    places: list[tuple[Place, tuple[int, int]]]
    suggested: list[bool]
    videos: list[dict[str, Any]]
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
            frames, instances = slp.read_frames(), slp.read_instances()
            suggestions, negative = slp.read_suggestions(), slp.read_negative_frames()
            position, numbers = frames.list_instances(np.arange(len(frames.frame)))
            user = np.unique(position[instances["instance_type"][numbers] == USER])
        labelled = frames.keys[user]
        waiting = join_places(suggestions[:, 0], suggestions[:, 1])
        known = {*labelled.tolist(), *join_places(negative[:, 0], negative[:, 1]).tolist()}
        keys = np.unique(np.concatenate([waiting, np.array(sorted(known), np.int64)]))
        places = split_places(keys)
        found = PlaceFinder(path, videos, folder, reader).find(places)
        new = [key not in known for key in keys.tolist()]
        rows = [(int(video), int(frame)) for video, frame in places.tolist()]
        return cls(
            places=[(place, row) for place, row in zip(found, rows, strict=True) if place is not None],
            suggested=[is_new for place, is_new in zip(found, new, strict=True) if place is not None],
            videos=contents,
            lost=sum(is_new for place, is_new in zip(found, new, strict=True) if place is None),
        )
