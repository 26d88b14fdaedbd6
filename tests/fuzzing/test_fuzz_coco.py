"""2000 spoilt COCO files."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from .conftest import Material, copy
from .mutate import put, spoil_bytes, spoil_json, spoil_place
from .oracle import Example, check, fuzz

FAMILY = "coco"


def make_coco(material: Material, rng: random.Random, folder: Path) -> Example:
    """One spoilt COCO file, as a file or as the part of a folder, and a training that reads it."""
    project = copy(material.coco, folder / "coco")
    file = project / "labels.json"
    about, options = "labels.json", []
    kind = rng.random()
    if kind < 0.03:
        about = f"labels.json {spoil_place(file, rng)}"
    elif kind < 0.2:
        put(file, spoil_bytes(file.read_bytes(), rng))
        about = "bytes"
    else:
        content = json.loads(file.read_bytes())
        if rng.random() < 0.5:  # most nodes are in annotations; the other lists deserve their share
            part = rng.choice(("images", "categories", "annotations"))
            kept = {key: value for key, value in content.items() if key != part}
            spoilt = spoil_json({part: content[part]}, rng)
            try:
                put(file, json.dumps({**kept, **json.loads(spoilt)}).encode())
            except (ValueError, TypeError, RecursionError):
                put(file, spoilt)
            about = part
        else:
            put(file, spoil_json(content, rng, gentle=0.7))
    if rng.random() < 0.15:
        options = [
            "--set",
            f"data.reader={{type: coco, category: {rng.choice(('mouse', '1', 'all', '2', 'box', '[]'))}}}",
        ]
    return Example(["train", file, "--model", "unet", "--out", folder / "out", *options], about)


@pytest.mark.usefixtures("only_prepared")
def test_fuzz_some_coco(material: Material, tmp_path: Path) -> None:
    check(fuzz(FAMILY, range(2000, 2016), lambda rng, folder: make_coco(material, rng, folder), tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.usefixtures("only_prepared")
def test_fuzz_2000_coco(material: Material, tmp_path: Path, part: int) -> None:
    numbers = range(500 * part, 500 * (part + 1))
    check(fuzz(FAMILY, numbers, lambda rng, folder: make_coco(material, rng, folder), tmp_path))
