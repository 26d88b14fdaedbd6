"""Spoilt files that once ended in a traceback, hung, or broke what had nothing to do with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pose_core.cli import main
from pose_core.data.split import make_split
from pose_core.errors import ConfigError, DataError, PoseError, readable
from pose_core.formats.project import ProjectReader
from pose_core.interfaces import PredictionsHeader
from pose_core.io.files import disk_errors, parse_json, write_whole
from pose_core.prediction.journal import Journal
from pose_core.runs.run_folder import Run
from pose_core.specs import SplitSpec, parse_yaml
from pose_core.specs.resolve import parse_assignments
from pose_core.specs.yaml_file import read_yaml
from pose_core.structures import Skeleton
from pose_core.training.fit import train_network
from pose_core.training.prepare import prepare

LAUGHS = (
    "{" + ", ".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}' if i else 'ha'] * 9)}]" for i in range(9)) + "}"
)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"model: {LAUGHS}", "aliases repeat too much"),
        ("model: &me [*me]", "nested too deeply"),
        ("model: &me {a: *me}", "nested too deeply"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        ("a: " + "9" * 5000, "not what it says it is"),
        ("a: !!timestamp 2001-13-45", "not what it says it is"),
        ("a: !!bool x", "not what it says it is"),
        ("a: !!python/object/apply:os.system ['false']", "could not determine a constructor"),
    ],
)
def test_yaml_that_no_program_should_walk_through(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        read_yaml(written(tmp_path / "config.yaml", text))
    assert str(tmp_path / "config.yaml") in str(caught.value)
    assert len(str(caught.value)) < 500
    with pytest.raises(yaml.YAMLError):
        parse_yaml(text)
    with pytest.raises(ConfigError, match="not valid YAML"):
        parse_assignments([f"train={text.partition(': ')[2]}"])


def test_aliases_that_repeat_a_little_are_for_use(tmp_path: Path) -> None:
    text = "a: &a {b: [1, 2, 3]}\n" + "".join(f"c{i}: *a\n" for i in range(10))
    assert read_yaml(written(tmp_path / "config.yaml", text))[0]["c9"] == {"b": [1, 2, 3]}


def test_a_split_file_that_holds_itself(blob_project: Path, tmp_path: Path) -> None:
    dataset = ProjectReader.__new__(ProjectReader).read(blob_project)
    file = written(tmp_path / "split.yaml", "train: &me [*me]")
    with pytest.raises(ConfigError, match="not valid YAML"):
        make_split(dataset, SplitSpec(file=str(file)), 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {heads: {blobs: {type: heatmap}}}", "no model is named"),
        ("train: {weights: {a: 1}}\nmodel: {}", "no model is named"),
        ("model: {name: unet}\ntrain: {weights: {a: 1}}", "train.weights: must be a text"),
    ],
)
def test_settings_of_the_wrong_kind(blob_project: Path, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        prepare(blob_project, config=written(tmp_path / "config.yaml", text))


def test_an_image_of_an_impossible_name(blob_project: Path, tmp_path: Path) -> None:
    written(tmp_path / "project.yaml", "keypoints: [red]")
    written(tmp_path / "labels.csv", f"image,individual,keypoint,x,y\n{'9' * 400},,red,1,1\n")
    with pytest.raises(DataError, match="does not exist"):
        ProjectReader.__new__(ProjectReader).read(tmp_path)


def test_names_that_a_terminal_would_obey(pose: Any, blob_project: Path, tmp_path: Path) -> None:
    """Brackets are markup to rich, and an escape sequence is a command to the terminal."""
    text = (blob_project / "project.yaml").read_text()
    written(tmp_path / "project.yaml", text.replace("red", '"[/]"').replace("- green", '- "\\e[31mgreen"'))
    labels = (blob_project / "labels.csv").read_text().replace("red", "[/]").replace("green", "\x1b[31mgreen")
    written(tmp_path / "labels.csv", labels + "images/00.png,,\x1b[32mx,1,1,0\n")
    (tmp_path / "images").symlink_to(blob_project / "images")
    line = pose.refuses("train", tmp_path, "--model", "unet", "--out", tmp_path / "run")
    assert "\x1b" not in line
    assert "unknown keypoint" in line


def test_a_place_that_is_not_the_users(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise PermissionError(13, "Permission denied", "/lab/project")

    monkeypatch.setattr(main, "app", refuse)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: /lab/project: may not be used by this user")


def test_readable_messages() -> None:
    assert readable("a\nb\x1b[31m\u202e c\ud800") == "a b\\x1b[31m\\u202e c\\ud800"
    assert len(readable("x" * 10**6)) < 2100


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("NaN", "NaN is not a number in JSON"),
        ("[1, -Infinity]", "-Infinity is not a number in JSON"),
        ("1e400", "1e400 is too large"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ("9" * 5000, "digits"),
        ("{", "Expecting property name"),
    ],
)
def test_json_that_could_not_be_written_again(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_json(text)
    assert parse_json('{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(PoseError, match=r"config\.yaml: is in the way"), disk_errors(tmp_path):
        write_whole(tmp_path / "config.yaml", "a")


HEADER = PredictionsHeader(
    skeleton=Skeleton(("nose",)),
    source="a",
    frames=3,
    width=4,
    height=4,
    fps=1.0,
    model="m",
    run="r",
    metadata={},
)


@pytest.mark.parametrize("name", ["0000000000-x.parquet", "-.parquet", "0000000000-0000000002.parquet"])
def test_a_journal_without_sense_is_begun_anew(tmp_path: Path, name: str) -> None:
    folder = tmp_path / ".partial"
    Journal(folder, {"a": 1}, HEADER).close()
    (folder / name).mkdir()
    again = Journal(folder, {"a": 1}, HEADER)
    assert again.done == 0
    assert not (folder / name).exists()
    again.close()


@pytest.mark.parametrize("kind", ["folder", "loop"])
def test_a_journal_that_is_no_file_is_begun_anew(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / ".partial"
    Journal(folder, {"a": 1}, HEADER).close()
    journal = folder / "journal.json"
    journal.unlink()
    if kind == "folder":
        journal.mkdir()
    else:
        journal.symlink_to(journal.name)
    Journal(folder, {"a": 1}, HEADER).close()
    assert json.loads(journal.read_text()) == {"a": 1, "version": 1}


def test_a_damaged_checkpoint_says_which(
    blob_project: Path, tmp_path: Path, tiny_settings: tuple[str, ...]
) -> None:
    settings = [*tiny_settings, "train.epochs=1", "train.device=cpu"]
    prepared = prepare(blob_project, "unet", assignments=settings)
    run = train_network(prepared, tmp_path / "run")
    checkpoint = run.path / "checkpoints/last.ckpt"
    whole = checkpoint.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\x80\x02cos\nsystem\n."):
        checkpoint.write_bytes(damaged)
        with pytest.raises(PoseError, match=r"last\.ckpt: damaged, or not of this training"):
            train_network(prepared, tmp_path / "run", resume=True)
    torch.save({"state_dict": {}}, checkpoint)
    with pytest.raises(PoseError, match=r"last\.ckpt: damaged, or not of this training"):
        train_network(prepared, tmp_path / "run", resume=True)


@pytest.mark.parametrize("text", ["[1, [2]]", '"text"', "7", "[" * 100_000])
def test_a_journal_that_says_nothing_is_begun_anew(tmp_path: Path, text: str) -> None:
    folder = tmp_path / ".partial"
    Journal(folder, {"a": 1}, HEADER).close()
    written(folder / "journal.json", text)
    again = Journal(folder, {"a": 1}, HEADER)
    assert "was discarded" in (again.note or "")
    again.close()


def test_metrics_without_end(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("[" * 100_000)
    run = Run.__new__(Run)
    object.__setattr__(run, "path", tmp_path)
    with pytest.raises(PoseError, match=r"metrics\.json: not readable as JSON \(nested too deeply\)"):
        run.metrics()


@pytest.mark.parametrize("name", ["type:`id`", "/tmp/runs/old", "..", "-r"])
def test_what_no_plugin_can_be_called_is_not_to_be_installed(
    blob_project: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConfigError, match="is no name of a plugin; correct it") as caught:
        prepare(blob_project, networks={"detector": f"{name}/ssdlite"})
    assert "pip install" not in str(caught.value)


def test_a_folder_is_no_detector_to_train(blob_project: Path, tmp_path: Path, pose: Any) -> None:
    (tmp_path / "trained").mkdir()
    command = ("train", blob_project, "--detector", tmp_path / "trained", "--out", tmp_path / "out")
    assert "is a folder; add --model NAME" in pose.refuses(*command)
