"""List the frames of a .slp file that can be predicted: those suggested for labelling, or labelled."""

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
        lost: number of frames whose images were to be embedded and are not.
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
            position, rows = frames.list_instances(np.arange(len(frames.frame)))
            user = np.unique(position[instances["instance_type"][rows] == USER])
        labelled = frames.keys[user]
        waiting = join_places(suggestions[:, 0], suggestions[:, 1])
        known = {*labelled.tolist(), *join_places(negative[:, 0], negative[:, 1]).tolist()}
        keys = np.unique(np.concatenate([waiting, labelled]))
        places = split_places(keys)
        found = PlaceFinder(path, videos, folder, reader).find(places)
        kept = [
            (place, (int(row[0]), int(row[1]))) for place, row in zip(found, places, strict=True) if place
        ]
        suggested = [row not in known for _, row in kept]
        return cls(kept, suggested, contents, len(places) - len(kept))
