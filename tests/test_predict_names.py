"""``pose predict`` and ``pose render`` on files of any name, on folders of which a part is passed over, and on
disks without locks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from listening import Listener

from pose_core.errors import DataError, PoseError, VideoError
from pose_core.escapes import escape_name
from pose_core.formats.config import ParquetConfig
from pose_core.formats.parquet import ParquetWriter
from pose_core.interfaces.prediction_files import open_predictions
from pose_core.io.ffmpeg import create_container
from pose_core.io.video import VideoFile
from pose_core.model.build import build_model
from pose_core.pipeline.video import VideoSource
from pose_core.prediction.inputs import find_inputs, unique_names
from pose_core.prediction.predict import predict
from pose_core.prediction.render import render
from pose_core.prediction.result import Outcome
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec
from pose_core.structures import Frame
from pose_core.synthetic.videos import draw_number, write_numbered_video

STRANGE = [
    "day1-12:30:05.avi",
    "pipe:0.avi",
    "http:x.avi",
    "concat:a|b.avi",
    "shot%03d.avi",
    "two\nlines.avi",
    "-y.avi",
    "[1]*?.avi",
    " blank .avi",
    "鼠e\u0301.avi",
    os.fsdecode(b"souris_\xe91.avi"),
    os.fsdecode(b"\xff\xfe.avi"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = RunSpec.model_validate(
        {
            "skeleton": {"keypoints": ["nose", "tail"]},
            "data": {"source": "nowhere"},
            "model": {
                "name": "tiny",
                "preprocess": {"scale": 0.5, "min_box": 16.0},
                "backbone": {"type": "unet/unet", "filters": 4, "max_stride": 8, "output_stride": 4},
                "heads": {"keypoints": {"type": "heatmap/heatmap"}},
            },
        }
    )
    torch.manual_seed(0)
    made = Run.create(tmp_path_factory.mktemp("runs") / "tiny", spec, {})
    made.save_weights(build_model(spec).state_dict())
    return made.path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "plain.avi"
    write_numbered_video(path, 4, codec="mjpeg", pixels="yuvj420p")
    return path


def read(path: Path) -> list[Frame]:
    return list(ParquetWriter(ParquetConfig()).read(path))


def source_of(path: Path) -> str:
    with path.open("rb") as file:
        content = json.loads(pq.read_schema(file).metadata[b"pose_core"])
    return str(content["source"])


@pytest.mark.parametrize("name", STRANGE)
def test_a_video_of_any_name_is_read(
    name: str, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(video, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (Path(name), Path(f"./{name}"), tmp_path / name):
        assert len(list(VideoFile(path).frames())) == 4


def test_videos_of_any_names_are_predicted_and_drawn(run: Path, video: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("plain.avi", *STRANGE):
        shutil.copyfile(video, tmp_path / "in" / name)
    listener = Listener()
    outcomes = predict(run, tmp_path / "in", tmp_path / "out", device="cpu", reporter=listener)
    assert len(outcomes) == len(STRANGE) + 1
    assert all(outcome is not None and outcome.frames == 4 for outcome in outcomes)
    plain = read(tmp_path / "out" / "plain.parquet")
    for name in STRANGE:
        result = tmp_path / "out" / f"{Path(name).stem}.parquet"
        assert source_of(result) == escape_name(tmp_path / "in" / name)
        note = json.loads(result.with_name(f"{result.name}.info").read_text())
        assert note["maker"]["source"]["video"][0] == escape_name(name)
        for a, b in zip(read(result), plain, strict=True):
            np.testing.assert_array_equal(a.instances.keypoints, b.instances.keypoints)
    again = Listener()
    predict(run, tmp_path / "in", tmp_path / "out", device="cpu", reporter=again)
    assert sum("is complete" in line for line in again.notes) == len(STRANGE) + 1
    for name in ("day1-12:30.mp4", "a%d.mkv", os.fsdecode(b"drawn\xe9.mp4"), "pipe:1.mp4"):
        strange = tmp_path / "in" / STRANGE[-2]
        render(tmp_path / "out" / f"{strange.stem}.parquet", strange, tmp_path / name)
        assert len(list(VideoFile(tmp_path / name).frames())) == 4


@pytest.mark.parametrize("name", ["shot%d.png", "list.m3u8", "segments.mpd", "x"])
def test_a_video_is_written_into_one_file_or_not_at_all(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"format"):
        create_container(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_file_whose_name_begins_like_an_option_is_that_file(pose: Any, tmp_path: Path) -> None:
    (tmp_path / "-v.avi").write_bytes(b"no video")
    assert pose.refuses("predict", "run", "-v.avi", "--out", "o") == pose.refuses(
        "predict", "run", "./-v.avi", "--out", "o"
    )
    # What is an option stays one, and what does not exist is called none.
    (tmp_path / "-o").touch()
    for argument in ("-o", "-other.avi"):
        assert f"No such option: {argument[:2]}" in pose("predict", "run", argument, "--out", "o").stderr


def test_a_pattern_in_a_name_reads_no_other_files(tmp_path: Path) -> None:
    picture = cv2.imencode(".jp2", draw_number(1))[1].tobytes()
    for name in ("f%d.jp2", "f0.jp2", "f1.jp2", "f2.jp2"):
        (tmp_path / name).write_bytes(picture)
    assert len(list(VideoFile(tmp_path / "f%d.jp2").frames())) == 1


@pytest.mark.parametrize("format", ["parquet", "dlc-h5", "dlc-csv", "coco"])
def test_images_whose_names_are_no_text(format: str, run: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"m\xe4use")
    folder.mkdir()
    names = [os.fsdecode(b"\xe90.png"), os.fsdecode(b"\xe91.png"), "\\xe91.png"]
    for number, name in enumerate(names):
        (folder / name).write_bytes(cv2.imencode(".png", draw_number(number))[1].tobytes())
    (outcome,) = predict(run, folder, tmp_path / "out", device="cpu", format=format)
    assert outcome is not None
    assert os.fsencode(outcome.result.name).startswith(b"m\xe4use")
    text = outcome.result.read_bytes()
    if format == "parquet":
        assert [f.image for f in read(outcome.result)] == [escape_name(folder / n) for n in sorted(names)]
    elif format == "coco":
        found = {r["file_name"] for r in json.loads(text)}
        assert found <= {escape_name(name) for name in names}
    else:
        stream = open_predictions(outcome.result)
        assert [f.image for f in stream] == [escape_name(name) for name in sorted(names)]


def test_a_damaged_image_with_such_a_name_is_a_missing_frame(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / os.fsdecode(b"\xff.png")).write_bytes(b"no image")
    (folder / "a.png").write_bytes(cv2.imencode(".png", draw_number(0))[1].tobytes())
    (outcome,) = predict(run, folder, tmp_path / "out", device="cpu")
    assert outcome is not None
    frames = read(outcome.result)
    assert frames[1].missing is not None
    assert "\\xff.png cannot be decoded" in frames[1].missing


# Long names.


@pytest.mark.parametrize(
    ("stem", "format", "shortened"),
    [
        ("m" * 200, "dlc-h5", False),
        ("m" * 238, "parquet", False),
        ("m" * 251, "parquet", True),
        ("n" * 240, "dlc-csv", True),
        ("鼠" * 75, "dlc-h5", True),
        ("é" * 120, "coco", False),
        (os.fsdecode(b"\xff" * 250), "parquet", True),
    ],
)
def test_long_names_end_in_a_result(
    stem: str, format: str, shortened: bool, run: Path, video: Path, tmp_path: Path
) -> None:
    shutil.copyfile(video, tmp_path / f"{stem}.avi")
    listener = Listener()
    first = predict(
        run, tmp_path / f"{stem}.avi", tmp_path / "out", device="cpu", format=format, reporter=listener
    )
    again = predict(run, tmp_path / f"{stem}.avi", tmp_path / "out", device="cpu", format=format)
    assert first[0] is not None
    assert again[0] is not None
    assert again[0].result == first[0].result, "the same name each time"
    assert again[0].timing is None, "it is found again"
    assert any("is shortened to" in note for note in listener.notes) is shortened
    note = first[0].result.with_name(f"{first[0].result.name}.info")
    assert json.loads(note.read_text())["maker"]["source"]["video"][0] == escape_name(f"{stem}.avi")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted([first[0].result.name, note.name])


def test_a_long_out_is_refused_before_the_work(run: Path, video: Path, tmp_path: Path) -> None:
    with pytest.raises(PoseError, match="its name has 300 bytes, and names end at 255"):
        predict(run, video, tmp_path / ("x" * 300))
    with pytest.raises(DataError, match=r"cannot be read \(file name too long\)"):
        predict(run, tmp_path / ("x" * 300), tmp_path / "out")


def test_results_that_differ_in_the_form_of_accents_get_names_of_their_own() -> None:
    paths = [Path("a/caf\u00e9.mp4"), Path("b/cafe\u0301.mp4"), Path("c/CAF\u00c9.mp4")]
    assert unique_names([p.stem for p in paths], paths) == [f"{p.parent}-{p.stem}" for p in paths]


# Folders.


def test_what_of_a_folder_is_passed_over_is_named_before_the_work(
    run: Path, video: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    for name in ("a.avi", "b.asf", "c.vob", "d", "e.avi.bak", ".hidden.avi", "sub/x.MP4", "deep/er/y.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(video, folder / name)
    for name in (
        "a.csv",
        "a.h5",
        "a.json",
        "a.txt",
        "a.parquet",
        "._a.avi",
        ".x.partial.mp4",
        "tables/t.csv",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    (folder / "gone.mp4").symlink_to(folder / "nowhere")
    listener = Listener()
    outcomes = predict(run, folder, tmp_path / "out", device="cpu", reporter=listener)
    assert [o.result.name for o in outcomes if o] == ["a.parquet"]
    assert listener.notes[:2] == [
        (
            f"note: {folder}: 6 files passed over (.hidden.avi, b.asf, c.vob, d, e.avi.bak, gone.mp4); name them to "
            "have them predicted"
        ),
        (
            f"note: {folder}: 2 subfolders with images or videos passed over (deep, sub); name them to have them "
            "predicted"
        ),
    ]


@pytest.mark.parametrize("count", [1, 3, 25])
def test_passed_over_files_are_counted_and_the_first_are_named(count: int, tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(cv2.imencode(".png", draw_number(0))[1].tobytes())
    for number in range(count):
        (tmp_path / f"x{number}.raw").write_bytes(b"")
    (note,) = find_inputs([tmp_path], VideoSource).notes
    assert note.startswith(f"{tmp_path}: {count} file{'s' if count > 1 else ''} passed over (x0.raw")
    assert ("and 15 more" in note) is (count == 25)


def test_a_folder_with_media_in_subfolders_only_names_them(tmp_path: Path) -> None:
    (tmp_path / "day1").mkdir()
    (tmp_path / "day1" / "a.mp4").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 subfolder with images or videos passed over \(day1\); name it"):
        find_inputs([tmp_path], VideoSource)
    with pytest.raises(DataError, match=r"DAY1: no such file or folder; there is day1"):
        find_inputs([tmp_path / "DAY1"], VideoSource)


def test_a_video_of_a_folder_that_does_not_open_keeps_no_other_from_being_predicted(
    run: Path, video: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.avi", "c.avi"):
        shutil.copyfile(video, folder / name)
    (folder / "b.avi").write_bytes(b"no video\0")
    said: list[tuple[str, bool]] = []

    def finished(name: str, outcome: Outcome | VideoError | DataError) -> None:
        said.append((Path(name).name, isinstance(outcome, Outcome)))

    outcomes = predict(run, folder, tmp_path / "out", device="cpu", finished=finished)
    assert [outcome is not None for outcome in outcomes] == [True, False, True]
    assert said == [("b.avi", False), ("a.avi", True), ("c.avi", True)], "what fails is said before the work"
    for name in ("a.avi", "c.avi"):
        (folder / name).unlink()
    with pytest.raises(VideoError, match=r"b\.avi: cannot be opened"):
        predict(run, folder, tmp_path / "other", device="cpu")


# Disks without locks.


@pytest.mark.parametrize("name", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_without_locks_all_is_predicted_with_one_note(
    name: str, run: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: object, operation: int) -> None:
        raise OSError(getattr(errno, name), "no locks")

    monkeypatch.setattr(fcntl, "flock", flock)
    shutil.copyfile(video, tmp_path / "b.avi")
    out, listener = tmp_path / "out", Listener()
    predict(run, [video, tmp_path / "b.avi"], out, device="cpu", reporter=listener)
    assert sorted(p.name for p in out.glob("*.parquet")) == ["b.parquet", "plain.parquet"]
    assert [line for line in listener.notes if "locks" in line] == [
        f"{out}: this file system knows no locks; do not run two predictions of one video there"
    ]


@pytest.mark.parametrize("name", ["EIO", "ESTALE", "EBADF"])
def test_a_lock_that_fails_leaves_nothing_behind(
    name: str, run: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: object, operation: int) -> None:
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(PoseError, match="cannot be locked"):
        predict(run, video, tmp_path / "out", device="cpu")
    assert list((tmp_path / "out").iterdir()) == []
