"""Fetching published weights from a real server: checked, kept, shared between processes, and refused in one
line."""

from __future__ import annotations

import hashlib
import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from listening import Listener
from safetensors.torch import save_file
from torch import nn

from pose_core import reporting
from pose_core.errors import DownloadError, PluginError, WeightsError
from pose_core.hooks import WeightSpec
from pose_core.interfaces import load_pretrained, read_tensors
from pose_core.io import downloads
from pose_core.io.downloads import RemoteFile, get_cache_folder, obtain
from pose_core.model.pretrained import fetch, remote_file

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """A web server on this machine.

    Attributes:
        url: of its root.
        files: by path.
        requests: paths that were asked for.
        promise: bytes that it says a file has beyond those that it sends.
        cut: after so many bytes of an answer the connection breaks; 0: never.
        tag: by which it knows a file again; it then sends the rest of it on request. Empty: it does not.
        ranges: what was asked for of each file, empty for all of it.
        delay: seconds before it sends a file.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    promise: int = 0
    cut: int = 0
    tag: str = ""
    ranges: list[str] = field(default_factory=list)
    delay: float = 0.0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A running server with one file, reached directly."""
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    state = Server(files={"/snout.safetensors": CONTENT})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            content = state.files.get(self.path.partition("?")[0])
            if content is None:
                self.send_error(404)
                return
            time.sleep(state.delay)
            wanted = self.headers.get("Range", "")
            state.ranges.append(wanted)
            whole = not (wanted and state.tag and self.headers.get("If-Range") == state.tag)
            if not whole:
                content = content[int(wanted.removeprefix("bytes=").removesuffix("-")) :]
            if not content and not whole:
                self.send_error(416)
                return
            self.send_response(200 if whole else 206)
            self.send_header("Content-Length", str(len(content) + state.promise))
            if state.tag:
                self.send_header("ETag", state.tag)
            self.end_headers()
            self.wfile.write(content[: state.cut or None])

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        state.url = f"http://127.0.0.1:{running.server_address[1]}"
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield state
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder; nothing forbids downloads."""
    for variable in ("POSE_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


def spec(server: Server, sha256: str = DIGEST, name: str = "snout") -> WeightSpec:
    return WeightSpec(
        name,
        "toy/toy",
        f"{server.url}/snout.safetensors?download=true",
        sha256,
        "CC0-1.0",
        "a toy, on nothing",
    )


@pytest.mark.parametrize("digits", [8, 12, 64])
def test_a_file_is_downloaded_once_and_then_needs_no_network(
    server: Server, cache: Path, digits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch(spec(server, DIGEST[:digits]))
    assert path == cache / f"{DIGEST[:8]}-snout.safetensors"
    assert path.read_bytes() == CONTENT
    assert not list(cache.glob("*.part"))
    server.files.clear()
    monkeypatch.setenv("POSE_OFFLINE", "1")
    assert fetch(spec(server, DIGEST[:digits])) == path
    assert server.requests == ["/snout.safetensors?download=true"]


def test_what_is_not_the_published_file_is_not_kept(server: Server, cache: Path) -> None:
    other = spec(server, "0123456789abcdef")
    with pytest.raises(DownloadError, match=f"its sha256 begins {DIGEST[:8]}, not 01234567") as caught:
        fetch(other)
    assert_says_what_to_do(caught.value, other)
    assert not [p for p in cache.iterdir() if not p.name.endswith(".lock")]


def test_a_damaged_file_in_the_cache_is_refused(server: Server) -> None:
    path = fetch(spec(server))
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match="is damaged or another file") as caught:
        fetch(spec(server))
    assert str(path) in str(caught.value)
    assert len(server.requests) == 1


def assert_says_what_to_do(error: Exception, wanted: WeightSpec) -> None:
    line = str(error)
    assert "\n" not in line
    for part in (wanted.url, str(remote_file(wanted).path), "weights=none"):
        assert part in line


@pytest.mark.parametrize("variable", ["POSE_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_says_what_to_download_to_where(
    server: Server, variable: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(DownloadError, match=f"{variable} is set") as caught:
        fetch(spec(server))
    assert_says_what_to_do(caught.value, spec(server))
    assert not server.requests
    assert not cache.exists()
    monkeypatch.setenv(variable, "0")
    assert fetch(spec(server)).is_file()


def test_failing_downloads_say_why_and_what_to_do(
    server: Server, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    wanted = spec(server)
    server.promise = 7
    with pytest.raises(DownloadError, match=r"the connection ended after 1024000 of 1024007 bytes") as caught:
        fetch(wanted)
    assert_says_what_to_do(caught.value, wanted)
    server.files.clear()
    with pytest.raises(DownloadError, match="the server answers 404 Not Found") as caught:
        fetch(wanted)
    assert_says_what_to_do(caught.value, wanted)
    monkeypatch.setattr(downloads, "TIMEOUT", 0.1)
    server.files["/snout.safetensors"], server.delay = CONTENT, 0.5
    with pytest.raises(DownloadError, match=r"no answer within 0\.1 s"):
        fetch(wanted)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{nobody.getsockname()[1]}/x.pt"
        with pytest.raises(DownloadError, match=r"Connection refused|no answer"):
            obtain(RemoteFile(closed, "a toy"), "give up")
    with pytest.raises(DownloadError, match="unknown url type"):
        obtain(RemoteFile("nonsense", "a toy"), "give up")
    assert not [p for p in cache.iterdir() if not p.name.endswith(".lock")]


@pytest.mark.parametrize("known", [True, False])
def test_a_download_that_broke_off_is_gone_on_with(server: Server, cache: Path, known: bool) -> None:
    wanted = RemoteFile(f"{server.url}/snout.safetensors", "a toy", sha256=DIGEST if known else "")
    server.cut, server.tag = 400_000, '"first"'
    with pytest.raises(DownloadError, match=r"ended after 400000 of 1024000 bytes; the next attempt goes on"):
        obtain(wanted, "give up")
    assert not wanted.path.exists()
    server.cut = 300_000
    with pytest.raises(DownloadError, match="ended after 700000 of 1024000 bytes"):
        obtain(wanted, "give up")
    server.cut = 0
    assert obtain(wanted, "give up").read_bytes() == CONTENT
    assert server.ranges == ["", "bytes=400000-", "bytes=700000-"]
    assert not [p for p in cache.iterdir() if ".part" in p.name]


def test_the_rest_of_another_file_is_not_added(server: Server) -> None:
    wanted = RemoteFile(f"{server.url}/snout.safetensors", "a toy")
    server.cut, server.tag = 400_000, '"first"'
    with pytest.raises(DownloadError, match="the connection ended"):
        obtain(wanted, "give up")
    server.files["/snout.safetensors"], server.cut, server.tag = CONTENT[::-1], 0, '"second"'
    assert obtain(wanted, "give up").read_bytes() == CONTENT[::-1]


def test_a_beginning_that_is_all_of_it_is_fetched_anew(server: Server) -> None:
    wanted = RemoteFile(f"{server.url}/snout.safetensors", "a toy")
    server.promise, server.tag = 7, '"first"'
    with pytest.raises(DownloadError, match="the connection ended after 1024000 of 1024007"):
        obtain(wanted, "give up")
    server.promise = 0
    assert obtain(wanted, "give up").read_bytes() == CONTENT
    assert server.ranges == ["", "bytes=1024000-", ""]


def test_without_a_published_checksum_the_first_one_is_kept(server: Server) -> None:
    wanted = RemoteFile(f"{server.url}/snout.safetensors", "a toy")
    path = obtain(wanted, "give up")
    assert path.with_name(f"{path.name}.sha256").read_text() == f"{DIGEST}\n"
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match=rf"is damaged .* not {DIGEST[:8]}\); delete it and snout"):
        obtain(wanted, "give up")
    # One that was put there by hand may be replaced by hand.
    path.with_name(f"{path.name}.sha256").unlink()
    for content in (CONTENT[:-1], CONTENT):
        path.write_bytes(content)
        assert obtain(wanted, "give up") == path
    assert not path.with_name(f"{path.name}.sha256").exists()


def test_a_cache_that_cannot_be_written_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match="set POSE_CACHE to another folder, or use weights=none"):
        fetch(spec(server))


def test_proxies_of_the_environment_are_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    server.files["http://weights.invalid/a.pt"] = CONTENT
    assert obtain(RemoteFile("http://weights.invalid/a.pt", "a toy"), "give up").read_bytes() == CONTENT


def test_two_processes_download_a_file_once(server: Server, cache: Path) -> None:
    program = (
        "import sys\n"
        "from pose_core.hooks import WeightSpec\n"
        "from pose_core.model.pretrained import fetch\n"
        "print(fetch(WeightSpec('snout', 'toy/toy', *sys.argv[1:], 'CC0-1.0', 'a toy')), 'torch' in "
        "sys.modules)"
    )
    server.delay = 2.0
    command = [sys.executable, "-c", program, spec(server).url, DIGEST]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].split() for process in both]
    path = cache / f"{DIGEST[:8]}-snout.safetensors"
    assert outputs == [[str(path), "False"]] * 2
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert not list(cache.glob(".*.part"))


def test_large_files_announce_themselves(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener()
    monkeypatch.setattr(reporting, "_reporter", listener)
    fetch(spec(server))
    assert listener.notes == listener.steps == []
    monkeypatch.setattr(downloads, "WORTH_TELLING", 1000)
    obtain(RemoteFile(f"{server.url}/snout.safetensors", "a toy"), "give up")
    (line,) = listener.notes
    assert line == f"downloading a toy (1 MB) from {server.url}/snout.safetensors"
    assert listener.steps[-1] == ("downloading a toy", 1.0, 1.0)


def test_a_file_of_another_program_is_used_if_it_is_the_right_one(server: Server, tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    file = RemoteFile(f"{server.url}/snout.safetensors", "a toy", sha256=DIGEST, elsewhere=(other,))
    other.write_bytes(CONTENT)
    assert obtain(file, "give up") == other
    other.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"other\.pt: is damaged"):
        obtain(file, "give up")
    assert not server.requests


@pytest.mark.parametrize("sha256", ["abc", "0123456", "ABCDEF0123", "x" * 64, "0" * 65])
def test_a_checksum_that_is_none_is_the_plugins_fault(sha256: str) -> None:
    with pytest.raises(PluginError, match="sha256 must be 8 to 64"):
        RemoteFile("http://example.org/a.pt", "a toy", sha256=sha256)


def test_the_cache_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert get_cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("POSE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert get_cache_folder() == tmp_path / "xdg" / "pose_core"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    for platform, folder in (
        ("linux", tmp_path / ".cache" / "pose_core"),
        ("darwin", tmp_path / "Library" / "Caches" / "pose_core"),
        ("win32", tmp_path / "local" / "pose_core"),
    ):
        monkeypatch.setattr(sys, "platform", platform)
        assert get_cache_folder() == folder


def test_reading_never_runs_code(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(3.0)}
    save_file(tensors, tmp_path / "a.safetensors")
    torch.save(tensors, tmp_path / "a.pt")
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "wrapped.pth")
    for name, others in (("a.safetensors", ()), ("a.pt", ()), ("wrapped.pth", ("epoch",))):
        found = read_tensors(tmp_path / name)
        assert torch.equal(found.tensors["a"], tensors["a"])
        assert found.others == others
    torch.save(nn.Linear(1, 1), tmp_path / "code.pt")
    with pytest.raises(WeightsError, match=r"code\.pt: .*only running its code could make"):
        read_tensors(tmp_path / "code.pt")
    (tmp_path / "html.pt").write_bytes(b"<html>404</html>")
    (tmp_path / "html.safetensors").write_bytes(b"<html>404</html>")
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "a.txt").write_text("a")
    for name, message in (
        ("html.pt", "not a readable file of tensors"),
        ("html.safetensors", "not a readable safetensors file"),
        ("list.pt", "holds no tensors by name, but list"),
        ("a.txt", "end in .safetensors"),
        ("gone.pt", "no such file"),
    ):
        with pytest.raises(WeightsError, match=message) as caught:
            read_tensors(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_plugins_load_published_weights(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, module = nn.Linear(2, 3), nn.Linear(2, 3)
    torch.save({**source.state_dict(), "fc.weight": torch.zeros(1)}, tmp_path / "linear.pth")
    server.files["/linear.pth"] = (tmp_path / "linear.pth").read_bytes()
    file = RemoteFile(f"{server.url}/linear.pth", "the weights of a line")
    assert load_pretrained(
        module,
        file,
        required=True,
        option="model.backbone.pretrained",
        convert=lambda state: {k: v for k, v in state.items() if not k.startswith("fc.")},
    )
    assert torch.equal(module.weight, source.weight)
    with pytest.raises(WeightsError, match=r"another network: unexpected fc\.weight; delete it"):
        load_pretrained(module, file, required=False, option="model.backbone.pretrained")
    gone = RemoteFile(f"{server.url}/gone.pth", "the weights of a line")
    with pytest.raises(
        DownloadError, match=r"404.*or use settings=\{\"model\.backbone\.pretrained\": False\}"
    ):
        load_pretrained(module, gone, required=True, option="model.backbone.pretrained")
    assert not load_pretrained(module, gone, required=False, option="model.backbone.pretrained")
    (record,) = caplog.records
    assert "404" in record.getMessage()
    assert "training starts from random weights" in record.getMessage()
