"""Videos as sources: every frame has its own number, whatever the container, the codec and the damage."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pose_core.errors import VideoError
from pose_core.pipeline.video import VideoSource
from pose_core.synthetic.videos import draw_number, overwrite_bytes, read_number, write_numbered_video

KINDS = {
    "h264.mp4": {"options": {"bf": "2"}},
    "h264.mkv": {"options": {"bf": "2"}},
    "h264.ts": {"options": {"bf": "2"}},
    "h264.avi": {"options": {"bf": "2"}},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4_b.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "mjpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"bf": "2"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
}


def numbers(source: VideoSource, start: int = 0) -> tuple[dict[int, int], dict[int, str]]:
    """What the decoded frames show, by index, and the reasons of the missing ones; each index comes once."""
    shown, missing, order = {}, {}, []
    for frame in source.read(start):
        order.append(frame.index)
        if frame.load is None:
            assert frame.reason
            missing[frame.index] = frame.reason
        else:
            assert frame.reason is None
            shown[frame.index] = read_number(frame.load())
    assert order == list(range(start, source.info.frames))
    return shown, missing


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("threads", [1, 0])
def test_frames_come_in_the_order_in_which_they_are_shown(name: str, threads: int, tmp_path: Path) -> None:
    path = tmp_path / name
    write_numbered_video(path, 40, **KINDS[name])
    source = VideoSource(path, threads)
    assert (source.info.frames, source.info.width, source.info.height) == (40, 64, 48)
    assert source.info.fps == pytest.approx(30, rel=0.01)
    assert numbers(source) == ({i: i for i in range(40)}, {})
    assert numbers(source, 17) == ({i: i for i in range(17, 40)}, {})
    assert source.find_doubtful({}) == []


@pytest.mark.parametrize("threads", [1, 0])
@pytest.mark.parametrize(
    ("name", "b_frames"),
    [(n, b) for n in ("h264.mp4", "h264.ts", "mpeg4.avi") for b in (0, 2)] + [("mjpeg.avi", 0)],
)
def test_damage_moves_no_other_frame(name: str, b_frames: int, threads: int, tmp_path: Path) -> None:
    path = tmp_path / name
    packets = write_numbered_video(path, 48, **{**KINDS[name], "options": {"bf": str(b_frames)}})
    overwrite_bytes(path, *next(p for p in packets[20:] if p[0]))
    source = VideoSource(path, threads)
    shown, missing = numbers(source)
    assert source.info.frames == 48
    assert 1 <= len(missing) <= 2  # packets of a transport stream can share a cell
    assert all(18 <= i <= 28 for i in missing)
    doubtful = {i for first, last in source.find_doubtful({}) for i in range(first, last + 1)}
    assert not doubtful & set(missing)
    assert doubtful <= set(range(18, 36))
    assert bool(doubtful) == (name != "mjpeg.avi")  # there every frame stands for itself
    # Whatever is not reported shows what it should.
    assert {i: n for i, n in shown.items() if i not in doubtful} == {i: i for i in shown if i not in doubtful}
    again = VideoSource(path, threads)
    # Who begins behind the damage knows of it from what was missing before.
    numbers(again, 30)
    lost = {reason: [(i, i) for i, why in missing.items() if why == reason] for reason in missing.values()}
    assert again.find_doubtful(lost) == source.find_doubtful({})


def test_what_a_container_loses_leaves_its_place_empty(tmp_path: Path) -> None:
    path = tmp_path / "h264.mkv"
    packets = write_numbered_video(path, 60, options={"bf": "0"})
    overwrite_bytes(path, *packets[25])  # Matroska skips from here to the next cluster
    source = VideoSource(path)
    shown, missing = numbers(source)
    assert source.info.frames == 60
    assert 25 in missing
    assert max(shown) == 59
    assert all(number == i for i, number in shown.items() if i < 25 or i >= max(missing))


@pytest.mark.parametrize("name", ["mpeg4.avi", "mjpeg.avi", "h264.mkv", "vp9.webm", "faststart.mp4"])
def test_a_video_that_breaks_off_misses_the_rest(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "faststart.mp4":
        write_numbered_video(path, 60, options={"bf": "0"})
        moved = tmp_path / "moved.mp4"
        with av.open(str(path)) as old, av.open(str(moved), "w", options={"movflags": "faststart"}) as new:
            stream = new.add_stream_from_template(old.streams.video[0])
            for packet in old.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    new.mux(packet)
        path = moved
    else:
        write_numbered_video(
            path, 60, **{**KINDS[name], "options": {**KINDS[name].get("options", {}), "bf": "0"}}
        )
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    source = VideoSource(path)
    shown, missing = numbers(source)
    assert source.info.frames == 60
    assert len(shown) >= 2
    assert missing[59] == "the file ends before this frame"
    assert all(number == i for i, number in shown.items() if i < min(missing))


@pytest.mark.parametrize("threads", [1, 0])
def test_videos_read_side_by_side_do_not_mix(threads: int, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_numbered_video(tmp_path / name, 40, options={"bf": "2"})
    a, b = (VideoSource(tmp_path / name, threads).read() for name in ("a.mp4", "b.mp4"))
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        assert x.load is not None
        assert y.load is not None
        assert (x.index, read_number(x.load()), y.index, read_number(y.load())) == (i, i, i, i)


def test_a_reader_may_stop_early(tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "v.mp4", 60, options={"bf": "2"})
    for count in range(1, 12):
        frames = VideoSource(tmp_path / "v.mp4", threads=0).read()
        for _ in range(count):
            next(frames)
        frames.close()


def test_variable_frame_rate(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    write_numbered_video(path, 12, times=[0, 1, 2, 7, 8, 9, 20, 21, 40, 41, 42, 90], options={"bf": "2"})
    assert numbers(VideoSource(path)) == ({i: i for i in range(12)}, {})


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "gray"])
def test_odd_sizes_and_pixel_formats(pixels: str, tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    write_numbered_video(path, 5, codec="ffv1", width=71, height=53, pixels=pixels)
    source = VideoSource(path)
    assert (source.info.width, source.info.height) == (71, 53)
    for frame in source.read():
        assert frame.load is not None
        picture = frame.load()
        assert picture.shape == (53, 71, 3)
        assert picture.dtype == np.uint8
        assert read_number(picture) == frame.index
        if pixels == "gray":
            assert (picture[..., 0] == picture[..., 1]).all()
        if pixels == "yuv444p":
            assert np.abs(picture.astype(int) - draw_number(frame.index, 71, 53)).mean() < 3


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_applied_as_opencv_does(rotation: int, tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    write_numbered_video(path, 3, rotation=rotation)
    source = VideoSource(path)
    frame = next(source.read())
    assert frame.load is not None
    ours = frame.load()
    capture = cv2.VideoCapture(str(path))
    _, theirs = capture.read()
    assert ours.shape == theirs.shape == (source.info.height, source.info.width, 3)
    assert np.abs(ours.astype(int) - theirs[..., ::-1]).mean() < 6


def test_packets_that_an_edit_list_hides_are_no_frames(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    write_numbered_video(whole, 40, options={"bf": "0"}, keyframe_every=40)
    with av.open(str(whole)) as old, av.open(str(cut), "w", options={"avoid_negative_ts": "disabled"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        step = None
        for packet in old.demux(video=0):
            if packet.size and packet.pts is not None and packet.dts is not None:
                step = step or packet.duration
                packet.pts, packet.dts = packet.pts - 10 * step, packet.dts - 10 * step
                packet.stream = stream
                new.mux(packet)
    source = VideoSource(cut)
    assert numbers(source) == ({i: i + 10 for i in range(30)}, {})


def test_the_real_video(openfield: Path) -> None:
    source = VideoSource(openfield / "videos" / "m3v1mp4.mp4")
    assert (source.info.frames, source.info.width, source.info.height) == (2330, 640, 480)


@pytest.mark.parametrize("content", [b"", b"no video at all", bytes(5000)])
def test_what_is_no_video_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"cannot be opened as a video|is a text file") as caught:
        VideoSource(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_soundless_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no such file"):
        VideoSource(tmp_path / "none.mp4")
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(VideoError, match="holds no video"):
        VideoSource(sound)


def test_a_video_cut_before_its_index_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    write_numbered_video(path, 30)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(VideoError, match="cannot be opened as a video"):
        VideoSource(path)


def test_no_decodable_frame_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "v.avi"
    packets = write_numbered_video(path, 4, codec="mjpeg", pixels="yuvj420p")
    for packet in packets:
        overwrite_bytes(path, *packet)
    with pytest.raises(VideoError, match="none of its frames can be decoded"):
        VideoSource(path)
