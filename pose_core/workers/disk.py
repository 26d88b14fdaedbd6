"""What workers ask of the disk that they share: names, small files, times.

Each method is one or a few requests to a file server, which are what many workers run short of first. Whoever wants
to count them, or to try plans on a disk that is slower than this one, passes another disk.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pose_core.io.files import write_whole


class Disk:
    """The disk of this machine, or one that it has mounted."""

    def list_names(self, folder: Path) -> list[str]:
        """List what a folder holds.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        return [path.name for path in folder.iterdir()]

    def exists(self, path: Path) -> bool:
        """Test whether there is a file or folder."""
        return path.exists()

    def read(self, path: Path) -> bytes:
        """Read a small file.

        Raises:
            FileNotFoundError: there is none.
        """
        return path.read_bytes()

    def read_time(self, path: Path) -> float:
        """Read when a file was changed or touched, in seconds by the server's clock.

        Raises:
            FileNotFoundError: there is none.
        """
        return path.stat().st_mtime

    def touch(self, path: Path) -> None:
        """Set the time of a file to now.

        Raises:
            FileNotFoundError: there is none.
        """
        # Without times: the file server puts its own.
        os.utime(path)

    def make_folder(self, path: Path) -> None:
        """Make a folder, unless it is there, but not its parents.

        Raises:
            FileNotFoundError: the folder that it should be in is missing.
        """
        path.mkdir(exist_ok=True)

    def make_once(self, path: Path, content: str) -> bool:
        """Make a file, unless there is one: of several processes one succeeds.

        Raises:
            OSError: the disk is full or fails; nothing is left then.
        """
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return False
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return True

    def write_whole(self, path: Path, content: str) -> None:
        """Write a file, whole or not at all; one that is there is replaced."""
        write_whole(path, content)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        path.unlink(missing_ok=True)

    def remove_folder(self, path: Path) -> None:
        """Remove a folder and what it holds, as far as that is possible; another process may do the same."""
        shutil.rmtree(path, ignore_errors=True)


DISK = Disk()
