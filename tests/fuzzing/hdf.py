"""Spoils HDF5 files: their bytes, their attributes and datasets, and with objects that run code when
unpickled."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .mutate import put, spoil_bytes
from .oracle import TRACE

Change = Callable[[h5py.File, Any, random.Random], None]


class Bomb:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, (f"touch {TRACE}",)


def spoil_h5(path: Path, rng: random.Random) -> str:
    """Spoil a file that pandas wrote; says how."""
    data = path.read_bytes()
    if rng.random() < 0.35:
        put(path, spoil_bytes(data, rng))
        return "bytes"
    put(path, data)
    with h5py.File(path, "r+") as file:
        for _ in range(rng.choice((1, 1, 2))):
            names: list[str] = []
            file.visit(names.append)
            node = file[rng.choice(["/", *sorted(name for name in names if file.get(name) is not None)])]
            change = rng.choice(_CHANGES)
            change(file, node, rng)
    return change.__name__.strip("_")


def _attribute(file: h5py.File, node: Any, rng: random.Random) -> None:
    names = list(node.attrs) or ["pandas_type"]
    texts = (
        "",
        "frame",
        "frame_table",
        "multi",
        "N.",
        "utf-99",
        b"\xff",
        b"(lp0\n.",
        b"I1\n.",
        b"cos\nsystem\n.",
    )
    arrays = (
        np.bytes_(b"x"),
        np.arange(3),
        np.zeros(0),
        np.array([b"x", b"y"]),
        pickle.dumps([("Ada", "nose", "x")], 0),
    )
    value = rng.choice((0, -1, 10**18, 1.5, float("nan"), *texts, *arrays))
    node.attrs[rng.choice(names)] = value


def _no_attribute(file: h5py.File, node: Any, rng: random.Random) -> None:
    if names := list(node.attrs):
        del node.attrs[rng.choice(names)]


def _bomb(file: h5py.File, node: Any, rng: random.Random) -> None:
    data = pickle.dumps(rng.choice((Bomb(), [Bomb()], {"a": Bomb()})), protocol=rng.choice((0, 2, 4)))
    names = (
        [n for n in node.attrs if "kind" in n or "axes" in n or "name" in n] or list(node.attrs) or ["info"]
    )
    node.attrs[rng.choice(names)] = np.void(data) if rng.random() < 0.3 else np.bytes_(data)


def _values(file: h5py.File, node: Any, rng: random.Random) -> None:
    if isinstance(node, h5py.Dataset) and node.dtype.kind in "fiu" and node.size:
        values = node[()]
        values.flat[rng.randrange(values.size)] = (
            rng.choice((0, -1, 100, 127))
            if node.dtype.kind != "f"
            else rng.choice((np.nan, np.inf, -np.inf, 1e300, -5.0, 3.25))
        )
        node[()] = values


def _type(file: h5py.File, node: Any, rng: random.Random) -> None:
    """A dataset of another type or shape in its place."""
    if isinstance(node, h5py.Dataset):
        name, parent = node.name, node.parent
        made = rng.choice(
            (
                np.zeros((0,)),
                np.zeros((3, 3)),
                np.zeros((2, 2, 2)),
                np.array(1.0),
                np.array([b"a", b"b", b"c"]),
                np.zeros(3, np.complex128),
                np.zeros(3, [("index", "S5"), ("values_block_0", "f8", (6,))]),
                np.zeros(3, [("index", "i8"), ("x", "f8")]),
            )
        )
        attributes = dict(node.attrs)
        del file[name]
        new = parent.create_dataset(name, data=made)
        for key, value in attributes.items():
            new.attrs[key] = value


def _gone(file: h5py.File, node: Any, rng: random.Random) -> None:
    if node.name != "/":
        del file[node.name]


def _link(file: h5py.File, node: Any, rng: random.Random) -> None:
    """A link to another file, to nowhere, or a group in the place of a dataset."""
    if node.name != "/":
        name = node.name
        del file[name]
        file[name] = rng.choice(
            (h5py.ExternalLink("/etc/passwd", "/"), h5py.SoftLink("/nowhere"), h5py.SoftLink(name))
        )


_CHANGES: tuple[Change, ...] = (
    _attribute,
    _attribute,
    _no_attribute,
    _bomb,
    _values,
    _values,
    _type,
    _gone,
    _link,
)
