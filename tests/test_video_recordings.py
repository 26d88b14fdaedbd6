"""Recordings that are odd and whole: fields, joined parts, marks of dropped frames, edit lists, wrong headers,
several videos, mirrored pictures; and those of which something is really lost."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from pose_core.errors import VideoError
from pose_core.io.frame_pictures import to_rgb
from pose_core.io.video import VideoFile
from pose_core.io.video_decoder import NO_KEY_FRAME
from pose_core.pipeline.video import VideoSource
from pose_core.synthetic.field_videos import write_field_video
from pose_core.synthetic.videos import (
    copy_packets,
    draw_number,
    overwrite_bytes,
    read_number,
    write_numbered_video,
)

FRAMES = 24
MPEG4 = {"codec": "mpeg4", "keyframe_every": 8}
X264 = {"options": {"bf": "2", "sc_threshold": "0", "b_strategy": "0"}, "keyframe_every": 8}


def read(path: Path) -> tuple[dict[int, int], dict[int, str], VideoFile]:
    video = VideoFile(path)
    shown, missing = {}, {}
    for number, frame, reason in video.frames():
        if frame is None:
            missing[number] = reason or ""
        else:
            shown[number] = read_number(to_rgb(frame))
    assert sorted([*shown, *missing]) == list(range(video.timeline.frames))
    single = VideoFile(path)
    for number in [*list(shown)[::-5], *list(shown)[::7]]:
        assert read_number(to_rgb(single.decode(number))) == shown[number]
    return shown, missing, video


@pytest.mark.parametrize("packets", ["fields", "pairs"])
@pytest.mark.parametrize("ending", ["ts", "m2ts", "mpg", "mp4", "mov", "mkv", "avi", "h264"])
def test_two_fields_are_one_frame(ending: str, packets: str, tmp_path: Path) -> None:
    path = tmp_path / f"v.{ending}"
    write_field_video(path, 40, packets=packets)
    shown, missing, video = read(path)
    assert (shown, missing) == ({i: i for i in range(40)}, {})
    assert (video.fps, video.notes) == (25, [])
    times = video.timeline.times
    # A raw stream has no clock, and an MPEG program stream does not say the time of each frame.
    assert np.isnan(times).all() == (ending == "h264")
    assert times == pytest.approx(
        np.where(np.isnan(times), np.nan, np.arange(40) / 25), abs=1e-3, nan_ok=True
    )
    assert not np.isnan(times).any() or ending in ("h264", "mpg")


@pytest.mark.parametrize("lost", [6, 7, 27])
@pytest.mark.parametrize("ending", ["ts", "mp4", "mkv", "avi"])
def test_a_field_without_its_partner_is_a_frame(ending: str, lost: int, tmp_path: Path) -> None:
    path = tmp_path / f"v.{ending}"
    write_field_video(path, 20, lost=[lost])
    shown, missing, _ = read(path)
    # The decoder shows no half of a frame.
    assert list(missing) == [lost // 2]
    assert shown == {i: i for i in range(20) if i != lost // 2}


PARTS = {
    "h264.ts": (".mp4", X264),
    "h264.mkv": (".mp4", X264),
    "h264.avi": (".mp4", X264),
    "mpeg4.avi": (".nut", MPEG4),
    "mpeg4.mkv": (".mov", MPEG4 | {"options": {"bf": "2"}}),
    "mpeg2.mpg": (".mov", {"codec": "mpeg2video", "keyframe_every": 8, "options": {"bf": "2"}}),
    "vp9.webm": (
        ".nut",
        {"codec": "libvpx-vp9", "keyframe_every": 8, "options": {"deadline": "realtime", "cpu-used": "8"}},
    ),
}


@pytest.mark.parametrize("cut_first", [False, True])
@pytest.mark.parametrize("name", PARTS)
def test_joined_recordings_follow_each_other(name: str, cut_first: bool, tmp_path: Path) -> None:
    way, arguments = PARTS[name]
    source, whole, cut, path = (tmp_path / n for n in (f"s{way}", f"w-{name}", f"c-{name}", name))
    write_numbered_video(source, FRAMES, **arguments)
    copy_packets(source, whole)
    packets = copy_packets(source, cut, first=5)
    numbers = sorted(n for n, _ in packets)
    lost = numbers.index(next(n for n, key in packets if key))
    files = [cut, whole] if cut_first else [whole, cut]
    path.write_bytes(b"".join(f.read_bytes() for f in files))
    shown, missing, video = read(path)
    first = 0 if cut_first else FRAMES
    expected = [*numbers, *range(FRAMES)] if cut_first else [*range(FRAMES), *numbers]
    assert missing == dict.fromkeys(range(first, first + lost), NO_KEY_FRAME)
    assert shown == {i: n for i, n in enumerate(expected) if i not in missing}
    times = video.timeline.times
    assert (np.diff(times) > 0.03).all()
    assert times[-1] < (len(expected) + 3) / 30


def rewrite(
    source: Path, target: Path, change: Callable[[list[bytes]], list[bytes]], more: bytes = b""
) -> None:
    """Write the packets of a video anew, one at each place; ``more`` is put behind the parameters."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        video = old.streams.video[0]
        stream = new.add_stream(video.codec_context.name, rate=30)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        stream.codec_context.extradata = (video.codec_context.extradata or b"") + more
        packets = [p for p in old.demux(video) if p.size]
        keys = {bytes(p)[:64] for p in packets if p.is_keyframe}
        for place, data in enumerate(change([bytes(p) for p in packets])):
            packet = av.Packet(data)
            packet.pts = packet.dts = place
            packet.time_base = Fraction(1, 30)
            packet.is_keyframe = any(data[: len(k)] == k for k in keys)
            packet.stream = stream
            new.mux(packet)


NOT_CODED = b"\0\0\1\xb6" + int("0101000001001111", 2).to_bytes(2, "big")
"""A picture of MPEG-4 that says "as before" (vop_coded is 0)."""


@pytest.mark.parametrize("ending", ["avi", "mkv", "mp4"])
@pytest.mark.parametrize("places", [[4], [4, 11, 12], [23]])
def test_marks_of_dropped_frames_are_no_frames(ending: str, places: list[int], tmp_path: Path) -> None:
    """Xvid stores a frame that did not come as a picture without content."""
    source, path = tmp_path / "source.avi", tmp_path / f"v.{ending}"
    write_numbered_video(source, FRAMES, **MPEG4)

    def mark(packets: list[bytes]) -> list[bytes]:
        for place in places:
            packets.insert(place, NOT_CODED)
        return packets

    rewrite(source, path, mark)
    shown, missing, video = read(path)
    assert (shown, missing) == ({i: i for i in range(FRAMES)}, {})
    at = [i for i in range(FRAMES + len(places)) if i not in places]
    assert video.timeline.times == pytest.approx(np.array(at) / 30, abs=1e-3)


def test_two_frames_in_a_packet(tmp_path: Path) -> None:
    """DivX puts a B frame behind the frame that is shown after it, and a mark into the next packet."""
    source, path = tmp_path / "source.avi", tmp_path / "v.avi"
    write_numbered_video(source, FRAMES, options={"bf": "1"}, **MPEG4)
    divx = b"\0\0\1\xb2DivX503b1393p"

    def pack(packets: list[bytes]) -> list[bytes]:
        result: list[bytes] = []
        for data in packets:
            if data[data.index(b"\0\0\1\xb6") + 4] >> 6 == 2:
                result[-1] += data
                result.append(NOT_CODED)
            else:
                result.append(data)
        return result

    rewrite(source, path, pack, divx)
    shown, missing, video = read(path)
    assert (shown, missing, video.notes) == ({i: i for i in range(FRAMES)}, {}, [])


@pytest.mark.parametrize("hidden", [[5], [3, 4], [7, 15, 23]])
def test_pictures_that_are_only_referred_to_are_no_frames(hidden: list[int], tmp_path: Path) -> None:
    """VP8 stores such a picture as a packet with one bit cleared."""
    source, path = tmp_path / "source.webm", tmp_path / "v.webm"
    write_numbered_video(
        source, FRAMES, codec="libvpx", options={"deadline": "realtime", "cpu-used": "8"}, keyframe_every=12
    )
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        for place, packet in enumerate(p for p in old.demux(video=0) if p.size):
            data = bytearray(bytes(packet))
            data[0] &= 0xEF if place in hidden else 0xFF
            copy = av.Packet(bytes(data))
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe, copy.stream = packet.is_keyframe, stream
            new.mux(copy)
    shown, missing, _ = read(path)
    assert (shown, missing) == (dict(enumerate(i for i in range(FRAMES) if i not in hidden)), {})


@pytest.mark.parametrize("stated", [0, 5, 500])
@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4", "libx264"])
def test_a_header_that_counts_wrong_is_not_believed(codec: str, stated: int, tmp_path: Path) -> None:
    path = tmp_path / "v.avi"
    write_numbered_video(path, FRAMES, codec=codec, pixels="yuvj420p" if codec == "mjpeg" else "yuv420p")
    data = bytearray(path.read_bytes())
    for name, offset in ((b"avih", 24), (b"strh", 40)):
        struct.pack_into("<I", data, data.index(name) + offset, stated)
    path.write_bytes(data)
    shown, missing, video = read(path)
    assert (shown, missing, video.fps) == ({i: i for i in range(FRAMES)}, {}, 30)


@pytest.mark.parametrize("arguments", [{"options": {"bf": "0"}}, X264, MPEG4])
@pytest.mark.parametrize(("skip", "keep"), [(0, 12), (10, 14), (3, 9)])
def test_an_edit_list_hides_the_begin_and_the_end(
    arguments: dict[str, object], skip: int, keep: int, tmp_path: Path
) -> None:
    path = tmp_path / "v.mp4"
    write_numbered_video(path, FRAMES, **arguments)  # type: ignore[arg-type]
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    film, track = (struct.unpack_from(">I", data, data.index(n) + 16)[0] for n in (b"mvhd", b"mdhd"))
    begin = struct.unpack_from(">i", data, at + 4)[0]
    struct.pack_into(">Ii", data, at, keep * film // 30, begin + skip * track // 30)
    path.write_bytes(data)
    shown, missing, _ = read(path)
    assert (shown, missing) == ({i: i + skip for i in range(keep)}, {})


@pytest.mark.parametrize("arguments", [MPEG4, X264, {"codec": "mpeg2video", "keyframe_every": 8}])
def test_a_container_that_calls_every_frame_a_key_frame(arguments: dict[str, object], tmp_path: Path) -> None:
    source, path = tmp_path / "source.mov", tmp_path / "v.mov"
    write_numbered_video(source, FRAMES, **arguments)  # type: ignore[arg-type]
    copy_packets(source, path, first=4)
    path.write_bytes(path.read_bytes().replace(b"stss", b"free"))
    shown, missing, _ = read(path)
    assert list(shown.values()) == list(range(8, FRAMES))
    assert list(missing) == list(range(min(shown)))


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video", "libx264"])
@pytest.mark.parametrize("ending", ["mkv", "avi"])
def test_pictures_made_of_nothing_never_count(codec: str, ending: str, tmp_path: Path) -> None:
    """Not even where the key frame is there, and damaged."""
    path = tmp_path / f"v.{ending}"
    packets = write_numbered_video(path, FRAMES, codec=codec, keyframe_every=8, options={"bf": "0"})
    position, size = packets[0]
    overwrite_bytes(path, position + 12, size - 12)
    shown, missing, _ = read(path)
    assert min(shown) >= 8
    assert shown == {i: i for i in shown}
    assert set(range(min(shown))) <= set(missing)


@pytest.mark.parametrize("sizes", [[(64, 48), (128, 96)], [(128, 96), (64, 48)], [(64, 48), (64, 48)]])
def test_of_several_videos_the_largest_is_read(sizes: list[tuple[int, int]], tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        streams = []
        for width, height in sizes:
            stream = container.add_stream("mpeg4", rate=30)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            streams.append(stream)
        for number in range(6):
            for which, stream in enumerate(streams):
                picture = draw_number(number + 100 * which, stream.width, stream.height)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    best = sizes.index(max(sizes))
    shown, missing, video = read(path)
    assert (shown, missing) == ({i: i + 100 * best for i in range(6)}, {})
    width, height = sizes[best]
    assert video.notes == [f"holds 2 videos; the one of {width} x {height} pixels, stream {best}, is read"]


@pytest.mark.parametrize(
    ("matrix", "undo"),
    [
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda p: p[::-1, ::-1].transpose(1, 0, 2)),
        ((0, 1, -1, 0), lambda p: np.rot90(p, 1)),
    ],
)
def test_a_display_matrix_may_mirror(
    matrix: tuple[int, ...], undo: Callable[[np.ndarray], np.ndarray], tmp_path: Path
) -> None:
    """Telephones store what their front cameras see mirrored so."""
    path = tmp_path / "v.mp4"
    write_numbered_video(path, 3)
    data = bytearray(path.read_bytes())
    a, b, c, d = (v << 16 for v in matrix)
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    source = VideoSource(path)
    for frame in source.read():
        assert frame.load is not None
        picture = frame.load()
        assert picture.shape[:2] == (source.info.height, source.info.width)
        assert read_number(undo(picture)) == frame.index


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video", "mjpeg", "libx265"])
def test_raw_streams_have_numbers_and_no_times(codec: str, tmp_path: Path) -> None:
    ending = {"libx264": "h264", "mpeg2video": "m2v", "mjpeg": "mjpeg", "libx265": "hevc"}[codec]
    source, path = tmp_path / "source.mov", tmp_path / f"v.{ending}"
    options = {"libx265": {"x265-params": "log-level=none:bframes=2"}, "mjpeg": {}}.get(codec, {"bf": "2"})
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    write_numbered_video(source, FRAMES, codec=codec, options=options, pixels=pixels, keyframe_every=8)
    copy_packets(source, path)
    shown, missing, video = read(path)
    assert (shown, missing, video.notes) == ({i: i for i in range(FRAMES)}, {}, [])
    assert [frame.time for frame in VideoSource(path).read()] == [None] * FRAMES


@pytest.mark.parametrize("rate", [15, 60, 240, 960])
def test_rounded_times_are_even(rate: int, tmp_path: Path) -> None:
    """Matroska stores milliseconds."""
    path = tmp_path / "v.mkv"
    write_numbered_video(path, 30, codec="mjpeg", pixels="yuvj420p", rate=rate)
    shown, missing, video = read(path)
    assert (shown, missing, video.notes) == ({i: i for i in range(30)}, {}, [])
    assert video.fps == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize("title", [b"\xea\xe9", b"M\xfcnchen", b"\xff\xfe"])
def test_titles_in_other_encodings_hinder_nobody(title: bytes, tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    write_numbered_video(path, 5)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"Lavf", title[:4].ljust(4, b"x")))
    assert read(path)[0] == {i: i for i in range(5)}


@pytest.mark.parametrize("ending", ["mov", "mp4", "avi"])
def test_a_codec_that_nobody_knows_is_named(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"v.{ending}"
    write_numbered_video(path, 5)
    data = path.read_bytes()
    for name in (b"avc1", b"H264"):
        data = data.replace(name, b"zz9z")
    path.write_bytes(data)
    with pytest.raises(
        VideoError, match=r"is in a codec that cannot be decoded; convert it first|none of its"
    ):
        VideoFile(path)
