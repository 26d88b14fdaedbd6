"""Shared by all tests of the core and those that cross plugins."""

from __future__ import annotations

import importlib.util
import os
import site
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import warm_process
from hatchling.builders.wheel import WheelBuilder

from pose_core.formats.project_writing import Example, write_project
from pose_core.structures import Instances, Skeleton

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def openfield() -> Path:
    """The real DeepLabCut project, where it lies beside the checkout; read-only."""
    project = REPOSITORY.parent / "shared" / "data" / "openfield"
    if not project.is_dir():
        pytest.skip("the openfield project is not beside this checkout (shared/data/openfield)")
    return project


@pytest.fixture(scope="session")
def blob_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that a tiny network learns in seconds: a red and a green disc on grey noise, 32 images of 64
    x 64."""
    folder = tmp_path_factory.mktemp("blobs") / "project"
    rng = np.random.default_rng(0)
    skeleton = Skeleton(("red", "green"), edges=(("red", "green"),))

    def examples() -> Iterator[Example]:
        for number in range(32):
            image = rng.integers(90, 120, (64, 64, 3)).astype(np.uint8)
            points = rng.uniform(12, 52, (2, 2))
            while np.linalg.norm(points[0] - points[1]) < 14:
                points = rng.uniform(12, 52, (2, 2))
            for point, colour in zip(points, ((230, 30, 30), (30, 230, 30)), strict=True):
                centre = [round(v * 16) for v in point]
                cv2.circle(image, centre, 5 * 16, colour, -1, cv2.LINE_AA, shift=4)
            yield Example(f"{number:02d}.png", image, Instances.from_keypoints(points[None]))

    write_project(folder, skeleton, examples(), name="blobs")
    return folder


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of the core and of all plugins, built as ``make wheels`` does."""
    dist = tmp_path_factory.mktemp("dist")
    for project in (
        REPOSITORY / "pyproject.toml",
        *REPOSITORY.glob("plugins/*/pyproject.toml"),
        *REPOSITORY.glob("consumers/*/pyproject.toml"),
    ):
        assert list(WheelBuilder(str(project.parent)).build(directory=str(dist), versions=["standard"]))
    return dist


@pytest.fixture(scope="session")
def load_tool() -> Callable[[str], Any]:
    """A module of ``tools/`` or ``benchmarks/``, by name."""

    def load(name: str, folder: str = "tools") -> Any:
        spec = importlib.util.spec_from_file_location(name, REPOSITORY / folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to be put into an environment of wheels: all packages of this one that others wrote, and
    nothing of this checkout, whose distributions are installed here by .pth files."""
    folder = tmp_path_factory.mktemp("others")
    for packages in map(Path, site.getsitepackages()):
        for file in packages.iterdir() if packages.is_dir() else ():
            if file.suffix != ".pth" and not file.name.startswith(("pose_", "__pycache__")):
                (folder / file.name).symlink_to(file)
    return folder


TINY = (
    "model.preprocess.scale=1",
    "model.backbone.filters=4",
    "model.backbone.max_stride=8",
    "model.backbone.output_stride=2",
    "augmentation.crop.size=[48,48]",
)
"""Settings that make the U-Net tiny; for ``--set``."""


@pytest.fixture(scope="session")
def tiny_settings() -> tuple[str, ...]:
    """The ``--set`` options of the tiny network."""
    return TINY


class PoseCommand:
    """Runs the ``pose`` command in a process of its own, as a user would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        texts = [os.fspath(argument) for argument in arguments]
        whole = {**os.environ, "COLUMNS": "200", **(env or {})}
        if warm_process.can_be_warm(texts, env or {}):
            return warm_process.run(texts, self.folder, whole, timeout)
        return subprocess.run(
            [sys.executable, "-m", "pose_core", *texts],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=self.folder,
            env=whole,
            check=False,
        )

    def train(self, project: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
        """Train the tiny network on a project, in this process's environment."""
        return self(*self.train_arguments(project, out, *options))

    @staticmethod
    def train_arguments(project: Path, out: Path, *options: str) -> list[str]:
        """The arguments of a training of the tiny network."""
        tiny = [argument for setting in TINY for argument in ("--set", setting)]
        return [
            "train",
            str(project),
            "--model",
            "unet",
            "--out",
            str(out),
            "--device",
            "cpu",
            *tiny,
            *options,
        ]

    def refuses(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
        """The line with which a command refuses its input: exit code 2, one ``error:`` line, no traceback."""
        process = self(*arguments, env=env)
        assert process.returncode == 2, (process.returncode, process.stdout, process.stderr)
        assert "Traceback" not in process.stderr, process.stderr
        lines = [line for line in process.stderr.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, process.stderr
        return lines[0]


@pytest.fixture
def pose(tmp_path: Path) -> PoseCommand:
    """The command, run in the test's temporary folder."""
    return PoseCommand(tmp_path)
