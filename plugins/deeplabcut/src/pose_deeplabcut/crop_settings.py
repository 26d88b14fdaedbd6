"""Read which part of videos a DeepLabCut project analyses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pose_core.errors import DataError
from pose_core.structures import Region

_CORNERS = ("x1", "x2", "y1", "y2")
_SEPARATOR = re.compile(r"[\\/]")


def read_crops(path: Path, content: Mapping[str, object]) -> tuple[Region | None, dict[str, Region]]:
    """Read the crop of a project with ``cropping: true``, and those of single videos in ``video_sets``.

    Args:
        path: of config.yaml, for messages.
        content: of it, every scalar as text.

    Returns:
        the crop of all videos, None where the file has none of ``x1``, ``x2``, ``y1``, ``y2``; and crops by
        the names of video files, without those that are the same.

    Raises:
        DataError: they are no whole pixels, or hold none.
    """
    given = {key: content[key] for key in _CORNERS if key in content}
    crop = _parse(path, "x1, x2, y1, y2", [given.get(key, "") for key in _CORNERS]) if given else None
    return crop, {name: region for name, region in _read_videos(path, content) if region != crop}


def _read_videos(path: Path, content: Mapping[str, object]) -> list[tuple[str, Region]]:
    videos = content.get("video_sets")
    if not isinstance(videos, Mapping):
        return []
    found = []
    for video, about in videos.items():
        text = about.get("crop") if isinstance(about, Mapping) else None
        if isinstance(text, str) and text.strip():
            where = f"video_sets.{video}.crop"
            # Paths are those of the computer where the project was made, which may have been of Windows.
            found.append((_SEPARATOR.split(str(video))[-1], _parse(path, where, text.split(","))))
    return found


def _parse(path: Path, where: str, values: Sequence[object]) -> Region:
    try:
        # DeepLabCut's own window for choosing a crop writes floats.
        numbers = [round(float(str(value))) for value in values]
        region = Region(*numbers)
    except (ValueError, OverflowError, TypeError):
        region = Region(0, 0, 0, 0)
    if not (0 <= region.x1 < region.x2 and 0 <= region.y1 < region.y2):
        raise DataError(
            f"{path}: cropping is true, and {where} must be whole pixels x1 < x2, y1 < y2 from 0, not "
            f"{', '.join(map(str, values))}; correct them, or set cropping to false"
        )
    return region
