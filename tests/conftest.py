"""Shared by all tests of the core and those that cross plugins."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

# The machine may be busy: what is slow is not wrong.
settings.register_profile("pose", deadline=None)
settings.load_profile("pose")

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def openfield() -> Path:
    """The real DeepLabCut project, where it lies beside the checkout; read-only."""
    project = REPOSITORY.parent / "shared" / "data" / "openfield"
    if not project.is_dir():
        pytest.skip("the openfield project is not beside this checkout (shared/data/openfield)")
    return project


@pytest.fixture
def pose(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the ``pose`` command in a process of its own, as a user would."""

    def call(*arguments: str | Path, env: Mapping[str, str] | None = None, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pose_core", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "200", **(env or {})},
            check=False,
        )

    return call


def one_line_error(process: subprocess.CompletedProcess[str]) -> str:
    """The error line of a command that refused its input: exit code 2, one ``error:`` line, no traceback."""
    assert process.returncode == 2, (process.returncode, process.stdout, process.stderr)
    assert "Traceback" not in process.stderr, process.stderr
    lines = [line for line in process.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, process.stderr
    return lines[0]
