"""Write files atomically, and explain disk errors in one line."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from pose_core.errors import PoseError, argument
from pose_core.io.name_lengths import name_temporary


def _numbers(*names: str) -> frozenset[int]:
    """Numbers of errors; systems lack some (Windows has no quota)."""
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


_FULL = _numbers("ENOSPC", "EDQUOT")
_IN_THE_WAY = _numbers("EISDIR", "ENOTDIR", "EEXIST", "ENOTEMPTY", "ELOOP")
_FORBIDDEN = _numbers("EACCES", "EPERM", "EROFS")
# The disk or the network behind it fails, or the file system cannot hold such a file.
_FAILING = _numbers("EIO", "ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "EREMOTEIO", "ENXIO", "ENODEV")
_NAMES = _numbers("ENAMETOOLONG", "EILSEQ", "EINVAL")
_LARGE = _numbers("EFBIG")
# What network file systems answer that cannot be told to write at once.
_NO_SYNC = _numbers("EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EACCES", "EPERM", "EBADF", "EROFS")

_NO_LINKS = _numbers("EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK")


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
        PoseError: the disk is full, read-only or fails, or something is in the way. OSErrors that say nothing
            about a disk pass unchanged.
    """
    try:
        yield
    except OSError as error:
        if line := explain_disk_error(error, folder, again):
            raise PoseError(line) from None
        raise


def explain_disk_error(error: OSError, folder: Path, again: str) -> str:
    """Explain an error of a disk in one line: where, the system's reason, what to do.

    Args:
        error: of the system.
        folder: the folder written to.
        again: what to do after freeing space.

    Returns:
        the line; empty where the error says nothing about a disk.
    """
    reason = _describe_error(error)
    another = f"choose another {argument('out')}"
    # filename2 is the target of a rename, the file that is in the way.
    place = error.filename2 or error.filename or folder
    if error.errno in _FULL:
        what = "no space left on the disk" if error.errno == errno.ENOSPC else reason
        return f"{folder}: {what}; free some and {again}"
    if error.errno in _FORBIDDEN:
        return f"{folder}: cannot be written ({reason}); {another}"
    if error.errno in _IN_THE_WAY:
        return f"{place}: is in the way ({reason}); remove it, or {another}"
    if error.errno in _LARGE:
        return f"{folder}: its file system does not hold files that large ({reason}); {another}"
    # Without a file the error is not about a name.
    if error.errno in _NAMES and error.filename:
        return f"{place}: its file system does not allow this name ({reason}); rename the input, or {another}"
    if error.errno in _FAILING:
        return f"{place}: the disk or its network fails ({reason}); {again}, or {another}"
    return ""


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
        _sync(file.fileno())
    temporary.replace(final)
    _sync_folder(final.parent)


def link_in_place(temporary: Path, final: Path) -> bool:
    """Give a finished file its final name unless there is one already: of several processes the first wins.

    Args:
        temporary: the finished file, in the same folder; it is removed.
        final: its new path; a file there is left alone.

    Returns:
        whether this file is the one that has the name now.

    Raises:
        OSError: the file system fails, or knows no links.
    """
    with temporary.open("rb+") as file:
        _sync(file.fileno())
    try:
        if sys.platform == "win32":
            # There a rename fails where the name is taken, as a link does elsewhere.
            temporary.rename(final)
            return True
        try:
            os.link(temporary, final)
        except FileExistsError:
            # The answer of a network file system may get lost, and the call that is repeated finds its own link.
            if temporary.stat().st_nlink < 2:
                return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise NoLinksError(*error.args) from None
        _sync_folder(final.parent)
        return True
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)


class NoLinksError(OSError):
    """The file system knows no hard links."""


def support_links(folder: Path) -> bool:
    """Try whether the file system of a folder keeps what several processes rely on.

    A file that is made exclusively must be made once, and a hard link must fail where its name is taken.

    Raises:
        OSError: nothing can be written there.
    """
    one, other, name = (folder / f".trial-{uuid.uuid4().hex[:12]}" for _ in range(3))
    try:
        one.touch(exist_ok=False)
        other.touch(exist_ok=False)
        try:
            one.touch(exist_ok=False)
        except FileExistsError:
            return link_in_place(one, name) and not link_in_place(other, name)
        return False
    except NoLinksError:
        return False
    finally:
        for path in (one, other, name):
            path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder, which are content of it."""
    # On Windows a folder cannot be opened.
    if sys.platform == "win32":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        # A folder may be written and not read.
        return
    try:
        _sync(handle)
    finally:
        os.close(handle)


def _sync(handle: int) -> None:
    """Wait until the disk has a file, where its file system can say so."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, whole or not at all; text is encoded as UTF-8."""
    temporary = name_temporary(path)
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
