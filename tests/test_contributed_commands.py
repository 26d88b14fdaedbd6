"""Plugins add commands to ``pose``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from pose_core.cli.main import app
from pose_core.plugins.definition_checks import COMMANDS

Run = Callable[..., subprocess.CompletedProcess[str]]

PLUGIN = """
from pose_core.hooks import CommandSpec, PluginInfo, hookimpl

@hookimpl
def pose_plugin_info():
    return PluginInfo(namespace="{name}", summary="A toy", license="MIT", hook_api="1.0")

@hookimpl
def pose_commands():
    yield CommandSpec("{command}", "pose_{name}.{module}:app", "Greet somebody.")
"""

APP = """
import typer
from pose_core.errors import DataError, argument

app = typer.Typer()

@app.command()
def greet(who: str, politely: bool = typer.Option(False, "--politely")):
    if who == "nobody":
        raise DataError(f"nobody is there; give {argument('who', 'NAME')}")
    if who == "bug":
        raise RuntimeError("a bug")
    print(f"good day, {who}" if politely else f"hi {who}")
"""


@pytest.fixture
def pose_with(tmp_path: Path) -> Run:
    """``pose`` beside plugins with a command: name of the plugin -> (command, text of the module of its
    app)."""

    def run(plugins: dict[str, tuple[str, str]], *arguments: str) -> subprocess.CompletedProcess[str]:
        place = tmp_path / "site"
        for name, (command, module) in plugins.items():
            package = place / f"pose_{name}"
            package.mkdir(parents=True, exist_ok=True)
            (package / "__init__.py").write_text("")
            (package / "plugin.py").write_text(
                PLUGIN.format(name=name, command=command, module="application")
            )
            (package / "application.py").write_text(module)
            info = place / f"pose_{name}-1.0.dist-info"
            info.mkdir(exist_ok=True)
            (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: pose-{name}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[pose_core.plugins]\n{name} = pose_{name}.plugin\n")
        return subprocess.run(
            [sys.executable, "-m", "pose_core", *arguments],
            env={**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_command_is_listed_without_being_imported(pose_with: Run) -> None:
    process = pose_with({"greeting": ("greet", "raise SystemExit('imported')")}, "--help")
    assert process.returncode == 0, process.stderr
    assert "Greet somebody." in process.stdout
    assert process.stdout.index("licenses") < process.stdout.index("greet ")


def test_a_command_is_run_with_its_arguments(pose_with: Run) -> None:
    plugins = {"greeting": ("greet", APP)}
    assert pose_with(plugins, "greet", "Ann", "--politely").stdout == "good day, Ann\n"
    assert pose_with(plugins, "greeting/greet", "Ann").stdout == "hi Ann\n"
    assert "--politely" in pose_with(plugins, "greet", "--help").stdout
    process = pose_with(plugins, "greet", "nobody")
    assert (process.returncode, process.stderr) == (2, "error: nobody is there; give --who NAME\n")
    assert "this is a defect of the plugin greeting" in pose_with(plugins, "greet", "bug").stderr


@pytest.mark.long
def test_conformance_looks_at_commands(pose_with: Run) -> None:
    process = pose_with({"greeting": ("greet", APP)}, "check", "pose-greeting")
    for check in ("command_leads_to_code", "command_is_an_application"):
        assert f"passed  greeting {check}[command/greet]" in process.stdout.splitlines()
    process = pose_with({"greeting": ("greet", "app = 3")}, "check", "pose-greeting")
    assert "command_is_an_application[command/greet]: app is int, not typer.Typer" in process.stdout


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (
            "1 / 0",
            "cannot be imported (ZeroDivisionError: division by zero); the plugin pose-greeting is broken",
        ),
        ("app = 3", "is int, not a typer application; the plugin pose-greeting is broken"),
        ("other = 3", "does not exist; correct the string in the plugin pose-greeting"),
        ("import typer; app = typer.Typer()", "has no command"),
    ],
)
def test_a_broken_command_ends_in_one_line_that_names_the_plugin(
    pose_with: Run, module: str, said: str
) -> None:
    process = pose_with({"greeting": ("greet", module)}, "greet", "Ann")
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.startswith("error: app 'pose_greeting.application:app' of command 'greeting/greet'")
    assert said in line


def test_a_name_of_the_core_is_refused(pose_with: Run) -> None:
    process = pose_with({"greeting": ("train", APP)}, "plugins")
    (line,) = [line for line in process.stdout.splitlines() if "greeting" in line]
    assert "command 'train' is one of pose itself; choose another name" in " ".join(line.split())


def test_a_name_of_two_plugins_is_called_in_full(pose_with: Run) -> None:
    plugins = {"greeting": ("greet", APP), "hello": ("greet", APP)}
    process = pose_with(plugins, "greet", "Ann")
    assert process.returncode == 2
    assert "command 'greet' is ambiguous: write greeting/greet or hello/greet" in process.stderr
    assert pose_with(plugins, "hello/greet", "Ann").stdout == "hi Ann\n"
    assert "offered by several plugins" in pose_with(plugins, "--help").stdout


def test_the_names_that_are_refused_are_the_commands_of_the_core() -> None:
    own = {c.name or (c.callback.__name__ if c.callback else "") for c in app.registered_commands}
    assert own == set(COMMANDS)
    assert isinstance(app, typer.Typer)
