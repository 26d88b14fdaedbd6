"""Errors name what the caller wrote, and come before the project is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import pose_core
from pose_core.catalog import get_catalog
from pose_core.cli.main import app
from pose_core.demo.run import DemoOptions, run_demo
from pose_core.errors import ConfigError, DataError, PoseError, RunError, VideoError, speak_command_line
from pose_core.io.files import is_text
from pose_core.io.video import VideoFile
from pose_core.reporting import Reporter
from pose_core.specs.run import needs_of_method
from pose_core.specs.validation_errors import validate_option
from pose_core.training.train_project import train_project


@pytest.fixture
def command_line() -> Iterator[None]:
    speak_command_line()
    yield
    speak_command_line(False)


class Notes(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, what: str, done: float, total: float | None) -> None:
        """Nothing is shown."""


EARLY: list[tuple[str, dict[str, Any], str]] = [
    ("unte", {}, "no model 'unte' is installed.*did you mean unet"),
    ("ssdlite", {}, "no model 'ssdlite' is installed; ssdlite is a detector"),
    ("top_down", {}, "no model 'top_down' is installed; top_down is a method"),
    (
        "top_down_unet",
        {"detector": "unet"},
        "^detector=unet: no detector 'unet' .*unet is a backbone and a model",
    ),
    ("top_down_unet", {"detector": "hrnet_w32"}, "^detector=hrnet_w32: no detector .*hrnet_w32 is a model"),
    ("ctd_prenet_unet", {"conditions": "ssdlite"}, "^conditions=ssdlite: no model .*ssdlite is a detector"),
    ("ctd_prenet_unet", {"conditions": "runs/no"}, "^conditions=runs/no: .*there is no such run folder"),
    ("unet", {"weights": "nope"}, "^weights: no set of weights 'nope'"),
    ("unet", {"weights": "./nope"}, "^weights: ./nope: no such file or run folder"),
    ("unet", {"settings": {"train.weights": "nope.pt"}}, r"^train\.weights: nope.pt: no such file"),
    ("unet", {"device": "gpu"}, "device 'gpu' is unknown"),
    ("unet", {"settings": {"train.device": "cuda:99"}}, "device 'cuda:99' is not available"),
    ("unet", {"settings": {"stages.detector.train.device": "tpu"}}, "device 'tpu' is unknown"),
]


@pytest.mark.parametrize(("model", "given_options", "message"), EARLY)
def test_what_is_wrong_for_any_project_is_refused_before_it_is_read(
    tmp_path: Path, model: str, given_options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        pose_core.train(tmp_path / "no-project", model, out=tmp_path / "run", **given_options)
    assert not (tmp_path / "run").exists()


def test_the_command_line_reads_its_own_options(tmp_path: Path, command_line: None) -> None:
    networks = {"detector": "unet"}
    with pytest.raises(ConfigError, match=r"^--detector unet: no detector 'unet'"):
        train_project(tmp_path / "no-project", "top_down_unet", out=tmp_path / "run", networks=networks)


@pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
def test_a_file_is_no_folder_of_a_run(tmp_path: Path, below: str) -> None:
    (tmp_path / "taken.yaml").write_text("a: 1")
    out = tmp_path / "taken.yaml" / below
    with pytest.raises(RunError, match=r"taken\.yaml: is a file, not a folder; choose another out$"):
        pose_core.train(tmp_path / "no-project", "unet", out=out)
    with pytest.raises(RunError, match=r"taken\.yaml: is a file, not a folder; choose another out$"):
        pose_core.import_model("deeplabcut", tmp_path / "none.pt", out)
    assert (tmp_path / "taken.yaml").read_text() == "a: 1"


def test_a_run_in_the_way_is_found_before_the_project_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(RunError, match="already holds a run; add resume=True to go on with it"):
        pose_core.train(tmp_path / "no-project", "unet", out=tmp_path)


def test_a_training_that_has_nothing_to_resume_says_so(tmp_path: Path) -> None:
    notes = Notes()
    with pytest.raises(PoseError, match="no-project"):
        train_project(tmp_path / "no-project", "unet", out=tmp_path / "run", resume=True, reporter=notes)
    (line,) = notes.lines
    assert line.endswith("holds no run to go on with; training starts from the beginning")


@pytest.mark.parametrize("tool", ["deeplabcat", "sleep", "unet"])
def test_a_tool_that_nothing_reads(tmp_path: Path, tool: str) -> None:
    with pytest.raises(ConfigError, match=f"^cannot import models of '{tool}': no importer"):
        pose_core.import_model(tool, tmp_path / "none.pt", tmp_path / "run")


@pytest.mark.parametrize("method", ["topdown", "single", "no/bottom_up"])
def test_models_of_a_method_that_there_is_not(method: str) -> None:
    with pytest.raises(ConfigError, match=f"no method '{method}' is installed"):
        pose_core.available_models(method)
    assert "unet" in pose_core.available_models("single_animal")


def test_nothing_to_predict(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to predict: name at least one video"):
        pose_core.predict(tmp_path / "no-run", [], tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "value", "kind", "message"),
    [
        ("--epochs", 0, int, None),
        ("--lr", "abc", float, "--lr: must be a number, not 'abc'"),
        ("--size", 2.5, int, "--size: must be a whole number, not 2.5"),
        ("--flip", "perhaps", bool, "--flip: must be true or false, not 'perhaps'"),
        ("--name", 3, str, "--name: must be a text, not 3"),
        ("--pair", (1,), tuple[int, int], "--pair: has too few entries"),
        ("--either", "x", int | bool, "--either: must be a whole number or true or false, not 'x'"),
    ],
)
def test_reasons_are_in_plain_words(name: str, value: object, kind: Any, message: str | None) -> None:
    if message is None:
        assert validate_option(name, value, kind) == value
        return
    with pytest.raises(ConfigError) as raised:
        validate_option(name, value, kind)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("boxes.csv", b"frame,x1,y1,x2,y2\n0,1,2,3,4\n"),
        ("notes.txt", "Käfig 3, links\n".encode()),
        ("old.txt", "Käfig 3, links\n".encode("latin-1")),
        ("list.m3u8", b"#EXTM3U\nfile:///etc/passwd\n"),
    ],
)
def test_a_text_is_no_video(tmp_path: Path, file: str, content: bytes) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(VideoError, match=f"{file}: is a text file, neither a video nor an image"):
        VideoFile(tmp_path / file)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1))
def test_any_printable_text_is_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("text") / "file"
    path.write_text(text, encoding="utf-8")
    assert is_text(path)
    path.write_bytes(text.encode() + b"\x00")
    assert not is_text(path)


@pytest.mark.parametrize("name", ["top_down_unet", "ctd_prenet_unet", "top_down_resnet_50"])
def test_the_demo_refuses_models_that_need_another_network(tmp_path: Path, name: str) -> None:
    options = DemoOptions(tmp_path / "demo", name, 0, 10, 1.0, "10s", 1, "cpu")
    with pytest.raises(ConfigError, match=f"--model {name}: needs (boxes|poses) of another network"):
        run_demo(options, Notes())
    assert not (tmp_path / "demo").exists()


def test_needs_of_methods() -> None:
    assert {m.name: needs_of_method(m.name) for m in get_catalog().methods()} == {
        "single_animal": [],
        "bottom_up": [],
        "centroid": [],
        "top_down": ["boxes"],
        "conditional_top_down": ["poses"],
    }


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("top_down", "top_down_unet"),
        ("bottom_up", "dekr_w32"),
        ("method", "conditional_top_down"),
        ("ssdlite_coco", "BSD-3-Clause"),
    ],
)
def test_show_knows_methods_and_weights(name: str, shown: str) -> None:
    result = CliRunner().invoke(app, ["show", name])
    assert result.exit_code == 0, result.output
    assert shown in result.output
