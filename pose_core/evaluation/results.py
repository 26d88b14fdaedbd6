"""Results of an evaluation, and their form as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pose_core.tracking.measure import TrackMetrics

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """One number with its uncertainty.

    Attributes:
        value: the number; None where it is undefined.
        interval: 95 % bootstrap interval over images; None where there is none.
        reason: why the value or the interval is undefined.
    """

    value: float | None
    interval: Interval | None = None
    reason: str | None = None

    @classmethod
    def undefined(cls, reason: str) -> Estimate:
        """A metric without a value."""
        return cls(None, None, reason)


@dataclass(frozen=True)
class ErrorMetrics:
    """Errors in pixels of the original images, over the labelled keypoints that were predicted.

    Attributes:
        count: number of keypoints.
        mean, median: of the Euclidean distance.
        rms: root of the mean squared distance. (Some tools print the *mean* distance under that name.)
        percentiles: distance by percentile; None where there are no keypoints.
    """

    count: int
    mean: Estimate
    median: Estimate
    rms: Estimate
    percentiles: dict[int, float | None]


@dataclass(frozen=True)
class KeypointMetrics:
    """One keypoint by itself.

    Attributes:
        name: of the keypoint.
        labelled: how many are labelled.
        missing: how many of those have no prediction (those of missed animals included).
        error: over the rest.
        pck: fraction of correct ones by threshold; a missing prediction is not correct.
    """

    name: str
    labelled: int
    missing: int
    error: ErrorMetrics
    pck: dict[float, Estimate]


@dataclass(frozen=True)
class ConfidentMetrics:
    """Only keypoints that the model scores at least ``threshold``.

    Attributes:
        threshold: smallest score.
        kept: such keypoints as a fraction of all labelled ones.
        error: their errors.
    """

    threshold: float
    kept: Estimate
    error: ErrorMetrics


@dataclass(frozen=True)
class OksMetrics:
    """Average precision and recall by object keypoint similarity, as COCO defines them.

    Attributes:
        ap: averaged over OKS 0.50, 0.55 ... 0.95.
        ap50, ap75: at OKS 0.5 and 0.75.
        ar: average recall.
        sigmas: by keypoint name.
        why: what keeps AP50 low, in one sentence; None where it is not low.
        notes: what was left out or taken from elsewhere (areas ...).
    """

    ap: Estimate
    ap50: Estimate
    ap75: Estimate
    ar: Estimate
    sigmas: dict[str, float]
    why: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Switches:
    """Count changes of predicted identity or track along a video.

    Attributes:
        changes: times that it had another one than when it was last seen.
        seen_again: times that it was seen again at all; the most that ``changes`` can be.
    """

    changes: int
    seen_again: int


@dataclass(frozen=True)
class IdentityMetrics:
    """Names of the animals that were found in the right place.

    Attributes:
        accuracy: share of the compared animals with the right identity.
        compared: pairs of a labelled and a predicted animal that both have an identity.
        right: of these, pairs with the same.
        unnamed: pairs in which the labelled animal has an identity and the predicted one has none.
        swaps: pairs of animals in one image that have exchanged their identities.
        keypoints: by keypoint, how many labelled ones (of animals that were found) lie nearest to a predicted
            one of the right individual, and how many to one of any individual.
        switches: by ``identity`` and ``track``, where there are any: changes along the images of a folder.
    """

    accuracy: Estimate
    compared: int
    right: int
    unnamed: int
    swaps: int
    keypoints: dict[str, tuple[int, int]]
    switches: dict[str, Switches]

    def to_json(self) -> dict[str, Any]:
        """Plain values; see :meth:`EvaluationResult.to_json`."""
        metrics = {"accuracy": self.accuracy}
        return {
            "accuracy": self.accuracy.value,
            "intervals": _intervals(metrics),
            # NaN is no JSON: undefined metrics are null, and the reason stands here.
            "reasons": _reasons(metrics),
            **{name: getattr(self, name) for name in ("compared", "right", "unnamed", "swaps")},
            "keypoints": {
                name: {"right": right, "compared": compared, "accuracy": right / compared}
                for name, (right, compared) in self.keypoints.items()
            },
            "switches": {name: dict(vars(switches)) for name, switches in self.switches.items()},
        }


@dataclass(frozen=True)
class Counts:
    """Numbers of evaluated images, animals and keypoints.

    Attributes:
        images: images of the split.
        failed: images of which there is no prediction at all, because they could not be read.
        animals: labelled animals (with at least one labelled keypoint).
        matched, missed: of those, with and without a prediction.
        predicted: predicted animals.
        false_positives: predicted animals that belong to no labelled one.
        ignored: predicted animals in regions that count neither way.
        keypoints: labelled keypoints.
        missing: of those, without a prediction.
    """

    images: int
    failed: int
    animals: int
    matched: int
    missed: int
    predicted: int
    false_positives: int
    ignored: int
    keypoints: int
    missing: int


@dataclass(frozen=True)
class EvaluationResult:
    """All metrics of one split.

    Attributes:
        split: ``test``, ``validation`` or ``train``.
        counts: how much was evaluated.
        error: pixel errors of all keypoints.
        pck: fraction of correct keypoints by threshold.
        keypoints: keypoint by keypoint.
        confident: with low scores left out.
        oks: average precision.
        resamplings, seed: of the bootstrap.
        notes: one line for each thing a reader of the metrics should know.
        identity: names of the animals; None where there is nothing to compare.
        tracks: how well animals are followed, by keypoints and by boxes, by video and over all; empty where labels or
            predictions do not say who is who over time.
        plots: file names in ``folder``.
        folder: where plots, predictions and tables are; empty if nothing was written.
        besides: the same with the labels in the place of a detector or the like, by the name of what they
            supply.
    """

    split: str
    counts: Counts
    error: ErrorMetrics
    pck: dict[float, Estimate]
    keypoints: tuple[KeypointMetrics, ...]
    confident: ConfidentMetrics
    oks: OksMetrics
    resamplings: int
    seed: int
    notes: tuple[str, ...] = ()
    identity: IdentityMetrics | None = None
    tracks: Mapping[str, TrackMetrics] = field(default_factory=dict)
    plots: tuple[str, ...] = field(default=())
    folder: str = ""
    besides: Mapping[str, EvaluationResult] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain lists, dicts, numbers and strings; undefined metrics are null and named in ``reasons``.

        Errors are pixels of the original images; PCK (by threshold), AP and AR are in [0, 1].
        """
        metrics = {
            "mean_error": self.error.mean,
            "median_error": self.error.median,
            "rms_error": self.error.rms,
            "ap": self.oks.ap,
            "ap50": self.oks.ap50,
            "ap75": self.oks.ap75,
            "ar": self.oks.ar,
        }
        pck = {f"{threshold:g}": metric for threshold, metric in self.pck.items()}
        return {
            "split": self.split,
            **{name: metric.value for name, metric in metrics.items()},
            "pck": {name: metric.value for name, metric in pck.items()},
            "percentiles": {str(p): v for p, v in self.error.percentiles.items()},
            "intervals": {**_intervals(metrics), "pck": _intervals(pck)},
            "reasons": {
                **_reasons(metrics),
                **_reasons({f"pck.{name}": metric for name, metric in pck.items()}),
            },
            "counts": dict(vars(self.counts)),
            "keypoints": [_keypoint(k) for k in self.keypoints],
            "confident": {
                "threshold": self.confident.threshold,
                "kept": self.confident.kept.value,
                **_errors(self.confident.error),
            },
            "oks_sigmas": self.oks.sigmas,
            "why_ap_is_low": self.oks.why,
            "identity": self.identity.to_json() if self.identity is not None else None,
            "tracks": {name: asdict(metrics) for name, metrics in self.tracks.items()},
            "bootstrap": {"resamplings": self.resamplings, "seed": self.seed, "confidence": 0.95},
            "notes": [*self.notes, *self.oks.notes],
            "folder": self.folder,
            "plots": list(self.plots),
            **{name: result.to_json() for name, result in self.besides.items()},
        }


def _errors(errors: ErrorMetrics) -> dict[str, Any]:
    metrics = {"mean_error": errors.mean, "median_error": errors.median, "rms_error": errors.rms}
    return {
        "count": errors.count,
        **{name: metric.value for name, metric in metrics.items()},
        "intervals": _intervals(metrics),
        "reasons": _reasons(metrics),
    }


def _keypoint(keypoint: KeypointMetrics) -> dict[str, Any]:
    pck = {f"{threshold:g}": metric for threshold, metric in keypoint.pck.items()}
    own = _errors(keypoint.error)
    return {
        "name": keypoint.name,
        "labelled": keypoint.labelled,
        "missing": keypoint.missing,
        **own,
        "pck": {name: metric.value for name, metric in pck.items()},
        "intervals": {**own["intervals"], "pck": _intervals(pck)},
        "reasons": {**own["reasons"], **_reasons({f"pck.{name}": metric for name, metric in pck.items()})},
    }


def _intervals(metrics: Mapping[str, Estimate]) -> dict[str, list[float] | None]:
    return {name: list(metric.interval) if metric.interval else None for name, metric in metrics.items()}


def _reasons(metrics: Mapping[str, Estimate]) -> dict[str, str]:
    return {name: metric.reason for name, metric in metrics.items() if metric.reason}
