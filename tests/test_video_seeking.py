"""Reading may begin at any frame: what comes is what a pass from the first frame gives, to the byte."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_core.io.frame_pictures import to_rgb
from pose_core.io.frame_ranges import FrameRange
from pose_core.io.video import VideoFile
from pose_core.io.video_decoder import VideoDecoder
from pose_core.io.video_index import find_index
from pose_core.pipeline.video import VideoSource
from pose_core.synthetic.videos import copy_packets, overwrite_bytes, write_numbered_video
from tests.conftest import PoseCommand
from tests.helpers.tiny_run import make_run

FRAMES, EVERY = 60, 12
X264 = {"preset": "ultrafast", "sc_threshold": "0", "b_strategy": "0"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:bframes=2:scenecut=0:keyint=12:min-keyint=12"}
OPEN = {"x264-params": "open-gop=1:scenecut=0"}
OPEN_X265 = {"preset": "ultrafast", "x265-params": X265["x265-params"] + ":open-gop=1"}
UNEVEN = np.cumsum([0, *([1, 1, 4, 1, 7, 2, 1] * 9)[: FRAMES - 1]]).tolist()

KINDS: dict[str, dict[str, Any]] = {
    "h264.mp4": {"options": X264 | {"bf": "3"}},
    "h264_open.mp4": {"options": X264 | OPEN | {"bf": "3"}},
    "h264_uneven.mp4": {"options": X264 | {"bf": "2"}, "times": UNEVEN},
    "h264_open.mkv": {"options": X264 | OPEN | {"bf": "3"}},
    "h264.ts": {"options": X264 | {"bf": "2"}},
    "h264_open.ts": {"options": X264 | OPEN | {"bf": "3"}},
    "h264_uneven.ts": {"options": X264 | {"bf": "2"}, "times": UNEVEN},
    "h264.flv": {"options": X264 | {"bf": "2"}},
    "h264.avi": {"options": X264 | {"bf": "0"}},
    "h264_b.avi": {"options": X264 | {"bf": "3"}},
    "h264_open.avi": {"options": X264 | OPEN | {"bf": "3"}},
    "h264_refresh.mp4": {"options": {"preset": "ultrafast", "x264-params": "intra-refresh=1:bframes=0"}},
    "raw.h264": {"options": X264 | {"bf": "2"}},
    "hevc.mp4": {"codec": "libx265", "options": X265},
    "hevc_open.mkv": {"codec": "libx265", "options": OPEN_X265},
    "hevc_open.ts": {"codec": "libx265", "options": OPEN_X265},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4_b.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "mpeg4_b.mkv": {"codec": "mpeg4", "options": {"bf": "2"}},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"bf": "2"}},
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"bf": "2"}},
    "mjpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "raw.avi": {"codec": "rawvideo"},
    "ffv1.mkv": {"codec": "ffv1"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "wmv2.wmv": {"codec": "wmv2"},
}
# An MPEG program stream has few times, a raw stream and WMV no places; intra refresh has no key frame but the first.
FROM_THE_START = {"raw.h264", "mpeg2.mpg", "wmv2.wmv", "h264_refresh.mp4"}


def make_video(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.exists():
        write_numbered_video(path, FRAMES, keyframe_every=EVERY, **KINDS[name])
    return path


def read(video: VideoFile, start: int = 0) -> list[tuple[int, str | None, str | None]]:
    """Number of each frame, a hash of its picture, and why it has none."""
    return [
        (number, None if frame is None else hashlib.sha256(to_rgb(frame).tobytes()).hexdigest(), reason)
        for number, frame, reason in video.frames(start)
    ]


@pytest.fixture(scope="module")
def passes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, list[Any]]]:
    """The file of a kind, and all its frames in one pass."""
    folder = tmp_path_factory.mktemp("kinds")
    known: dict[str, tuple[Path, list[Any]]] = {}

    def find(name: str) -> tuple[Path, list[Any]]:
        if name not in known:
            path = make_video(folder, name)
            known[name] = path, read(VideoFile(path))
        return known[name]

    return find


@pytest.mark.parametrize("name", KINDS)
def test_every_chunk_is_that_of_a_pass_from_the_start(
    name: str, passes: Callable[[str], tuple[Path, list[Any]]]
) -> None:
    path, whole = passes(name)
    assert [number for number, _, _ in whole] == list(range(FRAMES))
    assert all(picture for _, picture, _ in whole)
    video = VideoFile(path)
    for start in range(0, FRAMES, 7):
        assert read(video, start) == whole[start:], start
    assert (video.unseekable is not None) == (name in FROM_THE_START)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(KINDS)), start=st.integers(0, FRAMES - 1), threads=st.integers(0, 2))
def test_any_frame_with_any_number_of_threads(
    name: str, start: int, threads: int, passes: Callable[[str], tuple[Path, list[Any]]]
) -> None:
    path, whole = passes(name)
    assert read(VideoFile(path, threads), start) == whole[start:]


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["h264.mp4", "h264.ts", "h264_b.avi", "mpeg4_b.avi", "hevc.mp4", "mjpeg.avi"]),
    packet=st.integers(1, FRAMES - 1),
    start=st.integers(0, FRAMES - 1),
)
def test_a_chunk_of_a_damaged_file(
    name: str, packet: int, start: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Frames that neither reading calls missing or doubtful are the same; the join knows all damage."""
    path = make_video(tmp_path_factory.mktemp("damaged"), name)
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size and p.pos]
    position, size = places[min(packet, len(places) - 1)]
    # The head of the packet stays, or the container itself would be damaged.
    overwrite_bytes(path, position + size // 3, size // 2)
    video, later = VideoFile(path), VideoFile(path)
    whole, chunk = read(video), read(later, start)
    assert [number for number, _, _ in chunk] == list(range(start, video.timeline.frames))
    sure = set(range(FRAMES)) - spread(video.find_doubtful({})) - spread(later.find_doubtful({}))
    missing = {number for number, picture, _ in [*whole, *chunk] if picture is None}
    assert [item for item in chunk if item[0] in sure - missing] == [
        item for item in whole[start:] if item[0] in sure - missing
    ]


def spread(ranges: list[FrameRange]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@pytest.mark.parametrize("name", ["h264.mp4", "h264.ts", "mpeg4_b.mkv", "h264_b.avi"])
def test_a_file_that_begins_between_key_frames(name: str, tmp_path: Path) -> None:
    source = make_video(tmp_path, "h264.mp4" if "h264" in name else "mpeg4_b.mkv")
    path = tmp_path / f"cut_{name}"
    copy_packets(source, path, first=5)
    whole = read(VideoFile(path))
    assert any(picture is None for _, picture, _ in whole)
    assert any(picture is not None for _, picture, _ in whole)
    video = VideoFile(path)
    for start in range(0, len(whole), 5):
        assert read(video, start) == whole[start:], start


def test_only_what_is_wanted_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.mp4"
    write_numbered_video(path, 900, keyframe_every=EVERY, options=X264 | {"bf": "2"})
    video = VideoFile(path)
    assert video.unseekable is None
    decoded = 0
    decode = VideoDecoder._decoded

    def count(self: VideoDecoder, *given: Any) -> Iterator[Any]:
        nonlocal decoded
        for item in decode(self, *given):
            decoded += 1
            yield item

    monkeypatch.setattr(VideoDecoder, "_decoded", count)
    assert [number for number, _, _ in video.frames(890)] == list(range(890, 900))
    assert decoded <= EVERY + 10


def test_the_index_saves_reading_the_packets_and_is_that_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(tmp_path, "h264_open.ts")
    folder = tmp_path / "out" / ".index"
    folder.parent.mkdir()
    first = VideoFile(path, index=folder)
    whole = read(first)
    assert first.unseekable is None
    assert not folder.exists()
    first.keep_index()

    def fail(*given: object) -> None:
        raise AssertionError("the packets are read again")

    with monkeypatch.context() as patched:
        patched.setattr("pose_core.io.video_decoder.read_timeline", fail)
        patched.setattr(VideoDecoder, "_find_obstacle", fail)
        again = VideoFile(path, index=folder)
        assert read(again, 31) == whole[31:]
        assert again.timeline.fps == first.timeline.fps
        np.testing.assert_array_equal(again.timeline.times, first.timeline.times)
        assert (again.notes, again.width) == (first.notes, first.width)
    # One that is damaged is as none, and so is that of another file of the name.
    (kept,) = folder.iterdir()
    assert kept == find_index(folder, path)
    kept.write_bytes(kept.read_bytes()[:-50])
    assert read(VideoFile(path, index=folder), 31) == whole[31:]
    first.keep_index()
    write_numbered_video(path, 24, keyframe_every=EVERY)
    assert VideoFile(path, index=folder).timeline.frames == 24
    write_numbered_video(path, FRAMES, keyframe_every=EVERY, **KINDS["h264_open.ts"])
    first.keep_index()
    VideoFile(path, index=folder).remove_index()
    assert len(list(folder.iterdir())) == 1, "that of a file that is gone is not its own"


def test_a_prediction_leaves_no_index_and_says_where_it_cannot_seek(
    tmp_path: Path, pose: PoseCommand
) -> None:
    run = make_run(tmp_path / "run")
    path = tmp_path / "stream.mpg"
    write_numbered_video(path, 560, keyframe_every=EVERY, codec="mpeg2video")
    assert VideoSource(path).unseekable is not None
    done = pose("predict", run, path, "--out", tmp_path / "out", "--frames", "550-559")
    assert done.returncode == 0, done.stderr
    assert "frames before frame 550 are decoded, too" in done.stderr
    assert not (tmp_path / "out" / ".index").exists()
    done = pose("predict", run, path, "--out", tmp_path / "all", "--frames", "1-9")
    assert "are decoded, too" not in done.stderr
