"""Plugins that a test writes and installs with pip, as a stranger would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "pose-{name}"
version = "0.3.0"
authors = [{{ name = "a stranger" }}]

[project.entry-points."pose_core.plugins"]
{entry} = "pose_{name}.plugin"

[tool.hatch.build.targets.wheel]
packages = ["pose_{name}"]
"""


def install(folder: Path, name: str, entry: str, files: dict[str, str]) -> None:
    """Write a project and install it with pip, from its folder, into a folder of its own."""
    project = folder / f"source-{name}"
    package = project / f"pose_{name}"
    package.mkdir(parents=True)
    (project / "pyproject.toml").write_text(PYPROJECT.format(name=name, entry=entry))
    (package / "__init__.py").touch()
    for file, text in files.items():
        (package / file).write_text(text)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run([*pip, "--target", str(folder / "site"), str(project)], check=True, capture_output=True)


def with_site(folder: Path) -> dict[str, str]:
    """An environment in which the installed plugins are found."""
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(folder / "site"), os.environ.get("PYTHONPATH", "")]))
    }
