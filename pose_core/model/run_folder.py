"""The run folder: one folder that carries everything needed to use a trained model, and contains no pickle.

``config.yaml`` (the resolved spec with full names), ``weights.safetensors``, ``metrics.json``, ``history.csv``,
``provenance.json``, ``checkpoints/`` for resuming, ``evaluation/`` and plots.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import yaml

from pose_core.catalog import get_catalog
from pose_core.errors import RunError
from pose_core.files import disk_errors, make_folder, write_whole
from pose_core.model.assemble import PoseModel
from pose_core.model.weights import file_hash, load_into, read_weights, save_weights
from pose_core.plugins import ACTIVE
from pose_core.specs import RunSpec
from pose_core.specs.yaml_file import read_spec

CONFIG, WEIGHTS, METRICS, HISTORY, PROVENANCE = (
    "config.yaml",
    "weights.safetensors",
    "metrics.json",
    "history.csv",
    "provenance.json",
)
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
        path: the folder.
        spec: the resolved spec.
    """

    path: Path
    spec: RunSpec

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Open a run folder that ``pose train`` made.

        Raises:
            RunError: the folder is missing or incomplete.
            ConfigError: its configuration does not fit the installed plugins.
        """
        folder = Path(path)
        if not folder.exists():
            raise RunError(f"{folder}: no such run folder; 'pose train ... --out {folder}' makes one")
        if not folder.is_dir() or not (folder / CONFIG).is_file():
            raise RunError(
                f"{folder}: not a run folder (no {CONFIG} in it); name the folder that 'pose train --out' made"
            )
        return cls(folder, read_spec(folder / CONFIG))

    @classmethod
    def create(cls, path: Path, spec: RunSpec, provenance: Mapping[str, Any]) -> Run:
        """Make the folder of a new run with its configuration and provenance.

        Raises:
            PoseError: the folder cannot be written.
        """
        with disk_errors(path):
            make_folder(path / CHECKPOINTS)
            run = cls(path, spec)
            write_whole(path / PROVENANCE, json.dumps({**environment(), **provenance}, indent=2) + "\n")
            write_whole(path / CONFIG, dump_spec(spec))
        return run

    @property
    def name(self) -> str:
        """Name of the model, as it was called at training."""
        return self.spec.model.name

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Versions, seed, data hash and split (``split``: image names by part).

        Raises:
            RunError: the file is missing or damaged.
        """
        return self._json(PROVENANCE)

    @property
    def trained(self) -> bool:
        """Whether there are weights."""
        return (self.path / WEIGHTS).is_file()

    def load_model(self, device: str | torch.device = "cpu") -> PoseModel:
        """The trained network, in evaluation mode.

        Raises:
            RunError: the weights are missing, altered or do not fit.
        """
        weights = self.path / WEIGHTS
        if not weights.is_file():
            raise RunError(f"{weights}: missing; training has not finished a validation yet, or the file was removed")
        expected = self.metrics().get("weights_sha256")
        if expected is not None and file_hash(weights) != expected:
            raise RunError(
                f"{weights}: altered since training (its sha256 is not the one in {METRICS}); restore it or train again"
            )
        model = build_model(self.spec)
        load_into(model, read_weights(weights), weights)
        return model.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def save_weights(self, state: Mapping[str, torch.Tensor], **metrics: Any) -> None:
        """Keep these weights as the best ones, with the figures that made them so."""
        digest = save_weights(self.path / WEIGHTS, state)
        self.update_metrics(weights_sha256=digest, **metrics)

    def metrics(self) -> dict[str, Any]:
        """Contents of metrics.json; empty before the first validation."""
        return self._json(METRICS) if (self.path / METRICS).is_file() else {}

    def update_metrics(self, **values: Any) -> None:
        """Add or replace top-level entries of metrics.json."""
        merged = {**self.metrics(), **values}
        write_whole(self.path / METRICS, json.dumps(merged, indent=2, allow_nan=False) + "\n")

    def _json(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{self.path / name}: missing; the run folder is incomplete") from None
        except (ValueError, OSError) as error:
            raise RunError(f"{self.path / name}: not readable as JSON ({error}); restore it from a backup") from None
        if not isinstance(content, dict):
            raise RunError(f"{self.path / name}: must hold a JSON object; restore it from a backup")
        return content


def build_model(spec: RunSpec, pretrained: bool = False) -> PoseModel:
    """A new network for a spec, with fresh (or, if asked, pretrained) weights.

    Raises:
        PluginError: a plugin's class cannot be imported.
    """
    return PoseModel(spec.model, spec.skeleton, pretrained)


def dump_spec(spec: RunSpec) -> str:
    """A spec as YAML, with every default written out."""
    return yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def environment() -> dict[str, Any]:
    """Versions of what took part: Python, torch, core and plugins."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "pose_core": importlib.metadata.version("pose-core"),
        "plugins": {r.name: f"{r.distribution} {r.version}" for r in get_catalog().plugins if r.status == ACTIVE},
        "command": sys.argv,
    }
