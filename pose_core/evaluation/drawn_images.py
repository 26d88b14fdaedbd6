"""Draw labelled images one by one, with labels and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from pose_core.data.matching import Pair
from pose_core.data.palette import keypoint_colours, to_hex
from pose_core.evaluation.contact_sheet import LegendLayout, describe_error, draw_panel, rank_images
from pose_core.evaluation.metrics import Measured
from pose_core.pictures.style import style
from pose_core.structures import Skeleton

FOLDER = "images"

Drawn = int | Literal["all"] | None
"""How many images are drawn, those with the largest errors; all of them, or none."""


def draw_images(
    pairs: Sequence[Pair], measured: Measured, skeleton: Skeleton, most: int | Literal["all"], folder: Path
) -> int:
    """Draw images with labelled keypoints, labels as rings and predictions as dots, and count them.

    ``0001_NAME.png`` is the image with the largest mean error; a keypoint that was not found counts with the size of
    its animal.

    Args:
        pairs: labels and predictions.
        measured: their metrics.
        skeleton: of both.
        most: images that are drawn.
        folder: to make; nothing of another evaluation is in it.
    """
    errors = measured.errors
    ranking = rank_images(errors, [float(np.hypot(labels.width, labels.height)) for labels, _ in pairs])[::-1]
    chosen = ranking if most == "all" else ranking[:most]
    folder.mkdir(parents=True)
    colours = [to_hex(colour) for colour in keypoint_colours(len(errors.names))]
    for rank, image in enumerate(chosen, 1):
        labels, found = pairs[image]
        legend = LegendLayout(errors.names)
        with style():
            figure = Figure(
                figsize=(7.5, 7.0 + legend.height), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)
            )
            grid = figure.add_gridspec(2, 1, height_ratios=[6.7, legend.height])
            axes = figure.add_subplot(grid[0])
            draw_panel(axes, labels, found, measured.matches[image], skeleton, colours)
            axes.set_title(
                describe_error(labels, errors, image), fontsize=11, fontweight="normal", loc="center"
            )
            legend.draw(figure.add_subplot(grid[1]), colours)
            # Names in labels may hold folders, and letters that no file has.
            stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in Path(labels.name).stem)[:80]
            figure.savefig(folder / f"{rank:04d}_{stem}.png")
    return len(chosen)
