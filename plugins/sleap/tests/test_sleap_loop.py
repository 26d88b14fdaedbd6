"""The loop with SLEAP's GUI: a project trains, its suggested frames are predicted, and the .slp that comes out
is of the same videos."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from pose_sleap.slp_file import open_slp
from slp_projects import Animal, SlpProject, embedded_video, image_video, media_video
from tiny_run import make_run
from typer.testing import CliRunner

import pose_core
from pose_core.cli.main import app
from pose_core.data.projects import read_project
from pose_core.errors import ConfigError, DataError
from pose_core.interfaces.prediction_files import open_predictions
from pose_core.synthetic.videos import draw_number, write_numbered_video

P = np.array([[10.0, 12.0], [20.5, 13.25], [22.0, 30.0], [40.0, 40.0]])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def project(tmp_path: Path) -> SlpProject:
    for name in ("one", "two"):
        write_numbered_video(tmp_path / f"{name}.mp4", 12)
    return SlpProject(
        videos=[media_video(f"/lab/{name}.mp4") for name in ("one", "two")],
        frames=[(0, 7, [Animal(P)]), (1, 3, [Animal(P)])],
        suggestions=[(1, 9), (0, 4), (0, 7), (0, 2)],
    )


def places(path: Path) -> list[tuple[int, int]]:
    """Video and number of each frame in a file of predictions."""
    with h5py.File(path) as file:
        return [(int(row["video"]), int(row["frame_idx"])) for row in file["frames"][()]]


def videos(path: Path) -> list[object]:
    with open_slp(path) as slp:
        return list(slp.videos)


def test_suggested_frames_come_back_at_their_places(run: Path, project: SlpProject, tmp_path: Path) -> None:
    path = project.write(tmp_path / "lab.slp")
    (outcome,) = pose_core.predict(run, path, tmp_path / "out", format="slp", device="cpu")
    assert outcome is not None
    assert outcome.result == tmp_path / "out" / "lab.predictions.slp"
    # Without frame 7, which is labelled.
    assert places(outcome.result) == [(0, 2), (0, 4), (1, 9)]
    # As the project has them, so that the GUI takes them for the same.
    assert videos(outcome.result) == videos(path)
    shown = [frame.image for frame in open_predictions(outcome.result)]
    assert shown == ["/lab/one.mp4 frame 2", "/lab/one.mp4 frame 4", "/lab/two.mp4 frame 9"]


def test_labelled_frames_and_another_format(run: Path, project: SlpProject, tmp_path: Path) -> None:
    path = project.write(tmp_path / "lab.slp")
    (slp,) = pose_core.predict(run, path, tmp_path / "out", format="slp", device="cpu", frames="labelled")
    assert slp is not None
    assert places(slp.result) == [(0, 7), (1, 3)]
    (parquet,) = pose_core.predict(run, path, tmp_path / "out", device="cpu", frames="labelled")
    assert parquet is not None
    images = [frame.image for frame in open_predictions(parquet.result)]
    assert images == [f"{tmp_path / 'one.mp4'} frame 7", f"{tmp_path / 'two.mp4'} frame 3"]
    why: list[str] = []
    outcomes = pose_core.predict(
        run,
        path,
        tmp_path / "out2",
        format="sleap-analysis",
        device="cpu",
        finished=lambda name, outcome: why.append(str(outcome)),
    )
    assert outcomes == [None]
    assert why[0].startswith(
        f"{path}: is a project, and sleap-analysis is of one video; write the format slp"
    )


def test_embedded_images_need_no_video(run: Path, project: SlpProject, tmp_path: Path) -> None:
    frames = {7: draw_number(7, 64, 48), 2: draw_number(2, 64, 48)}
    project.embedded, project.attributes = {0: frames}, {"channel_order": "RGB"}
    project.videos = [embedded_video(0, project.videos[0], 2)]
    project.frames, project.suggestions = project.frames[:1], [(0, 2)]
    for file in tmp_path.glob("*.mp4"):
        file.unlink()
    path = project.write(tmp_path / "lab.pkg.slp")
    (outcome,) = pose_core.predict(run, path, tmp_path / "out", format="slp", device="cpu")
    assert outcome is not None
    assert outcome.result.name == "lab.predictions.slp"
    assert places(outcome.result) == [(0, 2)]
    with h5py.File(outcome.result) as file:
        content = json.loads(file["videos_json"][0])
    assert content["source_video"]["filename"] == "/lab/one.mp4"
    # Where "." would be the file of predictions.
    assert content["backend"]["filename"] == content["filename"] == path.as_posix()
    project.suggestions = [(0, 5)]
    path = project.write(tmp_path / "lab.pkg.slp")
    with pytest.raises(DataError, match="holds no images of 1 suggested frames"):
        pose_core.predict(run, path, tmp_path / "out", format="slp", device="cpu")


def test_a_project_without_suggestions_says_what_to_do(
    run: Path, project: SlpProject, tmp_path: Path
) -> None:
    project.suggestions = [(0, 7)]
    path = project.write(tmp_path / "lab.slp")
    with pytest.raises(DataError, match=r"no images are suggested .* frames=labelled, or name its videos"):
        pose_core.predict(run, path, tmp_path / "out", device="cpu")
    with pytest.raises(ConfigError, match="frames=some: must be suggested, labelled, or ranges of frames"):
        pose_core.predict(run, path, tmp_path / "out", device="cpu", frames="some")
    result = CliRunner().invoke(
        app, ["predict", str(run), str(path), "--out", str(tmp_path / "out"), "--frames", "labelled"]
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "lab.parquet").exists()


def test_ranges_of_the_videos_come_back_at_their_places(
    run: Path, project: SlpProject, tmp_path: Path
) -> None:
    path = project.write(tmp_path / "lab.slp")
    options = ["--frames", "9-10,two.mp4:0-1", "--format", "slp", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["predict", str(run), str(path), *options, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    made = tmp_path / "out" / "lab.predictions.slp"
    # 9 of the second video is one of the project's suggestions, the others are in no list of it.
    assert places(made) == [(0, 9), (0, 10), (1, 0), (1, 1), (1, 9), (1, 10)]
    assert videos(made) == videos(path)
    shown = [frame.image for frame in open_predictions(made)]
    assert shown[2] == "/lab/two.mp4 frame 0"


def test_ranges_of_lists_of_images(run: Path, project: SlpProject, tmp_path: Path) -> None:
    names = [tmp_path / f"{i}.png" for i in range(4)]
    for i, name in enumerate(names):
        cv2.imwrite(str(name), draw_number(i, 64, 48))
    project.videos = [image_video([f"/gone/{name.name}" for name in names])]
    project.frames, project.suggestions = [(0, 0, [Animal(P)])], []
    path = project.write(tmp_path / "lab.slp")
    (outcome,) = pose_core.predict(run, path, tmp_path / "out", format="slp", device="cpu", frames="1-3")
    assert outcome is not None
    assert places(outcome.result) == [(0, 1), (0, 2), (0, 3)]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ("5-20", r"lab.slp: refers to frame 20 of .*one.mp4, which has 12; the first is 0"),
        ("0-999999999999", r"lab.slp: refers to frame 999999999999 of .*, which has 12"),
        ("clip.mp4:1-2", "clip.mp4 is the name of none of its videos, which are one.mp4, two.mp4"),
        ("7-3", "frames=7-3: must be suggested, labelled, or ranges of frames such as 100-200"),
        ("1-2,", "must be suggested, labelled, or ranges"),
    ],
)
def test_ranges_that_are_not_there(
    run: Path, project: SlpProject, tmp_path: Path, frames: str, message: str
) -> None:
    path = project.write(tmp_path / "lab.slp")
    with pytest.raises((ConfigError, DataError), match=message) as caught:
        pose_core.predict(run, path, tmp_path / "out", format="slp", device="cpu", frames=frames)
    assert "\n" not in str(caught.value)


def test_ranges_of_a_package_are_those_that_it_holds(run: Path, project: SlpProject, tmp_path: Path) -> None:
    frames = {i: draw_number(i, 64, 48) for i in (2, 3, 7)}
    project.embedded, project.attributes = {0: frames}, {"channel_order": "RGB"}
    project.videos = [embedded_video(0, project.videos[0], 2)]
    project.frames, project.suggestions = project.frames[:1], []
    path = project.write(tmp_path / "lab.pkg.slp")
    options = {"format": "slp", "device": "cpu", "overwrite": True}
    (outcome,) = pose_core.predict(run, path, tmp_path / "out", frames="2-3", **options)
    assert outcome is not None
    assert places(outcome.result) == [(0, 2), (0, 3)]
    for wanted, message in (("2-7", "holds images of 3 of the 6 frames 2-7"), ("7-8", "no image of frame 8")):
        with pytest.raises(DataError, match=message):
            pose_core.predict(run, path, tmp_path / "out", frames=wanted, **options)


SHORT: dict[str, Any] = {
    "train.batch_size": 1,
    "train.max_time": "1s",
    "model.backbone.filters": 4,
    # Two animals are found, whatever a second teaches.
    "inference.threshold": 0.0,
    "model.heads.keypoints.predictor.threshold": 0.0,
    "model.heads.keypoints.predictor.min_affinity": 0.0,
}


def whole_project(tmp_path: Path) -> SlpProject:
    """Labels in a video, three tracks, two symmetric pairs, a suggestion, a negative frame, a correction."""
    write_numbered_video(tmp_path / "clip.mp4", 12)
    rng = np.random.default_rng(0)

    def animal(track: int = -1, **more: Any) -> Animal:
        return Animal(rng.uniform(2, 44, (6, 2)), track, **more)

    return SlpProject(
        nodes=["nose", "ear_r", "ear_l", "tail", "paw_r", "paw_l"],
        edges=[(0, 3), (0, 2), (0, 1), (3, 4), (3, 5)],
        pairs=[(1, 2), (4, 5)],
        tracks=["Ada", "Bea", "Cleo"],
        videos=[media_video(str(tmp_path / "clip.mp4"))],
        frames=[
            (0, 1, [animal(0), animal(1)]),
            (0, 3, [animal(0), animal(1)]),
            (0, 5, [animal(2, score=0.7), animal(2, made_from=0)]),
        ],
        negative=[(0, 8)],
        suggestions=[(0, 10)],
    )


@pytest.mark.parametrize("embedded", [False, True])
def test_a_project_trains_and_its_predictions_come_back(tmp_path: Path, embedded: bool) -> None:
    project, name = whole_project(tmp_path), "lab.slp"
    if embedded:
        frames = (1, 3, 5, 8, 10)
        project.embedded = {0: {frame: draw_number(frame, 64, 48) for frame in frames}}
        project.attributes = {"channel_order": "RGB"}
        project.videos = [embedded_video(0, project.videos[0], len(frames))]
        name = "lab.pkg.slp"
        (tmp_path / "clip.mp4").unlink()
    path = project.write(tmp_path / name)
    before = path.read_bytes()
    trained = pose_core.train(
        path, model="unet", out=tmp_path / "run", device="cpu", epochs=1, settings=SHORT
    )
    # The correction is a label, what it corrects is none; the negative frame shows no animal.
    dataset = read_project(path)
    assert [len(image.instances) for image in dataset.images] == [2, 2, 1, 0]
    assert trained.spec.skeleton == replace(dataset.skeleton, landmarks=())
    (outcome,) = pose_core.predict(tmp_path / "run", path, tmp_path / "out", format="slp", device="cpu")
    assert outcome is not None
    assert places(outcome.result) == [(0, 10)]
    with open_slp(path) as theirs, open_slp(outcome.result) as ours:
        assert ours.skeletons == theirs.skeletons
        assert len(ours.read_instances()) >= 1
        assert set(ours.read_instances()["instance_type"].tolist()) == {1}
        assert [video.get("source_video") for video in ours.videos] == [
            video.get("source_video") for video in theirs.videos
        ]
    assert path.read_bytes() == before
