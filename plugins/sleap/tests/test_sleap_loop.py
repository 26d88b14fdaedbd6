"""The loop with SLEAP's GUI: a project trains, its suggested frames are predicted, and the .slp that comes out
is of the same videos."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from pose_sleap.slp_file import open_slp
from slp_projects import Animal, SlpProject, embedded_video, media_video
from tiny_run import make_run
from typer.testing import CliRunner

import pose_core
from pose_core.cli.main import app
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
    with pytest.raises(ConfigError, match="frames=some: must be suggested or labelled"):
        pose_core.predict(run, path, tmp_path / "out", device="cpu", frames="some")
    result = CliRunner().invoke(
        app, ["predict", str(run), str(path), "--out", str(tmp_path / "out"), "--frames", "labelled"]
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "lab.parquet").exists()
