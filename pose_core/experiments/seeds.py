"""Train a model with several seeds, and measure how much the result depends on them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pose_core.errors import ConfigError, argument
from pose_core.evaluation.boxes import DetectorResult
from pose_core.evaluation.run import evaluate
from pose_core.io.files import disk_errors, write_whole
from pose_core.reporting import Reporter, current_reporter
from pose_core.runs.run_folder import Run
from pose_core.specs import AnyRunSpec
from pose_core.training.train_project import train

SUMMARY = "seeds.json"


@dataclass(frozen=True)
class SeedRuns:
    """Runs of one configuration that differ in their seeds.

    Attributes:
        folder: that holds the runs.
        runs: by seed.
        metrics: of the test images, by seed and name: ``mean_error`` and ``median_error`` in pixels of the
            images, ``pck_0.1`` ..., ``ap`` in [0, 1]; None where one is undefined. Empty without test images.
    """

    folder: Path
    runs: Mapping[int, Run[AnyRunSpec]]
    metrics: Mapping[int, Mapping[str, float | None]]

    def summarize(self) -> dict[str, tuple[float, float | None]]:
        """Mean and standard deviation (of a sample, None for a single seed) of each metric that all have."""
        found = {}
        for name in next(iter(self.metrics.values()), {}):
            values = [metrics.get(name) for metrics in self.metrics.values()]
            known = [value for value in values if value is not None]
            if len(known) == len(values):
                spread = statistics.stdev(known) if len(known) > 1 else None
                found[name] = statistics.fmean(known), spread
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values; undefined metrics are null."""
        return {
            "runs": {
                str(seed): {"run": run.path.name, "metrics": dict(self.metrics.get(seed, {}))}
                for seed, run in self.runs.items()
            },
            "summary": {
                name: {"mean": mean, "standard_deviation": spread}
                for name, (mean, spread) in self.summarize().items()
            },
        }


def train_seeds(
    project: Path | str,
    model: str | None = None,
    *,
    out: Path | str,
    seeds: Sequence[int],
    resume: bool = False,
    device: str | None = None,
    **arguments: Any,
) -> SeedRuns:
    """Train a model once for each seed and measure each run; ``pose train --seeds`` in Python.

    Args:
        project, model, device: as of :func:`pose_core.train`.
        out: folder of the runs ``seed-0`` ... and of ``seeds.json``; made if needed.
        seeds: one run each.
        resume: go on: finished runs are kept, others go on from their last checkpoint or start.
        arguments: the others of :func:`pose_core.train`, but for ``seed``.

    Returns:
        the runs and their metrics of the test images. Each seed draws a split of its own, unless the project
        brings one or ``data.split.seed`` says one.

    Raises:
        ConfigError: no seed, one twice or below 0, or ``seed`` or several devices are given, too.
        PoseError: see :func:`pose_core.train`.
    """
    if "seed" in arguments:
        raise ConfigError(f"{argument('seed')} and {argument('seeds')}: say one of them")
    if (arguments.get("devices") or 1) > 1:
        raise ConfigError(f"{argument('seeds')}: trains on one device; leave out {argument('devices')}")

    def train_one(seed: int, folder: Path) -> Run[AnyRunSpec]:
        return train(project, model, out=folder, seed=seed, resume=resume, device=device, **arguments)

    return train_each(seeds, Path(out), train_one, device or "auto")


def train_each(
    seeds: Sequence[int],
    out: Path,
    train_one: Callable[[int, Path], Run[AnyRunSpec]],
    device: str = "auto",
    reporter: Reporter | None = None,
) -> SeedRuns:
    """Train and measure one run after the other; see :func:`train_seeds`.

    Args:
        seeds: in order.
        out: folder of the runs.
        train_one: trains the run of a seed into a folder.
        device: for the measurement.
        reporter: is told which seed it is.

    Raises:
        ConfigError: no seed, one twice or below 0.
    """
    reporter = reporter or current_reporter()
    option = argument("seeds")
    if not seeds:
        raise ConfigError(f"{option}: names no seed; write whole numbers, such as 0,1,2")
    if twice := [seed for seed in seeds if list(seeds).count(seed) > 1]:
        raise ConfigError(f"{option}: {twice[0]} is there twice; each seed is a run of its own")
    if min(seeds) < 0:
        raise ConfigError(f"{option}: {min(seeds)} is below 0; write whole numbers, such as 0,1,2")
    runs: dict[int, Run[AnyRunSpec]] = {}
    metrics: dict[int, Mapping[str, float | None]] = {}
    for number, seed in enumerate(seeds, 1):
        reporter.note(f"seed {seed}, {number} of {len(seeds)}")
        runs[seed] = train_one(seed, out / f"seed-{seed}")
        if runs[seed].provenance["split"]["test"]:
            metrics[seed] = _measure(runs[seed], device)
    result = SeedRuns(out, runs, metrics)
    with disk_errors(out):
        write_whole(out / SUMMARY, json.dumps(result.to_json(), indent=2, allow_nan=False) + "\n")
    return result


def _measure(run: Run[AnyRunSpec], device: str) -> dict[str, float | None]:
    result = evaluate(run, device=device)
    if isinstance(result, DetectorResult):
        return {name: getattr(result, name) for name in ("ap", "ap50", "ap75", "ar")}
    return {
        "mean_error": result.error.mean.value,
        "median_error": result.error.median.value,
        **{f"pck_{threshold:g}": metric.value for threshold, metric in result.pck.items()},
        "ap": result.oks.ap.value,
    }
