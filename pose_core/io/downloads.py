"""Download published files into the user's cache: once, checked, whole or not at all.

Environment:
    ``POSE_CACHE``    the cache folder.
    ``POSE_OFFLINE``  set to 1, nothing is downloaded (``HF_HUB_OFFLINE=1`` means the same).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from pose_core.errors import DownloadError, PluginError, WeightsError
from pose_core.io.files import put_in_place, write_whole
from pose_core.io.locks import wait_for_lock
from pose_core.io.name_lengths import name_temporary
from pose_core.reporting import current_reporter

TIMEOUT = 10.0
"""Seconds without an answer after which a server is given up."""

# Before a training somebody waits for the answer.
_ANSWER = 3.0

_OFFLINE = ("POSE_OFFLINE", "HF_HUB_OFFLINE")
_CHUNK = 1 << 20
WORTH_TELLING = 4 << 20
_DIGEST = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class RemoteFile:
    """A published file of weights.

    Attributes:
        url: where it is downloaded from.
        what: its name in messages (``the ImageNet weights timm/resnet18.a1_in1k``).
        name: its file name in the cache; the last part of the URL by default.
        sha256: of the file, or its first digits (8 at least). Empty where none is published: then the one that
            the file has when it is downloaded is kept beside it, and compared from then on.
        elsewhere: paths at which other programs keep the same file; it is used from there if it exists.

    Raises:
        PluginError: ``sha256`` is neither empty nor 8 to 64 lower-case hexadecimal digits.
    """

    url: str
    what: str
    name: str = ""
    sha256: str = ""
    elsewhere: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.sha256 and not _DIGEST.fullmatch(self.sha256):
            raise PluginError(
                f"{self.what}: sha256 must be 8 to 64 lower-case hexadecimal digits, not {self.sha256!r}; "
                "the plugin is broken"
            )

    @property
    def path(self) -> Path:
        """The path in the cache, whether the file exists or not; it may be put there by hand."""
        # Files of different networks are often called the same
        # (model.safetensors); the digest keeps them apart.
        name = self.name or PurePosixPath(unquote(urlsplit(self.url).path)).name or "file"
        return get_cache_folder() / "weights" / (f"{self.sha256[:8]}-{name}" if self.sha256 else name)


def get_cache_folder() -> Path:
    """Return the user's cache folder for pose_core.

    That is ``$POSE_CACHE`` where set, then ``$XDG_CACHE_HOME/pose_core`` where set,
    ``~/Library/Caches/pose_core`` on macOS, ``%LOCALAPPDATA%\\pose_core`` on Windows, and
    ``~/.cache/pose_core`` elsewhere.
    """
    if own := os.environ.get("POSE_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "pose_core"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pose_core"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "pose_core"
    return Path.home() / ".cache" / "pose_core"


def obtain(file: RemoteFile, otherwise: str) -> Path:
    """Find a file in the cache, or download it into the cache.

    Two processes that need the same file at once download it once. A download that broke off is gone on with,
    where the server knows that it still has the same file. Proxies of the environment are used.

    Args:
        file: the published file.
        otherwise: the alternative that messages offer (``use weights=none``).

    Returns:
        the path of the file.

    Raises:
        DownloadError: it is not cached and cannot be downloaded; one line names URL, path and ``otherwise``.
        WeightsError: the cached file is not the one that was published.
    """
    path = file.path
    for place in (path, *file.elsewhere):
        if place.is_file():
            _check_digest(file, place)
            return place
    if variable := _find_offline():
        raise _make_error(file, f"{variable} is set", otherwise)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with wait_for_lock(name_temporary(path, ".lock")):
            # Another process may have downloaded it while this one waited for the lock.
            if path.is_file():
                _check_digest(file, path)
            else:
                _download(file, path, otherwise)
    except OSError as error:
        reason = (
            "no space left on the disk"
            if error.errno == errno.ENOSPC
            else (error.strerror or str(error)).lower()
        )
        raise DownloadError(
            f"{path.parent}: cannot store {file.what} in this cache ({reason}); set POSE_CACHE to another "
            "folder, "
            f"or {otherwise}"
        ) from None
    return path


def can_obtain(file: RemoteFile) -> bool:
    """Tell whether :func:`obtain` would find the file here, or its server answers for it. Nothing is stored."""
    if any(place.is_file() for place in (file.path, *file.elsewhere)):
        return True
    if _find_offline():
        return False
    # Imported late, as below.
    import urllib.request

    request = urllib.request.Request(file.url, headers={"User-Agent": "pose-core"}, method="HEAD")
    try:
        with urllib.request.build_opener().open(request, timeout=_ANSWER):
            return True
    except (OSError, HTTPException, ValueError):
        return False


def _find_offline() -> str:
    """Find the environment variable that forbids downloads; empty where none does."""
    return next((name for name in _OFFLINE if os.environ.get(name, "") not in ("", "0")), "")


def _make_error(file: RemoteFile, reason: str, otherwise: str) -> DownloadError:
    return DownloadError(
        f"cannot download {file.what} ({reason}): download {file.url} by other means to {file.path}, or "
        f"{otherwise}"
    )


def _check_digest(file: RemoteFile, path: Path) -> None:
    """Compare a file with its published checksum, or with the one that was kept when it was downloaded."""
    kept = _name_kept_digest(path)
    expected = file.sha256
    if not expected and path == file.path and kept.is_file():
        expected = kept.read_text(encoding="ascii", errors="replace").strip()
    # Of a file that was put there by hand nothing is kept: whoever puts a better one in its place means it.
    if not expected:
        return
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if not found.startswith(expected):
        again = "delete it" if file.sha256 else f"delete it and {kept.name}"
        raise WeightsError(
            f"{path}: is damaged or another file than {file.what} (its sha256 begins {found[:8]}, not "
            f"{expected[:8]}); {again} to download it again"
        )


def _name_kept_digest(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _download(file: RemoteFile, path: Path, otherwise: str) -> None:
    # In the folder of the target: a rename is atomic only within a file system. What has come stays there when a
    # connection breaks, together with the mark by which the server knows the file again.
    temporary, mark = name_temporary(path, ".part"), name_temporary(path, ".part.mark")
    try:
        # A second time only where what was there turned out to be no beginning of the file.
        while not _receive(file, temporary, mark, otherwise):
            temporary.unlink()
        with temporary.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if not found.startswith(file.sha256):
            mark.unlink(missing_ok=True)
            raise _make_error(
                file,
                f"the server sent another file: its sha256 begins {found[:8]}, not {file.sha256[:8]}",
                otherwise,
            )
        if not file.sha256:
            write_whole(_name_kept_digest(path), f"{found}\n")
        put_in_place(temporary, path)
        mark.unlink(missing_ok=True)
    finally:
        if not mark.is_file():
            temporary.unlink(missing_ok=True)


def _receive(file: RemoteFile, temporary: Path, mark: Path, otherwise: str) -> bool:
    """Receive a file, or the rest of it; False where the server has nothing beyond what is there."""
    begun = temporary.stat().st_size if temporary.is_file() and mark.is_file() else 0
    with _open_url(file, otherwise, begun, mark.read_text(encoding="latin-1") if begun else "") as response:
        if response is None:
            return False
        # Any other answer than 206 (partial content) is the whole file from its beginning.
        done = begun if response.status == 206 else 0
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdigit() else None
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        # A weak tag says that two files mean the same, not that their bytes are the same.
        if tag and not tag.startswith("W/"):
            mark.write_text(tag, encoding="latin-1")
        else:
            mark.unlink(missing_ok=True)
        progress = _Progress(file, total, done)
        with temporary.open("ab" if done else "wb") as target:
            while chunk := _read_chunk(response, file, otherwise):
                target.write(chunk)
                done += len(chunk)
                progress.at(done)
    # read() ends without an error where a connection breaks off between two chunks.
    if total is not None and done != total:
        more = "; the next attempt goes on from there" if mark.is_file() else ""
        raise _make_error(file, f"the connection ended after {done} of {total} bytes{more}", otherwise)
    # Where the file system has no locks, another process may have written here, too.
    if temporary.stat().st_size != done:
        mark.unlink(missing_ok=True)
        raise _make_error(file, "another process downloads it at the same time; try again later", otherwise)
    return True


@contextmanager
def _open_url(file: RemoteFile, otherwise: str, begun: int, mark: str) -> Iterator[HTTPResponse | None]:
    """Ask for a file, or for what follows the bytes of it that are there; None where nothing does."""
    # Imported late: it takes a while, and listing models needs none of it.
    import urllib.request

    headers = {"User-Agent": "pose-core"}
    if begun:
        # The rest only of the same file: else the server sends the whole of the new one.
        headers |= {"Range": f"bytes={begun}-", "If-Range": mark}
    try:
        request = urllib.request.Request(file.url, headers=headers)
        response = urllib.request.build_opener().open(request, timeout=TIMEOUT)
    except (OSError, HTTPException, ValueError) as error:
        if begun and getattr(error, "code", None) == 416:
            yield None
            return
        raise _make_error(file, _describe_error(error), otherwise) from None
    with response:
        yield response


def _read_chunk(response: HTTPResponse, file: RemoteFile, otherwise: str) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, HTTPException) as error:
        raise _make_error(file, _describe_error(error), otherwise) from None


def _describe_error(error: Exception) -> str:
    """Describe in a few words why a download failed."""
    code = getattr(error, "code", None)
    if code is not None:
        return f"the server answers {code} {getattr(error, 'reason', '')}".strip()
    # URLError wraps the cause: an exception, or only its text.
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    if isinstance(cause, socket.gaierror):
        return "no network or no name server"
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno)
    return next(iter(str(cause).splitlines()), "") or type(cause).__name__


class _Progress:
    """Tell of the download of a large file."""

    def __init__(self, file: RemoteFile, total: int | None, begun: int) -> None:
        self._total = total
        self._what = f"downloading {file.what}"
        self._silent = total is not None and total < WORTH_TELLING
        if not self._silent:
            size = f" ({total / 1e6:.0f} MB)" if total is not None else ""
            size += f" from byte {begun} on" if begun else ""
            current_reporter().note(f"{self._what}{size} from {file.url}")

    def at(self, done: int) -> None:
        if not self._silent:
            # As a share: megabytes a second are not what anybody waits for.
            share = done / self._total if self._total else 0.0
            current_reporter().progress(self._what, share, 1.0 if self._total else None)
