"""A kind is a row and a file: the table of the core, and a plugin that opens a kind of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pose_core import specs
from pose_core.catalog import get_catalog
from pose_core.catalog.composition import names_in
from pose_core.catalog.kinds import InstalledKind
from pose_core.definitions import Kind
from pose_core.kinds import KINDS

Run = Callable[..., subprocess.CompletedProcess[str]]

FILES = {
    "plugin.py": """
from pose_core.hooks import ComponentSpec, Kind, PluginInfo, hookimpl

@hookimpl
def pose_plugin_info():
    return PluginInfo(namespace="mixing", summary="A toy", license="MIT", hook_api="1.0")

@hookimpl
def pose_kinds():
    yield Kind(
        "mixer",
        "colours -> one colour",
        config="pose_mixing.mixer:MixerConfig",
        interface="pose_mixing.mixer:Mixer",
        checks=("pose_mixing.mixer_checks",),
    )

@hookimpl
def pose_components():
    yield ComponentSpec("mixing/mixer", "mean", "pose_mixing.mixer:MeanConfig", "pose_mixing.mixer:Mean", "Their mean")
    yield ComponentSpec("reader", "paints", "pose_mixing.paints:PaintsConfig", "pose_mixing.paints:Paints", "A reader")
""",
    "mixer.py": '''
from abc import ABC, abstractmethod
from typing import Annotated
from pydantic import Field, SerializeAsAny
from pose_core.specs import ComponentConfig, NamedComponent

class MixerConfig(ComponentConfig):
    gamma: float = Field(2.2, description="Of the screen.")

AnyMixer = Annotated[SerializeAsAny[MixerConfig], NamedComponent("mixing/mixer", MixerConfig)]

class Mixer(ABC):
    """Mixes colours."""

    def __init__(self, config):
        self.config = config

    @abstractmethod
    def mix(self, colours): ...

class MeanConfig(MixerConfig):
    """Settings of the mean."""

class Mean(Mixer):
    def mix(self, colours):
        return sum(colours) / len(colours)
''',
    "mixer_checks.py": '''
from pose_core.testing import check, demand

@check(1, "mixing/mixer")
def check_mixer_keeps_one_colour(subject):
    """Mixing a colour with itself gives the colour."""
    mixer = subject.component.factory()(subject.config)
    demand(mixer.mix([0.5, 0.5]) == 0.5, "the mixture of a colour with itself is another colour")

CHECKS = (check_mixer_keeps_one_colour,)
''',
    "paints.py": """
from pydantic import Field
from pose_core.errors import DataError
from pose_core.interfaces import Reader
from pose_core.specs import ReaderConfig
from pose_mixing.mixer import AnyMixer

class PaintsConfig(ReaderConfig):
    mixer: AnyMixer = Field({"type": "mixing/mean"}, validate_default=True, description="How colours are mixed.")

class Paints(Reader):
    @classmethod
    def accepts(cls, path):
        return False

    def read(self, path):
        raise DataError(f"{path}: there is nothing to read")
""",
}


@pytest.fixture
def pose_with_mixers(tmp_path: Path) -> Run:
    """``pose`` beside a distribution that opens the kind ``mixing/mixer``; edits are (file, old, new)."""

    def run(
        *arguments: str, edits: tuple[tuple[str, str, str], ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        place = tmp_path / "site"
        package = place / "pose_mixing"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text("")
        for name, text in FILES.items():
            for file, old, new in edits:
                assert file != name or old in text
                text = text.replace(old, new) if file == name else text
            (package / name).write_text(text)
        info = place / "pose_mixing-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.4\nName: pose-mixing\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[pose_core.plugins]\nmixing = pose_mixing.plugin\n")
        return subprocess.run(
            [sys.executable, "-m", "pose_core", *arguments],
            env={**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("name", KINDS)
def test_each_row_leads_to_code(name: str) -> None:
    kind = get_catalog().kinds[name]
    assert issubclass(kind.config_base(), specs.ComponentConfig)
    assert kind.interface().__doc__
    if kind.row.harness:
        assert kind.harness().__name__.endswith("Harness")
    for module in (*kind.row.checks, *kind.row.config_checks):
        assert any(name in check.on for check in kind.load_checks(module)), (
            f"{module} has no check of a {name}"
        )


def test_kinds_are_found_by_the_keys_of_their_rows() -> None:
    kinds = {
        **get_catalog().kinds,
        "toy/mixer": InstalledKind(Kind("toy/mixer", "", keys=("mixers", "paint.parts"))),
    }
    content = {
        "model": {"backbone": "a/b", "heads": {"main": {"type": "c/d", "losses": {"x": "e/f"}}}},
        "mixers": {"first": {"type": "g/h"}},
        "paint": {"parts": {"one": "i/j"}},
        "other": {"parts": {"one": "k/l"}},
    }
    assert list(names_in(content, kinds)) == [
        ("backbone", "a/b"),
        ("head", "c/d"),
        ("loss", "e/f"),
        ("toy/mixer", "g/h"),
        ("toy/mixer", "i/j"),
    ]


def test_a_kind_of_a_plugin_is_shown(pose_with_mixers: Run) -> None:
    shown = pose_with_mixers("show", "mixing/mixer").stdout
    assert "summary: colours -> one colour" in shown
    assert "distribution: pose-mixing" in shown
    assert "mixing/mean: Their mean" in shown
    (component,) = json.loads(pose_with_mixers("show", "mean", "--json").stdout)
    assert component["mixing/mixer"] == "mixing/mean"
    assert component["settings"]["gamma"] == {"default": 2.2, "about": "Of the screen."}


def test_components_of_a_plugins_kind_are_in_the_schema(pose_with_mixers: Run) -> None:
    schema = json.loads(pose_with_mixers("schema").stdout)
    readers = schema["$defs"]["DataSpec"]["properties"]["reader"]
    text = json.dumps(readers)
    assert '"enum": ["mixing/paints", "paints"]' in text
    assert '"enum": ["mixing/mean", "mean"]' in text
    assert '"description": "Of the screen."' in text


@pytest.mark.long
def test_the_checks_of_a_plugins_kind_run(pose_with_mixers: Run) -> None:
    process = pose_with_mixers("check", "pose-mixing")
    lines = process.stdout.splitlines()
    for check in ("mixer_keeps_one_colour", "config_is_of_its_kind", "factory_is_of_its_kind"):
        assert f"passed  mixing {check}[mixing/mixer/mean]" in lines
    assert "passed  mixing kind_leads_to_code[kind/mixer]" in lines
    wrong = (("mixer.py", "/ len(colours)", "/ 3"),)
    process = pose_with_mixers("check", "mixing/mean", edits=wrong)
    assert process.returncode == 1
    assert "mixer_keeps_one_colour[mixing/mixer/mean]: the mixture of a colour" in process.stdout


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("mixer.py", "class Mean(Mixer)", "class Mean"), "is not a subclass of pose_mixing.mixer.Mixer"),
        (
            ("mixer.py", "class MeanConfig(MixerConfig)", "class MeanConfig(ComponentConfig)"),
            "is not a subclass of",
        ),
        (("plugin.py", 'mixer:Mixer"', 'mixer:Stirrer"'), "pose_mixing.mixer defines no Stirrer"),
    ],
)
def test_what_is_wrong_with_a_kind_is_said(
    pose_with_mixers: Run, edit: tuple[str, str, str], said: str
) -> None:
    process = pose_with_mixers("check", "pose-mixing", edits=(edit,))
    assert process.returncode == 1
    assert said in process.stdout


def test_a_kind_with_checks_that_are_not_there_ends_in_one_line(pose_with_mixers: Run) -> None:
    edit = ("plugin.py", "pose_mixing.mixer_checks", "pose_mixing.no_checks")
    process = pose_with_mixers("check", "mixing/mean", edits=(edit,))
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert "of kind 'mixing/mixer' cannot be imported" in line
    assert "pose-mixing" in line
    assert pose_with_mixers("check", "heatmap/mse", edits=(edit,)).returncode == 0, (
        "another plugin's checks run"
    )


def test_a_bad_row_is_the_plugins_failure(pose_with_mixers: Run) -> None:
    edit = ("plugin.py", '"pose_mixing.mixer:MixerConfig"', '"no colon"')
    rows = json.loads(pose_with_mixers("plugins", "--json", edits=(edit,)).stdout)
    (record,) = [row for row in rows if row["name"] == "mixing"]
    assert record["status"] == "failed"
    assert record["reason"] == "config of kind 'mixer' must be 'package.module:Class', not 'no colon'"
