"""The template of a plugin: what it bakes of each kind is clean, installs beside the core, passes its tests,
works."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pose_core.formats.project_writing import Example, write_project
from pose_core.interfaces import PredictionsHeader
from pose_core.interfaces.prediction_files import core_writer
from pose_core.structures import Instances, Skeleton
from pose_core.synthetic.crowd import CROWD_SKELETON, Crowd, CrowdSpec

TEMPLATE = Path(__file__).parent.parent / "templates" / "pose-plugin"
DOCS_BLOCKS = Path(__file__).parent.parent / "tools" / "docs_blocks.py"
KINDS = ("backbone", "head", "detector", "tracker", "format", "engine")
NEW_PIP = 'python -m pip install --upgrade "pip>=25.1"'
SMALL = ("train.batch_size=4", "train.validate_every=1")


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command that must succeed."""
    process = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    assert process.returncode == 0, f"{process.args}\n{process.stdout}\n{process.stderr}"
    return process


def bake(folder: Path, kind: str, **answers: str) -> Path:
    """The project that cookiecutter makes of these answers."""
    given = {"name": f"my{kind}", "author": "A Stranger", **answers, "kind": kind}
    # Answers of this machine's user, which cookiecutter remembers, must not get in.
    config = folder / "cookiecutter.yaml"
    config.write_text(f"replay_dir: {folder / 'replay'}\ncookiecutters_dir: {folder / 'cookiecutters'}\n")
    run(
        *(
            sys.executable,
            "-m",
            "cookiecutter",
            TEMPLATE,
            "--no-input",
            "--config-file",
            config,
            "-o",
            folder,
        ),
        *(f"{key}={value}" for key, value in given.items()),
        cwd=folder,
    )
    (project,) = (p.parent for p in folder.glob("*/pyproject.toml"))
    return project


@pytest.fixture(scope="module")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all kinds: pose_core and torch are read once."""
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_baked_is_clean(kind: str, tmp_path: Path, mypy_cache: Path) -> None:
    project = bake(tmp_path, kind, name="a-Rather_longName", license="MIT")
    assert project.name == "pose-a-rather-longname"
    files = {p.relative_to(project).as_posix() for p in project.rglob("*") if p.is_file()}
    assert {
        *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore", ".pre-commit-config.yaml"),
        *(
            ".github/workflows/ci.yml",
            "tests/test_a_rather_longname.py",
            "tests/test_a_rather_longname_conformance.py",
        ),
        *(
            f"src/pose_a_rather_longname/{name}"
            for name in ("__init__.py", "py.typed", "plugin.py", "config.py")
        ),
    } <= files
    assert not any(part in name for name in files for part in ("kinds", "cookiecutter"))
    for name in files:
        text = (project / name).read_text()
        assert "cookiecutter" not in text, name
        assert not text or (text.endswith("\n") and not text.endswith("\n\n")), name
    assert (project / "LICENSE").read_text().startswith("MIT License")
    assert "A Stranger" in (project / "LICENSE").read_text()
    assert "${{ matrix.python }}" in (project / ".github/workflows/ci.yml").read_text()
    installs_where_pip_is_old_and_the_core_is_elsewhere(project)
    tool = (sys.executable, "-m")
    run(*tool, "ruff", "check", "--no-cache", ".", cwd=project)
    run(*tool, "ruff", "format", "--no-cache", "--check", ".", cwd=project)
    run(*tool, "mypy", "--cache-dir", mypy_cache, cwd=project)


def installs_where_pip_is_old_and_the_core_is_elsewhere(project: Path) -> None:
    """README and CI get a pip that knows --group first, and CI takes pose_core from where a variable says."""
    content = yaml.safe_load((project / ".github/workflows/ci.yml").read_text())
    assert content["env"] == {"POSE_CORE": "${{ vars.POSE_CORE || 'pose-core' }}"}
    commands = [step["run"] for step in content["jobs"]["test"]["steps"] if "run" in step]
    assert commands[:2] == [NEW_PIP, "pip install $POSE_CORE --editable . --group dev"]
    readme = (project / "README.md").read_text()
    assert f"```sh\n{NEW_PIP} " in readme
    assert (
        readme.index("pip install --editable PATH/TO/pose_core")
        < readme.index(NEW_PIP)
        < readme.index("--group dev")
    )


@pytest.mark.parametrize("name", ["x", "a_much_longer_name_than_most"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_length_of_the_name_does_not_matter(kind: str, name: str, tmp_path: Path) -> None:
    project = bake(tmp_path, kind, name=name)
    run(sys.executable, "-m", "ruff", "check", "--no-cache", ".", cwd=project)
    run(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", ".", cwd=project)


@pytest.mark.parametrize("license", ["BSD-3-Clause", "MIT", "Apache-2.0"])
def test_licences(license: str, tmp_path: Path) -> None:
    project = bake(tmp_path, "backbone", license=license)
    assert f'license = "{license}"' in (project / "pyproject.toml").read_text()
    assert f'license="{license}"' in (project / "src/pose_mybackbone/plugin.py").read_text()
    assert license.partition("-")[0].removesuffix("3") in (project / "LICENSE").read_text()


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"name": "two words"}, "name: 'two words' must be a word"),
        ({"namespace": "a/b"}, "namespace: 'a/b' must be a word"),
        ({"author": "pose_core developers"}, "author: write your own name"),
    ],
)
def test_answers_that_cannot_be_used_are_refused(
    answers: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=message):
        bake(tmp_path, "backbone", **answers)
    assert not list(tmp_path.glob("pose-*"))


@dataclass
class Installed:
    """A baked plugin in an environment of its own, beside the core and its plugins."""

    kind: str
    folder: Path
    project: Path
    python: Path
    started: float

    def pose(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """``pose`` in that environment."""
        return run(
            self.python,
            "-m",
            "pose_core",
            *arguments,
            cwd=self.folder,
            POSE_STRICT_PLUGINS="1",
            COLUMNS="200",
        )

    def train(self, data: Path, out: str, *arguments: str, settings: tuple[str, ...] = ()) -> None:
        """A few steps."""
        more = [part for setting in (*SMALL, *settings) for part in ("--set", setting)]
        self.pose("train", data, "--out", out, "--device", "cpu", "--epochs", "1", *arguments, *more)


def install(folder: Path, kind: str) -> Installed:
    """Bake, build the wheel, and install it into a new environment that sees this one's packages. No
    network."""
    started = time.perf_counter()
    project = bake(folder, kind)
    dist, environment = folder / "dist", folder / "environment"
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", dist, cwd=project)
    (wheel,) = dist.glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=folder)
    python = environment / "bin" / "python"
    packages = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder
    ).stdout.strip()
    # addsitedir and not a plain path: the core may be installed as editable, by a .pth file of its own.
    lines = [f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages()]
    (Path(packages) / "beside.pth").write_text("".join(lines))
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index")
    run(*pip, "--no-warn-script-location", wheel, cwd=folder)
    return Installed(kind, folder, project, python, started)


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One or two animals of two keypoints an image, 16 images of 64 x 64, of which the first shows none."""
    return project_of(tmp_path_factory.mktemp("animals") / "project", individuals=("one", "two"))


@pytest.fixture(scope="module")
def animal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with one animal."""
    return project_of(tmp_path_factory.mktemp("animal") / "project", individuals=("one",))


def project_of(folder: Path, individuals: tuple[str, ...]) -> Path:
    rng = np.random.default_rng(0)

    def examples() -> Iterator[Example]:
        for number in range(16):
            image = rng.integers(90, 120, (64, 64, 3)).astype(np.uint8)
            points = np.array([[[14, 20 + number], [26, 22]], [[40, 44], [52, 40]]], np.float32)
            points = points[: min(len(individuals), 1 + number % 2)]
            for x, y in points.reshape(-1, 2).astype(int):
                image[y - 3 : y + 4, x - 3 : x + 4] = (220, 40, 40)
            yield Example(f"{number:02d}.png", image, Instances.from_keypoints(points))

    skeleton = Skeleton(("a", "b"), edges=(("a", "b"),), individuals=individuals)
    write_project(folder, skeleton, examples(), name="squares")
    return folder


CROP = "model.preprocess.size=[32,32]"


def backbone(plugin: Installed, animal: Path, animals: Path) -> None:
    """As single, top-down and bottom-up model, without further code: each trains, and predicts."""
    names = {row["name"] for row in json.loads(plugin.pose("models", "--json").stdout)}
    assert {"mybackbone_small", "top_down_mybackbone_small", "mybackbone_large"} <= names
    plugin.train(animal, "single", "--model", "mybackbone_small")
    print(f"from baking to the first trained model: {time.perf_counter() - plugin.started:.0f} s")
    plugin.train(animals, "bottom_up", "--model", "mybackbone_small")
    detector = ("--detector", "ssdlite")
    small = ("stages.detector.network.size=[64,64]", CROP)
    plugin.train(animals, "top_down", "--model", "top_down_mybackbone_small", *detector, settings=small)
    for method, data in (("single", animal), ("bottom_up", animals), ("top_down", animals)):
        assert "mybackbone/mybackbone" in (plugin.folder / method / "config.yaml").read_text()
        plugin.pose("predict", method, data / "images", "--out", f"{method}-found", "--device", "cpu")
        assert list((plugin.folder / f"{method}-found").glob("*.parquet"))


def head(plugin: Installed, animal: Path, animals: Path) -> None:
    """On somebody else's backbone, for the frame and for the crop."""
    tiny = ("model.backbone.filters=4", "model.backbone.max_stride=8", "model.backbone.output_stride=2")
    plugin.train(animal, "single", "--model", "unet_myhead", settings=tiny)
    plugin.train(animals, "top_down", "--model", "top_down_unet_myhead", settings=(*tiny, CROP))
    plugin.pose("predict", "single", animal / "images", "--out", "found", "--device", "cpu")


def detector(plugin: Installed, animal: Path, animals: Path) -> None:
    """Alone, and measured."""
    plugin.train(animals, "alone", "--detector", "mydetector", settings=("network.channels=8",))
    assert 0 <= json.loads(plugin.pose("evaluate", "alone", "--json", "--device", "cpu").stdout)["ap"] <= 1


def tracker(plugin: Installed, animal: Path, animals: Path) -> None:
    """Stored predictions are tracked, and the truth says how well."""
    crowd = Crowd(CrowdSpec(frames=60, animals=2, lost=0, double=0))
    header = PredictionsHeader(CROWD_SKELETON, "clip.mp4", 60, 800, 800, 30.0, "model", "run")
    core_writer().write(plugin.folder / "clip.parquet", header, crowd.found())
    core_writer().write(plugin.folder / "truth.parquet", header, crowd.truth())
    options = (
        "--tracker",
        "mytracker",
        "--animals",
        "2",
        "--truth",
        "truth.parquet",
        "--json",
        "--out",
        "tracks",
    )
    (made,) = json.loads(plugin.pose("track", "clip.parquet", *options).stdout)
    assert made["counts"]["tracks"] == 2
    assert made["metrics"]["boxes"]["switches"] == 0


def format(plugin: Installed, animal: Path, animals: Path) -> None:
    """A project in the new format is recognised and trained on; predictions are written in it and read
    back."""
    import csv

    found: dict[str, list[list[float]]] = {}
    with (animal / "labels.csv").open() as file:
        for row in csv.DictReader(file):
            found.setdefault(row["image"], []).append([float(row["x"]), float(row["y"])])
    header = {"format": "myformat labels", "skeleton": {"keypoints": ["a", "b"], "edges": [["a", "b"]]}}
    lines: list[Any] = [header, *({"image": name, "animals": [points]} for name, points in found.items())]
    labels = plugin.folder / "labels.jsonl"
    labels.write_text("".join(json.dumps(line) + "\n" for line in lines))
    shutil.copytree(animal / "images", plugin.folder / "images")
    tiny = ("model.backbone.filters=4", "model.backbone.max_stride=8", "model.backbone.output_stride=2")
    plugin.train(labels, "run", "--model", "unet", settings=tiny)
    assert "labels.jsonl" in (plugin.folder / "run" / "config.yaml").read_text()
    plugin.pose("predict", "run", "images", "--out", "found", "--device", "cpu", "--format", "myformat")
    (written,) = (plugin.folder / "found").glob("*.jsonl")
    assert len(written.read_text().splitlines()) == 1 + len(found)


def engine(plugin: Installed, animal: Path, animals: Path) -> None:
    """Its workers make what one process makes."""
    tiny = ("model.backbone.filters=4", "model.backbone.max_stride=8", "model.backbone.output_stride=2")
    plugin.train(animal, "run", "--model", "unet", settings=tiny)
    predict = ("predict", "run", animal / "images", "--device", "cpu", "--runtime", "torch")
    plugin.pose(*predict, "--out", "one")
    plugin.pose(*predict, "--out", "shared", "--engine", "myengine", "--workers", "2")
    one, shared = (plugin.folder / name / "images.parquet" for name in ("one", "shared"))
    assert shared.read_bytes() == one.read_bytes()
    assert json.loads(plugin.pose("status", "shared", "--json").stdout)["over"]


USES = {
    "backbone": backbone,
    "head": head,
    "detector": detector,
    "tracker": tracker,
    "format": format,
    "engine": engine,
}


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_baked_plugin_installs_passes_its_tests_and_works(
    kind: str, tmp_path: Path, animal: Path, animals: Path
) -> None:
    plugin = install(tmp_path, kind)
    # From an empty folder of its own: what is tested is what the wheel holds.
    tests = shutil.copytree(plugin.project / "tests", tmp_path / "its-tests")
    plugin.pose("plugins")
    # What its README types and sets is there, the plugin's own names included.
    run(plugin.python, DOCS_BLOCKS, plugin.project / "README.md", cwd=tmp_path, POSE_STRICT_PLUGINS="1")
    USES[kind](plugin, animal, animals)
    command = (
        plugin.python,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        tests,
    )
    result = run(*command, cwd=tests, POSE_STRICT_PLUGINS="1", PYTEST_ADDOPTS="")
    last = result.stdout.splitlines()[-1]
    assert " passed" in last
    assert "error" not in last
