"""What an evaluation says, and how it looks as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Interval = tuple[float, float]


@dataclass(frozen=True)
class Figure:
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
    def undefined(cls, reason: str) -> Figure:
        """A figure without a value."""
        return cls(None, None, reason)


@dataclass(frozen=True)
class ErrorFigures:
    """Errors in pixels of the original images, over the labelled keypoints that were predicted.

    Attributes:
        count: number of keypoints.
        mean, median: of the Euclidean distance.
        rms: root of the mean squared distance. (DeepLabCut prints the *mean* distance under the name RMSE.)
        percentiles: distance by percentile; None where there are no keypoints.
    """

    count: int
    mean: Figure
    median: Figure
    rms: Figure
    percentiles: dict[int, float | None]


@dataclass(frozen=True)
class KeypointFigures:
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
    error: ErrorFigures
    pck: dict[float, Figure]


@dataclass(frozen=True)
class ConfidentFigures:
    """Only keypoints that the model scores at least ``threshold``.

    Attributes:
        threshold: smallest score.
        kept: such keypoints as a fraction of all labelled ones.
        error: their errors.
    """

    threshold: float
    kept: Figure
    error: ErrorFigures


@dataclass(frozen=True)
class OksFigures:
    """Average precision and recall by object keypoint similarity, as COCO defines them.

    Attributes:
        ap: averaged over OKS 0.50, 0.55 ... 0.95.
        ap50, ap75: at OKS 0.5 and 0.75.
        ar: average recall.
        sigmas: by keypoint name.
        why: what keeps AP50 low, in one sentence; None where it is not low.
        notes: what was left out or taken from elsewhere (areas ...).
    """

    ap: Figure
    ap50: Figure
    ap75: Figure
    ar: Figure
    sigmas: dict[str, float]
    why: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Switches:
    """How often a labelled individual changed its predicted identity or track along a video.

    Attributes:
        changes: times that it had another one than when it was last seen.
        seen_again: times that it was seen again at all; the most that ``changes`` can be.
    """

    changes: int
    seen_again: int


@dataclass(frozen=True)
class IdentityFigures:
    """Names of the animals that were found in the right place.

    Attributes:
        accuracy: share of the compared animals with the right identity.
        compared: pairs of a labelled and a predicted animal that both have an identity.
        right: of these, pairs with the same.
        unnamed: pairs in which the labelled animal has an identity and the predicted one has none.
        swaps: pairs of animals in one image that have exchanged their identities.
        keypoints: by keypoint, how many labelled ones (of animals that were found) lie nearest to a predicted one of
            the right individual, and how many to one of any individual.
        switches: by ``identity`` and ``track``, where there are any: changes along the images of a folder.
    """

    accuracy: Figure
    compared: int
    right: int
    unnamed: int
    swaps: int
    keypoints: dict[str, tuple[int, int]]
    switches: dict[str, Switches]

    def to_json(self) -> dict[str, Any]:
        """Plain values; see :meth:`EvaluationResult.to_json`."""
        figures = {"accuracy": self.accuracy}
        return {
            "accuracy": self.accuracy.value,
            "intervals": _intervals(figures),
            "reasons": _reasons(figures),
            **{name: getattr(self, name) for name in ("compared", "right", "unnamed", "swaps")},
            "keypoints": {
                name: {"right": right, "compared": compared, "accuracy": right / compared}
                for name, (right, compared) in self.keypoints.items()
            },
            "switches": {name: dict(vars(switches)) for name, switches in self.switches.items()},
        }


@dataclass(frozen=True)
class Counts:
    """How much was evaluated.

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
    """All figures of one split.

    Attributes:
        split: ``test``, ``validation`` or ``train``.
        counts: how much was evaluated.
        error: pixel errors of all keypoints.
        pck: fraction of correct keypoints by threshold.
        keypoints: keypoint by keypoint.
        confident: with low scores left out.
        oks: average precision.
        resamplings, seed: of the bootstrap.
        notes: one line for each thing a reader of the figures should know.
        identity: names of the animals; None where there is nothing to compare.
        plots: file names in ``folder``.
        folder: where plots, predictions and tables are; empty if nothing was written.
    """

    split: str
    counts: Counts
    error: ErrorFigures
    pck: dict[float, Figure]
    keypoints: tuple[KeypointFigures, ...]
    confident: ConfidentFigures
    oks: OksFigures
    resamplings: int
    seed: int
    notes: tuple[str, ...] = ()
    identity: IdentityFigures | None = None
    plots: tuple[str, ...] = field(default=())
    folder: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain lists, dicts, numbers and strings; undefined figures are null and named in ``reasons``.

        Errors are pixels of the original images; PCK (by threshold), AP and AR are in [0, 1].
        """
        figures = {
            "mean_error": self.error.mean,
            "median_error": self.error.median,
            "rms_error": self.error.rms,
            "ap": self.oks.ap,
            "ap50": self.oks.ap50,
            "ap75": self.oks.ap75,
            "ar": self.oks.ar,
        }
        pck = {f"{threshold:g}": figure for threshold, figure in self.pck.items()}
        return {
            "split": self.split,
            **{name: figure.value for name, figure in figures.items()},
            "pck": {name: figure.value for name, figure in pck.items()},
            "percentiles": {str(p): v for p, v in self.error.percentiles.items()},
            "intervals": {**_intervals(figures), "pck": _intervals(pck)},
            "reasons": {**_reasons(figures), **_reasons({f"pck.{name}": figure for name, figure in pck.items()})},
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
            "bootstrap": {"resamplings": self.resamplings, "seed": self.seed, "confidence": 0.95},
            "notes": [*self.notes, *self.oks.notes],
            "folder": self.folder,
            "plots": list(self.plots),
        }


def _errors(errors: ErrorFigures) -> dict[str, Any]:
    figures = {"mean_error": errors.mean, "median_error": errors.median, "rms_error": errors.rms}
    return {
        "count": errors.count,
        **{name: figure.value for name, figure in figures.items()},
        "intervals": _intervals(figures),
        "reasons": _reasons(figures),
    }


def _keypoint(keypoint: KeypointFigures) -> dict[str, Any]:
    pck = {f"{threshold:g}": figure for threshold, figure in keypoint.pck.items()}
    own = _errors(keypoint.error)
    return {
        "name": keypoint.name,
        "labelled": keypoint.labelled,
        "missing": keypoint.missing,
        **own,
        "pck": {name: figure.value for name, figure in pck.items()},
        "intervals": {**own["intervals"], "pck": _intervals(pck)},
        "reasons": {**own["reasons"], **_reasons({f"pck.{name}": figure for name, figure in pck.items()})},
    }


def _intervals(figures: Mapping[str, Figure]) -> dict[str, list[float] | None]:
    return {name: list(figure.interval) if figure.interval else None for name, figure in figures.items()}


def _reasons(figures: Mapping[str, Figure]) -> dict[str, str]:
    return {name: figure.reason for name, figure in figures.items() if figure.reason}
