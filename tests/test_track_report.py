"""The report of tracks: one page, with pictures where the video is found."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from crowd_files import store
from hypothesis import given
from hypothesis import strategies as st

import pose_core
from pose_core.errors import ConfigError, DataError
from pose_core.structures import Frame
from pose_core.synthetic.crowd import Crowd, CrowdSpec
from pose_core.tracking.doubt_pictures import choose_frames
from pose_core.tracking.doubts import Doubt
from pose_core.tracking.presence import Presence
from pose_core.tracking.report import PICTURES

SPEC = CrowdSpec(seed=1, frames=300, animals=3, size=(240, 240), length=40, pull=0.6, lost=0.15, noise=0.05)
PNG = re.compile(r'src="data:image/png;base64,([^"]+)"')


def write_video(path: Path, frames: int = SPEC.frames, side: int = 240) -> None:
    """Frames that are the brighter the later."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=30)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for t in range(frames):
            image = np.full((side, side, 3), 40 + t // 2, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    frames = list(Crowd(SPEC).found())
    return store(tmp_path / "clip.parquet", frames, source="videos/clip.mp4", size=(240, 240))


def read_pictures(report: Path) -> list[np.ndarray[Any, Any]]:
    found = PNG.findall(report.read_text(encoding="utf-8"))
    return [cv2.imdecode(np.frombuffer(base64.b64decode(p), np.uint8), cv2.IMREAD_COLOR) for p in found]


def test_the_page_has_the_strip_and_pictures_before_at_and_after(pose: Any, clip: Path) -> None:
    write_video(clip.parent / "moved.mp4")
    options = ("--tracker", "boxes", "--animals", "3", "--out", "out", "--video", "moved.mp4")
    done = pose("track", "clip.parquet", *options)
    assert done.returncode == 0, done.stderr
    assert "report: out/clip.report.html" in done.stderr
    html = (clip.parent / "out/clip.report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|<script|<link|url\(", html)
    strip, *pictures = read_pictures(clip.parent / "out/clip.report.html")
    assert len(pictures) == min(PICTURES, html.count("<figcaption>") - 1) > 0
    assert strip.shape[1] > 1000
    first = re.search(r"1\. Frames (\d+) to (\d+), need", html)
    assert first is not None
    # The background says which frame is shown: before, at, after.
    shades = [float(np.median(part)) for part in np.split(pictures[0][:, :1020], 3, axis=1)]
    assert shades == sorted(shades)
    assert shades[0] - 40 == pytest.approx(max(int(first[1]) - 10, 0) / 2, abs=25)


def test_the_video_is_found_by_the_header_and_its_lack_is_said(clip: Path, pose: Any) -> None:
    done = pose("track", "clip.parquet", "--animals", "3", "--out", "out", "--report")
    assert "no pictures: videos/clip.mp4 is not there; name it by --video FILE" in done.stderr
    assert len(read_pictures(clip.parent / "out/clip.report.html")) == 1
    assert "Without pictures" in (clip.parent / "out/clip.report.html").read_text()
    (clip.parent / "videos").mkdir()
    write_video(clip.parent / "videos/clip.mp4")
    (outcome,) = pose_core.track(clip, clip.parent / "too", tracker="boxes", animals=3, report=True)
    assert outcome is not None
    assert outcome.report is not None
    assert len(read_pictures(outcome.report)) == 1 + min(PICTURES, len(outcome.doubts.found)) > 1


def test_a_page_does_not_outlive_the_tracks_that_it_shows(clip: Path) -> None:
    out = clip.parent / "out"
    pose_core.track(clip, out, animals=3, report=True)
    assert (out / "clip.report.html").exists()
    (outcome,) = pose_core.track(clip, out, animals=3, overwrite=True)
    assert outcome is not None
    assert outcome.report is None
    assert {path.name for path in out.iterdir()} == {"clip.parquet", "clip.doubts.csv"}


def test_another_video_is_refused_and_not_taken_for_the_one_that_was_predicted(clip: Path) -> None:
    short = clip.parent / "short.mp4"
    write_video(short, frames=20)
    with pytest.raises(DataError, match="it has 20 frames, the predictions 300; name the video"):
        pose_core.track(clip, clip.parent / "out", animals=3, video=short)
    with pytest.raises(DataError, match="no such file"):
        pose_core.track(clip, clip.parent / "out", animals=3, video=clip.parent / "gone.mp4")
    # It shows before the work.
    assert not list((clip.parent / "out").iterdir())
    store(clip.parent / "other.parquet", list(Crowd(replace(SPEC, frames=20)).found()))
    with pytest.raises(ConfigError, match="is one video"):
        pose_core.track([clip, clip.parent / "other.parquet"], clip.parent / "both", video=short)


def test_images_of_a_folder_are_shown(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    frames = []
    for frame in Crowd(replace(SPEC, frames=60, pull=1.0)).found():
        name = f"{frame.index:03}.png"
        cv2.imwrite(str(folder / name), np.full((240, 240, 3), 90, np.uint8))
        frames.append(replace(frame, image=str(folder / name)))
    stored = store(tmp_path / "images.parquet", frames, source=str(folder), size=(240, 240))
    (outcome,) = pose_core.track(stored, tmp_path / "out", tracker="boxes", animals=3, report=True)
    assert outcome is not None
    assert outcome.report is not None
    pictures = read_pictures(outcome.report)[1:]
    assert len(pictures) == len(outcome.doubts.found) > 0
    assert all(np.median(picture) == 90 for picture in pictures)


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_pictures_are_in_order_and_of_the_video(a: int, b: int, c: int) -> None:
    first, frame, last = sorted((a, b, c))
    before, at, after = choose_frames(Doubt(frame, first, last, (0,), "margin", 0.9, ""), 0, 99)
    assert 0 <= before <= at == frame <= after <= 99


@given(st.integers(1, 5000), st.integers(0, 50))
def test_presence_is_a_share_of_the_frames_that_are_there(frames: int, begin: int) -> None:
    presence = Presence(begin, begin + frames - 1)
    tracked = next(Crowd(replace(SPEC, frames=1)).truth()).instances
    for index in range(begin, begin + frames, max(frames // 40, 1)):
        seen = tracked if index % 2 == 0 else tracked.select([0])
        presence.add(Frame(index, seen))
    assert (presence.measure(0) <= 1).all()
    assert presence.measure(0).max() == 1
    assert presence.list_tracks()[0][0] == 0


def test_of_many_tracks_those_seen_most_are_shown() -> None:
    presence = Presence(0, 99)
    one = next(Crowd(replace(SPEC, frames=1)).truth()).instances.select([0])
    for index in range(100):
        presence.add(Frame(index, replace(one, track=np.array([index if index >= 50 else 0]))))
    tracks, more = presence.list_tracks()
    assert (len(tracks), more) == (30, 21)
    assert tracks[0] == 0
