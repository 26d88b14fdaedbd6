"""Plot the errors of several runs on the same images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pose_core.data.palette import keypoint_colours, to_hex
from pose_core.evaluation.comparison import Comparison
from pose_core.evaluation.pixel import KeypointErrors
from pose_core.pictures.style import style

_SHOWN = 99
"""Percentile of the largest errors of all runs at which the axis ends."""


def plot_comparison(errors: Mapping[str, KeypointErrors], result: Comparison, path: Path) -> bool:
    """Plot a curve of cumulative errors for each run; False if nothing was predicted.

    Keypoints without a prediction are within no distance: curves end below 100 % where any is missing.

    Args:
        errors: of each run, on the same images.
        result: their metrics.
        path: PNG to write.
    """
    all_errors = np.concatenate([own.distance[own.predicted] for own in errors.values()])
    if not len(all_errors):
        return False
    limit = float(np.percentile(all_errors, _SHOWN)) or 1.0
    colours = [to_hex(colour) for colour in keypoint_colours(len(errors))]
    with style():
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.add_subplot()
        for (name, own), colour in zip(errors.items(), colours, strict=True):
            distance = np.sort(own.distance[own.predicted])
            share = np.arange(1, len(distance) + 1) / max(len(own), 1)
            median = result.runs[name].metrics["median_error"].value
            label = f"{name} (median {median:.2f} px)" if median is not None else name
            axes.step([0, *distance], [0, *share], where="post", color=colour, linewidth=2, label=label)
        axes.set_xlim(0, limit)
        axes.set_ylim(0, 1)
        axes.set_xlabel("error in pixels of the image")
        axes.set_ylabel("share of labelled keypoints")
        axes.set_title(f"{len(result.images)} images, {result.labelled} labelled keypoints")
        axes.legend(loc="lower right", frameon=False)
        figure.savefig(path)
    return True
