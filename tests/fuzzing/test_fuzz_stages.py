"""400 spoilt runs within runs: the detector of a top-down model, the finder of the poses that a model
refines."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
import yaml

from pose_core.io.files import write_whole
from pose_core.runs.run_folder import STAGES

from .conftest import Stages
from .mutate import get, put, spoil_tree, spoil_yaml
from .oracle import Example, check, fuzz
from .run_files import (
    CONFIG,
    HISTORY,
    LAST,
    METRICS,
    PROVENANCE,
    WEIGHTS,
    spoil_checkpoint,
    spoil_file,
)

FAMILY = "stages"

MODELS = {"detector": "top_down_unet", "conditions": "ctd_prenet_unet"}
"""Folder of the inner run, also the option that names another in its place; and the model that needs it."""


def make_stage(stages: Stages, rng: random.Random, folder: Path) -> Example:
    """A run with a spoilt run inside, and a command that opens it."""
    return rng.choices((_files, _resume, _folder, _mention), (14, 3, 2, 2))[0](stages, rng, folder)


def _copied(stages: Stages, rng: random.Random, folder: Path) -> tuple[Path, str]:
    """A run of its own, but for the weights, which are never written to, and the folder of the run inside."""
    part = rng.choice(tuple(MODELS))
    source = stages.detected if part == "detector" else stages.refined

    def copied(file: str, to: str) -> None:
        if file.endswith(WEIGHTS):
            Path(to).hardlink_to(file)
        else:
            shutil.copy2(file, to)

    return Path(shutil.copytree(source, folder / "run", copy_function=copied)), part


def _command(stages: Stages, rng: random.Random, run: Path, part: str) -> list[str | Path]:
    own, video, inner = stages.material.own, stages.material.predictions / "video.mp4", run / STAGES / part
    image = own / "images/clip/1.png"
    out: list[str | Path] = ["--out", run.parent / "out", "--device", "cpu"]
    model = ["--model", MODELS[part]]
    other = run if rng.random() < 0.3 else inner
    good = stages.detected if part == "detector" else stages.refined
    begun: list[str | Path] = ["train", own, *out[:2]]
    commands: list[tuple[int, list[str | Path]]] = [
        (6, ["predict", run, image, *out]),
        (2, ["predict", run, video, *out, *(["--follow"] if part == "conditions" else [])]),
        (3, ["predict", good, image, *out, f"--{part}", other]),
        (2, ["predict", inner, image, *out]),
        (3, ["evaluate", run, "--device", "cpu", "--json"]),
        (2, ["evaluate", inner, "--device", "cpu", "--split", rng.choice(("all", "test"))]),
        (2, ["cite", rng.choice((run, inner))]),
        (2, ["licenses", rng.choice((run, inner)), "--json"]),
        (3, [*begun, *model, f"--{part}", other]),
        (1, [*begun, *model, "--weights", run, f"--{part}", good / STAGES / part]),
        (1, [*begun, "--weights", inner, *rng.choice(([], model))]),
        (1, [*begun, "--detector", rng.choice(("ssdlite", inner)), "--set", f"train.weights={inner}"]),
        (1, [*begun, "--config", inner / CONFIG]),
    ]
    return rng.choices([command for _, command in commands], [weight for weight, _ in commands])[0]


def _files(stages: Stages, rng: random.Random, folder: Path) -> Example:
    run, part = _copied(stages, rng, folder)
    name = rng.choices((CONFIG, WEIGHTS, METRICS, PROVENANCE, HISTORY), (6, 5, 4, 3, 1))[0]
    about = f"{part}/{name} {spoil_file(run / 'stages' / part / name, rng)}"
    return Example(_command(stages, rng, run, part), about)


def _folder(stages: Stages, rng: random.Random, folder: Path) -> Example:
    """The inner folder as a whole: gone, empty, a file, a link, or another run."""
    run, part = _copied(stages, rng, folder)
    inner = run / STAGES / part
    shutil.rmtree(inner)
    kind = rng.choice(("gone", "empty", "file", "itself", "nowhere", "the run", "the other", "a bare one"))
    if kind == "empty":
        inner.mkdir()
    elif kind == "file":
        inner.write_text("a file")
    elif kind in ("itself", "nowhere"):
        inner.symlink_to("." if kind == "itself" else "nowhere/at/all")
    elif kind != "gone":
        others = {"the run": stages.material.crops, "a bare one": stages.material.run}
        swapped = (
            stages.refined / "stages/conditions"
            if part == "detector"
            else stages.detected / "stages/detector"
        )
        inner.symlink_to(others.get(kind, swapped))
    return Example(_command(stages, rng, run, part), f"{part}: {kind}")


def _mention(stages: Stages, rng: random.Random, folder: Path) -> Example:
    """What the outer run says of the inner one."""
    run, part = _copied(stages, rng, folder)
    config = run / CONFIG
    content = yaml.safe_load(config.read_text())
    holder, key = rng.choice(((content, "stages"), (content["stages"], part)))
    if rng.random() < 0.6:
        holder[key] = spoil_tree(holder[key], rng)
        put(config, yaml.safe_dump(content, sort_keys=False).encode())
    else:
        other = yaml.safe_load((run / STAGES / part / CONFIG).read_text())
        name = rng.choice(sorted(set(other) & set(content)))
        content[name] = get(other, (name,))
        put(config, spoil_yaml(content, rng) if rng.random() < 0.3 else yaml.safe_dump(content).encode())
    return Example(_command(stages, rng, run, part), f"{part} in {CONFIG}")


def _resume(stages: Stages, rng: random.Random, folder: Path) -> Example:
    """A training of both goes on; all of it happened already."""
    run, part = _copied(stages, rng, folder)
    settings = yaml.safe_load((run / CONFIG).read_text())
    write_whole(folder / "same.yaml", yaml.safe_dump({k: settings[k] for k in ("model", "train", "stages")}))
    name = rng.choices((LAST, METRICS, CONFIG, WEIGHTS, PROVENANCE, HISTORY), (4, 3, 2, 1, 1, 1))[0]
    file = run / STAGES / part / name
    if not file.exists():  # conditions are copied without what only their training needs
        file = run / name
    if file.parent.parent == run / STAGES / part:
        # As after an interruption: a detector that is finished is not trained on.
        metrics = run / STAGES / part / METRICS
        write_whole(metrics, metrics.read_text().replace('"training"', '"interrupted"'))
    of_checkpoint = file.name == "last.ckpt" and rng.random() < 0.6
    about = spoil_checkpoint(file, rng) if of_checkpoint else spoil_file(file, rng)
    command: list[str | Path] = ["train", stages.material.own, "--config", folder / "same.yaml", "--out", run]
    given = ["--conditions", stages.material.run] if part == "conditions" and rng.random() < 0.5 else []
    return Example([*command, "--resume", *given], f"resume, {file.relative_to(run)} {about}")


@pytest.mark.usefixtures("only_begun")
def test_fuzz_some_stages(stages: Stages, tmp_path: Path) -> None:
    check(fuzz(FAMILY, range(400, 416), lambda rng, folder: make_stage(stages, rng, folder), tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
@pytest.mark.usefixtures("only_begun")
def test_fuzz_400_stages(stages: Stages, tmp_path: Path, part: int) -> None:
    numbers = range(200 * part, 200 * (part + 1))
    check(fuzz(FAMILY, numbers, lambda rng, folder: make_stage(stages, rng, folder), tmp_path))
