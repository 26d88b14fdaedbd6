"""Keep names of files within what a file system allows, counted in bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from pose_core.errors import PoseError, argument

_USUAL = 255
_NOT_ALLOWED = frozenset({errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG, errno.ENOENT})
_DIGITS = 8


def get_longest_name(folder: Path) -> int:
    """Return how many bytes a name in a folder may have: 255, or less on some file systems (encrypted ones).

    Args:
        folder: need not exist; then the one in which it would be made is asked.
    """
    # Windows has no pathconf, and counts letters; bytes are never fewer.
    if not hasattr(os, "pathconf"):
        return _USUAL
    for place in (folder, *folder.absolute().parents):
        try:
            # Some systems answer -1 (no limit) or count in other units, as FAT does.
            limit = os.pathconf(place, "PC_NAME_MAX")
        except (OSError, ValueError):
            continue
        return min(limit, _USUAL) if limit > 0 else _USUAL
    return _USUAL


def count_bytes(name: str) -> int:
    """Count the bytes of a name on disk: three for a Chinese letter."""
    return len(os.fsencode(name))


def fit_stem(stem: str, ends: Iterable[str], longest: int) -> str:
    """Shorten a stem in its middle, so that it fits with each of several ends.

    Args:
        stem: of a name.
        ends: what is put in front of or behind it.
        longest: bytes that a name may have.

    Returns:
        the stem itself where it fits; else its beginning, a hash of the whole, and its end. Different stems
        stay different, and one stem gives the same name each time.
    """
    room = longest - max(map(count_bytes, ends))
    if count_bytes(stem) <= room:
        return stem
    mark = f"-{_hash_name(stem)[:_DIGITS]}-"
    head = _cut(stem, (room - len(mark)) // 2)
    tail = _cut(stem[::-1], room - len(mark) - count_bytes(head))[::-1]
    return f"{head}{mark}{tail}"


def _cut(text: str, room: int) -> str:
    """Cut a text to as many letters as fit into some bytes."""
    kept, used = 0, 0
    for letter in text:
        used += count_bytes(letter)
        if used > room:
            break
        kept += 1
    return text[:kept]


def _hash_name(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()


def name_temporary(path: Path, end: str = ".new") -> Path:
    """Name a temporary file beside a file: hidden, and short where the whole name would be too long."""
    name = f".{path.name}{end}"
    if count_bytes(name) > get_longest_name(path.parent):
        name = f".{_hash_name(path.name)[: 2 * _DIGITS]}{end}"
    return path.with_name(name)


def check_name_allowed(path: Path) -> None:
    """Refuse a name that a file system does not take, by making a file of it and removing it.

    Some take no colons or question marks (FAT, Windows), others no bytes that are not UTF-8 (APFS).

    Args:
        path: of a file in a folder that exists; an existing file is left alone.

    Raises:
        PoseError: the name is not allowed there.
    """
    if path.exists() or re.fullmatch(r"[\w .,()+=-]*", path.name, re.ASCII):
        return
    try:
        path.touch(exist_ok=False)
        path.unlink()
    except OSError as error:
        if error.errno not in _NOT_ALLOWED:
            return
        reason = (error.strerror or str(error)).lower()
        raise PoseError(
            f"{path}: the file system there does not allow this name ({reason}); rename the input, or choose "
            f"another {argument('out')}"
        ) from None


def check_name(path: Path, name: str = "out") -> None:
    """Refuse a path to be written whose last part is too long.

    Args:
        path: to be written.
        name: of the argument that gave it.

    Raises:
        PoseError: says how long it is, and how long it may be.
    """
    longest = get_longest_name(path.parent)
    if (length := count_bytes(path.name)) > longest:
        raise PoseError(
            f"{path}: its name has {length} bytes, and names end at {longest} there; choose a shorter "
            f"{argument(name)}"
        )
