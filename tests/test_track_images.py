"""Trackers that need images: they are read from the video once, in step with the predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from crowd_files import store
from crowd_video import draw_crowd, write_crowd_video
from tiny_run import make_run

import pose_core
from pose_core.errors import DataError
from pose_core.interfaces import open_predictions
from pose_core.io.video_decoder import VideoDecoder
from pose_core.prediction import result
from pose_core.prediction.journal import Journal
from pose_core.reporting import LogReporter
from pose_core.structures import ByteArray, Frame, Instances, Skeleton
from pose_core.synthetic.crowd import CROWD_SKELETON, Crowd, CrowdSpec

SIDE = 120
SPEC = CrowdSpec(frames=40, animals=3, size=(SIDE, SIDE), length=30, speed=0.15, lost=0.1, pull=0.5)


def read_tracks(path: Path) -> list[list[int]]:
    return [frame.instances.track.tolist() for frame in open_predictions(path)]


@pytest.fixture(scope="module")
def drawn() -> list[ByteArray]:
    return draw_crowd(Crowd(SPEC).truth(), SIDE)


@pytest.fixture
def clip(tmp_path: Path, drawn: list[ByteArray]) -> Path:
    """Predictions, and the video that they name beside them."""
    write_crowd_video(tmp_path / "clip.mkv", drawn)
    return store(tmp_path / "clip.parquet", list(Crowd(SPEC).found()), source="clip.mkv", size=(SIDE, SIDE))


def test_the_video_that_predictions_name_is_read_once_and_nothing_else_changes(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    true = VideoDecoder.frames_from

    def count(self: VideoDecoder, entry: int, threads: int) -> Iterator[Any]:
        for found in true(self, entry, threads):
            decoded.append(found[0])
            yield found

    monkeypatch.setattr(VideoDecoder, "frames_from", count)
    (outcome,) = pose_core.track(clip, clip.parent / "out", tracker="flow", animals=3)
    assert decoded == list(range(SPEC.frames))
    assert outcome is not None
    assert outcome.counts.tracks == 3
    assert outcome.report is None
    for before, after in zip(open_predictions(clip), open_predictions(outcome.result), strict=True):
        for name in ("keypoints", "keypoint_scores", "scores", "boxes"):
            one, other = getattr(before.instances, name), getattr(after.instances, name)
            assert np.array_equal(one, other, equal_nan=True), name


def test_images_are_those_of_the_frames(clip: Path, drawn: list[ByteArray]) -> None:
    """Frame by frame from Python, with the images that were written, ids are the same."""
    (outcome,) = pose_core.track(clip, clip.parent / "out", tracker="flow")
    assert outcome is not None
    live = pose_core.FrameTracker(CROWD_SKELETON, "flow", width=SIDE, height=SIDE)
    ids = [live.update(frame, drawn[frame.index]) for frame in open_predictions(clip)]
    assert [frame.instances.track.tolist() for frame in ids] == read_tracks(outcome.result)
    # Not by their poses alone: with one image throughout they are others.
    live = pose_core.FrameTracker(CROWD_SKELETON, "flow", width=SIDE, height=SIDE)
    still = [live.update(frame, drawn[0][..., 0]) for frame in open_predictions(clip)]
    assert [frame.instances.track.tolist() for frame in still] != read_tracks(outcome.result)


def test_a_video_that_is_elsewhere_is_named_and_makes_no_report(pose: Any, clip: Path) -> None:
    pose_core.track(clip, clip.parent / "out", tracker="flow")
    (clip.parent / "clip.mkv").rename(clip.parent / "moved.mkv")
    pose_core.track(clip, clip.parent / "other", tracker="flow", video=clip.parent / "moved.mkv")
    assert read_tracks(clip.parent / "other/clip.parquet") == read_tracks(clip.parent / "out/clip.parquet")
    assert not list((clip.parent / "other").glob("*.html"))
    options = ("--video", "moved.mkv", "--report", "--overwrite", "--out", "other")
    done = pose("track", clip.name, "--tracker", "flow", *options)
    assert "report: other/clip.report.html" in done.stderr


def test_a_folder_of_images_is_a_video_too(tmp_path: Path, drawn: list[ByteArray]) -> None:
    (tmp_path / "images").mkdir()
    frames = []
    for frame, image in zip(Crowd(SPEC).found(), drawn, strict=True):
        cv2.imwrite(str(tmp_path / f"images/{frame.index:03}.png"), image)
        frames.append(replace(frame, image=f"images/{frame.index:03}.png"))
    stored = store(tmp_path / "images.parquet", frames, source="images", size=(0, 0))
    (outcome,) = pose_core.track(stored, tmp_path / "out", tracker="flow", animals=3)
    assert outcome is not None
    assert outcome.counts.tracks == 3
    (tmp_path / "images/005.png").write_bytes(b"spoilt")
    with pytest.raises(
        DataError, match=r"flow needs the image of frame 5 \(.*005\.png.*choose another tracker"
    ):
        pose_core.track(stored, tmp_path / "out", tracker="flow", overwrite=True)


def test_a_stack_of_images_is_a_video_too(clip: Path, drawn: list[ByteArray]) -> None:
    pose_core.track(clip, clip.parent / "out", tracker="flow")
    assert cv2.imwritemulti(str(clip.parent / "clip.tif"), [image[..., ::-1] for image in drawn])
    pose_core.track(clip, clip.parent / "other", tracker="flow", video=clip.parent / "clip.tif")
    assert read_tracks(clip.parent / "other/clip.parquet") == read_tracks(clip.parent / "out/clip.parquet")
    assert cv2.imwritemulti(str(clip.parent / "short.tif"), drawn[:5])
    with pytest.raises(DataError, match=r"short\.tif: it has 5 frames, the predictions 40"):
        pose_core.track(clip, clip.parent / "none", tracker="flow", video=clip.parent / "short.tif")


def test_without_the_video_one_line_says_what_to_do(pose: Any, clip: Path) -> None:
    (clip.parent / "clip.mkv").unlink()
    done = pose("track", clip.name, "--tracker", "flow", "--out", "out")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "clip.parquet: the tracker tracking/flow needs images: clip.mkv is not there" in line
    assert "name it by --video FILE" in line
    assert not (clip.parent / "out/clip.parquet").exists()


def test_another_video_is_refused(clip: Path) -> None:
    short = write_crowd_video(clip.parent / "short.mkv", [np.zeros((SIDE, SIDE, 3), np.uint8)] * 7)
    with pytest.raises(
        DataError, match=r"short\.mkv: it has 7 frames, the predictions 40; name the video that was"
    ):
        pose_core.track(clip, clip.parent / "out", tracker="flow", video=short)
    # What the predictions name may have been replaced since.
    short.replace(clip.parent / "clip.mkv")
    with pytest.raises(DataError, match=r"needs images: .*clip\.mkv is another video \(it has 7 frames"):
        pose_core.track(clip, clip.parent / "out", tracker="flow")


@pytest.mark.parametrize(
    ("image", "line"),
    [
        (
            None,
            r"frame 0: the tracker tracking/flow needs images; give each frame with its own: update\(frame",
        ),
        (np.zeros((4, 4, 3)), "the image of frame 0 has dtype float64"),
        (np.zeros((4, 4, 4), np.uint8), "the image of frame 0 has shape"),
    ],
)
def test_frame_by_frame_what_is_no_image_is_refused(image: Any, line: str) -> None:
    frame = next(Crowd(SPEC).found())
    with pytest.raises(DataError, match=line):
        pose_core.FrameTracker(CROWD_SKELETON, "flow").update(frame, image)


def test_trackers_that_need_no_images_do_not_look_at_them() -> None:
    live = pose_core.FrameTracker(Skeleton(("a",)), "oks")
    frame = Frame(0, Instances.from_keypoints([[[3, 4]]]))
    image: Any = "no image"
    assert live.update(frame, image).instances.track.tolist() == [0]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = {"method": "top_down", "preprocess": {"size": [32, 32], "scale": 1.0, "min_box": 16.0}}
    return make_run(tmp_path_factory.mktemp("runs") / "tiny", model=model)


@pytest.fixture
def boxes(clip: Path) -> Path:
    """Boxes of the animals in each frame, in changing order."""
    lines = ["frame,x1,y1,x2,y2,score"]
    for frame in Crowd(SPEC).truth():
        corners = frame.instances.animal_boxes().round(1).tolist()
        scores = [0.9, 0.8, 0.7] if frame.index % 2 else [0.7, 0.8, 0.9]
        lines += [
            f"{frame.index},{','.join(map(str, box))},{score}"
            for box, score in zip(corners, scores, strict=True)
        ]
    (clip.parent / "boxes.csv").write_text("\n".join(lines) + "\n")
    return clip.parent / "boxes.csv"


def options(boxes: Path, **more: Any) -> Mapping[str, Any]:
    return {"max_animals": 3, "boxes": boxes, "device": "cpu", "batch_size": 8, **more}


def test_pose_predict_gives_the_ids_of_pose_track(
    run: Path, clip: Path, boxes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, folder = clip.parent / "clip.mkv", clip.parent
    flow = options(boxes, tracker="flow", animals=3)
    pose_core.predict(run, video, folder / "plain", **options(boxes))
    pose_core.track(folder / "plain/clip.parquet", folder / "later", tracker="flow", animals=3)
    later = read_tracks(folder / "later/clip.parquet")
    assert {i for row in later for i in row} - {-1} == {0, 1, 2}
    pose_core.predict(run, video, folder / "at_once", **flow)
    assert read_tracks(folder / "at_once/clip.parquet") == later

    append = Journal.append

    def end(journal: Journal, frames: Any, sizes: Any) -> None:
        append(journal, frames, sizes)
        journal.flush()
        if journal.done >= 20:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", end)
        with pytest.raises(KeyboardInterrupt):
            pose_core.predict(run, video, folder / "ended", **flow)
    pose_core.predict(run, video, folder / "ended", **flow)
    assert read_tracks(folder / "ended/clip.parquet") == later


def test_of_some_frames_the_images_are_theirs(run: Path, clip: Path, boxes: Path) -> None:
    folder = clip.parent
    flow = options(boxes, frames="10-30:2")
    pose_core.predict(run, folder / "clip.mkv", folder / "plain", **flow)
    pose_core.track(folder / "plain/clip.parquet", folder / "later", tracker="flow")
    pose_core.predict(run, folder / "clip.mkv", folder / "at_once", tracker="flow", **flow)
    tracks = read_tracks(folder / "at_once/clip.parquet")
    assert tracks == read_tracks(folder / "later/clip.parquet")
    assert len(tracks) == 11


def test_a_tracker_that_fails_loses_nothing_that_was_predicted(
    run: Path, clip: Path, boxes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    class Listener(LogReporter):
        def note(self, line: str) -> None:
            said.append(line)

    def gone(source: Any) -> Any:
        def read(frame: Frame) -> ByteArray:
            raise DataError(f"{source.info.name}: has no frame {frame.index} any more")

        return read

    def predict(tracker: str) -> Any:
        more = options(boxes, tracker=tracker, reporter=Listener())
        return pose_core.predict(run, clip.parent / "clip.mkv", clip.parent / "out", **more)

    with monkeypatch.context() as patch:
        patch.setattr(result, "read_in_step", gone)
        assert predict("flow") == [None]
    assert any("needs the image of frame 0" in line for line in said)
    assert predict("oks") != [None]
    assert any("40 frames were done before" in line for line in said)
