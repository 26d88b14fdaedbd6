"""Core and plugins go out in lockstep, and their wheels work without the checkout."""

from __future__ import annotations

import importlib.metadata
import os
import re
import site
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pose_core

ROOT = Path(__file__).parent.parent
PROJECTS = sorted(ROOT.glob("plugins/*/pyproject.toml"))


@pytest.mark.parametrize("file", PROJECTS, ids=lambda file: file.parent.name)
def test_a_plugin_has_the_core_s_version_and_requires_it(file: Path) -> None:
    project = tomllib.loads(file.read_text())["project"]
    assert project["version"] == pose_core.__version__
    major, minor = map(int, pose_core.__version__.split(".")[:2])
    assert f"pose-core>={major}.{minor},<{major}.{minor + 1}" in project["dependencies"]


def test_fragments_have_a_kind() -> None:
    kinds = "added|changed|deprecated|removed|fixed|security"
    wrong = [
        f.name
        for f in (ROOT / "changes").iterdir()
        if not re.fullmatch(rf"README\.md|template\.md\.jinja|[\w-]+\.({kinds})\.md", f.name)
    ]
    assert not wrong


@pytest.mark.slow
def test_all_wheels_build_install_and_work(tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    for folder in (ROOT, *(file.parent for file in PROJECTS)):
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    wheels = sorted(dist.glob("*.whl"))
    assert len(wheels) == len(PROJECTS) + 1
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, *map(str, wheels)], check=True)
    # What others wrote comes from this environment, by a plain path: .pth files there are not read.
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()) + "\n")

    def run(*arguments: str) -> str:
        env = {**os.environ, "OMP_NUM_THREADS": "1", "POSE_STRICT_PLUGINS": "1"}
        process = subprocess.run(
            [str(python), *arguments], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert process.returncode == 0, process.stderr
        return process.stdout

    assert str(packages) in run("-c", "import pose_core; print(pose_core.__file__)")
    listed = run("-m", "pose_core", "plugins")
    assert listed.count(" active ") == len(PROJECTS) + 1
    assert importlib.metadata.version("pose-core") in run("-m", "pose_core", "--version")
    demo = ("demo", "--model", "unet", "--out", "demo", "--images", "20", "--seconds", "0.4", "--epochs", "1")
    run("-m", "pose_core", *demo)
    assert (tmp_path / "demo" / "report.html").is_file()
