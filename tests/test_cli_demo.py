"""``pose demo``: the whole way in miniature, and what happens to files that are there already."""

from __future__ import annotations

from pathlib import Path

import pytest

from pose_core.cli import demo_folder
from pose_core.cli.demo_folder import MARKER, OWN
from pose_core.errors import ConfigError
from pose_core.infer.video import VideoSource
from pose_core.model.run_folder import Run

FAST = ("--model", "unet", "--images", "24", "--seconds", "0.4", "--epochs", "1", "--max-time", "20s")


def test_the_whole_demo_in_miniature(pose, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = pose("demo", *FAST, "--out", "demo", env={"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    out = tmp_path / "demo"
    assert {p.name for p in out.iterdir()} == {*OWN, MARKER}
    assert "mean test error" in done.stdout.splitlines()[0]
    for part in ("demo/report.html", "demo/labelled.mp4", "train PROJECT --model unet --out my-run"):
        assert part in done.stdout, part
    assert all(f"{step}/6  " in done.stderr for step in range(1, 7))
    for video in ("video.mp4", "labelled.mp4"):
        assert VideoSource(out / video).info.frames == 10
    run = Run.open(out / "run")
    assert sum(len(names) for names in run.provenance["split"].values()) == 24
    assert run.metrics()["test"]["mean_error"] > 0
    html = (out / "report.html").read_text()
    assert "data:video/mp4;base64" in html
    assert "data:image/png;base64" in html
    assert f"{run.metrics()['test']['mean_error']:.2f}" in html
    assert "holds an earlier demo; add --overwrite" in pose.refuses("demo", *FAST, "--out", "demo")


def test_without_a_model_the_choices_are_named(pose, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert "several models are installed; choose one with --model: " in pose.refuses("demo", "--out", "demo")
    assert not (tmp_path / "demo").exists()


def test_an_unknown_model_and_a_wrong_time_leave_nothing(pose, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert "no model 'unte' is installed" in pose.refuses("demo", "--out", "demo", "--model", "unte")
    few = ("--images", "12", "--seconds", "0.2")
    assert "max_time" in pose.refuses("demo", "--out", "demo", "--model", "unet", "--max-time", "soon", *few)
    assert not (tmp_path / "demo").exists()


def test_only_the_demos_own_files_are_replaced(tmp_path: Path) -> None:
    with demo_folder.demo_folder(tmp_path, overwrite=False) as replaced:
        assert not replaced
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "old").touch()
        (tmp_path / "report.html").touch()
    (tmp_path / "mine.txt").write_text("kept")
    with demo_folder.demo_folder(tmp_path, overwrite=True) as replaced:
        assert replaced
        assert {p.name for p in tmp_path.iterdir()} == {"mine.txt", MARKER}
    assert (tmp_path / "mine.txt").read_text() == "kept"


def test_files_of_others_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "weights").write_text("precious")
    with (
        pytest.raises(ConfigError, match="run: exists, and no demo made it"),
        demo_folder.demo_folder(tmp_path, overwrite=True),
    ):
        pytest.fail("must not get here")
    assert (tmp_path / "run" / "weights").read_text() == "precious"
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match="is a file"), demo_folder.demo_folder(file, overwrite=True):
        pytest.fail("must not get here")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_is_interrupted_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    out = tmp_path / "deep" / "demo"
    with pytest.raises(error), demo_folder.demo_folder(out, overwrite=False):
        (out / "project").mkdir()
        (out / "project" / "project.yaml").touch()
        raise error
    assert not out.exists()


def test_an_interrupted_demo_leaves_other_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(KeyboardInterrupt), demo_folder.demo_folder(tmp_path, overwrite=False):
        (tmp_path / "video.mp4").touch()
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
