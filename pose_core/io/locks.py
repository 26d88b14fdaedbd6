"""Lock files and folders against other processes, where the file system can.

One function tells a lock that another process holds from one that the file system does not know; network
mounts without locks must not stop anybody's work.
"""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import IO

from pose_core.errors import PoseError, argument, command

# Which of these a held lock raises differs between flock, msvcrt and NFS.
_HELD = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK})
_UNKNOWN = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


LOCK = "lock"
"""Name of the file that locks a folder."""


class HeldError(PoseError):
    """Another process holds the lock of a folder."""


class LockState(Enum):
    """What became of an attempt to lock a file."""

    LOCKED = "locked"
    HELD = "held by another process"
    UNKNOWN = "the file system knows no locks"


def try_lock(file: IO[bytes]) -> LockState:
    """Try to lock an open file; the system releases the lock when the file is closed or the process ends.

    Raises:
        OSError: for any other reason (EIO, ESTALE), which says nothing about other processes.
    """
    try:
        _lock(file)
    except OSError as error:
        if error.errno in _HELD:
            return LockState.HELD
        if error.errno in _UNKNOWN:
            return LockState.UNKNOWN
        raise
    return LockState.LOCKED


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


class FolderLock:
    """Lock a folder against a second process.

    The operating system releases the lock when the process ends, in whatever way.

    Args:
        folder: an existing folder.

    Attributes:
        known: whether the file system knows locks; where not, nothing keeps a second process away.

    Raises:
        HeldError: another process holds the lock.
        PoseError: the file system fails.
    """

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] = (folder / LOCK).open("ab")
        try:
            state = try_lock(self._file)
        except OSError as error:
            self._file.close()
            raise PoseError(
                f"{folder}: cannot be locked ({(error.strerror or str(error)).lower()}); try again, or choose "
                f"another {argument('out')}"
            ) from None
        if state is LockState.HELD:
            self._file.close()
            raise HeldError(
                f"{folder}: another {command('predict')} is working on the same result; wait "
                f"for it, or choose another {argument('out')}"
            )
        self.known = state is LockState.LOCKED

    def release(self) -> None:
        """Release the lock."""
        self._file.close()


@contextmanager
def wait_for_lock(path: Path) -> Iterator[None]:
    """Hold a lock that one process has at a time; the others wait.

    The operating system releases it when a process ends. On a file system without locks nobody waits.

    Args:
        path: of the lock file, which is created if needed and kept.

    Raises:
        OSError: the file system fails.
    """
    # The file stays: if it were deleted, a third process could lock a new one of the same name.
    with path.open("ab") as file:
        while try_lock(file) is LockState.HELD:
            # Polled, because waiting for a lock on Windows (msvcrt.LK_LOCK) gives up after ten seconds.
            time.sleep(0.1)
        yield
