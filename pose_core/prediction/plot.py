"""Plot stored predictions over time: ``pose plot``."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pose_core.data.palette import animal_colour, to_hex
from pose_core.errors import ConfigError, DataError, argument
from pose_core.interfaces import PredictionsHeader, open_predictions
from pose_core.io.files import disk_errors, make_folder, natural_order, write_whole
from pose_core.prediction.animal_series import AnimalSeries, collect_series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

ANIMALS = 10
"""Animals in a plot, at most."""

_COLUMNS = 5
_POINTS = 20_000
"""Points of one way; of more every so many are drawn."""

_BINS = 900
"""Places along an axis of time; of more values than two a place their median and spread are drawn."""


def plot_predictions(
    predictions: Path | str, out: Path | str, *, keypoint: str | None = None, threshold: float = 0.2
) -> list[Path]:
    """Plot where animals go, how sure the model is, and how fast they are; ``pose plot`` in Python.

    ``trajectories.png`` has the way of each animal, coloured by time, in pixels of the frame; ``scores.png`` the
    scores of animals and ``speed.png`` their speed, over time. Of very long recordings the median is drawn, with a band
    from the 5th to the 95th percentile. An animal is a track, or an individual; without either a place in each
    frame, which says nothing of who it is (then there is no speed where a model finds several). Of more than ten
    animals those that are found in most frames are drawn.

    Args:
        predictions: file that ``pose predict`` wrote, in any installed format that can be read.
        out: folder of the plots; made if needed. Plots that are there are replaced.
        keypoint: whose places are plotted; by default the mean of an animal's keypoints.
        threshold: keypoints with a lower score are left out.

    Returns:
        the plots.

    Raises:
        DataError: the file cannot be read, or has no animals.
        ConfigError: there is no such keypoint.
    """
    path, folder = Path(predictions), Path(out)
    stream = open_predictions(path)
    header, names = stream.header, stream.header.skeleton.keypoints
    if keypoint is not None and keypoint not in names:
        raise ConfigError(
            f"{argument('keypoint', keypoint)}: is none of {path}, which has {', '.join(names)}"
        )
    number = None if keypoint is None else names.index(keypoint)
    series = collect_series(stream, header.skeleton, number, threshold)
    if not series:
        raise DataError(f"{path}: has no animals; nothing to plot")
    make_folder(folder)
    shown = sorted(series[:ANIMALS], key=lambda animal: natural_order(animal.name))
    of = f", {len(shown)} of {len(series)} animals" if len(series) > len(shown) else ""
    where = f"{keypoint or 'mean of keypoints'}, score ≥ {threshold:g}"
    timed = all(np.isfinite(each.times).all() for each in series)
    drawing: dict[str, Callable[[], Figure]] = {
        "trajectories.png": lambda: _draw_ways(shown, header, timed, f"Trajectories{of} ({where})"),
        "scores.png": lambda: _draw_over_time(
            shown, [each.scores.astype(np.float64) for each in shown], timed, "score", f"Scores{of}", 1.0
        ),
    }
    if all(each.followed for each in shown):
        unit = "px/s" if timed else "px/frame"
        every = max((span.step for span in header.selected), default=1)
        drawing["speed.png"] = lambda: _draw_over_time(
            shown,
            [each.speeds(timed, every) for each in shown],
            timed,
            f"speed ({unit})",
            f"Speed{of} ({where})",
        )
    # Imported late, because it takes long.
    from pose_core.pictures.style import style

    written = []
    with disk_errors(folder, "name another place"):
        for name, draw in drawing.items():
            with style():
                content = io.BytesIO()
                draw().savefig(content, format="png")
            write_whole(folder / name, content.getvalue())
            written.append(folder / name)
    # Speeds of an earlier file would stand beside the ways of this one.
    if "speed.png" not in drawing:
        (folder / "speed.png").unlink(missing_ok=True)
    return written


def _draw_ways(series: Sequence[AnimalSeries], header: PredictionsHeader, timed: bool, title: str) -> Figure:
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(series))
    rows = -(-len(series) // columns)
    width, height = _find_size(series, header)
    panel = 5.2 if len(series) == 1 else 3.0
    figure = Figure(
        figsize=(panel * columns + 1.4, (panel * min(max(height / width, 0.4), 2.0) + 0.5) * rows + 0.8),
        layout="constrained",
    )
    last = max(float(_times(each, timed).max()) for each in series)
    first = min(float(_times(each, timed).min()) for each in series)
    every = figure.subplots(rows, columns, squeeze=False)
    for axes, animal in zip(every.flat, series, strict=False):
        lines = _draw_way(axes, animal, timed, first, max(last, first + 1e-9))
        axes.set_xlim(-0.5, width - 0.5)
        axes.set_ylim(height - 0.5, -0.5)
        axes.set_aspect("equal")
        axes.set_title(animal.name, fontsize=10.5, fontweight="normal")
        axes.tick_params(labelsize=8.5)
    for axes in every.flat[len(series) :]:
        axes.set_axis_off()
    for axes in every[-1]:
        axes.set_xlabel("x (px)", fontsize=9.5)
    for axes in every[:, 0]:
        axes.set_ylabel("y (px)", fontsize=9.5)
    figure.colorbar(lines, ax=every, label="time (s)" if timed else "frame", shrink=0.8, aspect=30)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure


def _draw_way(axes: Axes, animal: AnimalSeries, timed: bool, first: float, last: float) -> Any:
    from matplotlib.collections import LineCollection

    there = np.isfinite(animal.points).all(axis=1)
    step = max(1, -(-int(there.sum()) // _POINTS))
    points = animal.points[there][::step].astype(np.float64)
    frames, times = animal.frames[there][::step], _times(animal, timed)[there][::step]
    segments = np.stack([points[:-1], points[1:]], axis=1)
    # Over a gap nobody knows the way.
    near = np.diff(frames) <= 2 * step
    lines = LineCollection(segments[near], cmap="viridis", linewidths=1.0, alpha=0.85, capstyle="round")  # type: ignore[arg-type]
    lines.set_array(times[:-1][near])
    lines.set_clim(first, last)
    axes.add_collection(lines)
    # A single place has no line.
    axes.scatter(
        points[:1, 0], points[:1, 1], s=14, facecolor="none", edgecolor="#222222", linewidths=0.9, zorder=3
    )
    return lines


def _draw_over_time(
    series: Sequence[AnimalSeries],
    values: Sequence[Floats],
    timed: bool,
    label: str,
    title: str,
    highest: float | None = None,
) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 1.35 * len(series) + 1.3), layout="constrained")
    every = figure.subplots(len(series), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    known = np.concatenate([v[np.isfinite(v)] for v in values]) if values else np.zeros(0)
    # A few gross errors would press everything else to the ground.
    top = (
        highest if highest is not None else (1.15 * float(np.percentile(known, 99.5)) if len(known) else 1.0)
    )
    beyond = int((known > top).sum())
    for axes, animal, own in zip(every, series, values, strict=True):
        colour = to_hex(animal_colour(animal.number))
        times, low, middle, high = summarize(_times(animal, timed), own)
        if low is not None and high is not None:
            axes.fill_between(times, low, high, color=colour, alpha=0.3, linewidth=0)
        axes.plot(
            times, middle, color=colour, linewidth=1.1, marker="." if len(times) < 60 else None, markersize=4
        )
        axes.set_ylim(0, max(top, 1e-6) * 1.04)
        axes.set_title(animal.name, fontsize=10, fontweight="normal", pad=3)
        axes.grid(color="#e5e7eb")
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8.5)
    every[-1].set_xlabel("time (s)" if timed else "frame", fontsize=9.5)
    figure.supylabel(label, fontsize=9.5)
    more = f"; {beyond} above {top:.3g} not shown" if beyond else ""
    band = "; median and 5 % to 95 %" if any(len(v) > 2 * _BINS for v in values) else ""
    figure.suptitle(f"{title}{band}{more}", x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure


def summarize(
    times: Floats, values: Floats, bins: int = _BINS
) -> tuple[Floats, Floats | None, Floats, Floats | None]:
    """Summarize values over time for a plot.

    Args:
        times: (n,), rising.
        values: (n,); NaN leaves a gap.
        bins: places along the axis.

    Returns:
        times and values as they are, with no band, where there are few; else for each place its time, and the 5th
        percentile, median and 95th percentile of its values, NaN where it has none.
    """
    if len(values) <= 2 * bins:
        return times, None, values, None
    edges = np.linspace(times[0], times[-1], bins + 1)
    starts = np.searchsorted(times, edges[:-1])
    ends = np.append(starts[1:], len(times))
    spread = np.full((3, bins), np.nan)
    for place, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        own = values[start:end]
        own = own[np.isfinite(own)]
        if len(own):
            spread[:, place] = np.percentile(own, (5, 50, 95))
    return (edges[:-1] + edges[1:]) / 2, spread[0], spread[1], spread[2]


def _times(animal: AnimalSeries, timed: bool) -> Floats:
    return animal.times if timed else animal.frames.astype(np.float64)


def _find_size(series: Sequence[AnimalSeries], header: PredictionsHeader) -> tuple[float, float]:
    """Width and height of the frames; of images of several sizes those that hold all places."""
    if header.width and header.height:
        return float(header.width), float(header.height)
    points = np.concatenate([each.points for each in series])
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return 1.0, 1.0
    width, height = points.max(axis=0) + 1
    return float(max(width, 1)), float(max(height, 1))
