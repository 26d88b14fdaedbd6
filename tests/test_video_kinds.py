"""Frames of recordings as cameras, recorders and editors leave them: numbers, pictures and times, in every
container, against what FFmpeg itself makes of the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pose_core.io.frame_pictures import to_rgb
from pose_core.io.video import VideoFile
from pose_core.io.video_decoder import NO_KEY_FRAME
from pose_core.synthetic.videos import copy_packets, read_number, write_numbered_video

FRAMES = 24
DAMAGED = (
    "not decodable: its data in the file are missing or damaged",
    "damaged: the decoder met errors in it",
)
KEY_FRAME_EVERY = 8


@dataclass(frozen=True)
class Format:
    """A container and a codec in it."""

    ending: str
    codec: str
    options: dict[str, str] = field(default_factory=dict)
    pixels: str = "yuv420p"
    # Recorded into a file with exact times before it is cut.
    by_way_of: str = ".nut"

    @property
    def arguments(self) -> dict[str, Any]:
        return {
            "codec": self.codec,
            "options": self.options,
            "pixels": self.pixels,
            "keyframe_every": KEY_FRAME_EVERY,
        }


X264 = {"bf": "2", "sc_threshold": "0", "preset": "ultrafast", "b_strategy": "0"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:bframes=2:keyint=8:min-keyint=8:scenecut=0"}
VPX = {"deadline": "realtime", "cpu-used": "8"}
FORMATS = {
    "h264.mp4": Format(".mp4", "libx264", X264, by_way_of=".mp4"),
    "h264_open.mkv": Format(
        ".mkv", "libx264", X264 | {"x264-params": "open-gop=1:keyint=8:min-keyint=8"}, by_way_of=".mp4"
    ),
    "h264.avi": Format(".avi", "libx264", X264, by_way_of=".mp4"),
    "h264.ts": Format(".ts", "libx264", X264, by_way_of=".mp4"),
    "h264.flv": Format(".flv", "libx264", X264, by_way_of=".mp4"),
    "hevc.mov": Format(".mov", "libx265", X265, by_way_of=".mp4"),
    "hevc.ts": Format(".ts", "libx265", X265, by_way_of=".mp4"),
    "mpeg4.avi": Format(".avi", "mpeg4", {"bf": "0"}),
    "mpeg4_b.avi": Format(".avi", "mpeg4", {"bf": "2"}, by_way_of=".mov"),
    "mpeg4.mkv": Format(".mkv", "mpeg4", {"bf": "2"}, by_way_of=".mov"),
    "mpeg2.mpg": Format(".mpg", "mpeg2video", {"bf": "2"}, by_way_of=".mov"),
    "mpeg2.m2ts": Format(".m2ts", "mpeg2video", {"bf": "2"}, by_way_of=".mov"),
    "mjpeg.avi": Format(".avi", "mjpeg", pixels="yuvj420p"),
    "ffv1.mkv": Format(".mkv", "ffv1"),
    "vp8.webm": Format(".webm", "libvpx", VPX),
    "vp9.webm": Format(".webm", "libvpx-vp9", VPX),
    "av1.mp4": Format(
        ".mp4", "libsvtav1", {"preset": "12", "svtav1-params": "pred-struct=1"}, by_way_of=".mp4"
    ),
    "wmv2.wmv": Format(".wmv", "wmv2"),
}
# An AVI file has no times, an MPEG program stream few.
TIMED = [name for name in FORMATS if not name.endswith((".avi", ".mpg"))]
COVERED = ["h264.mp4", "h264.avi", "h264.ts", "mpeg4.mkv", "hevc.mov", "mpeg4.avi", "ffv1.mkv", "mjpeg.avi"]
TURNED = ["h264.mp4", "hevc.mov", "mpeg4.mkv", "av1.mp4"]


@dataclass
class Read:
    """What the program makes of a file."""

    shown: dict[int, int]
    missing: dict[int, str]
    times: list[float]
    video: VideoFile


def read(path: Path, quarters: int = 0) -> Read:
    video = VideoFile(path)
    shown, missing, order = {}, {}, []
    for number, frame, reason in video.frames():
        order.append(number)
        if frame is None:
            assert reason
            missing[number] = reason
        else:
            assert reason is None
            shown[number] = read_number(np.rot90(to_rgb(frame), -quarters))
    assert order == list(range(video.timeline.frames))
    return Read(shown, missing, video.timeline.times.tolist(), video)


def ask_ffmpeg(path: Path) -> tuple[list[int], list[float | None]]:
    """Numbers and times of the frames that FFmpeg decodes, in its order."""
    numbers, times = [], []
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        for packet in container.demux(stream):
            try:
                for frame in packet.decode():
                    numbers.append(read_number(np.asarray(frame.to_ndarray(format="rgb24"))))
                    times.append(frame.time)
            except av.FFmpegError:
                continue
    return numbers, times


def assert_random_access(path: Path, read: Read, quarters: int = 0) -> None:
    """Single frames are those of the whole."""
    video = VideoFile(path)
    for number in [*list(read.shown)[::-5], *list(read.shown)[::7]]:
        assert read_number(np.rot90(to_rgb(video.decode(number)), -quarters)) == read.shown[number]


def cut(name: str, folder: Path, **changes: Any) -> tuple[Path, list[tuple[int, bool]]]:
    """A copy of the packets; the numbers in them, and which are key frames."""
    kind = FORMATS[name]
    source, target = folder / f"source{kind.by_way_of}", folder / f"cut{kind.ending}"
    write_numbered_video(source, FRAMES, **kind.arguments)
    return target, copy_packets(source, target, **changes)


@pytest.mark.parametrize("name", FORMATS)
def test_whole(name: str, tmp_path: Path) -> None:
    kind = FORMATS[name]
    path = tmp_path / f"v{kind.ending}"
    write_numbered_video(path, FRAMES, **kind.arguments)
    ours = read(path)
    assert (ours.shown, ours.missing) == ({i: i for i in range(FRAMES)}, {})
    assert ours.times == pytest.approx([i / 30 for i in range(FRAMES)], abs=6e-4)
    assert ours.video.fps == pytest.approx(30)
    assert ours.video.notes == []
    assert ours.video.find_doubtful({}) == []
    assert ask_ffmpeg(path)[0] == list(range(FRAMES))
    assert_random_access(path, ours)


@pytest.mark.parametrize("first", [1, 5])
@pytest.mark.parametrize("name", FORMATS)
def test_cut_between_key_frames(name: str, first: int, tmp_path: Path) -> None:
    path, packets = cut(name, tmp_path, first=first)
    ours = read(path)
    numbers = [number for number, _ in packets]
    if path.suffix in (".mp4", ".mov"):
        # The writer lets the edit list begin with the first packet.
        numbers = [number for number in numbers if number >= numbers[0]]
    key = sorted(numbers).index(next(number for number, is_key in packets if is_key))
    expected = dict(enumerate(sorted(numbers)))
    # What precedes the key frame, and with open groups what follows it and is shown before it, is lost.
    assert ours.missing == dict.fromkeys(range(key), NO_KEY_FRAME)
    assert ours.shown == {i: n for i, n in expected.items() if i >= key}
    assert bool(key) == (name != "mjpeg.avi")
    assert ours.video.find_doubtful({}) == []
    assert set(ours.shown.values()) <= set(ask_ffmpeg(path)[0])
    assert_random_access(path, ours)


@pytest.mark.parametrize("name", FORMATS)
def test_dropped_frames(name: str, tmp_path: Path) -> None:
    """Frames that never came leave a hole in the times (AVI: empty packets), and none in the numbers."""
    kind = FORMATS[name]
    path = tmp_path / f"v{kind.ending}"
    times = [i + 3 * (i > 6) + (i > 15) for i in range(FRAMES)]
    write_numbered_video(path, FRAMES, times=times, **kind.arguments)
    ours = read(path)
    assert (ours.shown, ours.missing) == ({i: i for i in range(FRAMES)}, {})
    assert ask_ffmpeg(path)[0] == list(range(FRAMES))
    if name in ("h264.avi", "mpeg4_b.avi"):
        # The empty places are where the packet is stored.
        assert ours.times[-1] == pytest.approx(times[-1] / 30)
    elif name != "mpeg2.mpg":
        assert ours.times == pytest.approx([t / 30 for t in times], abs=6e-4)
    if name == "mpeg2.mpg":
        return
    assert ours.video.fps == pytest.approx((FRAMES - 1) / times[-1] * 30, rel=1e-3)
    assert [n for n in ours.video.notes if "not evenly spaced (33.3 to 133 ms)" in n or "(33 to 1" in n]


@pytest.mark.parametrize("name", TIMED)
def test_variable_rate(name: str, tmp_path: Path) -> None:
    kind = FORMATS[name]
    path = tmp_path / f"v{kind.ending}"
    times = np.cumsum([0, *([1, 1, 4, 1, 7, 2, 1] * 4)[: FRAMES - 1]]).tolist()
    write_numbered_video(path, FRAMES, times=times, **kind.arguments)
    ours = read(path)
    assert (ours.shown, ours.missing) == ({i: i for i in range(FRAMES)}, {})
    assert ours.times == pytest.approx([t / 30 for t in times], abs=6e-4)
    assert ours.video.fps == pytest.approx(23 / times[-1] * 30, rel=1e-3)
    assert len(ours.video.notes) == 1
    theirs = ask_ffmpeg(path)[1]
    assert None not in theirs
    assert ours.times == pytest.approx([t - theirs[0] for t in theirs], abs=1e-6)


@pytest.mark.parametrize("name", COVERED)
def test_cover_picture(name: str, tmp_path: Path) -> None:
    path, _ = cut(name, tmp_path, cover=True, covered_by="mpeg2video" if name == "h264.ts" else "mjpeg")
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    ours = read(path)
    assert (ours.shown, ours.missing) == ({i: i for i in range(FRAMES)}, {})
    assert (ours.video.width, ours.video.height) == (64, 48)
    assert_random_access(path, ours)


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("name", TURNED)
def test_rotated(name: str, rotation: int, tmp_path: Path) -> None:
    path, _ = cut(name, tmp_path, rotation=rotation)
    quarters = rotation // 90
    ours = read(path, quarters)
    assert (ours.shown, ours.missing) == ({i: i for i in range(FRAMES)}, {})
    assert (ours.video.width, ours.video.height) == ((64, 48), (48, 64))[quarters % 2]
    assert_random_access(path, ours, quarters)


@pytest.mark.parametrize("name", FORMATS)
def test_truncated(name: str, tmp_path: Path) -> None:
    options = {"movflags": "faststart"} if FORMATS[name].ending in (".mp4", ".mov") else {}
    path, _ = cut(name, tmp_path, options=options)
    size = int(path.stat().st_size * 0.8)
    if path.suffix not in (".mpg", ".wmv"):
        with av.open(str(path)) as container:
            size = [p.pos or 0 for p in container.demux(video=0) if p.size][16] + 9
    path.write_bytes(path.read_bytes()[:size])
    ours = read(path)
    # Of those stored last some are shown after others that are gone, which a stream without an index cannot
    # tell from frames that were dropped; a part of a packet is a damaged frame.
    known = len(ours.shown) + len(ours.missing) == FRAMES
    sure = max(ours.shown) - (0 if known else 3)
    assert sure >= (12 if path.suffix not in (".mpg", ".wmv") else 5)
    assert min(ours.missing, default=sure) >= min(sure, 12)
    assert {i: n for i, n in ours.shown.items() if i <= sure} == {i: i for i in ours.shown if i <= sure}
    assert set(ours.missing.values()) <= {"the file ends before this frame", *DAMAGED}
    if FORMATS[name].ending in (".mp4", ".mov", ".avi"):
        assert known
        assert ours.missing[FRAMES - 1] == "the file ends before this frame"
