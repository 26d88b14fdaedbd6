"""2000 spoilt run folders: of trained runs, and files of predictions with what lies beside them."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from pose_core.io.files import write_whole

from .conftest import Material
from .mutate import put, spoil_bytes, spoil_json, spoil_place
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
    spoil_table,
)

FAMILY = "runs"

PREDICTIONS = "evaluation/test/predictions.parquet"


def make_run(material: Material, rng: random.Random, folder: Path) -> Example:
    """One spoilt folder and a command that opens it."""
    return rng.choices((_run, _resume, _parquet, _results), (30, 3, 6, 5))[0](material, rng, folder)


def _copied(material: Material, rng: random.Random, folder: Path) -> Path:
    source = material.run if rng.random() < 0.8 else material.crops
    return Path(shutil.copytree(source, folder / "run"))


def _run(material: Material, rng: random.Random, folder: Path) -> Example:
    run = _copied(material, rng, folder)
    name = rng.choices((CONFIG, WEIGHTS, METRICS, PROVENANCE, HISTORY, PREDICTIONS), (6, 5, 4, 4, 1, 1))[0]
    file = run / name
    if not file.exists():
        file = run / CONFIG
    about = f"{file.name} {spoil_file(file, rng)}"
    image, video = material.own / "images/clip/1.png", material.predictions / "video.mp4"
    out = ["--out", folder / "out"]
    commands: list[list[str | Path]] = [
        ["predict", run, image, *out, "--device", "cpu"],
        [
            "predict",
            run,
            video,
            *out,
            "--device",
            "cpu",
            "--format",
            rng.choice(("parquet", "coco", "dlc-csv", "dlc-h5")),
        ],
        ["evaluate", run, "--device", "cpu", "--json"],
        ["evaluate", run, "--device", "cpu", "--split", rng.choice(("all", "train", "validation"))],
        ["cite", run],
        ["licenses", run, "--json"],
        ["train", material.own, *out, "--set", f"train.weights={run}"],
        ["train", material.own, "--model", "unet", *out, "--weights", run],
        ["train", material.own, "--config", run / CONFIG, *out],
        ["train", material.own, *out, "--detector", run],
        ["predict", run, video, *out, "--detector", run],
    ]
    return Example(rng.choices(commands, (6, 4, 2, 1, 3, 3, 2, 1, 2, 1, 1))[0], about)


def _resume(material: Material, rng: random.Random, folder: Path) -> Example:
    """The checkpoint is read by a training that goes on; all of this one happened already."""
    run = Path(shutil.copytree(material.run, folder / "run"))
    file = run / rng.choices((LAST, HISTORY, METRICS, PROVENANCE, CONFIG), (6, 2, 1, 1, 1))[0]
    of_checkpoint = file.name == "last.ckpt" and rng.random() < 0.6
    about = spoil_checkpoint(file, rng) if of_checkpoint else spoil_file(file, rng)
    settings = yaml.safe_load((material.run / CONFIG).read_text())
    write_whole(folder / "same.yaml", yaml.safe_dump({k: settings[k] for k in ("model", "train")}))
    command = ["train", material.own, "--config", folder / "same.yaml", "--out", run, "--resume"]
    return Example(command, f"resume, {file.name} {about}")


def _parquet(material: Material, rng: random.Random, folder: Path) -> Example:
    file = folder / "video.parquet"
    put(file, (material.predictions / "video.parquet").read_bytes())
    chance = rng.random()
    if chance < 0.3:
        put(file, spoil_bytes(file.read_bytes(), rng))
    elif chance < 0.4:
        spoil_place(file, rng)
    else:
        spoil_table(file, rng)
    video = material.predictions / "video.mp4"
    commands: list[list[str | Path]] = [
        ["render", file, video, "--out", folder / "out.mp4"],
        ["predict", material.crops, video, "--boxes", file, "--out", folder / "out", "--device", "cpu"],
        ["predict", material.run, video, "--conditions", file, "--out", folder / "out", "--device", "cpu"],
    ]
    return Example(rng.choices(commands, (3, 2, 1))[0], "predictions")


def _results(material: Material, rng: random.Random, folder: Path) -> Example:
    """What an earlier prediction left: results, their notes, and the folder of an unfinished one."""
    out = Path(shutil.copytree(material.predictions, folder / "out"))
    if rng.random() < 0.5:
        file = out / "video.parquet.info"
    else:
        (out / "video.parquet").unlink()
        partial = out / ".video.partial"
        partial.mkdir()
        part = partial / rng.choice(
            ("0000000000-0000000011.parquet", "0000000000-x.parquet", "-.parquet", "x.new")
        )
        table = pq.read_table(material.predictions / "video.parquet")
        header = json.loads(table.schema.metadata[b"pose_core"])
        header["metadata"] = {"pose_core.sizes": "160x120"}
        pq.write_table(table.replace_schema_metadata({b"pose_core": json.dumps(header)}), part)
        maker = json.loads((out / "video.parquet.info").read_text())["maker"]
        maker = {"version": 1, **{k: v for k, v in maker.items() if k != "format"}}
        put(partial / "journal.json", json.dumps(maker).encode())
        file = rng.choice((part, partial / "journal.json"))
    how = "content"
    if file.suffix in (".info", ".json") and rng.random() < 0.6:
        put(file, spoil_json(json.loads(file.read_text()), rng))
    elif rng.random() < 0.3:
        how = spoil_place(file, rng)
    else:
        put(file, spoil_bytes(file.read_bytes(), rng))
    command = ["predict", material.run, material.predictions / "video.mp4", "--out", out, "--device", "cpu"]
    return Example(command, f"results, {file.suffix} {how}")


@pytest.mark.usefixtures("only_begun")
def test_fuzz_some_runs(material: Material, tmp_path: Path) -> None:
    check(fuzz(FAMILY, range(2000, 2016), lambda rng, folder: make_run(material, rng, folder), tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.usefixtures("only_begun")
def test_fuzz_2000_runs(material: Material, tmp_path: Path, part: int) -> None:
    numbers = range(500 * part, 500 * (part + 1))
    check(fuzz(FAMILY, numbers, lambda rng, folder: make_run(material, rng, folder), tmp_path))
