"""2000 spoilt run folders: of trained runs, and files of predictions with what lies beside them."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.numpy import load_file, save

from pose_core.files import write_whole

from .conftest import Material
from .hdf import Bomb
from .mutate import put, spoil_bytes, spoil_csv, spoil_json, spoil_place, spoil_tree, spoil_yaml
from .oracle import Example, check, fuzz

FAMILY = "runs"

CONFIG, WEIGHTS, METRICS, PROVENANCE, HISTORY, LAST = (
    "config.yaml",
    "weights.safetensors",
    "metrics.json",
    "provenance.json",
    "history.csv",
    "checkpoints/last.ckpt",
)
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
    about = f"{file.name} {_spoil(file, rng)}"
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


def _spoil(file: Path, rng: random.Random) -> str:
    """Spoil one file of a run as what it is; says how."""
    chance = rng.random()
    if chance < 0.12:
        return spoil_place(file, rng)
    if chance < 0.27:
        put(file, spoil_bytes(file.read_bytes(), rng))
        return "bytes"
    if chance < 0.33:
        other = rng.choice([p for p in file.parent.rglob("*") if p.is_file()])
        put(file, other.read_bytes())
        return f"is {other.name}"
    if chance < 0.37:
        put(file, pickle.dumps(Bomb()))
        return "bomb"
    if file.suffix == ".yaml":
        put(file, spoil_yaml(yaml.safe_load(file.read_text()), rng))
    elif file.suffix == ".json":
        put(file, spoil_json(json.loads(file.read_text()), rng))
    elif file.suffix == ".csv":
        put(file, spoil_csv(file.read_bytes(), rng))
    elif file.suffix == ".safetensors":
        _spoil_tensors(file, rng)
    elif file.suffix == ".parquet":
        _spoil_table(file, rng)
    return "content"


def _spoil_tensors(file: Path, rng: random.Random) -> None:
    """Other tensors, or another header; the hash in metrics.json then is that of the spoilt file, or is not there."""
    tensors = load_file(file)
    name = rng.choice(sorted(tensors))
    kind = rng.randrange(8)
    if kind == 0:
        del tensors[name]
    elif kind == 1:
        tensors[rng.choice(("", "x", f"{name}.more", "é" * 300))] = tensors[name]
    elif kind == 2:
        with np.errstate(invalid="ignore"):  # counters of batches are integers
            tensors[name] = np.full_like(tensors[name], rng.choice((np.nan, np.inf, 1e30, -1)))
    elif kind == 3:
        tensors[name] = tensors[name].astype(rng.choice((np.float64, np.float16, np.int8, np.bool_)))
    elif kind == 4:
        tensors[name] = rng.choice((tensors[name].reshape(-1), tensors[name][..., None], np.zeros((0, 3), np.float32)))
    data = save(tensors)
    if kind > 4:
        size = struct.unpack("<Q", data[:8])[0]
        header = json.dumps(spoil_tree(json.loads(data[8 : 8 + size]), rng)).encode()
        length = rng.choice((len(header), len(header), 0, 2**40, 2**63))
        data = struct.pack("<Q", length) + header + data[8 + size :]
    put(file, data)
    if rng.random() < 0.8:
        metrics = file.with_name(METRICS)
        content = {k: v for k, v in json.loads(metrics.read_text()).items() if k != "weights_sha256"}
        put(metrics, json.dumps(content).encode())


def _spoil_table(file: Path, rng: random.Random) -> None:
    """A Parquet table with other columns, rows or metadata."""
    table = pq.read_table(file)
    metadata = dict(table.schema.metadata)
    kind = rng.randrange(6)
    if kind == 0:
        table = table.drop_columns([rng.choice(table.column_names)])
    elif kind == 1:
        name = rng.choice(table.column_names)
        values = rng.choice(
            (["a"] * len(table), [None] * len(table), [-1] * len(table), [1e300] * len(table), [[1]] * len(table))
        )
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    elif kind == 2:
        table = table.take(pa.array([rng.randrange(max(len(table), 1)) for _ in range(len(table))], pa.int64()))
    elif kind == 3:
        table = table.slice(0, rng.choice((0, 1)))
    else:
        metadata[b"pose_core"] = spoil_json(json.loads(metadata[b"pose_core"]), rng)
    pq.write_table(table.replace_schema_metadata(metadata), file)


def _resume(material: Material, rng: random.Random, folder: Path) -> Example:
    """The checkpoint is read by a training that goes on; all of this one happened already."""
    run = Path(shutil.copytree(material.run, folder / "run"))
    file = run / rng.choices((LAST, HISTORY, METRICS, PROVENANCE, CONFIG), (6, 2, 1, 1, 1))[0]
    of_checkpoint = file.name == "last.ckpt" and rng.random() < 0.6
    about = _spoil_checkpoint(file, rng) if of_checkpoint else _spoil(file, rng)
    settings = yaml.safe_load((material.run / CONFIG).read_text())
    write_whole(folder / "same.yaml", yaml.safe_dump({k: settings[k] for k in ("model", "train")}))
    command = ["train", material.own, "--config", folder / "same.yaml", "--out", run, "--resume"]
    return Example(command, f"resume, {file.name} {about}")


def _spoil_checkpoint(file: Path, rng: random.Random) -> str:
    """The pickle within the zip file is spoilt, or replaced by a bomb."""
    with zipfile.ZipFile(file) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    name = next(n for n in parts if n.endswith("data.pkl"))
    about = rng.choice(("bomb", "bytes", "part gone"))
    if about == "bomb":
        parts[name] = pickle.dumps(rng.choice((Bomb(), {"state_dict": Bomb()})), protocol=2)
    elif about == "bytes":
        parts[name] = spoil_bytes(parts[name], rng)
    else:
        del parts[rng.choice(sorted(parts))]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as new:
        for part, data in parts.items():
            new.writestr(part, data)
    put(file, stream.getvalue())
    return f"checkpoint {about}"


def _parquet(material: Material, rng: random.Random, folder: Path) -> Example:
    file = folder / "video.parquet"
    put(file, (material.predictions / "video.parquet").read_bytes())
    chance = rng.random()
    if chance < 0.3:
        put(file, spoil_bytes(file.read_bytes(), rng))
    elif chance < 0.4:
        spoil_place(file, rng)
    else:
        _spoil_table(file, rng)
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
        part = partial / rng.choice(("0000000000-0000000011.parquet", "0000000000-x.parquet", "-.parquet", "x.new"))
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


def _fuzz(material: Material, folder: Path, monkeypatch: pytest.MonkeyPatch, numbers: range) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    _no_plots(monkeypatch)
    check(fuzz(FAMILY, numbers, lambda rng, place: make_run(material, rng, place), folder))


def _no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots take most of an evaluation's time and read no file."""
    import pose_core.evaluate.files as files
    import pose_core.train.fit as fit
    import pose_core.train.together as together

    def plotted(*_: Any) -> bool:
        return False

    for name in ("plot_predictions", "plot_error_by_keypoint", "plot_error_curve"):
        monkeypatch.setattr(files, name, plotted)
    monkeypatch.setattr(fit, "plot_curves", lambda *_: None)
    train = together.train_run

    def only_resumed(prepared: Any, out: Path, **options: Any) -> Any:
        """A training that begins anew would take seconds; how weights are read is looked at all the same."""
        if options.get("resume") and os.path.lexists(out / LAST):
            return train(prepared, out, **options)
        from pose_core.model.run_folder import build_model
        from pose_core.model.start import start_from

        if options.get("detector") is not None:
            from pose_core.model.run_folder import DetectorRun

            DetectorRun.open(options["detector"])
        start_from(build_model(prepared.spec), prepared.spec.train.weights)
        return _Made()

    monkeypatch.setattr(together, "train_run", only_resumed)


class _Made:
    def metrics(self) -> dict[str, Any]:
        return {"best": {}}


def test_fuzz_some_runs(material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fuzz(material, tmp_path, monkeypatch, range(2000, 2060))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_fuzz_2000_runs(material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    _fuzz(material, tmp_path, monkeypatch, range(500 * part, 500 * (part + 1)))
