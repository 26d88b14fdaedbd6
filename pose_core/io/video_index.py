"""Keep what reading all packets of a video taught, so that other processes need not read them again.

An index is a file of its own, called by the video's name and a hash of its size, its time and its first and last
bytes: that of a video which was replaced, or is still growing, is another one.
"""

from __future__ import annotations

import hashlib
import io
import uuid
import zipfile
from pathlib import Path

import av
import numpy as np

from pose_core.escapes import escape_name
from pose_core.io.files import put_in_place
from pose_core.io.name_lengths import fit_stem, get_longest_name
from pose_core.io.packets import PacketTable
from pose_core.io.timeline import Timeline

_EDGE = 1 << 20
_VERSION = 1
"""Counts up when frames are numbered by other rules, or when the file has another form."""

_ARRAYS = ("numbers", "packets", "parts", "keys", "times")
_OF_TABLE = ("shown_at", "decoded_at", "position")
_EVEN, _NOTE, _ENDING = "even", "unseekable", ".npz"


def find_index(folder: Path, video: Path) -> Path:
    """Name the file of the index of a video.

    Raises:
        OSError: the video cannot be read.
    """
    stat = video.stat()
    digest = hashlib.sha256(f"{_VERSION} {av.__version__} {stat.st_size} {stat.st_mtime_ns}".encode())
    with video.open("rb") as file:
        digest.update(file.read(_EDGE))
        file.seek(max(0, stat.st_size - _EDGE))
        digest.update(file.read(_EDGE))
    ending = f"-{digest.hexdigest()[:16]}{_ENDING}"
    longest = get_longest_name(folder if folder.is_dir() else video.parent)
    return folder / (fit_stem(escape_name(video.name), (ending,), longest) + ending)


def save_index(path: Path, timeline: Timeline, unseekable: str | None, tried: bool) -> None:
    """Write an index, whole or not at all.

    Args:
        path: from :func:`find_index`.
        timeline: of the video.
        unseekable: why it is decoded from its beginning; None: it is not.
        tried: whether that is known.

    Raises:
        OSError: the file cannot be written.
    """
    table = timeline.table
    content = {name: getattr(timeline, name) for name in _ARRAYS}
    content |= {name: getattr(table, name) for name in _OF_TABLE}
    content["numbers_of_the_whole"] = np.array([timeline.frames, timeline.fps, timeline.step, timeline.even])
    if tried:
        content[_NOTE] = np.array(unseekable or "")
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **content)
    path.parent.mkdir(exist_ok=True)
    # Several processes may keep that of one video at a time; each has a file of its own until it is whole.
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}.new")
    try:
        temporary.write_bytes(packed.getvalue())
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_index(path: Path) -> tuple[Timeline, str | None, bool] | None:
    """Read what :func:`save_index` wrote; None where there is none, or it is damaged."""
    try:
        # Opened here: numpy leaves the file of a damaged archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            content = {name: kept[name] for name in kept.files}
        count = len(content["keys"])
        frames, fps, step, even = content["numbers_of_the_whole"].tolist()
        none = np.zeros(count, bool)
        shown_at, decoded_at, position = (content[name] for name in _OF_TABLE)
        table = PacketTable(shown_at, decoded_at, position, content["keys"], none, none, [], damaged=False)
        numbers, packets, parts, keys, times = (content[name] for name in _ARRAYS)
        timeline = Timeline(int(frames), numbers, packets, parts, keys, times, fps, bool(even), step, table)
        return timeline, str(content.get(_NOTE, "")) or None, _NOTE in content
    # Whatever is wrong with it: it is made again from the video.
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
