"""Read DeepLabCut 3's files of weights; nothing in them is run.

These are snapshots, and models exported for live use.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from torch import Tensor

from pose_core.errors import RunError, described
from pose_core.interfaces import (
    describe_non_finite,
    find_non_finite,
    load_plain,
    refused_global,
    storage_problem,
    unwrap,
    without_common_prefix,
)

_DETECTOR = "model"
"""First component of the names of all weights of a detector."""
_POSE_PARTS = frozenset({"backbone", "neck", "heads"})
"""First components of the names of all weights of a pose network."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The content of a snapshot or of an exported model.

    Attributes:
        path: of the file.
        weights: of the network by name; empty when the file holds a detector only.
        detector: weights of the detector by name; None without one.
        description: the content of pytorch_config.yaml in an exported model; None in a snapshot.
        notes: ``epoch`` and ``metrics`` of a snapshot's training; plain values.
    """

    path: Path
    weights: Mapping[str, Tensor]
    detector: Mapping[str, Tensor] | None = None
    description: Mapping[str, Any] | None = None
    notes: Mapping[str, object] = field(default_factory=dict)

    def sha256(self) -> str:
        """Compute the file's checksum in hexadecimal."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def read_snapshot(path: Path) -> Snapshot:
    """Read a file of weights.

    Raises:
        RunError: it is missing, damaged, of another kind, or would have to be unpickled.
    """
    content = _load(path)
    if isinstance(content, dict) and "pose" in content and "config" in content:
        if not isinstance(content["config"], dict):
            raise RunError(
                f"{path}: 'config' is not a mapping; export the model again with DeepLabCut 3.0.2 or newer"
            )
        detector = content.get("detector")
        return Snapshot(
            path,
            _unwrap_pose(_check_tensors(path, "pose", content["pose"])) or {},
            None if detector is None else _unwrap_detector(_check_tensors(path, "detector", detector)),
            content["config"],
        )
    if isinstance(content, dict) and "model" in content:
        weights = _check_tensors(path, "model", content["model"])
        notes = _collect_notes(content.get("metadata"))
        if (pose := _unwrap_pose(weights)) is not None:
            return Snapshot(path, pose, notes=notes)
        return Snapshot(path, {}, _unwrap_detector(weights), notes=notes)
    raise RunError(
        f"{path}: is not a model of DeepLabCut 3; choose a snapshot-*.pt of its train folder, or a .pt file "
        "of "
        "deeplabcut.export_model"
    )


def _load(path: Path) -> object:
    if not path.is_file():
        raise RunError(f"{path}: {'is a folder, not a file of weights' if path.is_dir() else 'no such file'}")
    try:
        return load_plain(path)
    except pickle.UnpicklingError as error:
        refused = refused_global(error)
        if refused is None:
            raise RunError(f"{path}: is not a file of weights, or is damaged; copy it again") from None
        raise RunError(
            f"{path}: holds more than tensors and plain values ({refused}), and opening that could "
            "run code; "
            "if you trust the file, DeepLabCut's fix_snapshot_metadata rewrites snapshots of versions before "
            "3.0.2"
        ) from None
    except EOFError:
        raise RunError(f"{path}: is empty or incomplete; copy it again") from None
    except Exception as error:
        # A damaged file can raise nearly anything.
        reason = described(error)[:120]
        raise RunError(f"{path}: is not a file of weights, or is damaged ({reason}); copy it again") from None


def _check_tensors(path: Path, key: str, content: object) -> dict[str, Tensor]:
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
    ):
        raise RunError(f"{path}: {key!r} holds no weights by name; is it a snapshot of DeepLabCut 3?")
    # Sparse, quantised or meta tensors pass weights_only loading, and fail much later.
    if odd := [f"{name} is {kind}" for name, tensor in content.items() if (kind := storage_problem(tensor))]:
        raise RunError(f"{path}: weights are not plain numbers: {odd[0]}; save them as dense float32 tensors")
    if bad := find_non_finite(content):
        raise RunError(f"{path}: {describe_non_finite(bad)}")
    return unwrap({name: tensor.detach() for name, tensor in content.items()})


def _unwrap_pose(weights: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The weights of a pose network without the names of classes around it; None where they are a
    detector's."""
    if _first_components(weights) <= _POSE_PARTS:
        return dict(weights)
    for state in without_common_prefix(weights):
        # A backbone without heads is that of a detector.
        if "heads" in (found := _first_components(state)) and found <= _POSE_PARTS:
            return state
    # A detector lies in a ``model``, which may lie in other classes; what is neither is said where it fits
    # nothing.
    levels = zip(*(name.split(".") for name in weights), strict=False)
    shared = [level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels)]
    return None if _DETECTOR in shared else dict(weights)


def _first_components(weights: Mapping[str, Tensor]) -> set[str]:
    return {name.partition(".")[0] for name in weights}


def _unwrap_detector(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a detector, which lie in one ``model``, without the names of classes around it."""
    *_, state = (dict(weights), *without_common_prefix(weights))
    return {f"{_DETECTOR}.{name}": tensor for name, tensor in state.items()}


def _collect_notes(metadata: object) -> dict[str, object]:
    """Collect epoch and finite metrics, as far as they are plain numbers."""
    if not isinstance(metadata, Mapping):
        return {}
    notes: dict[str, object] = {}
    if isinstance(metadata.get("epoch"), int):
        notes["epoch"] = metadata["epoch"]
    metrics = metadata.get("metrics")
    if isinstance(metrics, Mapping):
        notes["metrics"] = {
            str(name): float(value)
            for name, value in metrics.items()
            if isinstance(value, (int, float)) and abs(value) < float("inf")
        }
    return notes
