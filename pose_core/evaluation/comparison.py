"""Metrics of several runs on the same images, and paired differences between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pose_core.evaluation.bootstrap import Bootstrap, Floats, interval
from pose_core.evaluation.metrics import Measured
from pose_core.evaluation.oks import resample_precision
from pose_core.evaluation.pixel import KeypointErrors
from pose_core.evaluation.results import Estimate
from pose_core.specs import EvaluationSpec
from pose_core.structures import Skeleton

NOT_IN_BOTH = "the metric is not defined for both runs"


@dataclass(frozen=True)
class RunMetrics:
    """Metrics of one run, and how they differ from those of the first.

    Attributes:
        metrics: by name: ``mean_error``, ``median_error`` and ``p95_error`` in pixels of the images, ``pck_0.1``
            (a threshold each) and, where frames hold several animals, ``ap``, in [0, 1].
        missing: labelled keypoints without a prediction, which are in no error; those of missed animals
            included.
        differences: by the same names, this run less the first; empty for the first itself.
    """

    metrics: Mapping[str, Estimate]
    missing: int
    differences: Mapping[str, Estimate]


@dataclass(frozen=True)
class Comparison:
    """Several runs on the same images.

    Attributes:
        runs: by name, the first one is what the others are compared with.
        images: names of the images.
        keypoints: that are compared.
        labelled: number of labelled keypoints.
        resamplings, seed: of the bootstrap.
        notes: what was left out, a line each.
    """

    runs: Mapping[str, RunMetrics]
    images: tuple[str, ...]
    keypoints: tuple[str, ...]
    labelled: int
    resamplings: int
    seed: int
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values; undefined metrics are null, with their reason."""
        return {
            "runs": {
                name: {
                    "metrics": _plain(run.metrics),
                    "missing": run.missing,
                    "differences": _plain(run.differences),
                }
                for name, run in self.runs.items()
            },
            "first": next(iter(self.runs)),
            "images": list(self.images),
            "keypoints": list(self.keypoints),
            "labelled": self.labelled,
            "bootstrap": {"resamplings": self.resamplings, "seed": self.seed, "confidence": 0.95},
            "notes": list(self.notes),
        }


def compare_measured(
    measured: Mapping[str, Measured],
    images: Sequence[str],
    skeleton: Skeleton,
    spec: EvaluationSpec,
    seed: int,
    notes: tuple[str, ...] = (),
) -> Comparison:
    """Compare runs that were measured on the same images.

    A difference is paired: each resampling draws the same images for both runs, so that what makes an image
    hard for both does not widen the interval.

    Args:
        measured: of each run, the first one first.
        images: their names, in the order of the measurement.
        skeleton: of the keypoints that are compared.
        spec: thresholds, sigmas, number of resamplings.
        seed: of the bootstrap.
        notes: for the result.
    """
    bootstrap = Bootstrap(len(images), spec.bootstrap, seed)
    several = skeleton.num_individuals > 1
    values = {name: _collect(own, several, spec) for name, own in measured.items()}
    resampled = {name: _resample(own, spec, bootstrap, several) for name, own in measured.items()}
    first = next(iter(measured))
    runs: dict[str, RunMetrics] = {}
    for name, own in measured.items():
        metrics = {
            metric: _estimate(value, resampled[name][metric], bootstrap)
            for metric, value in values[name].items()
        }
        differences = {}
        for metric, value in values[name].items() if name != first else ():
            other = values[first][metric]
            both = None if value is None or other is None else value - other
            moved = resampled[name][metric] - resampled[first][metric]
            differences[metric] = _estimate(both, moved, bootstrap)
        runs[name] = RunMetrics(metrics, own.result.counts.missing, differences)
    labelled = next(iter(measured.values())).result.counts.keypoints
    return Comparison(runs, tuple(images), skeleton.keypoints, labelled, spec.bootstrap, seed, notes)


def list_rows(result: Comparison) -> list[dict[str, object]]:
    """List a row of plain values for each run: metrics, their intervals, and differences to the first."""
    rows = []
    for name, run in result.runs.items():
        row: dict[str, object] = {"run": name, "images": len(result.images), "missing": run.missing}
        for metric, value in run.metrics.items():
            row |= _spread(metric, value)
            row |= _spread(f"{metric}_difference", run.differences.get(metric, Estimate(None)))
        rows.append(row)
    return rows


def _spread(name: str, estimate: Estimate) -> dict[str, object]:
    low, high = estimate.interval or (None, None)
    values = {name: estimate.value, f"{name}_low": low, f"{name}_high": high}
    return {key: "" if value is None else f"{value:.6g}" for key, value in values.items()}


def _collect(measured: Measured, several: bool, spec: EvaluationSpec) -> dict[str, float | None]:
    result = measured.result
    values = {
        "mean_error": result.error.mean.value,
        "median_error": result.error.median.value,
        "p95_error": result.error.percentiles[95],
        **{f"pck_{threshold:g}": result.pck[threshold].value for threshold in dict.fromkeys(spec.pck)},
    }
    return {**values, "ap": result.oks.ap.value} if several else values


def _resample(
    measured: Measured, spec: EvaluationSpec, bootstrap: Bootstrap, several: bool
) -> dict[str, Floats]:
    errors = measured.errors
    predicted = errors.select(errors.predicted)
    count = np.bincount(predicted.image, minlength=errors.images)
    found = {
        "mean_error": bootstrap.ratio(np.bincount(predicted.image, predicted.distance, errors.images), count),
        "median_error": bootstrap.percentile(predicted.distance, predicted.image, 50),
        "p95_error": bootstrap.percentile(predicted.distance, predicted.image, 95),
        **{
            f"pck_{threshold:g}": _resample_pck(errors, threshold, bootstrap)
            for threshold in dict.fromkeys(spec.pck)
        },
    }
    if several:
        sigmas = measured.result.oks.sigmas
        undefined = measured.result.oks.ap.value is None
        found["ap"] = (
            np.full(len(bootstrap.counts), np.nan)
            if undefined
            else resample_precision(measured.task, tuple(sigmas.values()), bootstrap)["ap"]
        )
    return found


def _resample_pck(errors: KeypointErrors, threshold: float, bootstrap: Bootstrap) -> Floats:
    sized = errors.select(np.isfinite(errors.size))
    correct = sized.distance <= threshold * sized.size
    return bootstrap.ratio(
        np.bincount(sized.image, correct, errors.images), np.bincount(sized.image, minlength=errors.images)
    )


def _estimate(value: float | None, resampled: Floats, bootstrap: Bootstrap) -> Estimate:
    if value is None:
        return Estimate.undefined(NOT_IN_BOTH)
    why = bootstrap.undefined
    return Estimate(value, None if why else interval(resampled), why)


def _plain(metrics: Mapping[str, Estimate]) -> dict[str, Any]:
    return {
        name: {
            "value": metric.value,
            "interval": list(metric.interval) if metric.interval else None,
            **({"reason": metric.reason} if metric.reason else {}),
        }
        for name, metric in metrics.items()
    }
