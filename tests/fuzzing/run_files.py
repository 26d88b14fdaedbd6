"""Spoils what a run folder holds, each file as what it is."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors.numpy import load_file, save

from .hdf import Bomb
from .mutate import put, spoil_bytes, spoil_csv, spoil_json, spoil_place, spoil_tree, spoil_yaml

CONFIG, WEIGHTS, METRICS, PROVENANCE, HISTORY, LAST = (
    "config.yaml",
    "weights.safetensors",
    "metrics.json",
    "provenance.json",
    "history.csv",
    "checkpoints/last.ckpt",
)


def spoil_file(file: Path, rng: random.Random) -> str:
    """Spoil one file of a run as what it is; says how."""
    chance = rng.random()
    if chance < 0.12:
        return spoil_place(file, rng)
    if chance < 0.27:
        put(file, spoil_bytes(file.read_bytes(), rng))
        return "bytes"
    if chance < 0.33:
        other = rng.choice(sorted(p for p in file.parent.rglob("*") if p.is_file()))
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
        spoil_table(file, rng)
    return "content"


def _spoil_tensors(file: Path, rng: random.Random) -> None:
    """Other tensors, or another header; the hash in metrics.json then is that of the spoilt file, or is not
    there."""
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
        tensors[name] = rng.choice(
            (tensors[name].reshape(-1), tensors[name][..., None], np.zeros((0, 3), np.float32))
        )
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


def spoil_table(file: Path, rng: random.Random) -> None:
    """A Parquet table with other columns, rows or metadata."""
    table = pq.read_table(file)
    metadata = dict(table.schema.metadata)
    kind = rng.randrange(6)
    if kind == 0:
        table = table.drop_columns([rng.choice(table.column_names)])
    elif kind == 1:
        name = rng.choice(table.column_names)
        values = rng.choice(
            (
                ["a"] * len(table),
                [None] * len(table),
                [-1] * len(table),
                [1e300] * len(table),
                [[1]] * len(table),
            )
        )
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    elif kind == 2:
        table = table.take(
            pa.array([rng.randrange(max(len(table), 1)) for _ in range(len(table))], pa.int64())
        )
    elif kind == 3:
        table = table.slice(0, rng.choice((0, 1)))
    else:
        metadata[b"pose_core"] = spoil_json(json.loads(metadata[b"pose_core"]), rng)
    pq.write_table(table.replace_schema_metadata(metadata), file)


def spoil_checkpoint(file: Path, rng: random.Random) -> str:
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
