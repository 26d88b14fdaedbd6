"""What reader and writer share: a file whose first line says what it is, and whose other lines are JSON objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pose_core.errors import DataError
from pose_core.structures import FloatArray, Skeleton

LABELS = "{{ cookiecutter.namespace }} labels"
PREDICTIONS = "{{ cookiecutter.namespace }} predictions"

_NAMES = ("keypoints", "individuals", "unique_keypoints")
_PAIRS = ("edges", "symmetry")


def looks_like(path: Path, kind: str) -> bool:
    """Whether the first line of the file says that it is of this kind."""
    if path.suffix.lower() != ".jsonl" or not path.is_file():
        return False
    with path.open("rb") as file:
        return json.dumps(kind).encode() in file.readline(1 << 20)


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file, each with its line number.

    Raises:
        DataError: the file cannot be read, or a line is no JSON object.
    """
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                content = json.loads(line)
                if not isinstance(content, dict):
                    raise ValueError("not an object in braces")
                yield number, content
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: line {max(number, 1)} is not JSON ({error}); mend it or write it again") from None


def to_json(array: npt.NDArray[Any], decimals: int) -> Any:
    """Nested lists, None where a number is missing (JSON knows no NaN)."""
    rounded = np.round(array.astype(np.float64), decimals)
    plain = rounded.astype(object)
    plain[np.isnan(rounded)] = None
    return plain.tolist()


def to_array(value: Any, *shape: int) -> FloatArray:
    """The other way round.

    Raises:
        ValueError: it does not have this shape, or holds what is no number.
    """
    try:
        array = np.array(value, dtype=np.float32)
    except TypeError:
        raise ValueError("holds something that is no number") from None
    array = array.reshape(0, *shape[1:]) if array.size == 0 and shape[0] == -1 else array
    if array.ndim != len(shape) or any(s not in (-1, n) for s, n in zip(shape, array.shape, strict=True)):
        raise ValueError(f"has shape {array.shape} instead of {shape}")
    return array


def skeleton_to_json(skeleton: Skeleton) -> dict[str, Any]:
    """All fields by name."""
    return asdict(skeleton)


def skeleton_from_json(content: Any) -> Skeleton:
    """The other way round.

    Raises:
        ValueError: a field is unknown, missing or wrong.
    """
    try:
        if any(not isinstance(content.get(name, []), list) for name in (*_NAMES, *_PAIRS)):
            raise ValueError("names and pairs of the skeleton must be lists")
        names = {name: tuple(content[name]) for name in _NAMES if name in content}
        pairs = {name: tuple((a, b) for a, b in content[name]) for name in _PAIRS if name in content}
        return Skeleton(**{**content, **names, **pairs})
    except (TypeError, AttributeError) as error:
        raise ValueError(f"skeleton: {error}") from None
