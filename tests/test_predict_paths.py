"""``pose predict``: results that are whole or not there, resumed to the same bytes, and plain words for bad
input."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import typer
from tiny_run import make_run
from typer.testing import CliRunner

import pose_core
from pose_core.cli.predict import predict as predict_command
from pose_core.errors import ConfigError, DataError, PoseError, RunError, VideoError
from pose_core.formats.config import ParquetConfig
from pose_core.formats.parquet import ParquetWriter
from pose_core.formats.project_writing import Example, write_project
from pose_core.interfaces import PredictionsHeader
from pose_core.io import files
from pose_core.pipeline.sources import FrameSource, ImageSource
from pose_core.pipeline.video import VideoSource
from pose_core.prediction import journal
from pose_core.prediction.estimator import PoseEstimator
from pose_core.prediction.inputs import find_inputs, unique_names
from pose_core.prediction.predict import predict
from pose_core.prediction.result import Outcome
from pose_core.reporting import LogReporter
from pose_core.structures import Frame, Instances, Skeleton
from pose_core.synthetic.videos import copy_packets, draw_number, overwrite_bytes, write_numbered_video


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "mouse.mp4"
    write_numbered_video(path, 50)
    return path


class Watcher(LogReporter):
    """Collects what it is told; may stop the work at a frame, as Ctrl-C does."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.notes: list[str] = []
        self.errors: list[str] = []
        self.steps: list[float] = []
        self.stop_at = stop_at

    def progress(self, what: str, done: float, total: float | None) -> None:
        self.steps.append(done)
        if self.stop_at is not None and done >= self.stop_at:
            raise KeyboardInterrupt

    def note(self, line: str) -> None:
        self.notes.append(line)

    def finished(self, name: str, outcome: Outcome | VideoError | DataError) -> None:
        if not isinstance(outcome, Outcome):
            self.errors.append(str(outcome))


def read(path: Path) -> tuple[PredictionsHeader, list[Frame]]:
    stream = ParquetWriter(ParquetConfig()).read(path)
    return stream.header, list(stream)


def visible(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".") and p.suffix != ".info")


@pytest.fixture(scope="module")
def undisturbed(run: Path, video: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("undisturbed")
    predict(run, [video], out)
    return (out / "mouse.parquet").read_bytes()


def test_one_path_may_be_text(run: Path, video: Path, tmp_path: Path, undisturbed: bytes) -> None:
    (outcome,) = pose_core.predict(str(run), str(video), str(tmp_path / "out"))
    assert outcome is not None
    assert outcome.result.read_bytes() == undisturbed


def test_every_frame_is_in_the_result(run: Path, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    outcome = predict(run, [video], out)[0]
    assert outcome is not None
    assert outcome.result == out / "mouse.parquet"
    assert (outcome.frames, outcome.missing) == (50, [])
    header, frames = read(outcome.result)
    assert [f.index for f in frames] == list(range(50))
    assert (header.source, header.frames, header.width, header.height) == (str(video), 50, 64, 48)
    assert (header.fps, header.model, header.run, header.metadata) == (
        30.0,
        "tiny",
        str(run),
        {"scorer": "me"},
    )
    estimator = pose_core.load(run, device="cpu")
    for a, b in zip(frames, estimator.predict_video(video), strict=True):
        np.testing.assert_array_equal(a.instances.keypoints, b.instances.keypoints)
    assert sorted(p.name for p in out.iterdir()) == ["mouse.parquet", "mouse.parquet.info"]


@pytest.mark.parametrize("stop_at", [0, 4, 16, 36, 48, 50])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    stop_at: int, run: Path, video: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        predict(run, [video], tmp_path, reporter=Watcher(stop_at))
    assert visible(tmp_path) == []
    watcher = Watcher()
    outcome = predict(run, [video], tmp_path, reporter=watcher, finished=watcher.finished)[0]
    assert watcher.steps[0] == stop_at
    assert outcome is not None
    assert outcome.timing is not None
    assert outcome.timing.frames == 50 - stop_at
    assert (tmp_path / "mouse.parquet").read_bytes() == undisturbed
    if stop_at:
        assert watcher.notes == [f"{video}: {stop_at} frames were done before; going on from there"]


def test_a_killed_run_goes_on_from_its_last_part(
    run: Path, video: Path, undisturbed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process leaves that is killed at any moment: parts, and now and then a half-written one."""
    monkeypatch.setattr(journal, "PART_SECONDS", (0.0, 0.0))
    states: list[tuple[int, Path]] = []

    class Snapshots(Watcher):
        def progress(self, what: str, done: float, total: float | None) -> None:
            state = tmp_path / f"state{done}"
            shutil.copytree(tmp_path / "first", state)
            states.append((done, state))

    predict(run, [video], tmp_path / "first", reporter=Snapshots())
    assert len(states) == 14
    for done, state in states[::3]:
        partial = state / ".mouse.partial"
        (partial / f"{done:010d}-{done + 3:010d}.new").write_bytes(b"half a part")
        (partial / "result.parquet").write_bytes(b"half a result")
        watcher = Watcher()
        predict(run, [video], state, reporter=watcher, finished=watcher.finished)
        assert watcher.steps[0] == done
        assert (state / "mouse.parquet").read_bytes() == undisturbed
        assert [p.name for p in state.iterdir() if p.is_dir()] == []


def test_a_damaged_part_is_made_again(
    run: Path, video: Path, undisturbed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "PART_SECONDS", (0.0, 0.0))
    with pytest.raises(KeyboardInterrupt):
        predict(run, [video], tmp_path, reporter=Watcher(24))
    (tmp_path / ".mouse.partial" / "0000000008-0000000011.parquet").write_bytes(b"")
    watcher = Watcher()
    predict(run, [video], tmp_path, reporter=watcher, finished=watcher.finished)
    assert watcher.steps[0] == 8
    assert (tmp_path / "mouse.parquet").read_bytes() == undisturbed


def test_unfinished_results_of_another_making_are_not_mixed(
    run: Path, video: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    other = make_run(tmp_path / "other", seed=1)
    out = tmp_path / "out"
    for changed, first in (("weights", other), ("batch_size", run)):
        size = 8 if changed == "batch_size" else None
        with pytest.raises(KeyboardInterrupt):
            predict(first, [video], out, batch_size=size, overwrite=True, reporter=Watcher(16))
        watcher = Watcher()
        predict(run, [video], out, overwrite=True, reporter=watcher, finished=watcher.finished)
        assert watcher.notes == [
            f"{video}: an unfinished result made with other settings ({changed}) was discarded"
        ]
        assert watcher.steps[0] == 0
        assert (out / "mouse.parquet").read_bytes() == undisturbed


def test_a_video_that_changed_is_predicted_again(run: Path, tmp_path: Path) -> None:
    video = tmp_path / "v.mp4"
    write_numbered_video(video, 20)
    with pytest.raises(KeyboardInterrupt):
        predict(run, [video], tmp_path / "out", reporter=Watcher(8))
    write_numbered_video(video, 24)
    watcher = Watcher()
    predict(run, [video], tmp_path / "out", reporter=watcher, finished=watcher.finished)
    assert "(source) was discarded" in watcher.notes[0]
    assert len(read(tmp_path / "out" / "v.parquet")[1]) == 24


def test_a_finished_result_is_not_made_again(run: Path, video: Path, tmp_path: Path) -> None:
    predict(run, [video], tmp_path)
    result = tmp_path / "mouse.parquet"
    made = result.stat().st_mtime_ns
    left = tmp_path / ".mouse.partial"
    left.mkdir()  # as when the process is killed in its last moment
    (left / "0000000000-0000000003.parquet").write_bytes(b"")
    watcher = Watcher()
    outcome = predict(run, [video], tmp_path, reporter=watcher, finished=watcher.finished)[0]
    assert outcome == Outcome(result, 50, [])
    assert result.stat().st_mtime_ns == made
    assert not left.exists()
    assert watcher.notes == [f"{result} is complete; overwrite=True makes it again"]
    predict(run, [video], tmp_path, overwrite=True)
    assert result.stat().st_mtime_ns > made


def test_files_of_others_are_not_overwritten(run: Path, video: Path, tmp_path: Path) -> None:
    result = tmp_path / "mouse.parquet"
    result.write_text("mine")
    with pytest.raises(
        PoseError, match=r"no mouse.parquet.info beside it says what made it; add overwrite=True"
    ):
        predict(run, [video], tmp_path)
    assert result.read_text() == "mine"
    predict(run, [video], tmp_path, overwrite=True)
    twin = tmp_path / "twin" / "mouse.mp4"
    twin.parent.mkdir()
    write_numbered_video(twin, 8)
    with pytest.raises(PoseError, match="made with another source"):
        predict(run, [twin], tmp_path)
    with pytest.raises(PoseError, match="made with another weights"):
        predict(make_run(tmp_path / "other", 1), [video], tmp_path)
    assert read(result)[0].source == str(video)


def test_inputs_of_one_name_get_different_results(run: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "day1" / "m.mp4", tmp_path / "day2" / "m.mp4", tmp_path / "n.mp4"]
    for i, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        write_numbered_video(path, 4 + i)
    predict(run, paths, tmp_path / "out")
    assert visible(tmp_path / "out") == ["day1-m.parquet", "day2-m.parquet", "n.parquet"]
    assert len(read(tmp_path / "out" / "day2-m.parquet")[1]) == 5


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a/m.mp4", "b/n.mp4"], ["m", "n"]),
        (["a/m.mp4", "a/m.avi"], ["m-mp4", "m-avi"]),
        (["a/m.mp4", "b/M.mp4"], ["a-m", "b-M"]),
        (["a/m.mp4", "b/m.mp4", "b/m.avi"], ["a-m-mp4", "b-m-mp4", "b-m-avi"]),
        (["x/a/m.mp4", "y/a/m.mp4"], ["m-1", "m-2"]),
        (["x/a/m.mp4", "y/a/m.mp4", "m-1.mp4"], ["m-2", "m-3", "m-1"]),
    ],
)
def test_names_that_clash(paths: list[str], expected: list[str]) -> None:
    assert unique_names([Path(p).stem for p in paths], [Path(p) for p in paths]) == expected


def test_damaged_frames_are_reported_and_kept_in_place(run: Path, tmp_path: Path) -> None:
    video = tmp_path / "v.avi"
    packets = write_numbered_video(video, 20, codec="mjpeg", pixels="yuvj420p")
    for at in (7, 8, 13):
        overwrite_bytes(video, *packets[at])
    outcome = predict(run, [video], tmp_path / "out")[0]
    assert outcome is not None
    assert outcome.missing == [(7, 8), (13, 13)]
    frames = read(outcome.result)[1]
    assert [f.index for f in frames if f.missing is not None] == [7, 8, 13]
    again = predict(run, [video], tmp_path / "out")[0]
    assert again is not None
    assert again.missing == outcome.missing

    result = command(run, video, "--out", tmp_path / "other")
    assert result.exit_code == 2
    assert "warning: " in result.stderr
    assert "3 of 20 frames could not be decoded and are marked as missing: 7-8, 13 (" in result.stderr
    assert result.stdout == f"{tmp_path / 'other' / 'v.parquet'}\n"


VARYING = [0, 1, 2, 3, 12, 13, 14, 15, 27, 28]


@pytest.mark.parametrize("name", ["v.mkv", "v.mp4", "v.mov", "v.ts"])
def test_results_carry_the_times_of_frames(run: Path, name: str, tmp_path: Path) -> None:
    video = tmp_path / name
    write_numbered_video(video, 10, times=VARYING, options={"bf": "2"})
    watcher = Watcher()
    (outcome,) = predict(run, [video], tmp_path / "out", reporter=watcher)
    assert outcome is not None
    header, frames = read(outcome.result)
    assert [f.time for f in frames] == pytest.approx([t / 30 for t in VARYING], abs=6e-4)
    assert header.fps == pytest.approx(9 / 28 * 30, rel=1e-3)
    (note,) = [n for n in watcher.notes if "evenly" in n]
    assert note.startswith(f"note: {video}: its frames are not evenly spaced (33")
    assert "to 400 ms)" in note


def test_an_interrupted_result_keeps_the_times(run: Path, tmp_path: Path) -> None:
    video = tmp_path / "v.mkv"
    write_numbered_video(video, 40, times=[i + 5 * (i > 20) for i in range(40)])
    (whole,) = predict(run, [video], tmp_path / "whole", batch_size=4)
    with pytest.raises(KeyboardInterrupt):
        predict(run, [video], tmp_path / "out", batch_size=4, reporter=Watcher(stop_at=12))
    (resumed,) = predict(run, [video], tmp_path / "out", batch_size=4)
    assert whole is not None
    assert resumed is not None
    assert resumed.result.read_bytes() == whole.result.read_bytes()


def test_a_recording_that_begins_between_key_frames_says_so(run: Path, tmp_path: Path) -> None:
    source, video = tmp_path / "source.nut", tmp_path / "cut.avi"
    write_numbered_video(source, 24, codec="mpeg4", keyframe_every=8)
    packets = copy_packets(source, video, first=3)
    result = command(run, video, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert (
        "5 of 21 frames could not be decoded and are marked as missing: 0-4 (refers to a key frame that the "
        "file does not hold). Cut the recording anew" in result.stderr
    )
    assert len(packets) == 21
    mixed = tmp_path / "mixed.avi"
    mixed.write_bytes(video.read_bytes())
    with av.open(str(mixed)) as container:
        last = [(p.pos, p.size) for p in container.demux(video=0) if p.size][-1]
    overwrite_bytes(mixed, *last)
    (outcome,) = predict(run, [mixed], tmp_path / "out")
    assert outcome is not None
    assert outcome.missing == [(0, 4), (20, 20)]
    assert outcome.reason is not None
    assert outcome.reason.startswith(
        "0-4: refers to a key frame that the file does not hold; 20: not decodable"
    )


def command(*arguments: object) -> object:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(predict_command)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_says_what_it_made_and_where_the_time_went(
    run: Path, video: Path, tmp_path: Path
) -> None:
    result = command(run, video, "--out", tmp_path, "--device", "cpu", "--batch-size", "8")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'mouse.parquet'}\n"
    line = result.stderr.strip().splitlines()[-1]
    for word in ("50 frames", "frames/s", "decode", "network", "write", "bottleneck"):
        assert word in line


def test_one_bad_video_does_not_stop_the_others(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = tmp_path / "good.mp4", tmp_path / "bad.mp4"
    write_numbered_video(good, 8)
    write_numbered_video(bad, 8)
    original = VideoSource.read

    def breaking(self: VideoSource, start: int = 0) -> Iterator[object]:
        if self.info.name == str(bad):
            raise VideoError(f"{bad}: gone")
        return original(self, start)

    monkeypatch.setattr(VideoSource, "read", breaking)
    watcher = Watcher()
    outcomes = predict(run, [bad, good], tmp_path / "out", reporter=watcher, finished=watcher.finished)
    assert outcomes[0] is None
    assert outcomes[1] is not None
    assert watcher.errors == [f"{bad}: gone"]
    assert visible(tmp_path / "out") == ["good.parquet"]


@pytest.mark.parametrize("fail_at", [1, 2, 3, 4, 5])
def test_a_full_disk_is_one_line_and_nothing_half_written(
    fail_at: int, run: Path, video: Path, undisturbed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def full(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls >= fail_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(journal, "PART_SECONDS", (0.0, 0.0))
    with monkeypatch.context() as disk:
        disk.setattr(files.os, "fsync", full)
        with pytest.raises(PoseError, match="no space left on the disk; free some") as caught:
            predict(run, [video], tmp_path)
    assert "\n" not in str(caught.value)
    assert visible(tmp_path) == []
    predict(run, [video], tmp_path)
    assert (tmp_path / "mouse.parquet").read_bytes() == undisturbed


def test_a_full_disk_at_the_very_end(
    run: Path, video: Path, undisturbed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = ParquetWriter.write

    def full(self: ParquetWriter, path: Path, header: PredictionsHeader, frames: Iterator[Frame]) -> None:
        if path.stem == "result":
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, path, header, frames)

    with monkeypatch.context() as disk:
        disk.setattr(ParquetWriter, "write", full)
        with pytest.raises(PoseError, match="no space left"):
            predict(run, [video], tmp_path)
    assert visible(tmp_path) == []
    watcher = Watcher()
    predict(run, [video], tmp_path, reporter=watcher, finished=watcher.finished)
    assert watcher.steps == [50]  # only the last step is made again
    assert (tmp_path / "mouse.parquet").read_bytes() == undisturbed


def test_two_processes_do_not_work_on_one_result(run: Path, video: Path, tmp_path: Path) -> None:
    class Second(Watcher):
        def progress(self, what: str, done: float, total: float | None) -> None:
            if done == 8:
                with pytest.raises(
                    PoseError, match=r"another pose_core\.predict is working on the same result"
                ):
                    predict(run, [video], tmp_path)
                self.notes.append("refused")

    watcher = Second()
    predict(run, [video], tmp_path, reporter=watcher, finished=watcher.finished)
    assert watcher.notes == ["refused"]
    assert visible(tmp_path) == ["mouse.parquet"]


def write_images(folder: Path, sizes: list[tuple[int, int]]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"img{i}.png" for i in range(len(sizes))]
    for i, (path, (width, height)) in enumerate(zip(paths, sizes, strict=True)):
        cv2.imwrite(str(path), draw_number(i, width, height))
    return paths


def test_a_folder_of_images_is_one_sequence(run: Path, tmp_path: Path) -> None:
    images = write_images(tmp_path / "shots", [(64, 48)] * 11)
    with pytest.raises(KeyboardInterrupt):
        predict(run, [tmp_path / "shots"], tmp_path / "out", reporter=Watcher(8))
    outcome = predict(run, [tmp_path / "shots"], tmp_path / "out")[0]
    assert outcome is not None
    assert outcome.result.name == "shots.parquet"
    header, frames = read(outcome.result)
    assert [f.image for f in frames] == [str(p) for p in images]
    assert (header.frames, header.width, header.height, header.fps) == (11, 64, 48, 0.0)


def test_images_given_together_are_one_sequence(run: Path, tmp_path: Path) -> None:
    images = write_images(tmp_path / "shots", [(64, 48), (80, 60), (64, 48)])
    predict(run, [images[2], images[0], images[1]], tmp_path / "out")
    header, frames = read(tmp_path / "out" / "shots.parquet")
    assert [f.image for f in frames] == [str(images[i]) for i in (2, 0, 1)]
    assert (header.width, header.height) == (0, 0)
    predict(run, [images[1]], tmp_path / "out")
    assert read(tmp_path / "out" / "img1.parquet")[0].width == 80


def test_a_folder_of_videos_is_each_of_them(run: Path, tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MKV", "._a.mp4"):
        write_numbered_video(tmp_path / "in" / name, 4) if (tmp_path / "in").mkdir(
            exist_ok=True
        ) is None else None
    (tmp_path / "in" / "notes.txt").write_text("no video")
    outcomes = predict(run, [tmp_path / "in"], tmp_path / "out")
    assert [o.result.name for o in outcomes if o is not None] == ["a.parquet", "b.parquet"]


def no_video(path: Path) -> FrameSource:
    raise VideoError(f"{path}: cannot be opened as a video")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "none.mp4", "no such file or folder"),
        (lambda d: (d / "empty").mkdir() or d / "empty", "holds no images or videos"),
        (lambda d: (d / "x.mp4").write_bytes(b"x\0") and d / "x.mp4", "cannot be opened as a video"),
    ],
)
def test_bad_inputs_are_one_line_before_anything_is_predicted(
    make: object, message: str, run: Path, video: Path, tmp_path: Path
) -> None:
    with pytest.raises(PoseError, match=message) as caught:
        predict(run, [video, make(tmp_path)], tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_mixed_folders_and_repeated_inputs_are_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    images = write_images(folder, [(64, 48)] * 2)
    assert isinstance(find_inputs([folder], no_video).found[0].source, ImageSource)
    with pytest.raises(DataError, match="given twice"):
        find_inputs([images[0], folder / ".." / "mixed" / "img0.png"], no_video)
    (folder / "v.mp4").write_text("")
    with pytest.raises(DataError, match=r"holds images \(img0.png ...\) and videos \(v.mp4 ...\)"):
        find_inputs([folder], no_video)


def test_a_folder_is_named_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path / "shots", [(64, 48)])
    monkeypatch.chdir(tmp_path / "shots")
    assert find_inputs([Path()], no_video).found[0].path == tmp_path / "shots"


def test_bad_options_are_one_line(run: Path, video: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"format: no writer 'excel'.*parquet"):
        predict(run, [video], tmp_path / "out", format="excel")
    with pytest.raises(ConfigError, match=r"format: .*did you mean parquet\?.*installed formats:"):
        predict(run, [video], tmp_path / "out", format="parket")
    with pytest.raises(ConfigError, match="device 'gpu' is unknown"):
        predict(run, [video], tmp_path / "out", device="gpu")
    with pytest.raises(ConfigError, match="batch_size=0: must be at least 1"):
        predict(run, [video], tmp_path / "out", batch_size=0)
    with pytest.raises(RunError, match="no such run folder"):
        predict(tmp_path / "none", [video], tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(PoseError, match="is a file, not a folder"):
        predict(run, [video], tmp_path / "file")


# The Python interface.


@pytest.fixture(scope="module")
def estimator(run: Path) -> PoseEstimator:
    return pose_core.load(run, device="cpu")


def assert_equal(a: list[Frame], b: list[Frame]) -> None:
    assert [f.index for f in a] == [f.index for f in b]
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x.instances.keypoints, y.instances.keypoints, atol=1e-3)
        np.testing.assert_allclose(x.instances.scores, y.instances.scores, atol=1e-5)


def test_arrays_lists_and_live_frames_agree(estimator: PoseEstimator) -> None:
    images = np.stack([draw_number(i) for i in range(10)])
    assert estimator.skeleton.keypoints == ("nose", "tail")
    whole = estimator.predict(images)
    assert isinstance(whole, list)
    assert len(whole) == 10
    assert_equal(whole, estimator.predict(list(images)))
    assert_equal(whole, estimator.predict(list(images), batch_size=64))
    assert_equal(whole, list(estimator.predict(iter(images))))
    assert_equal(whole, list(estimator.predict(iter(images), batch_size=3)))
    assert estimator.predict([]) == []


def test_live_frames_are_taken_one_by_one(estimator: PoseEstimator) -> None:
    taken = 0

    def camera() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield draw_number(taken % 256)

    results = estimator.predict(camera())
    assert taken == 0
    assert [next(results).index for _ in range(3)] == [0, 1, 2]
    assert taken == 3


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((48, 64, 3), np.uint8), r"one image of shape \(48, 64, 3\); give a batch"),
        (np.zeros((2, 48, 64, 3), np.float32), "dtype float32"),
        (np.zeros((48, 64), np.uint8), r"must be \(B, H, W, 3\)"),
        ([np.zeros((48, 64, 2), np.uint8)], r"image 0 has shape \(48, 64, 2\)"),
        ("video.mp4", r"for a video file use predict_video"),
        (3, "takes images, not int"),
    ],
)
def test_wrong_images_are_one_line(frames: object, message: str, estimator: PoseEstimator) -> None:
    with pytest.raises(DataError, match=message):
        estimator.predict(frames)


def test_a_wrong_live_frame_is_named(estimator: PoseEstimator) -> None:
    results = estimator.predict(iter([draw_number(0), draw_number(1) / 255.0]))
    next(results)
    with pytest.raises(DataError, match="image 1 has dtype float64"):
        next(results)


def test_a_run_without_weights_is_one_line(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "weights.safetensors").unlink()
    with pytest.raises(RunError, match="missing"):
        pose_core.load(copy)


def test_the_note_beside_a_result_says_what_made_it(run: Path, video: Path, tmp_path: Path) -> None:
    predict(run, [video], tmp_path)
    note = json.loads((tmp_path / "mouse.parquet.info").read_text())
    assert note["frames"] == 50
    assert note["maker"]["format"]["type"] == "core/parquet"
    assert note["maker"]["batch_size"] == 4


def test_labelled_images_of_a_project_are_one_sequence(run: Path, tmp_path: Path) -> None:
    examples = [
        Example(f"clip/{i}.png", draw_number(i, 64, 48), Instances.from_keypoints(np.full((1, 2, 2), 20.0)))
        for i in range(3)
    ]
    write_project(tmp_path / "mice", Skeleton(("a", "b")), examples, name="mice")
    (outcome,) = predict(run, tmp_path / "mice", tmp_path / "out", device="cpu", frames="labelled")
    assert outcome is not None
    assert (outcome.result, outcome.frames) == (tmp_path / "out" / "mice.parquet", 3)
    found = list(ParquetWriter(ParquetConfig(type="core/parquet")).read(outcome.result))
    assert [frame.image for frame in found] == [
        str(tmp_path / "mice" / "images" / "clip" / f"{i}.png") for i in range(3)
    ]
    with pytest.raises(DataError, match="no images are suggested for labelling next"):
        predict(run, tmp_path / "mice", tmp_path / "out", device="cpu", frames="suggested")
    with pytest.raises(DataError, match="is no labelled project that an installed reader recognises"):
        predict(run, tmp_path / "mice" / "images" / "clip", tmp_path / "out", device="cpu", frames="labelled")
    with pytest.raises(ConfigError, match="frames=all: must be suggested, labelled, or ranges of frames"):
        predict(run, tmp_path / "mice", tmp_path / "out", device="cpu", frames="all")
    with pytest.raises(
        DataError, match=r"of this format no ranges of frames are found \(2-3\); name the videos"
    ):
        predict(run, tmp_path / "mice", tmp_path / "out", device="cpu", frames="2-3")
