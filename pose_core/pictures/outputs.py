"""Draw an output of a network, or its target, over an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from pose_core.data.palette import to_hex
from pose_core.interfaces import Grid
from pose_core.pictures.colours import colour_ignored, colour_maps, dim, split_vectors
from pose_core.pictures.describe import ShownOutput
from pose_core.pictures.panels import OUTLINE, show_image
from pose_core.structures import ByteArray

Floats = npt.NDArray[np.float32]

_ARROWS = 22
"""Arrows a side of a panel, at most."""


def draw_output(
    axes: Axes,
    image: ByteArray,
    shown: ShownOutput,
    others: Mapping[str, ShownOutput],
    label: int | None = None,
) -> str:
    """Draw an output or a target over its image.

    Args:
        axes: to draw on.
        image: (H, W, 3) uint8 RGB, the network's input.
        shown: what to draw.
        others: all outputs of the same head.
        label: which of its maps; None: all of them.

    Returns:
        what the colours stand for, in a few words.
    """
    show_image(axes, dim(image))
    draw: Callable[..., str] = _DRAWING[shown.view.meaning]
    if shown.view.meaning == "class" and shown.values.ndim == 1:
        draw = _draw_classes_of_input
    return draw(axes, image.shape[:2], shown, others, label)


def _draw_scores(
    axes: Axes,
    size: tuple[int, int],
    shown: ShownOutput,
    others: Mapping[str, ShownOutput],
    label: int | None,
) -> str:
    low, high = find_range(shown)
    values = shown.values if label is None else _only(shown.values, label)
    _draw_cells(axes, colour_maps(values, low, high, shown.colours), shown)
    _draw_ignored(axes, shown, label)
    return f"{low:.2g} to {high:.2g}"


def _draw_classes(
    axes: Axes,
    size: tuple[int, int],
    shown: ShownOutput,
    others: Mapping[str, ShownOutput],
    label: int | None,
) -> str:
    count = len(shown.values)
    # What all classes have in common says nothing.
    low = 1 / count if shown.view.activation == "softmax" and shown.weight is None else 0.0
    values = shown.values if label is None else _only(shown.values, label)
    _draw_cells(axes, colour_maps(values, low, 1.0, shown.colours), shown)
    _draw_ignored(axes, shown, label)
    if label is None:
        _draw_key(axes, shown)
    return f"{low:.2g} to 1"


def _draw_classes_of_input(
    axes: Axes,
    size: tuple[int, int],
    shown: ShownOutput,
    others: Mapping[str, ShownOutput],
    label: int | None,
) -> str:
    known = shown.weight is None or bool((shown.weight > 0).any())
    order = np.argsort(-shown.values, kind="stable")[:8].tolist() if label is None else [label]
    for line, row in enumerate(order):
        y = 0.9 - 0.11 * line
        value = float(shown.values[row])
        axes.add_patch(
            Rectangle((0.04, y - 0.035), 0.6 * min(max(value, 0.0), 1.0), 0.07, transform=axes.transAxes,
                      color=to_hex(shown.colours[row]), zorder=4)
        )  # fmt: skip
        text = f"{shown.view.labels[row]}  {value:.2f}"
        axes.text(0.06, y, text, transform=axes.transAxes, color="white", fontsize=8, va="center", zorder=5,
                  path_effects=OUTLINE)  # fmt: skip
    return "of the whole input" if known else "unknown: ignored"


def _draw_offsets(
    axes: Axes,
    size: tuple[int, int],
    shown: ShownOutput,
    others: Mapping[str, ShownOutput],
    label: int | None,
) -> str:
    x, y, length = split_vectors(shown.values)
    read, where = _find_places(shown, others, length)
    colours = [to_hex(colour) for colour in shown.colours]
    columns, rows = (_centres(shown, axis) for axis in (0, 1))
    longest = 0.0
    for number in range(len(length)) if label is None else [label]:
        v, u = _spread(read[number])
        if len(v):
            longest = max(longest, float(length[number][v, u].max()))
        axes.quiver(columns[u], rows[v], x[number][v, u], y[number][v, u], color=colours[number], angles="xy",
                    scale_units="xy", scale=1, width=0.006, headwidth=4, zorder=4, alpha=0.9)  # fmt: skip
    _draw_ignored(axes, shown, label)
    return f"{where}; longest {longest:.1f} px"


def _draw_vectors(
    axes: Axes,
    size: tuple[int, int],
    shown: ShownOutput,
    others: Mapping[str, ShownOutput],
    label: int | None,
) -> str:
    x, y, length = split_vectors(shown.values)
    high = max(float(np.nan_to_num(length).max()), 1e-6)
    strengths = length if label is None else _only(length, label)
    _draw_cells(axes, 0.85 * colour_maps(strengths, 0.0, high, shown.colours), shown)
    strongest = np.nan_to_num(strengths).argmax(axis=0)[None]
    x, y, top = (np.take_along_axis(part, strongest, 0)[0] for part in (x, y, np.nan_to_num(strengths)))
    columns, rows = (_centres(shown, axis) for axis in (0, 1))
    v, u = _spread(top > 0.35 * high)
    step = max(len(rows), len(columns)) / _ARROWS * shown.grids[0].stride
    factor = max(step, shown.grids[0].stride) / high
    axes.quiver(columns[u], rows[v], x[v, u] * factor, y[v, u] * factor, color="white", angles="xy",
                scale_units="xy", scale=1, width=0.005, headwidth=4, zorder=4, alpha=0.9)  # fmt: skip
    _draw_ignored(axes, shown, label)
    return f"length to {high:.2g}"


def _draw_distributions(
    axes: Axes,
    size: tuple[int, int],
    shown: ShownOutput,
    others: Mapping[str, ShownOutput],
    label: int | None,
) -> str:
    height, width = size
    along = shown.grids[0].stride * np.arange(shown.values.shape[-1]) + shown.grids[0].offset
    colours = [to_hex(colour) for colour in shown.colours]
    rows = range(len(shown.values)) if label is None else [label]
    high = max(float(np.nan_to_num(shown.values).max()), 1e-12)
    for number in rows:
        if shown.weight is not None and not (shown.weight[number] > 0).any():
            continue
        part = np.nan_to_num(shown.values[number]) / high
        if shown.view.axis == "x":
            axes.fill_between(
                along, height - 0.5, height - 0.5 - 0.4 * height * part, color=colours[number], alpha=0.35
            )
            axes.plot(along, height - 0.5 - 0.4 * height * part, color=colours[number], linewidth=1.2)
        else:
            axes.fill_betweenx(along, -0.5, -0.5 + 0.4 * width * part, color=colours[number], alpha=0.35)
            axes.plot(-0.5 + 0.4 * width * part, along, color=colours[number], linewidth=1.2)
    return f"0 to {high:.2g}, along {shown.view.axis}"


def _draw_points(
    axes: Axes,
    size: tuple[int, int],
    shown: ShownOutput,
    others: Mapping[str, ShownOutput],
    label: int | None,
) -> str:
    points = shown.values * shown.grids[0].stride + shown.grids[0].offset
    colours = [to_hex(colour) for colour in shown.colours]
    for number in range(len(points)) if label is None else [label]:
        if shown.weight is None or (shown.weight[number] > 0).all():
            axes.plot(*points[number], "o", mfc=colours[number], mec="white", mew=0.8, markersize=6, zorder=5)
    return "places"


_DRAWING: Mapping[str, Callable[..., str]] = {
    "score": _draw_scores,
    "class": _draw_classes,
    "offset": _draw_offsets,
    "vector": _draw_vectors,
    "distribution": _draw_distributions,
    "point": _draw_points,
}


def find_range(shown: ShownOutput) -> tuple[float, float]:
    """The values of scores that are drawn transparent and opaque."""
    finite = shown.values[np.isfinite(shown.values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    # Scores begin at 0; what goes far below it is something else, whose smallest value is as good as nothing.
    low = low if low < -0.2 * abs(high) else 0.0
    return (low, high) if high > low else (low, low + 1.0)


def _only(values: Floats, label: int) -> Floats:
    """The values of one map, the others below everything: its colour stays its own."""
    alone = np.full_like(values, -np.inf)
    alone[label] = np.nan_to_num(values[label], nan=-np.inf)
    return np.maximum(alone, np.float32(-1e30))


def _draw_cells(axes: Axes, rgba: Floats, shown: ShownOutput) -> None:
    rows, columns = rgba.shape[:2]
    (x, y), half = shown.grids, 0.5
    extent = (
        x.offset - half * x.stride,
        x.offset + (columns - half) * x.stride,
        y.offset + (rows - half) * y.stride,
        y.offset - half * y.stride,
    )
    limits = axes.get_xlim(), axes.get_ylim()
    axes.imshow(rgba, extent=extent, interpolation="nearest", zorder=2)
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])


def _draw_ignored(axes: Axes, shown: ShownOutput, label: int | None) -> None:
    if shown.weight is None:
        return
    weight = shown.weight
    if label is not None:
        each = len(weight) // len(shown.view.labels)
        weight = weight[label * each : (label + 1) * each]
    # Offsets are ignored nearly everywhere, which says no more than their arrows do.
    if shown.view.meaning != "offset" and (weight == 0).any():
        _draw_cells(axes, colour_ignored(weight, (weight.shape[-2], weight.shape[-1])), shown)


def _draw_key(axes: Axes, shown: ShownOutput) -> None:
    for line, (name, colour) in enumerate(zip(shown.view.labels[:8], shown.colours, strict=False)):
        axes.text(0.03, 0.97 - 0.09 * line, name, transform=axes.transAxes, color=to_hex(colour), fontsize=8,
                  va="top", zorder=6, path_effects=OUTLINE)  # fmt: skip


def _find_places(
    shown: ShownOutput, others: Mapping[str, ShownOutput], length: Floats
) -> tuple[npt.NDArray[np.bool_], str]:
    """The cells (C, h, w) whose offsets are drawn, and what they are."""
    if shown.weight is not None:
        weight = np.broadcast_to(shown.weight, shown.values.shape)
        return (weight[0::2] > 0) & np.isfinite(length), "where they are learned"
    scores = others.get(shown.view.read_at)
    if scores is not None:
        maps = np.nan_to_num(scores.values)
        if shown.view.read_label in scores.view.labels:
            maps = maps[[scores.view.labels.index(shown.view.read_label)]]
        if len(maps) in (1, len(length)):
            maps = np.broadcast_to(maps, length.shape)
            strong = (maps >= 0.5 * maps.max(axis=(1, 2), keepdims=True)) & (maps > 0)
            return strong & np.isfinite(length), f"where {shown.view.read_at} is high"
    largest = np.nan_to_num(length).argmax(axis=0)
    every = np.arange(len(length))[:, None, None] == largest
    return every & np.isfinite(length), "the longest of each place"


def _spread(places: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows and columns of the places where arrows are drawn: all of few, of many every so many."""
    rows, columns = np.nonzero(places)
    step = max(1, round(max(places.shape) / _ARROWS))
    if len(rows) > 150 and step > 1:
        kept = (rows % step == 0) & (columns % step == 0)
        rows, columns = rows[kept], columns[kept]
    return rows, columns


def _centres(shown: ShownOutput, axis: int) -> npt.NDArray[np.float64]:
    grid: Grid = shown.grids[axis]
    count = shown.values.shape[-1 - axis]
    return grid.stride * np.arange(count, dtype=np.float64) + grid.offset
