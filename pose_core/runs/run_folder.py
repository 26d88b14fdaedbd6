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
from typing import Any, Generic, Self, TypeVar

import torch
import yaml

from pose_core.catalog import get_catalog
from pose_core.errors import RunError
from pose_core.io.files import disk_errors, make_folder, parse_json, write_whole
from pose_core.model.assemble import PoseModel
from pose_core.model.detector import DetectorModel
from pose_core.model.weights import file_hash, load_into, read_weights, save_weights
from pose_core.plugins import ACTIVE
from pose_core.specs import DetectorRunSpec, RunSpec
from pose_core.specs.run_plugins import check_plugins
from pose_core.specs.yaml_file import read_spec, read_yaml

CONFIG, WEIGHTS, METRICS, HISTORY, PROVENANCE = (
    "config.yaml",
    "weights.safetensors",
    "metrics.json",
    "history.csv",
    "provenance.json",
)
CHECKPOINTS = "checkpoints"
DETECTOR = "detector"
"""Folder of the detector's run within the run of a top-down model."""
CONDITIONS = "conditions"
"""Folder, within the run of a conditional model, of the run whose poses it refines."""

S = TypeVar("S", RunSpec, DetectorRunSpec)


@dataclass(frozen=True)
class _Folder(Generic[S]):
    """What the runs of networks of all kinds have in common.

    Attributes:
        path: the folder.
        spec: the resolved spec.
    """

    path: Path
    spec: S

    @classmethod
    def create(cls, path: Path, spec: S, provenance: Mapping[str, Any]) -> Self:
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

    def with_spec(self, spec: S) -> Self:
        """The same run with another configuration, which is written."""
        run = type(self)(self.path, spec)
        write_whole(self.path / CONFIG, dump_spec(spec))
        return run

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

    @property
    def finished(self) -> bool:
        """Whether training came to its end."""
        return "training" in self.metrics()

    def read_weights(self) -> dict[str, torch.Tensor]:
        """The weights, checked against their hash.

        Raises:
            RunError: they are missing or altered.
        """
        weights = self.path / WEIGHTS
        if not weights.is_file():
            raise RunError(f"{weights}: missing; training has not finished a validation yet, or the file was removed")
        expected = self.metrics().get("weights_sha256")
        if expected is not None and file_hash(weights) != expected:
            raise RunError(
                f"{weights}: altered since training (its sha256 is not the one in {METRICS}); restore it or train again"
            )
        return read_weights(weights)

    def save_weights(self, state: Mapping[str, torch.Tensor], **metrics: Any) -> None:
        """Keep these weights as the best ones, with the metrics that made them so."""
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
            content = parse_json((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{self.path / name}: missing; the run folder is incomplete") from None
        except (ValueError, OSError) as error:
            raise RunError(f"{self.path / name}: not readable as JSON ({error}); restore it from a backup") from None
        if not isinstance(content, dict):
            raise RunError(f"{self.path / name}: must hold a JSON object; restore it from a backup")
        return content


class Run(_Folder[RunSpec]):
    """The run folder of a pose network."""

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Open a run folder that ``pose train`` made.

        Raises:
            RunError: the folder is missing or incomplete, or holds a detector.
            ConfigError: its configuration does not fit the installed plugins.
        """
        folder = _existing(Path(path))
        if is_detector_run(folder):
            raise RunError(f"{folder}: holds a detector, not a pose network; name the folder of a pose network")
        check_plugins(folder)
        return cls(folder, read_spec(folder / CONFIG, RunSpec))

    @property
    def name(self) -> str:
        """Name of the model, as it was called at training."""
        return self.spec.model.name

    @property
    def detector(self) -> DetectorRun | None:
        """The detector that belongs to the model; None without one.

        Raises:
            RunError: there should be one, and its folder is missing.
        """
        if self.spec.detector is None:
            return None
        return DetectorRun.open(self.path / DETECTOR)

    @property
    def stages(self) -> dict[str, Run | DetectorRun]:
        """The runs of the networks that it builds on, by the names of what they supply.

        Raises:
            RunError: there should be one, and its folder is missing.
        """
        found: dict[str, Run | DetectorRun] = {}
        if (detector := self.detector) is not None:
            found[DETECTOR] = detector
        if (conditions := self.conditions) is not None:
            found[CONDITIONS] = conditions
        return found

    @property
    def conditions(self) -> Run | None:
        """The model whose poses a conditional model refines; None where the folder holds none."""
        folder = self.path / CONDITIONS
        return Run.open(folder) if self.spec.model.inputs and folder.is_dir() else None

    def load_model(self, device: str | torch.device = "cpu") -> PoseModel:
        """The trained network, in evaluation mode.

        Raises:
            RunError: the weights are missing, altered or do not fit.
        """
        state = self.read_weights()
        model = build_model(self.spec)
        load_into(model, state, self.path / WEIGHTS)
        return model.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


class DetectorRun(_Folder[DetectorRunSpec]):
    """The run folder of a detector."""

    @classmethod
    def open(cls, path: Path | str) -> DetectorRun:
        """Open the run folder of a detector.

        Raises:
            RunError: the folder is missing or incomplete, or holds a pose network.
            ConfigError: its configuration does not fit the installed plugins.
        """
        folder = _existing(Path(path))
        if not is_detector_run(folder):
            within = folder / "detector"
            where = (
                f"its detector is {within}"
                if is_detector_run(within)
                else "'pose train DATA --detector NAME' makes one"
            )
            raise RunError(f"{folder}: holds a pose network, not a detector; {where}")
        check_plugins(folder)
        return cls(folder, read_spec(folder / CONFIG, DetectorRunSpec))

    @property
    def name(self) -> str:
        """Full name of the detector."""
        return self.spec.network.type

    def load_model(self, device: str | torch.device = "cpu") -> DetectorModel:
        """The trained detector, in evaluation mode.

        Raises:
            RunError: the weights are missing, altered or do not fit.
        """
        state = self.read_weights()
        model = build_detector(self.spec)
        load_into(model, state, self.path / WEIGHTS)
        return model.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _existing(folder: Path) -> Path:
    if not folder.exists():
        raise RunError(f"{folder}: no such run folder; 'pose train ... --out {folder}' makes one")
    if not folder.is_dir() or not (folder / CONFIG).is_file():
        raise RunError(f"{folder}: not a run folder (no {CONFIG} in it); name the folder that 'pose train --out' made")
    return folder


def is_detector_run(folder: Path) -> bool:
    """Whether a folder is the run folder of a detector.

    Raises:
        ConfigError: its configuration is no YAML.
    """
    return (folder / CONFIG).is_file() and "network" in read_yaml(folder / CONFIG)[0]


def build_model(spec: RunSpec, pretrained: bool = False) -> PoseModel:
    """A new network for a spec, with fresh (or, if asked, pretrained) weights.

    Raises:
        PluginError: a plugin's class cannot be imported.
    """
    return PoseModel(spec.model, spec.skeleton, pretrained)


def build_detector(spec: DetectorRunSpec, pretrained: bool = False) -> DetectorModel:
    """A new detector for a spec, with fresh (or, if asked, pretrained) weights.

    Raises:
        PluginError: a plugin's class cannot be imported.
    """
    return DetectorModel(spec.network, spec.skeleton, pretrained)


def dump_spec(spec: RunSpec | DetectorRunSpec) -> str:
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
