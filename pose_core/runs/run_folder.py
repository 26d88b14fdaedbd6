"""Open and make run folders, which hold all of a trained model.

They contain no pickle.

``config.yaml`` (the resolved spec with full names), ``weights.safetensors``, ``metrics.json``,
``history.csv``, ``provenance.json``, ``checkpoints/`` for resuming, ``evaluation/`` and plots. The networks
that it builds on lie under ``stages/``, in folders of the same form.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, overload

import torch
import yaml
from typing_extensions import TypeVar

from pose_core.catalog import get_catalog
from pose_core.catalog.merge import ContentDict
from pose_core.errors import ConfigError, RunError, argument, command
from pose_core.escapes import escape_text
from pose_core.io.files import disk_errors, make_folder, parse_json, write_whole
from pose_core.model.assemble import PoseModel
from pose_core.model.build import build_model
from pose_core.model.detector import DetectorModel
from pose_core.model.weights import file_hash, load_into, read_weights, save_weights
from pose_core.plugins import ACTIVE
from pose_core.runs.changes import (
    change_spec,
    check_fixed,
    list_assignments,
    list_below,
    list_fixed,
    read_below,
)
from pose_core.specs import AnyRunSpec, DetectorRunSpec, RunBase, RunSpec
from pose_core.specs.resolve import Layer
from pose_core.specs.run import LEARNS
from pose_core.specs.run_plugins import check_plugins
from pose_core.specs.yaml_file import read_run

CONFIG, WEIGHTS, METRICS, HISTORY, PROVENANCE = (
    "config.yaml",
    "weights.safetensors",
    "metrics.json",
    "history.csv",
    "provenance.json",
)
CHECKPOINTS = "checkpoints"
FIXED = "fixed"
"""Entry of the provenance: what training has fixed of the configuration, see :mod:`pose_core.runs.changes`."""
SNAPSHOTS = "snapshots"
"""Folder of weights of single epochs, and entry of the metrics, see :mod:`pose_core.runs.snapshots`."""
STAGES = "stages"
"""Folder of the networks that a run builds on, each a run in a folder of the name of what it supplies."""

# Covariant: a ``Run[RunSpec]`` may stand where any run will do. The default lets ``Run`` mean that of a
# pose network; it needs typing_extensions before Python 3.13.
S = TypeVar("S", bound=RunBase, covariant=True, default=RunSpec)
T = TypeVar("T", bound=RunBase)


@dataclass(frozen=True)
class Run(Generic[S]):
    """The folder of a run. ``Run[RunSpec]``, or ``Run`` for short, is that of a pose network.

    Attributes:
        path: the folder.
        spec: the resolved spec, with the changes that :meth:`with_changes` made.
        below: changes of the networks that it builds on, by the names of what they supply.
        changed: what :meth:`with_changes` set, each as ``key=value``.
        snapshot: epoch of the snapshot whose weights are used; None: the best weights.
    """

    path: Path
    spec: S
    below: Mapping[str, Sequence[Layer]] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    snapshot: int | None = None

    @overload
    @staticmethod
    def open(path: Path | str) -> Run[AnyRunSpec]: ...

    @overload
    @staticmethod
    def open(path: Path | str, kind: type[T]) -> Run[T]: ...

    @staticmethod
    def open(path: Path | str, kind: type[RunBase] = RunBase) -> Run[Any]:
        """Open a run folder that ``pose train`` made, or that of a published network.

        Args:
            path: the folder; or the name of a published network, ``project/network``, which is downloaded where it
                is not there yet.
            kind: the spec of the network that is needed: ``RunSpec`` for a pose network, ``DetectorRunSpec``
                for a detector; any by default.

        Raises:
            RunError: the folder is missing or incomplete, holds another network than the one that is needed, or
                its configuration says of the network what training did not make of it.
            ConfigError: its configuration does not fit the installed plugins.
            DownloadError: a published network is not there and cannot be downloaded.
        """
        folder = _check_folder(_find_folder(Path(path), kind))
        # First: without its plugin the configuration would fail at some key, which says less.
        check_plugins(folder)
        run = Run(folder, read_run(folder / CONFIG))
        # Runs of earlier versions, and folders without provenance, do not say what was trained.
        if (folder / PROVENANCE).is_file() and (fixed := run.provenance.get(FIXED)) is not None:
            if not isinstance(fixed, dict):
                raise RunError(
                    f"{folder / PROVENANCE}: {FIXED}: must be an object; restore the file from a backup"
                )
            check_fixed(folder, run.spec, fixed)
        return run.of(kind)

    def of(self, kind: type[T]) -> Run[T]:
        """Narrow the type to that of a network of this kind.

        Raises:
            RunError: it holds another network.
        """
        if not isinstance(self.spec, kind):
            raise _other_network(self, kind)
        return Run(self.path, self.spec, self.below, self.changed, self.snapshot)

    @staticmethod
    def create(path: Path, spec: T, provenance: Mapping[str, object]) -> Run[T]:
        """Make the folder of a new run with its configuration and provenance.

        Raises:
            PoseError: the folder cannot be written.
        """
        with disk_errors(path):
            make_folder(path / CHECKPOINTS)
            about = {**environment(), **provenance, FIXED: list_fixed(spec)}
            write_whole(path / PROVENANCE, json.dumps(about, indent=2) + "\n")
            # Last: a folder is a run once it has its configuration.
            write_whole(path / CONFIG, dump_spec(spec))
        return Run(path, spec)

    def with_spec(self, spec: T) -> Run[T]:
        """Replace the configuration of the run, on disk too."""
        about = {**self.provenance, FIXED: list_fixed(spec)}
        write_whole(self.path / PROVENANCE, json.dumps(about, indent=2) + "\n")
        write_whole(self.path / CONFIG, dump_spec(spec))
        return Run(self.path, spec)

    def with_changes(self, layers: Sequence[Layer]) -> Run[S]:
        """Change what may be changed of a trained run, for its use and not on disk.

        Args:
            layers: partial configurations, the last wins; ``stages.NAME`` is of a network that it builds on.

        Raises:
            ConfigError: a key is unknown, a value is wrong, or training has fixed the key.
        """
        own = [
            replace(layer, content={k: v for k, v in layer.content.items() if k != STAGES})
            for layer in layers
        ]
        sections = {name: read_below(layers, name) for name in list_below(layers)}
        if unknown := [name for name in sections if name not in self.spec.builds_on()]:
            known = ", ".join(self.spec.builds_on()) or "none"
            raise ConfigError(f"{STAGES}.{unknown[0]}: the run builds on no such network; there are {known}")
        said = dict.fromkeys((*self.changed, *(text for layer in layers for text in list_assignments(layer))))
        changed = Run(
            self.path, change_spec(self.spec, own), {**self.below, **sections}, tuple(said), self.snapshot
        )
        # What is wrong there is said now, and not when the network is used.
        if sections:
            _ = changed.stages
        return changed

    @property
    def name(self) -> str:
        """Name of the network, as it was called at training."""
        return self.spec.name

    @property
    def stages(self) -> Mapping[str, Run[AnyRunSpec]]:
        """Runs of the networks that this run builds on, each usable alone.

        Keys are the names of what they supply.

        Raises:
            RunError: one of them is missing or incomplete.
            ConfigError: the configuration of one does not fit the installed plugins.
        """
        opened = {name: Run.open(self.path / STAGES / name) for name in self.spec.builds_on()}
        return {name: run.with_changes(self.below.get(name, ())) for name, run in opened.items()}

    @overload
    def load_model(self: Run[RunSpec], device: str | torch.device = ...) -> PoseModel: ...

    @overload
    def load_model(self: Run[DetectorRunSpec], device: str | torch.device = ...) -> DetectorModel: ...

    @overload
    def load_model(self: Run[AnyRunSpec], device: str | torch.device = ...) -> PoseModel | DetectorModel: ...

    def load_model(self: Run[Any], device: str | torch.device = "cpu") -> PoseModel | DetectorModel:
        """Load the trained network, in evaluation mode.

        Raises:
            RunError: the weights are missing, altered or do not fit.
        """
        # Read before building: that weights are missing is said at once, without the time to build a network.
        state = self.read_weights()
        model: PoseModel | DetectorModel = build_model(self.spec)
        load_into(model, state, self.weights_file)
        return model.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

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

    @property
    def weights_file(self) -> Path:
        """Where the weights are: the best ones, or those of a snapshot."""
        if self.snapshot is None:
            return self.path / WEIGHTS
        return self.path / SNAPSHOTS / name_snapshot(self.snapshot)

    def read_weights(self) -> dict[str, torch.Tensor]:
        """Read the weights and compare their hash.

        Raises:
            RunError: they are missing or altered.
        """
        weights = self.weights_file
        if not weights.is_file():
            raise RunError(
                f"{weights}: missing; training has not finished a validation yet, or the file was removed"
            )
        # Metrics and weights are two files: the hash tells when one was replaced without the other.
        metrics = self.metrics()
        expected = (
            metrics.get("weights_sha256")
            if self.snapshot is None
            else metrics.get(SNAPSHOTS, {}).get(str(self.snapshot), {}).get("sha256")
        )
        if expected is not None and file_hash(weights) != expected:
            raise RunError(
                f"{weights}: altered since training (its sha256 is not the one in {METRICS}); restore it or "
                "train again"
            )
        return read_weights(weights)

    def save_weights(self, state: Mapping[str, torch.Tensor], **metrics: object) -> None:
        """Write the best weights so far, with their metrics."""
        digest = save_weights(self.path / WEIGHTS, state)
        self.update_metrics(weights_sha256=digest, **metrics)

    def metrics(self) -> dict[str, Any]:
        """Read metrics.json; empty before the first validation."""
        return self._json(METRICS) if (self.path / METRICS).is_file() else {}

    def update_metrics(self, **values: object) -> None:
        """Add or replace top-level entries of metrics.json."""
        merged = {**self.metrics(), **values}
        # NaN is no JSON; other programs could not read the file.
        write_whole(self.path / METRICS, json.dumps(merged, indent=2, allow_nan=False) + "\n")

    def _json(self, name: str) -> dict[str, Any]:
        try:
            content = parse_json((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{self.path / name}: missing; the run folder is incomplete") from None
        except (ValueError, OSError) as error:
            raise RunError(
                f"{self.path / name}: not readable as JSON ({error}); restore it from a backup"
            ) from None
        if not isinstance(content, dict):
            raise RunError(f"{self.path / name}: must hold a JSON object; restore it from a backup")
        return content


def name_snapshot(epoch: int) -> str:
    """Name the file of a snapshot."""
    return f"epoch-{epoch:04d}.safetensors"


def _find_folder(path: Path, kind: type[RunBase]) -> Path:
    """The folder itself, or that of the published network of this name; a folder that is there goes first."""
    if path.exists() or path.is_absolute():
        return path
    # Imported late: a published network is made a run, which is done with what is defined here.
    from pose_core.runs.zoo import find_run

    trains = None if kind is RunBase else kind.model_fields["trains"].default
    return find_run(path.as_posix(), trains) or path


def _check_folder(folder: Path) -> Path:
    if not folder.exists():
        near = "" if folder.is_absolute() else get_catalog().advice_on_zoo(folder.as_posix())
        raise RunError(
            f"{folder}: no such run folder; "
            + (near or f"{command('train', '...', argument('out', str(folder)))} makes one")
        )
    if not folder.is_dir() or not (folder / CONFIG).is_file():
        raise RunError(
            f"{folder}: not a run folder (no {CONFIG} in it); name the folder that "
            f"{command('train', argument('out'))} made"
        )
    return folder


def _other_network(run: Run[RunBase], wanted: type[RunBase]) -> RunError:
    """Make the error for a folder that holds another network."""
    trains = wanted.model_fields["trains"].default
    here = [
        run.path / STAGES / name for name, stage in run.spec.builds_on().items() if stage.trains == trains
    ]
    hint = f"{LEARNS[trains]} of it is {here[0]}" if here else f"name the folder of {LEARNS[trains]}"
    return RunError(f"{run.path}: holds {LEARNS[run.spec.trains]}, not {LEARNS[trains]}; {hint}")


def dump_spec(spec: RunBase) -> str:
    """Write a spec as YAML, with every default."""
    return yaml.safe_dump(list_content(spec), sort_keys=False, allow_unicode=True)


def list_content(spec: RunBase) -> ContentDict:
    """List the keys and values of a spec in the order of files, every default included."""
    content = spec.model_dump(mode="json")
    # What a reader of the file looks for stands on top.
    first = {name: content.pop(name) for name in ("version", "trains", "skeleton", "data")}
    return {**first, **content}


def environment() -> dict[str, object]:
    """Versions of what took part: Python, torch, core and plugins."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "pose_core": importlib.metadata.version("pose-core"),
        "plugins": {
            r.name: f"{r.distribution} {r.version}" for r in get_catalog().plugins if r.status == ACTIVE
        },
        "command": [escape_text(argument) for argument in sys.argv],
    }
