"""Plot the errors of a split. Drawn without pyplot: no display, no global state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from pose_core.data.palette import keypoint_colours, to_hex
from pose_core.evaluation.bootstrap import Floats
from pose_core.evaluation.pixel import KeypointErrors
from pose_core.evaluation.results import EvaluationResult
from pose_core.pictures.style import FAINT, GREY, INK, style


def plot_error_by_keypoint(errors: KeypointErrors, result: EvaluationResult, path: Path) -> bool:
    """Plot errors as dots with quartiles; False if there is nothing to draw.

    There is a row for each keypoint.

    Args:
        errors: rows of the split.
        result: its metrics.
        path: PNG to write.
    """
    distance = errors.distance[errors.predicted]
    if not len(distance):
        return False
    names = list(errors.names)
    with style():
        figure = Figure(figsize=(9, 1.7 + 0.5 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        low, high = _log_range(distance)
        # Seeded: the same errors give the same picture, so that two evaluations can be compared.
        rng = np.random.default_rng(0)
        for row, (name, colour) in enumerate(zip(names, _choose_colours(names), strict=True)):
            # An error of 0 has no place on a logarithmic axis.
            own = np.clip(errors.distance[(errors.keypoint == row) & errors.predicted], low, None)
            metrics = result.keypoints[row]
            assert metrics.name == name
            text = f"n = {len(own)}" + (f", {metrics.missing} missing" if metrics.missing else "")
            if len(own):
                _draw_box(axes, own, row, colour, rng)
                text = f"median {_format_pixels(float(np.median(own)))} px,  {text}"
            axes.annotate(
                text, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=9.5, color=GREY
            )
        axes.set_xscale("log")
        axes.set_xlim(low * 0.9, high * 1.1)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _format_pixels(x)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        # Downwards, so that the first keypoint stands on top.
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_yticks(range(len(names)), names, color=INK)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=FAINT, zorder=0)
        axes.set_axisbelow(True)
        axes.set_xlabel(
            "error (pixels of the original image, logarithmic; box: quartiles, line: 5 % to 95 %)"
        )
        axes.set_title(f"Error by keypoint, {_describe_images(result)}")
        figure.savefig(path)
    return True


def plot_error_curve(errors: KeypointErrors, result: EvaluationResult, path: Path) -> bool:
    """Plot the cumulative errors; False if there is nothing to draw.

    Keypoints without a prediction are within no distance, so that curves end below 100 % where any is
    missing.

    Args:
        errors: rows of the split.
        result: its metrics.
        path: PNG to write.
    """
    distance = errors.distance[errors.predicted]
    if not len(distance):
        return False
    with style():
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.add_subplot()
        limit = _curve_limit(distance)
        # More lines than colours that can be told apart say nothing.
        if 1 < len(errors.names) <= 12:
            for index, (name, colour) in enumerate(
                zip(errors.names, _choose_colours(errors.names), strict=True)
            ):
                own = errors.distance[errors.keypoint == index]
                if len(own):
                    axes.step(
                        *_accumulate(own, limit),
                        where="post",
                        color=colour,
                        linewidth=1.4,
                        label=name,
                        alpha=0.9,
                    )
        axes.step(
            *_accumulate(errors.distance, limit),
            where="post",
            color=INK,
            linewidth=2.8,
            label="all keypoints",
        )
        for fraction in (0.5, 0.9):
            _mark(axes, errors.distance, fraction, limit)
        axes.set_xlim(0, limit)
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(color=FAINT)
        axes.set_axisbelow(True)
        axes.set_xlabel("error below (pixels of the original image)")
        axes.set_ylabel("labelled keypoints")
        axes.set_title(f"Cumulative error, {_describe_images(result)}")
        beyond, missing = int((distance > limit).sum()), result.counts.missing
        left_out = [f"{beyond} beyond {_format_pixels(limit)} px"] * bool(beyond) + [
            f"{missing} without a prediction"
        ] * bool(missing)
        if left_out:
            axes.set_xlabel(
                f"error below (pixels of the original image); of {len(errors)}: {', '.join(left_out)}"
            )
        axes.legend(loc="lower right", frameon=True, framealpha=0.9, edgecolor="none", fontsize=10)
        figure.savefig(path)
    return True


def _choose_colours(names: Sequence[str]) -> list[str]:
    return [to_hex(colour) for colour in keypoint_colours(len(names))]


def _draw_box(axes: Axes, values: Floats, row: int, colour: str, rng: np.random.Generator) -> None:
    """Draw dots, quartiles, median, and lines to the 5th and 95th percentile."""
    # More dots than this hide each other; percentiles are of all values.
    shown = values if len(values) <= 1000 else rng.choice(values, 1000, replace=False)
    dots = row + rng.uniform(-0.22, 0.22, len(shown))
    axes.scatter(shown, dots, s=14, color=colour, alpha=0.45, linewidths=0, zorder=2)
    p5, q1, median, q3, p95 = np.percentile(values, [5, 25, 50, 75, 95])
    for start, end in ((p5, q1), (q3, p95)):
        axes.plot([start, end], [row, row], color=INK, linewidth=1.2, zorder=3, solid_capstyle="butt")
    axes.add_patch(
        Rectangle((q1, row - 0.27), q3 - q1, 0.54, fill=False, edgecolor=INK, linewidth=1.2, zorder=3)
    )
    axes.plot(
        [median, median], [row - 0.27, row + 0.27], color=INK, linewidth=3, zorder=4, solid_capstyle="butt"
    )


def _accumulate(distance: Floats, limit: float) -> tuple[Floats, Floats]:
    """Compute the cumulative curve from 0 to ``limit``; NaN is never reached."""
    ordered = np.sort(distance[~np.isnan(distance)])
    inside = ordered[ordered <= limit]
    heights = np.arange(1, len(inside) + 1) / len(distance)
    end = heights[-1] if len(heights) else 0.0
    return np.concatenate([[0.0], inside, [limit]]), np.concatenate([[0.0], heights, [end]])


def _mark(axes: Axes, distance: Floats, fraction: float, limit: float) -> None:
    """Mark the distance within which a fraction of the keypoints lies."""
    ordered = np.sort(np.where(np.isnan(distance), np.inf, distance))
    reached = float(ordered[int(np.ceil(fraction * len(ordered))) - 1])
    # Further right the text would run out of the axes.
    if reached > 0.8 * limit:
        return
    axes.plot([reached], [fraction], "o", color=INK, markersize=7, zorder=5)
    axes.annotate(
        f"{fraction:.0%} within {_format_pixels(reached)} px",
        (reached, fraction),
        xytext=(10, -14),
        textcoords="offset points",
        fontsize=10.5,
        fontweight="bold",
        zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
    )


def _curve_limit(distance: Floats) -> float:
    """Choose a round limit that a few gross errors do not stretch."""
    wanted = min(float(distance.max()), 2 * float(np.percentile(distance, 90)))
    if wanted <= 0:
        return 1.0
    unit = 10 ** np.floor(np.log10(wanted))
    return float(
        next(m * unit for m in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if m * unit >= wanted * (1 - 1e-9))
    )


def _log_range(distance: Floats) -> tuple[float, float]:
    """Choose the limits of the logarithmic axis."""
    high = max(float(distance.max()), 1e-2)
    low = min(max(float(np.percentile(distance, 1)), high / 1e5, 1e-2), high / 10)
    return low, high


def _format_pixels(value: float) -> str:
    return f"{value:.2g}" if value < 9.95 else f"{value:.0f}"


def _describe_images(result: EvaluationResult) -> str:
    count = result.counts.images
    return f"{count} {result.split} image{'s' if count != 1 else ''}"
