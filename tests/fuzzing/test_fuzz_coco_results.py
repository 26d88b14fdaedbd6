"""2000 spoilt COCO results, tracked and filtered."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .mutate import put, spoil_bytes, spoil_json
from .oracle import Example, check, fuzz

FAMILY = "coco-results"


def _make_results(rng: random.Random) -> list[dict[str, Any]]:
    numbers = np.random.default_rng(rng.randrange(1 << 30))
    results = []
    for frame in range(12):
        for animal in range(rng.choice((1, 2, 2))):
            points = np.round(numbers.uniform(0, 99, (3, 3)), 2)
            points[:, 2] = 2
            results.append(
                {
                    "image_id": frame,
                    "category_id": 1,
                    "keypoints": points.ravel().tolist(),
                    "score": 0.5,
                    "bbox": [0, 0, 20, 30],
                    "keypoint_scores": [0.5, 0.75, 1],
                    "track_id": animal,
                }
            )
    return results


def make_coco_results(rng: random.Random, folder: Path) -> Example:
    """One spoilt file of results, and a command that reads it."""
    path = folder / "results.json"
    results = _make_results(rng)
    put(path, spoil_json(results, rng, gentle=0.7))
    about = "json"
    if rng.random() < 0.2:
        put(path, spoil_bytes(path.read_bytes(), rng))
        about = "bytes"
    command: list[str | Path] = ["track", path, "--out", folder / "out"]
    if rng.random() < 0.3:
        command = ["filter", path, "--filter", "median", "--filter", "interpolate", "--out", folder / "out"]
    elif rng.random() < 0.5:
        command += ["--animals", "2"]
    return Example(command, about)


def test_fuzz_some_coco_results(tmp_path: Path) -> None:
    check(fuzz(FAMILY, range(2000, 2016), make_coco_results, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_fuzz_2000_coco_results(tmp_path: Path, part: int) -> None:
    check(fuzz(FAMILY, range(500 * part, 500 * (part + 1)), make_coco_results, tmp_path))
