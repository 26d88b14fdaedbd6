"""Decide whether tracks are individuals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

from pose_core.errors import setting
from pose_core.structures import IntArray

_NUMBERED = re.compile(r"(track|instance|animal)?[ _-]*\d*", re.IGNORECASE)
"""Names that trackers give; equal ones in two videos mean nothing."""


def find_individuals(
    tracks: Sequence[str],
    track: IntArray,
    image: IntArray,
    video: IntArray,
    identified: bool | Literal["auto"],
) -> tuple[tuple[str, ...], IntArray, bool, list[str]]:
    """Decide whether tracks are individuals, and which each animal is.

    Args:
        tracks: names of all tracks.
        track: (N,) track of each animal; -1: none.
        image: (N,) its image.
        video: (N,) its video.
        identified: as in the reader's settings.

    Returns:
        names of the individuals (of unknown ones ``animal1`` ...), (N,) individual of each animal, -1 where
        unknown, whether they are known, and notes.
    """
    most = int(np.bincount(image).max()) if len(image) else 1
    unknown = ("animal",) if most == 1 else tuple(f"animal{i + 1}" for i in range(most))
    nobody = np.full(len(track), -1, np.int64)
    names = sorted({tracks[i] for i in np.unique(track[track >= 0])})
    videos = len(np.unique(video))
    notes: list[str] = []
    if identified == "auto":
        if not names:
            return unknown, nobody, False, notes
        known = _agree(tracks, track, video, names)
        count = f"{_count(len(names), 'name')} of tracks in {_count(videos, 'video')}"
        if not known:
            notes.append(
                f"{count} not taken for individuals, since a track belongs to its video; where they name the same "
                f"animals everywhere: {setting('data.reader.type=sleap', 'data.reader.identified=true')}"
            )
            return unknown, nobody, False, notes
        notes.append(
            f"{count} taken for individuals, the same in each; where they are not: "
            f"{setting('data.reader.type=sleap', 'data.reader.identified=false')}"
        )
    elif not identified or not names:
        return unknown, nobody, False, notes
    at = {name: i for i, name in enumerate(names)}
    rows = np.array([at.get(name, -1) for name in tracks], np.int64)
    identity = np.where(track >= 0, rows[track], -1)
    # Two animals of an image cannot be one individual.
    keys = np.stack([image, identity], axis=1)
    _, back, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    doubled = (counts[back.reshape(-1)] > 1) & (identity >= 0)
    if doubled.any():
        notes.append(
            f"{int(doubled.sum())} animals share an individual's name with another of their image and count as "
            "unknown"
        )
        identity = np.where(doubled, -1, identity)
    # As many individuals as an image holds animals, named or not.
    return (*names, *(f"unknown{i + 1}" for i in range(most - len(names)))), identity, True, notes


def _agree(tracks: Sequence[str], track: IntArray, video: IntArray, names: Sequence[str]) -> bool:
    """Whether every video names the same animals, and every animal is named."""
    present = np.unique(video)
    if len(present) < 2 or (track < 0).any() or all(_NUMBERED.fullmatch(name) for name in names):
        return False
    return all({tracks[i] for i in np.unique(track[video == v])} == set(names) for v in present)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
