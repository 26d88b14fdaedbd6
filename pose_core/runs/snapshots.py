"""Snapshots: weights of a run at several epochs, kept beside the best ones.

``snapshots/epoch-0025.safetensors`` and so on; ``metrics.json`` has their metrics and hashes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from torch import Tensor

from pose_core.errors import ConfigError, RunError, argument
from pose_core.io.files import make_folder
from pose_core.model.weights import save_weights
from pose_core.runs.run_folder import METRICS, SNAPSHOTS, Run, name_snapshot
from pose_core.specs import RunBase

BEST, LAST, ALL = "best", "last", "all"

S = TypeVar("S", bound=RunBase)


def save_snapshot(
    run: Run[Any], epoch: int, state: Mapping[str, Tensor], metrics: Mapping[str, float], most: int | None
) -> None:
    """Write the weights of an epoch, and remove the oldest snapshots beyond ``most``.

    Args:
        run: gets them.
        epoch: from 1.
        state: weights by name.
        metrics: of the validation at that epoch.
        most: snapshots to keep; None: all.
    """
    make_folder(run.path / SNAPSHOTS)
    digest = save_weights(run.path / SNAPSHOTS / name_snapshot(epoch), state)
    known = {**_read_entries(run), str(epoch): {"sha256": digest, **metrics}}
    kept = sorted(known, key=int)[-(most or len(known)) :]
    run.update_metrics(snapshots={name: known[name] for name in kept})
    # After the list: a file that nobody knows is better than an entry without a file.
    for name in known.keys() - set(kept):
        (run.path / SNAPSHOTS / name_snapshot(int(name))).unlink(missing_ok=True)


def list_snapshots(run: Run[Any]) -> dict[int, dict[str, float]]:
    """List the snapshots of a run, the oldest first: epoch -> metrics of its validation.

    Raises:
        RunError: ``metrics.json`` is damaged.
    """
    entries = _read_entries(run)
    return {
        int(name): {key: value for key, value in entries[name].items() if key != "sha256"}
        for name in sorted(entries, key=int)
    }


def choose_snapshot(run: Run[S], asked: str | int | None) -> Run[S]:
    """Choose the weights that a run is used with.

    Args:
        run: of any weights.
        asked: an epoch; ``last``, the snapshot of the last epoch; ``best``, the weights that training chose; None: as
            the run is.

    Raises:
        ConfigError: there is no such snapshot; the message lists those that there are.
        RunError: ``metrics.json`` is damaged.
    """
    if asked is None:
        return run
    if asked == BEST:
        return replace(run, snapshot=None)
    there = list(list_snapshots(run))
    option = argument("snapshot", str(asked))
    if not there:
        raise ConfigError(
            f"{option}: {run.path} has no snapshots; train with train.keep.every, which keeps some, or use {BEST}"
        )
    if asked == LAST:
        return replace(run, snapshot=there[-1])
    if str(asked).isdecimal() and int(asked) in there:
        return replace(run, snapshot=int(asked))
    listed = ", ".join(map(str, there))
    raise ConfigError(f"{option}: {run.path} has no such snapshot; there are {BEST}, {LAST}, {listed}")


def choose_snapshots(runs: Sequence[Run[S]], asked: str | int | None) -> list[Run[S]]:
    """Choose the weights of several runs; ``all`` gives the best ones and every snapshot of each."""
    if asked != ALL:
        return [choose_snapshot(run, asked) for run in runs]
    return [
        chosen
        for run in runs
        for chosen in (choose_snapshot(run, BEST), *(choose_snapshot(run, n) for n in list_snapshots(run)))
    ]


def _read_entries(run: Run[Any]) -> dict[str, dict[str, Any]]:
    entries = run.metrics().get(SNAPSHOTS, {})
    right = isinstance(entries, dict) and all(
        name.isdecimal() and isinstance(entry, dict) for name, entry in entries.items()
    )
    if not right:
        raise RunError(f"{run.path / METRICS}: {SNAPSHOTS}: damaged; restore the file from a backup")
    return dict(entries)
