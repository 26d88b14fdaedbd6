"""``pose demo``: the whole way in miniature, and what happens to files that are there already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pose_core.demo import folder
from pose_core.demo import run as demo_run
from pose_core.demo.folder import MARKER, OWN
from pose_core.demo.run import DemoOptions, run_demo
from pose_core.errors import ConfigError
from pose_core.pipeline.video import VideoSource
from pose_core.reporting import LogReporter
from pose_core.runs.run_folder import Run

FAST = ("--model", "unet", "--images", "24", "--seconds", "0.4", "--epochs", "1", "--max-time", "20s")
QUIET = LogReporter()


def options(out: Path, **changes: object) -> DemoOptions:
    chosen = {
        "model": "unet",
        "seed": 0,
        "images": 24,
        "seconds": 0.4,
        "max_time": "20s",
        "epochs": 1,
        "device": "cpu",
    }
    return DemoOptions(out, **{**chosen, **changes})  # type: ignore[arg-type]


@pytest.mark.long
def test_the_whole_demo_in_miniature(pose: Any, tmp_path: Path) -> None:
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
    with pytest.raises(ConfigError, match="demo: holds an earlier demo; add --overwrite to replace it"):
        run_demo(options(out), QUIET)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "several models are installed; choose one with --model: .*unet"),
        ({"model": "unte"}, "no model 'unte' is installed"),
        ({"max_time": "soon"}, "--max-time: must be a time such as 90s, 10m or 1.5h, not 'soon'"),
        ({"max_time": "-5s"}, "--max-time: must be greater than 0"),
        ({"device": "abacus"}, "device 'abacus' is unknown"),
    ],
)
def test_a_wrong_option_is_found_before_anything_is_touched(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with folder.prepare_demo_folder(tmp_path, overwrite=False):
        (tmp_path / "report.html").write_text("of an earlier demo")
    with pytest.raises(ConfigError, match=message):
        run_demo(options(tmp_path, **changes), QUIET, overwrite=True)
    assert (tmp_path / "report.html").read_text() == "of an earlier demo"


def test_the_only_installed_model_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_run, "available_models", lambda method: ["lonely"])
    assert demo_run.only_model() == "lonely"
    monkeypatch.setattr(demo_run, "available_models", lambda method: [])
    with pytest.raises(ConfigError, match="no installed plugin offers a model for one animal"):
        demo_run.only_model()


def test_only_the_demos_own_files_are_replaced(tmp_path: Path) -> None:
    with folder.prepare_demo_folder(tmp_path, overwrite=False) as replaced:
        assert not replaced
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "old").touch()
        (tmp_path / "report.html").touch()
    (tmp_path / "mine.txt").write_text("kept")
    with folder.prepare_demo_folder(tmp_path, overwrite=True) as replaced:
        assert replaced
        assert {p.name for p in tmp_path.iterdir()} == {"mine.txt", MARKER}
    assert (tmp_path / "mine.txt").read_text() == "kept"


def test_files_of_others_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "weights").write_text("precious")
    with (
        pytest.raises(ConfigError, match="run: exists, and no demo created it"),
        folder.prepare_demo_folder(tmp_path, overwrite=True),
    ):
        pytest.fail("must not get here")
    assert (tmp_path / "run" / "weights").read_text() == "precious"
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match="is a file"), folder.prepare_demo_folder(file, overwrite=True):
        pytest.fail("must not get here")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_is_interrupted_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    out = tmp_path / "deep" / "demo"
    with pytest.raises(error):
        _stop(out, error)
    assert not out.exists()


def test_an_interrupted_demo_leaves_other_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(KeyboardInterrupt):
        _stop(tmp_path, KeyboardInterrupt)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def _stop(out: Path, error: type[BaseException]) -> None:
    with folder.prepare_demo_folder(out, overwrite=False):
        (out / "project").mkdir()
        (out / "project" / "project.yaml").touch()
        (out / "video.mp4").touch()
        raise error
