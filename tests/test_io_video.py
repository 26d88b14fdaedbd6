"""Single frames of videos are the frames that reading from the beginning gives, whatever was asked for
before."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import numpy as np
import pytest

from pose_core.errors import VideoError
from pose_core.io.frame_pictures import to_rgb
from pose_core.io.video import VideoFile, open_video
from pose_core.io.video_decoder import VideoDecoder
from pose_core.synthetic.videos import overwrite_bytes, read_number, write_numbered_video

KINDS = {
    "h264.mp4": {"options": {"bf": "2"}},
    "open_gop.mp4": {"options": {"bf": "3", "x264-params": "open-gop=1:scenecut=0:b-pyramid=normal"}},
    "refresh.mp4": {"options": {"x264-params": "intra-refresh=1:bframes=0"}},
    "h264.mkv": {"options": {"bf": "2"}},
    "open_gop.mkv": {"options": {"bf": "3", "x264-params": "open-gop=1:scenecut=0"}},
    "h264.ts": {"options": {"bf": "2"}},
    "h264.avi": {"options": {"bf": "2"}},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mjpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"bf": "2"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
}
FRAMES = 40
ORDER = [30, 5, 6, 39, 0, 12, 11, 23, 24, 25, 13, 1]
"""Back and forth, onto key frames (every 12th), before and behind them."""


@pytest.mark.parametrize("name", KINDS)
def test_a_frame_is_the_same_to_the_bit_after_seeking(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_numbered_video(path, FRAMES, **KINDS[name])
    inorder = [to_rgb(frame) for _, frame, _ in VideoFile(path).frames() if frame is not None]
    assert len(inorder) == FRAMES
    video = VideoFile(path)
    for index in ORDER:
        np.testing.assert_array_equal(to_rgb(video.decode(index)), inorder[index], err_msg=str(index))


def decoded_packets(video: VideoFile, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Fills up with the first packet of each pass over the file."""
    begun: list[int] = []
    original = VideoDecoder.frames_from

    def counting(self: VideoDecoder, entry: int, threads: int):  # type: ignore[no-untyped-def]
        begun.append(entry)
        return original(self, entry, threads)

    monkeypatch.setattr(VideoDecoder, "frames_from", counting)
    return begun


@pytest.mark.parametrize("name", ["h264.mp4", "open_gop.mp4", "h264.mkv", "vp9.webm", "mpeg4.avi"])
def test_rising_numbers_are_decoded_in_one_pass_and_others_from_a_key_frame(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    write_numbered_video(path, FRAMES, **KINDS[name])
    video = VideoFile(path)
    begun = decoded_packets(video, monkeypatch)
    for index in (1, 4, 9):
        video.decode(index)
    assert begun == [0]
    video.decode(38)
    assert len(begun) == 2
    assert begun[1] > 20
    assert video.unseekable is None


def test_a_missing_a_damaged_and_no_frame_are_named(tmp_path: Path) -> None:
    path = tmp_path / "damaged.mp4"
    packets = write_numbered_video(path, 48, options={"bf": "0"})
    overwrite_bytes(path, *packets[20])
    video = VideoFile(path)
    missing = {number for number, frame, _ in video.frames() if frame is None}
    assert missing
    for number in range(15, 30):
        if number in missing:
            with pytest.raises(VideoError, match=rf"damaged.mp4 frame {number}: (not decodable|damaged)"):
                video.decode(number)
        elif number < 20 or number >= 24:
            assert read_number(to_rgb(video.decode(number))) == number
    with pytest.raises(VideoError, match="has no frame 48; its frames are 0 to 47"):
        video.decode(48)
    with pytest.raises(VideoError, match=r"nowhere\.mp4: cannot be read"):
        open_video(tmp_path / "nowhere.mp4")


def test_threads_and_forked_processes_may_read_one_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_numbered_video(path, FRAMES, options={"bf": "2"})
    wrong: list[int] = []

    def read(order: list[int]) -> None:
        wrong.extend(i for i in order if read_number(to_rgb(open_video(path).decode(i))) != i)

    threads = [
        threading.Thread(target=read, args=(order,)) for order in (ORDER, ORDER[::-1], list(range(FRAMES)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert read_number(to_rgb(open_video(path).decode(3))) == 3
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(number_in, [(path, i) for i in (4, 5, 30, 6)]) == [4, 5, 30, 6]
    assert read_number(to_rgb(open_video(path).decode(7))) == 7


def number_in(place: tuple[Path, int]) -> int:
    path, index = place
    return read_number(to_rgb(open_video(path).decode(index)))


def test_a_video_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_numbered_video(path, 10)
    assert open_video(path) is open_video(path)
    assert open_video(path).timeline.frames == 10
    write_numbered_video(path, 20)
    assert open_video(path).timeline.frames == 20
