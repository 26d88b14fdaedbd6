"""Put panels together to a picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from pose_core.errors import ConfigError, argument
from pose_core.io.files import disk_errors, make_folder, write_whole
from pose_core.pictures.style import INK, style
from pose_core.structures import ByteArray

_WIDTH = 2.7
"""Inches of a panel."""

_IN_LEGEND = 40
"""Colours in a legend, at most; more are not told apart."""


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: one line above it.
        draw: draws it, and may return what is written in a second line.
        shape: height by width of what it shows.
    """

    title: str
    draw: Callable[[Axes], str | None]
    shape: float = 1.0


@dataclass(frozen=True)
class Row:
    """Panels beside each other, with a title at their left."""

    title: str
    panels: Sequence[Panel]


def draw_sheet(title: str, rows: Sequence[Row], legend: Mapping[str, str] | None = None) -> ByteArray:
    """Draw rows of panels: (H, W, 3) uint8 RGB.

    Args:
        title: above them all.
        rows: from top to bottom; shorter ones leave places empty.
        legend: colours as matplotlib writes them, by what they stand for; of more than 40 none is drawn.
    """
    columns = max(len(row.panels) for row in rows)
    # Two lines of text stand above each panel.
    heights = [_WIDTH * min(max(panel.shape for panel in row.panels), 2.5) + 0.55 for row in rows]
    with style():
        figure = Figure(
            figsize=(max(_WIDTH * columns + 0.4, 5.0), sum(heights) + 0.5),
            dpi=110,
            layout=ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.05),
        )
        canvas = FigureCanvasAgg(figure)
        grid = figure.add_gridspec(len(rows), columns, height_ratios=heights)
        for r, row in enumerate(rows):
            for c, panel in enumerate(row.panels):
                axes = figure.add_subplot(grid[r, c])
                axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
                about = panel.draw(axes)
                axes.set_title(
                    _shorten(panel.title, 34) + (f"\n{about}" if about else ""),
                    fontsize=9, fontweight="normal", loc="left", color=INK,
                )  # fmt: skip
                if c == 0 and row.title:
                    axes.set_ylabel(_shorten(row.title, 30), fontsize=9.5, fontweight="bold", color=INK)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        if legend and len(legend) <= _IN_LEGEND:
            signs = [
                Line2D([], [], marker="o", color=colour, markersize=6, linestyle="none", label=name)
                for name, colour in legend.items()
            ]
            columns = max(1, int(figure.get_figwidth() / (0.35 + 0.075 * max(map(len, legend)))))
            figure.legend(handles=signs, loc="outside lower left", ncols=columns, frameon=False, fontsize=8.5)
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        return np.ascontiguousarray(pixels[..., :3])


def check_picture_path(path: Path) -> None:
    """Refuse a name that is not that of a PNG file.

    Raises:
        ConfigError: it is another.
    """
    if path.suffix.lower() != ".png" or path.is_dir():
        raise ConfigError(f"{argument('out', str(path))}: must be a file that ends in .png")


def write_picture(path: Path, picture: ByteArray) -> None:
    """Write a picture as PNG, whole or not at all; what was there is replaced.

    Raises:
        PoseError: the disk is full.
        OSError: the place cannot be written.
    """
    from matplotlib.image import imsave

    content = io.BytesIO()
    imsave(content, picture, format="png")
    with disk_errors(path, "name another place"):
        make_folder(path.parent)
        write_whole(path, content.getvalue())


def _shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"…{text[-longest + 1 :]}"
