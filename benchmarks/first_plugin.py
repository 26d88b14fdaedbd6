"""From the template to the first trained model of a backbone of one's own: lines, and seconds on the clock.

    python benchmarks/first_plugin.py [--folder FOLDER] [--models top-down ...] [--json]

Bakes the template of every kind and counts the lines of its files, blank ones left out: those are what an
author starts from, and the network's are those to be replaced. Counts the lines of the author's guide's
backbone in the same way. Then bakes a backbone, builds its wheel, installs it into a new environment that
sees the packages of this one, and trains and predicts it as single-animal, bottom-up and top-down model, an
epoch each on rendered animals on the CPU, without further code. No network is needed. The seconds mean
something on an idle machine only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from pose_core.testing import Scene, SceneSpec, scene_examples, write_project

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "templates" / "pose-plugin"
GUIDE = ROOT / "docs" / "authors" / "backbone.md"
KINDS = ("backbone", "head", "detector", "format")
IMAGES = range(0, 100, 5)
_SMALL = ("--set", "model.preprocess.size=[64,64]", "--set", "stages.detector.network.size=[64,64]")
_DETECTOR = ("--detector", "ssdlite")
MODELS = {
    "single-animal": ("one", ("--model", "mybackbone_small")),
    "bottom-up": ("two", ("--model", "mybackbone_small")),
    "top-down": ("two", ("--model", "top_down_mybackbone_small", *_DETECTOR, *_SMALL)),
}
"""Name of the run -> project, options of ``pose train``."""


def run(*command: str | Path, cwd: Path) -> str:
    """A command that must succeed; its output."""
    environment = {**os.environ, "POSE_STRICT_PLUGINS": "1"}
    process = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False, env=environment
    )
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{process.stdout}\n{process.stderr}")
    return process.stdout


def bake(folder: Path, kind: str) -> Path:
    """The project that cookiecutter makes."""
    folder.mkdir(parents=True)
    # What cookiecutter remembers of this machine's user must not get in, and nothing must stay behind.
    (folder / "cookiecutter.yaml").write_text(
        f"replay_dir: {folder / 'replay'}\ncookiecutters_dir: {folder / 'them'}\n"
    )
    options = ("--no-input", "--config-file", folder / "cookiecutter.yaml", "-o", folder)
    answers = (f"name=my{kind}", f"kind={kind}", "author=A Stranger")
    run(sys.executable, "-m", "cookiecutter", TEMPLATE, *options, *answers, cwd=folder)
    (project,) = (file.parent for file in folder.glob("*/pyproject.toml"))
    return project


def lines(text: str) -> int:
    """Lines that are not blank."""
    return sum(bool(line.strip()) for line in text.splitlines())


def baked_lines(project: Path) -> dict[str, int]:
    """Lines of the plugin's Python, of its tests' and of everything else."""
    files = [
        file
        for file in project.rglob("*")
        if file.is_file() and ".git" not in file.relative_to(project).parts
    ]
    counts = {"python": 0, "tests": 0, "other": 0}
    for file in files:
        kind = "other" if file.suffix != ".py" else "tests" if "tests" in file.parts else "python"
        counts[kind] += lines(file.read_text(encoding="utf-8"))
    return counts


def guide_lines() -> dict[str, int]:
    """Lines of the files of the author's guide's backbone: Python within the package, and the rest."""
    found = re.findall(
        r'^```\w+ title="(pose-maxpool/[^"]+)"\n(.*?)^```', GUIDE.read_text(encoding="utf-8"), re.M | re.S
    )
    python = sum(lines(text) for name, text in found if "/src/" in name)
    tests = sum(lines(text) for name, text in found if "/tests/" in name)
    return {"python": python, "tests": tests, "other": sum(lines(text) for _, text in found) - python - tests}


class Clock:
    """Seconds since its making, by what was reached."""

    def __init__(self) -> None:
        self.start, self.reached = time.perf_counter(), dict[str, float]()

    def mark(self, what: str) -> None:
        """Now."""
        self.reached[what] = round(time.perf_counter() - self.start, 1)


def first_models(folder: Path, wanted: Sequence[str]) -> dict[str, float]:
    """Seconds from baking to each trained and predicted model."""
    for name, animals in (("one", 1), ("two", 2)):
        scene = Scene(SceneSpec(size=(128, 128), animals=animals))
        write_project(folder / name, scene.skeleton, scene_examples(scene, IMAGES, "clip"), name=name)
    clock = Clock()
    project = bake(folder / "baked", "backbone")
    clock.mark("baked")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist", cwd=project)
    run(sys.executable, "-m", "venv", "--without-pip", folder / "environment", cwd=folder)
    python = folder / "environment" / "bin" / "python"
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    beside = "".join(f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages())
    (Path(packages) / "beside.pth").write_text(beside)
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index")
    run(*pip, "--no-warn-script-location", *(folder / "dist").glob("*.whl"), cwd=folder)
    clock.mark("installed")

    def train(data: str, out: str, *arguments: str) -> None:
        always = ("--epochs", "1", "--device", "cpu")
        run(python, "-m", "pose_core", "train", data, "--out", out, *always, *arguments, cwd=folder)
        clock.mark(f"{out} trained")
        found = ("--out", f"found-{out}", "--device", "cpu")
        run(python, "-m", "pose_core", "predict", out, f"{data}/images/clip", *found, cwd=folder)
        clock.mark(f"{out} predicted")

    for name in wanted:
        data, arguments = MODELS[name]
        train(data, name, *arguments)
    return clock.reached


class Measured(TypedDict):
    """Lines that are not blank by kind of plugin, and seconds by what was reached."""

    lines: dict[str, dict[str, int]]
    seconds: dict[str, float]


def measure(folder: Path, models: Sequence[str]) -> Measured:
    """Everything, into an empty folder."""
    counts = {kind: baked_lines(bake(folder / f"lines-{kind}", kind)) for kind in KINDS}
    return {"lines": {**counts, "guide's backbone": guide_lines()}, "seconds": first_models(folder, models)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, help="an empty folder to work in and to keep; by default a temporary one"
    )
    parser.add_argument(
        "--models", nargs="+", choices=list(MODELS), default=list(MODELS), help="to be trained"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = measure(Path(options.folder or temporary).resolve(), options.models)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print("lines that are not blank    plugin  tests  other")
    for kind, counts in found["lines"].items():
        print(f"{kind:26} {counts['python']:7} {counts['tests']:6} {counts['other']:6}")
    print("\nseconds from the start of baking")
    for what, seconds in found["seconds"].items():
        print(f"{what:26} {seconds:7.1f}")


if __name__ == "__main__":
    main()
