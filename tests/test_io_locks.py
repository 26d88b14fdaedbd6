"""Locks on file systems that have them, that have none, and that fail."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from pose_core.errors import PoseError
from pose_core.io.files import disk_errors, put_in_place, write_whole
from pose_core.io.locks import FolderLock, HeldError, LockState, try_lock, wait_for_lock
from pose_core.prediction.journal import remove_leftover


def break_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Make every lock fail as on a mount that answers with this error."""

    def flock(file: object, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("name", ["ENOLCK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL"])
def test_a_file_system_without_locks_stops_nobody(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_locks(monkeypatch, getattr(errno, name))
    lock = FolderLock(tmp_path)
    assert not lock.known
    lock.release()
    with wait_for_lock(tmp_path / "weights.lock"):
        pass


@pytest.mark.parametrize("name", ["EAGAIN", "EWOULDBLOCK", "EACCES", "EDEADLK"])
def test_a_held_lock_is_another_process(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_locks(monkeypatch, getattr(errno, name))
    with pytest.raises(HeldError, match="is working on the same result; wait for it"):
        FolderLock(tmp_path)
    with (tmp_path / "lock").open("ab") as file:
        assert try_lock(file) is LockState.HELD


@pytest.mark.parametrize("name", ["EIO", "ESTALE", "EBADF"])
def test_a_failing_lock_gives_the_systems_reason(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = getattr(errno, name)
    break_locks(monkeypatch, number)
    with pytest.raises(PoseError) as caught:
        FolderLock(tmp_path)
    assert not isinstance(caught.value, HeldError)
    assert f"{tmp_path}: cannot be locked ({os.strerror(number).lower()})" in str(caught.value)
    with pytest.raises(OSError, match=r"Errno"), wait_for_lock(tmp_path / "weights.lock"):
        pass


def test_two_locks_of_one_folder(tmp_path: Path) -> None:
    first = FolderLock(tmp_path)
    assert first.known
    with pytest.raises(HeldError):
        FolderLock(tmp_path)
    first.release()
    FolderLock(tmp_path).release()


def test_without_locks_a_leftover_stays_as_somebody_may_work_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".a.partial"
    left.mkdir()
    with monkeypatch.context() as mount:
        break_locks(mount, errno.ENOLCK)
        remove_leftover(left)
    assert left.exists()
    remove_leftover(left)
    assert not left.exists()


# Disks.


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ENOSPC", "no space left on the disk; free some and"),
        ("EDQUOT", "quota exceeded; free some and"),
        ("EROFS", r"cannot be written \(read-only file system\)"),
        ("EFBIG", "does not hold files that large"),
        ("EIO", r"the disk or its network fails \(input/output error\)"),
        ("ESTALE", r"the disk or its network fails \(stale file handle\)"),
        ("ENOTCONN", "the disk or its network fails"),
        ("EILSEQ", "does not allow this name"),
        ("ENAMETOOLONG", r"does not allow this name \(file name too long\)"),
    ],
)
def test_what_a_disk_answers_is_one_line(name: str, words: str, tmp_path: Path) -> None:
    number = getattr(errno, name)
    with pytest.raises(PoseError, match=words) as caught, disk_errors(tmp_path):
        raise OSError(number, os.strerror(number), str(tmp_path / "a"))
    assert "\n" not in str(caught.value)


def test_other_errors_of_the_system_are_no_errors_of_a_disk(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), disk_errors(tmp_path):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.mark.parametrize("name", ["EINVAL", "ENOTSUP", "ENOSYS"])
def test_a_disk_that_cannot_sync_is_written_all_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(handle: int) -> None:
        raise OSError(getattr(errno, name), "no")

    monkeypatch.setattr(os, "fsync", fsync)
    write_whole(tmp_path / "a", "content")
    assert (tmp_path / "a").read_text() == "content"


def test_a_disk_that_fails_to_sync_keeps_the_former_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("former")
    (tmp_path / "new").write_text("later")

    def fsync(handle: int) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="no"):
        put_in_place(tmp_path / "new", tmp_path / "a")
    assert (tmp_path / "a").read_text() == "former"
