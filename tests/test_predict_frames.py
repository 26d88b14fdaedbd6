"""Ranges of frames: only these are predicted, under their own numbers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_run import make_run

import pose_core
from pose_core.errors import ConfigError, PoseError
from pose_core.interfaces.prediction_files import open_predictions
from pose_core.io.video_decoder import VideoDecoder
from pose_core.pipeline.selected_frames import SelectedFrames
from pose_core.pipeline.sources import ArraySource, SourceFrame
from pose_core.pipeline.video import VideoSource
from pose_core.prediction.frame_choice import OpenRange, choose_spans, parse_frame_choice
from pose_core.prediction.journal import Journal
from pose_core.structures import ByteArray, Frame, FrameSpan, list_frames

FRAMES = 40
WIDTH, HEIGHT = 64, 48


def picture(number: int) -> ByteArray:
    image = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return cv2.GaussianBlur(image, (0, 0), 3)  # type: ignore[return-value]


def write_video(path: Path, frames: int = FRAMES, codec: str = "ffv1", **options: str) -> Path:
    """A video; ``mpeg4`` has a key frame every twelfth."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=20, options=options)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video, and its frames as images."""
    folder = tmp_path_factory.mktemp("in")
    (folder / "shots").mkdir()
    for number in range(FRAMES):
        cv2.imwrite(str(folder / "shots" / f"{number:03d}.png"), picture(number)[..., ::-1])
    write_video(folder / "clip.mkv")
    return folder


def same(found: list[Frame], whole: list[Frame]) -> None:
    assert len(found) == len(whole)
    for one, other in zip(found, whole, strict=True):
        assert (one.index, one.image, one.time, one.missing) == (
            other.index,
            other.image,
            other.time,
            other.missing,
        )
        np.testing.assert_allclose(one.instances.keypoints, other.instances.keypoints, atol=1e-3)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("7", [(None, 7, 7, 1)]),
        ("10-20", [(None, 10, 20, 1)]),
        ("1000-2000:5", [(None, 1000, 2000, 5)]),
        ("5-", [(None, 5, None, 1)]),
        ("0-:10", [(None, 0, None, 10)]),
        ("clip.mp4:3", [("clip.mp4", 3, 3, 1)]),
        ("clip.mp4:10-20:5, 30", [("clip.mp4", 10, 20, 5), (None, 30, 30, 1)]),
        ("C:/a.mp4:10-20", [("C:/a.mp4", 10, 20, 1)]),
    ],
)
def test_ranges_are_parsed(text: str, ranges: list[tuple[Any, ...]]) -> None:
    assert parse_frame_choice(text) == tuple(OpenRange(*each) for each in ranges)


@pytest.mark.parametrize(
    "text", ["", "7-3", "1-2,", "10-20:0", "10-20:-5", "-5", "a", "10:5:", "1-2:x", "1.5"]
)
def test_what_is_no_range_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"must be suggested, labelled, or ranges of frames") as caught:
        parse_frame_choice(text)
    assert "\n" not in str(caught.value)


@given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39), st.integers(1, 9)), min_size=1, max_size=4))
def test_spans_list_each_frame_once_in_order(parts: list[tuple[int, int, int]]) -> None:
    spans = [FrameSpan(min(a, b), max(a, b), step) for a, b, step in parts]
    expected = sorted({n for s in spans for n in range(s.first, s.last + 1, s.step)})
    assert list_frames(spans).tolist() == expected
    # What is written in a result or a message says the same frames.
    again = parse_frame_choice(",".join(map(str, spans)))
    assert isinstance(again, tuple)
    assert list_frames(choose_spans(again, Path("v"), 40)).tolist() == expected


@settings(max_examples=8, deadline=None)
@given(
    numbers=st.sets(st.integers(0, FRAMES - 1), min_size=1, max_size=6),
    start=st.integers(0, 5),
    codec=st.sampled_from(["mpeg4", "ffv1"]),
)
def test_selected_frames_are_those_of_the_whole_video(
    tmp_path_factory: pytest.TempPathFactory, numbers: set[int], start: int, codec: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"{codec}.mkv"
    if not path.exists():
        write_video(path, codec=codec)
    source = SelectedFrames(VideoSource(path), [FrameSpan(n, n) for n in sorted(numbers)])
    assert (source.info.frames, source.total) == (len(numbers), FRAMES)
    whole = {frame.index: frame for frame in VideoSource(path).read()}
    found = list(source.read(start))
    assert [frame.index for frame in found] == sorted(numbers)[start:]
    for frame in found:
        assert frame.load is not None
        other = whole[frame.index]
        assert other.load is not None
        assert frame.time == other.time
        np.testing.assert_array_equal(frame.load(), other.load())


def test_far_frames_are_reached_without_decoding_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "long.mp4", 700, "mpeg4", g="12")
    decoded = 0
    decode = VideoDecoder._decoded

    def count(self: VideoDecoder, *args: Any, **more: Any) -> Iterator[Any]:
        nonlocal decoded
        for item in decode(self, *args, **more):
            decoded += 1
            yield item

    monkeypatch.setattr(VideoDecoder, "_decoded", count)
    source = SelectedFrames(VideoSource(path), [FrameSpan(3, 4), FrameSpan(650, 652)])
    assert [frame.index for frame in source.read()] == [3, 4, 650, 651, 652]
    assert decoded < 140


def test_what_was_damaged_before_a_chosen_frame_is_said(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", 60, "mpeg4", g="12")
    data = bytearray(path.read_bytes())
    # The data of some frame in the middle.
    places = [i for i in range(len(data) - 4) if data[i : i + 4] == b"00dc"][:60]
    assert len(places) == 60
    data[places[30] + 8 : places[31]] = b"\0" * (places[31] - places[30] - 8)
    path.write_bytes(data)
    whole = VideoSource(path)
    missing = [frame.index for frame in whole.read() if frame.load is None]
    doubtful = {n for a, b in whole.find_doubtful({}) for n in range(a, b + 1)}
    assert missing
    assert 33 in doubtful
    # From before the damage on, and from behind it, where the key frame before it is gone to.
    for first in (25, 33):
        some = SelectedFrames(VideoSource(path), [FrameSpan(first, 40, 2)])
        found = list(some.read())
        chosen = range(first, 41, 2)
        assert [f.index for f in found if f.load is None] == [n for n in missing if n in chosen]
        assert {n for a, b in some.find_doubtful({}) for n in range(a, b + 1)} == {
            n for n in chosen if n in doubtful
        }


@pytest.mark.parametrize("name", ["clip.mkv", "shots"])
def test_pose_predict_predicts_ranges(name: str, pose: Any, run: Path, folder: Path, tmp_path: Path) -> None:
    pose(
        "predict",
        run,
        folder / name,
        "--out",
        tmp_path / "some",
        "--frames",
        "10-20:5,31-32",
        "--device",
        "cpu",
    )
    (path,) = (tmp_path / "some").glob("*.parquet")
    stream = open_predictions(path)
    assert (stream.header.frames, stream.header.selected) == (
        FRAMES,
        (FrameSpan(10, 20, 5), FrameSpan(31, 32)),
    )
    (outcome,) = pose_core.predict(run, folder / name, tmp_path / "whole", device="cpu")
    assert outcome is not None
    whole = [f for f in open_predictions(outcome.result) if f.index in (10, 15, 20, 31, 32)]
    same(list(stream), whole)
    assert json.loads(path.with_name(f"{path.name}.info").read_text())["frames"] == 5


def test_python_predicts_the_same_ranges(run: Path, folder: Path, tmp_path: Path) -> None:
    (outcome,) = pose_core.predict(run, folder / "clip.mkv", tmp_path, frames="clip.mkv:30-:3", device="cpu")
    assert outcome is not None
    assert outcome.frames == 4
    live = list(pose_core.load(run, "cpu").predict_video(folder / "clip.mkv", frames="30-:3"))
    assert [frame.index for frame in live] == [30, 33, 36, 39]
    same(list(open_predictions(outcome.result)), live)


def test_a_broken_off_range_goes_on_where_it_stopped(
    run: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = "2-38:2"
    (whole,) = pose_core.predict(run, folder / "clip.mkv", tmp_path / "a", frames=chosen, device="cpu")
    append = Journal.append

    def break_off(self: Journal, frames: Any, sizes: Any) -> None:
        if frames[0].index > 24:
            raise PoseError("the power is gone")
        append(self, frames, sizes)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", break_off)
        with pytest.raises(PoseError, match="power"):
            pose_core.predict(run, folder / "clip.mkv", tmp_path / "b", frames=chosen, device="cpu")
    read = SelectedFrames.read
    began: list[int] = []

    def note(self: SelectedFrames, start: int = 0) -> Iterator[SourceFrame]:
        began.append(start)
        return read(self, start)

    monkeypatch.setattr(SelectedFrames, "read", note)
    (resumed,) = pose_core.predict(run, folder / "clip.mkv", tmp_path / "b", frames=chosen, device="cpu")
    # Places among the chosen frames: 2, 4 ... 24 are kept.
    assert began == [12]
    assert whole is not None
    assert resumed is not None
    same(list(open_predictions(resumed.result)), list(open_predictions(whole.result)))


def test_another_choice_of_frames_is_another_result(run: Path, folder: Path, tmp_path: Path) -> None:
    pose_core.predict(run, folder / "clip.mkv", tmp_path, frames="1-3", device="cpu")
    pose_core.predict(run, folder / "clip.mkv", tmp_path, frames="1-3", device="cpu")
    with pytest.raises(PoseError, match=r"was made with another choice of frames \(frames\)"):
        pose_core.predict(run, folder / "clip.mkv", tmp_path, device="cpu")


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ("30-50", r"30-50: .*clip.mkv has 40 frames, 0 to 39; choose among these"),
        ("40-", r"has 40 frames, 0 to 39"),
        ("other.mp4:1-2", r"other.mp4 is none of what is predicted \(clip.mkv\)"),
        ("1-20:-5", r"must be suggested, labelled, or ranges of frames"),
        ("labelled", r"is no labelled project"),
    ],
)
def test_frames_that_are_not_there_are_a_line(
    frames: str, message: str, pose: Any, run: Path, folder: Path, tmp_path: Path
) -> None:
    said = pose.refuses("predict", run, folder / "clip.mkv", "--out", tmp_path / "o", "--frames", frames)
    assert re.search(message, said), said
    assert not (tmp_path / "o").exists()


def test_of_several_videos_each_is_named(run: Path, folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "clip.mkv", tmp_path / "b.mkv")
    videos = [folder / "clip.mkv", tmp_path / "b.mkv"]
    with pytest.raises(ConfigError, match=r"names no frames of .*b.mkv; add some"):
        pose_core.predict(run, videos, tmp_path / "o", frames="clip.mkv:1-2", device="cpu")
    found = pose_core.predict(run, videos, tmp_path / "o", frames="clip.mkv:1-2,b.mkv:5", device="cpu")
    assert [outcome and outcome.frames for outcome in found] == [2, 1]


@pytest.mark.parametrize("format", ["dlc-h5", "dlc-csv"])
def test_deeplabcuts_tables_name_the_frames(format: str, run: Path, folder: Path, tmp_path: Path) -> None:
    (outcome,) = pose_core.predict(
        run, folder / "clip.mkv", tmp_path, frames="10-20:5", format=format, device="cpu"
    )
    assert outcome is not None
    table: Any = (
        pd.read_hdf(outcome.result)
        if format == "dlc-h5"
        else pd.read_csv(outcome.result, header=[0, 1, 2], index_col=0)
    )
    assert list(table.index) == [10, 15, 20]
    stream = open_predictions(outcome.result)
    assert stream.header.frames == 0
    assert [frame.index for frame in stream] == [10, 15, 20]


@pytest.mark.parametrize("name", ["clip.mkv", "shots"])
def test_sleaps_files_keep_the_frames(name: str, run: Path, folder: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"frames": "10-20:5,31", "device": "cpu"}
    # No animal is found anywhere: such frames are in no list of the file.
    for threshold in (0.0, 1.0):
        (slp,) = pose_core.predict(
            run, folder / name, tmp_path / f"{threshold}", format="slp", threshold=threshold, **options
        )
        (parquet,) = pose_core.predict(
            run, folder / name, tmp_path / f"{threshold}", threshold=threshold, **options
        )
        assert slp is not None
        assert parquet is not None
        found, expected = open_predictions(slp.result), open_predictions(parquet.result)
        assert found.header.selected == expected.header.selected
        assert found.header.frames == FRAMES
        for one, other in zip(found, expected, strict=True):
            assert (one.index, one.image) == (other.index, other.image)
            np.testing.assert_allclose(one.instances.keypoints, other.instances.keypoints, atol=1e-3)


def test_a_format_of_whole_videos_refuses_before_anything_is_predicted(
    run: Path, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="holds all frames of a video or none"):
        pose_core.predict(
            run, folder / "clip.mkv", tmp_path / "o", frames="1-2", format="sleap-analysis", device="cpu"
        )
    assert not (tmp_path / "o").exists()


def test_render_shows_the_chosen_frames(pose: Any, run: Path, folder: Path, tmp_path: Path) -> None:
    (outcome,) = pose_core.predict(run, folder / "clip.mkv", tmp_path, frames="10-20:5", device="cpu")
    assert outcome is not None
    pose("render", outcome.result, folder / "clip.mkv", "--out", tmp_path / "o.mkv", "--threshold", "1")
    shown = [f.load() for f in VideoSource(tmp_path / "o.mkv").read() if f.load is not None]
    assert len(shown) == 3
    for image, number in zip(shown, (10, 15, 20), strict=True):
        near = [float(np.abs(image.astype(float) - picture(n)).mean()) for n in range(FRAMES)]
        assert int(np.argmin(near)) == number


def test_selected_arrays_keep_their_places() -> None:
    source = SelectedFrames(ArraySource([picture(i) for i in range(5)]), [FrameSpan(1, 3, 2)])
    assert [frame.index for frame in source.read(1)] == [3]
