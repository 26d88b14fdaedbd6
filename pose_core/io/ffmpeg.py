"""Open videos with FFmpeg by paths, which it would else read more into than a name.

FFmpeg takes what stands before a colon for a protocol (``12:30.avi``, ``pipe:3.avi``), and ``%d`` in the names
of images for a pattern of many files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer

# AVFMT_NOFILE of libavformat: the format opens files by itself.
_NO_FILE = 1


def open_container(path: Path) -> InputContainer:
    """Open a file for reading, whatever letters its path has.

    Raises:
        av.FFmpegError, OSError: it cannot be opened.
    """
    # Formats without patterns do not know the option, and leave it alone.
    # Old cameras write titles in other encodings than UTF-8.
    return av.open(_as_url(path), options={"pattern_type": "none"}, metadata_errors="replace")


def create_container(path: Path, options: Mapping[str, str] | None = None) -> OutputContainer:
    """Create a file for writing; the ending names the format.

    Args:
        path: of the file.
        options: of the format.

    Raises:
        ValueError: the ending names no format, or one that writes several files (``.png``, ``.m3u8``).
        av.FFmpegError, OSError: it cannot be written.
    """
    container = av.open(_as_url(path), "w", options=dict(options or {}))
    # Such formats open files by themselves, under names that they make of the path.
    if container.format.flags & _NO_FILE:
        name = container.format.name
        container.close()
        raise ValueError(f"the format {name} is not a single file")
    return container


def _as_url(path: Path) -> str:
    """Write a path so that FFmpeg cannot take it for anything else."""
    # Nothing in the rest is interpreted: the protocol file has neither escapes nor options in its URL.
    return f"file:{path.absolute()}"
