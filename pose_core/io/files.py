"""Write files atomically, lock folders, and explain disk errors in one line."""

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

from pose_core.errors import PoseError, argument, command

# Windows has no quota error.
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
# Which of these a held lock raises differs between flock, msvcrt and NFS.
_HELD = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
_IN_THE_WAY = {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text, more strictly than Python's own parser.

    Raises:
        ValueError: it is not valid JSON, is nested too deeply, or holds a number that is not part of JSON
            (NaN) or too large for a float; such a number could not be written again.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_parse_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number in JSON")


def _parse_finite(text: str) -> float:
    # Python reads 1e999 as infinity without an error.
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is too large")
    return value


@contextmanager
def disk_errors(
    folder: Path, again: str = "run the same command again, it goes on from here"
) -> Iterator[None]:
    """Raise disk errors as a PoseError of one line that says what to do.

    Args:
        folder: the folder written to.
        again: what to do after freeing space.

    Raises:
        PoseError: the disk is full or read-only, or something is in the way. Other OSErrors pass unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise PoseError(f"{folder}: no space left on the disk; free some and {again}") from None
        if error.errno in _FORBIDDEN:
            raise PoseError(
                f"{folder}: cannot be written ({_describe_error(error)}); choose another {argument('out')}"
            ) from None
        if error.errno in _IN_THE_WAY:
            # filename2 is the target of a rename, the file that is in the way.
            place = error.filename2 or error.filename or folder
            reason = _describe_error(error)
            raise PoseError(
                f"{place}: is in the way ({reason}); remove it, or choose another {argument('out')}"
            ) from None
        raise


def _describe_error(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, unless they exist.

    Raises:
        PoseError: it cannot be created, or a file is in the way.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise PoseError(f"{folder}: is a file, not a folder; choose another {argument('out')}") from None
    except NotADirectoryError:
        raise PoseError(f"{folder}: a folder above it is a file; choose another {argument('out')}") from None
    except OSError as error:
        raise PoseError(
            f"{folder}: cannot be created ({_describe_error(error)}); choose another {argument('out')}"
        ) from None


def is_text(path: Path) -> bool:
    """Tell whether a file begins as a text does; false for an empty file and one that cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError:
        return False
    # Uncompressed video whose header is text, and whose pixels may all be letters.
    if not start or start.startswith(b"YUV4MPEG2"):
        return False
    # UTF-8 or an older encoding: both leave out the control characters that binary files are full of.
    return not any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in start)


def put_in_place(temporary: Path, final: Path) -> None:
    """Rename a finished file so that a crash or power cut leaves all of it or none.

    Args:
        temporary: the finished file, on the same file system.
        final: its new path; a file there is replaced.
    """
    # Without fsync the rename can reach the disk before the content does.
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(final)
    # The new name is content of the folder. On Windows a folder cannot be opened.
    if sys.platform != "win32":
        handle = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, whole or not at all; text is encoded as UTF-8."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class FolderLock:
    """Lock a folder against a second process.

    The operating system releases the lock when the process ends, in whatever way.

    Args:
        folder: an existing folder.

    Raises:
        PoseError: another process holds the lock.
    """

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] = (folder / "lock").open("ab")
        try:
            _lock(self._file)
        except OSError:
            self._file.close()
            raise PoseError(
                f"{folder}: another {command('predict')} is working on the same result; wait "
                f"for it, or choose another {argument('out')}"
            ) from None

    def release(self) -> None:
        """Release the lock."""
        self._file.close()


@contextmanager
def wait_for_lock(path: Path) -> Iterator[None]:
    """Hold a lock that one process has at a time; the others wait.

    The operating system releases it when a process ends. On a file system without locks nobody waits.

    Args:
        path: of the lock file, which is created if needed and kept.
    """
    # The file stays: if it were deleted, a third process could lock a new one of the same name.
    with path.open("ab") as file:
        while True:
            try:
                _lock(file)
                break
            except OSError as error:
                if error.errno not in _HELD:
                    break
            # Polled, because waiting for a lock on Windows (msvcrt.LK_LOCK) gives up after ten seconds.
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
    """Test whether a file exists, also for names that no file can have.

    ``Path.is_file`` raises OSError for some of these, such as a name of 500 letters in a label table.
    """
    try:
        return path.is_file()
    except OSError:
        return False


def natural_order(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key of a name in which ``img2`` comes before ``img10``."""
    parts = re.split(r"([0-9]+)", name.lower())
    return [
        (0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts if part
    ], name
