"""Messages are in the words of the caller."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pose_core.errors import argument, command, setting, speak_command_line

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture
def command_line() -> Iterator[None]:
    speak_command_line()
    yield
    speak_command_line(False)


def test_arguments_and_commands_in_python() -> None:
    assert argument("max_animals", "N") == "max_animals=N"
    assert argument("resume", True) == "resume=True"
    assert argument("out") == "out"
    assert setting("a.b=1", "c=2") == 'settings={"a.b": 1, "c": 2}'
    assert command("train") == "pose_core.train"
    assert command("import", "TOOL", argument("out", "RUN")) == "pose_core.import_model(TOOL, out=RUN)"
    assert command("show", "unet") == "'pose show unet'", "there is no function for it"


@pytest.mark.usefixtures("command_line")
def test_arguments_and_commands_on_the_command_line() -> None:
    assert argument("max_animals", "N") == "--max-animals N"
    assert argument("resume", True) == "--resume"
    assert argument("out") == "--out"
    assert setting("a.b=1", "c=2") == "--set a.b=1 --set c=2"
    assert command("train") == "'pose train'"
    assert command("import", "TOOL", argument("out", "RUN")) == "'pose import TOOL --out RUN'"


def _strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Texts of a module that are no docstrings."""
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


ROOMS = (
    *("pose_core/cli/", "pose_core/demo/", "pose_core/testing/checks/packaging.py", "pose_core/errors.py"),
    *("pose_core/workers/local_engine.py", "plugins/slurm/src/", "plugins/dask/src/pose_dask/task.py"),
)
"""Where options and commands are meant: the command line, the demo, and calls of other programs."""


def test_the_library_does_not_speak_the_command_line() -> None:
    option = re.compile(r"(^|[\s(\"'])--[a-z]|pose (train|evaluate|predict|import|models|detectors)\b")
    files = [*REPOSITORY.glob("pose_core/**/*.py"), *REPOSITORY.glob("plugins/*/src/**/*.py")]
    assert len(files) > 200
    found = [
        f"{file.relative_to(REPOSITORY)}:{line}: {text}"
        for file in files
        if not str(file.relative_to(REPOSITORY)).startswith(ROOMS)
        for line, text in _strings(ast.parse(file.read_text(encoding="utf-8")))
        # What pip takes is the same for everybody.
        if option.search(re.sub(r"pip install [^;]*", "", text))
    ]
    assert not found, "write it with pose_core.errors.argument, setting or command: " + "; ".join(found)
