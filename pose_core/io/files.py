"""Files that are either whole or not there, and one line when the disk does not play along."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

from pose_core.errors import PoseError

_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}
_HELD = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
_IN_THE_WAY = {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def parse_json(text: str | bytes) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: it is no JSON: not by its grammar, nested without end, or with numbers that JSON does not know (NaN)
            or no float can hold, which could not be written again.
    """
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is too large")
    return value


@contextmanager
def disk_errors(folder: Path, again: str = "run the same command again, it goes on from here") -> Iterator[None]:
    """Turns a full or read-only disk into a PoseError that says what to do.

    Args:
        folder: that is written to.
        again: what to do after making room.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise PoseError(f"{folder}: no space left on the disk; free some and {again}") from None
        if error.errno in _FORBIDDEN:
            raise PoseError(f"{folder}: cannot be written ({_reason(error)}); choose another --out") from None
        if error.errno in _IN_THE_WAY:
            place = error.filename2 or error.filename or folder
            raise PoseError(f"{place}: is in the way ({_reason(error)}); remove it, or choose another --out") from None
        raise


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises:
        PoseError: it cannot be made, or a file is in the way.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise PoseError(f"{folder}: is a file, not a folder; choose another --out") from None
    except NotADirectoryError:
        raise PoseError(f"{folder}: a folder above it is a file; choose another --out") from None
    except OSError as error:
        raise PoseError(f"{folder}: cannot be made ({_reason(error)}); choose another --out") from None


def put_in_place(temporary: Path, final: Path) -> None:
    """Rename a finished file so that a crash or power cut leaves either none or the whole of it."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(final)
    if sys.platform != "win32":  # there a folder cannot be opened
        handle = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, whole or not at all. Text is written as UTF-8."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class FolderLock:
    """Keeps a second process out of a folder. The operating system lifts it when the process ends, however it does.

    Args:
        folder: exists.

    Raises:
        PoseError: another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] = (folder / "lock").open("ab")
        try:
            _lock(self._file)
        except OSError:
            self._file.close()
            raise PoseError(
                f"{folder}: another 'pose predict' is working on the same result; wait for it, or choose another --out"
            ) from None

    def release(self) -> None:
        """Let others in."""
        self._file.close()


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Let one process in at a time; the others wait. The operating system lifts it when a process ends.

    Where the file system knows no locks, everybody is let in.

    Args:
        path: of the lock file, which is made if needed and stays.
    """
    with path.open("ab") as file:
        while True:
            try:
                _lock(file)
                break
            except OSError as error:
                if error.errno not in _HELD:
                    break
            time.sleep(0.1)
        yield


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_file(path: Path) -> bool:
    """Whether there is a file of a name that comes from a table.

    A name that no file can have, such as one of five hundred letters, is that of none; ``Path.is_file`` raises there.
    """
    try:
        return path.is_file()
    except OSError:
        return False


def natural_order(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key of a name in which ``img2`` comes before ``img10``."""
    parts = re.split(r"([0-9]+)", name.lower())
    return [(0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts if part], name
