"""A contact sheet: the best, the middling and the worst images of a split, zoomed to the animals."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from pose_core.data.images import read_image
from pose_core.data.matching import Matches
from pose_core.data.palette import keypoint_colours, to_hex
from pose_core.errors import DataError
from pose_core.evaluation.bootstrap import Floats
from pose_core.evaluation.pixel import KeypointErrors
from pose_core.evaluation.results import EvaluationResult
from pose_core.pictures.style import FAINT, GREY, INK, style
from pose_core.structures import Frame, LabelledImage, Skeleton, present_keypoints

COLUMNS = 4
_ROWS = ("best", "median", "worst")
# Of the longer side of the box around everything shown, on each side.
_MARGIN = 0.2
_SMALLEST_VIEW = 40.0


def plot_predictions(
    pairs: Sequence[tuple[LabelledImage, Frame]],
    matches: Sequence[Matches],
    errors: KeypointErrors,
    result: EvaluationResult,
    skeleton: Skeleton,
    path: Path,
) -> bool:
    """Predicted (filled) against labelled (rings) keypoints; False if no image has a labelled keypoint.

    Args:
        pairs: labels and predictions of each image.
        matches: which prediction belongs to which animal.
        errors: rows of the split.
        result: its metrics.
        skeleton: names of keypoints.
        path: PNG to write.
    """
    ranking = rank_images(errors, [float(np.hypot(labels.width, labels.height)) for labels, _ in pairs])
    chosen = choose(ranking)
    if not chosen:
        return False
    colours = [to_hex(colour) for colour in keypoint_colours(len(errors.names))]
    columns = max(len(images) for _, images in chosen)
    legend = LegendLayout(errors.names)
    with style():
        # A sheet of few images stays wide enough for its legend.
        width, panel = max(2.9 * columns + 0.6, 7.5), 3.15
        heights = [*(panel for _ in chosen), legend.height]
        figure = Figure(
            figsize=(width, sum(heights) + 0.5), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)
        )
        grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
        for row, (title, images) in enumerate(chosen):
            for column, image in enumerate(images):
                axes = figure.add_subplot(grid[row, column])
                draw_panel(axes, *pairs[image], matches[image], skeleton, colours)
                axes.set_title(
                    describe_error(pairs[image][0], errors, image),
                    fontsize=9.5,
                    fontweight="normal",
                    loc="center",
                )
                if column == 0:
                    axes.set_ylabel(title, fontsize=12, fontweight="bold", color=INK)
        figure.suptitle(
            f"Predicted and labelled keypoints, {result.split} images by mean error",
            x=0.01, ha="left", fontsize=13, fontweight="bold",
        )  # fmt: skip
        legend.draw(figure.add_subplot(grid[-1, :]), colours)
        figure.savefig(path)
    return True


def rank_images(errors: KeypointErrors, diagonals: Sequence[float]) -> list[int]:
    """Images with labelled keypoints, from the smallest mean error to the largest.

    A keypoint without a prediction counts with the size of its animal (the image's diagonal where that is
    unknown).
    """
    instead = np.where(np.isnan(errors.size), np.asarray(diagonals, np.float64)[errors.image], errors.size)
    cost = np.where(errors.predicted, errors.distance, instead)
    count = np.bincount(errors.image, minlength=errors.images)
    total = np.bincount(errors.image, cost, errors.images)
    there = np.flatnonzero(count)
    ranked: list[int] = there[np.argsort(total[there] / count[there], kind="stable")].tolist()
    return ranked


def choose(ranking: Sequence[int]) -> list[tuple[str, list[int]]]:
    """Rows of the sheet: best, median and worst images, none of them twice."""
    if len(ranking) <= COLUMNS:
        return [("best first", list(ranking))] if ranking else []
    each = min(COLUMNS, -(-len(ranking) // len(_ROWS)))
    best, rest, worst = ranking[:each], ranking[each:-each], ranking[-each:]
    start = (len(rest) - min(each, len(rest))) // 2
    return [
        (title, list(images))
        for title, images in zip(_ROWS, (best, rest[start : start + each], worst), strict=True)
    ]


def describe_error(labels: LabelledImage, errors: KeypointErrors, image: int) -> str:
    """Name an image, its mean error, and how many keypoints were not found."""
    own = errors.distance[errors.image == image]
    missing = int(np.isnan(own).sum())
    mean = f"   {np.nanmean(own):.1f} px" if missing < len(own) else ""
    name = _short(Path(labels.name).name, 14 if missing else 22)
    return f"{name}{mean}" + (f", {missing} missing" if missing else "")


def draw_panel(
    axes: Axes,
    labels: LabelledImage,
    found: Frame,
    match: Matches,
    skeleton: Skeleton,
    colours: Sequence[str],
) -> None:
    """Draw the labels of an image as rings and what was found as dots, zoomed to the animals.

    Args:
        axes: to draw on.
        labels: the image.
        found: its prediction.
        match: which prediction belongs to which animal.
        skeleton: of both.
        colours: of the keypoints.
    """
    truth = labels.instances.keypoints.astype(np.float64)
    guess = found.instances.keypoints.astype(np.float64)
    k = skeleton.num_keypoints
    shown = [truth.reshape(-1, 2), guess[match.predicted].reshape(-1, 2)]
    # Those that the model cannot find have no metrics and no colour.
    unique = _unique_points(labels, found) if len(colours) > k else []
    shown.extend(unique)
    window = show_window(axes, labels, np.concatenate(shown))
    outline = [withStroke(linewidth=2.8, foreground="black")]
    # Many keypoints need smaller signs to be told apart.
    size = 1.0 if sum(int(present_keypoints(p).sum()) for p in shown) <= 40 else 0.7

    def draw(true: Floats, predicted: Floats, palette: Sequence[str]) -> None:
        for (tx, ty), (px, py), colour in zip(true, predicted, palette, strict=True):
            axes.plot([tx, px], [ty, py], color="white", linewidth=1.3 * size, zorder=3, path_effects=outline)
            axes.plot(
                tx,
                ty,
                "o",
                mfc="none",
                mec=colour,
                mew=1.8 * size,
                markersize=9.5 * size,
                zorder=4,
                path_effects=outline,
            )
            axes.plot(px, py, "o", mfc=colour, mec="white", mew=0.9 * size, markersize=5.6 * size, zorder=5)

    for row, at in zip(match.labelled, match.predicted, strict=True):
        draw(truth[row], guess[at], colours[:k])
    for row in match.missed:
        draw(truth[row], np.full_like(truth[row], np.nan), colours[:k])
    for at in match.false:
        axes.plot(*guess[at].T, "x", color="white", markersize=6, mew=1.6, zorder=3, path_effects=outline)
    if len(unique):
        draw(unique[0], unique[1], colours[k:])
    _scale_bar(axes, window)


def _unique_points(labels: LabelledImage, found: Frame) -> list[Floats]:
    """Labelled and predicted keypoints that exist once an image, same shape; empty if there are none."""
    if not len(labels.unique_keypoints):
        return []
    true = labels.unique_keypoints.astype(np.float64)
    predicted = np.full_like(true, np.nan)
    if len(found.unique_keypoints):
        predicted[:] = found.unique_keypoints
    return [true, np.where(present_keypoints(true)[:, None], predicted, np.nan)]


def view(points: npt.NDArray[np.float64], width: int, height: int) -> tuple[float, float, float, float]:
    """A square window ``x0, y0, x1, y1`` around the points, with free space; predictions out of the image do
    not enlarge it beyond the image."""
    size = np.array([width, height], np.float64)
    inside = points[present_keypoints(points)].clip(-0.5, size - 0.5)
    low, high = inside.min(axis=0), inside.max(axis=0)
    side = max(float((high - low).max()) * (1 + 2 * _MARGIN), _SMALLEST_VIEW)
    # Moved into the image where it fits into it, centred on it where it does not.
    corner = np.where(
        side <= size,
        ((low + high - side) / 2).clip(-0.5, np.maximum(size - side, 0) - 0.5),
        (size - 1 - side) / 2,
    )
    (x0, y0), (x1, y1) = corner.tolist(), (corner + side).tolist()
    return x0, y0, x1, y1


def show_window(
    axes: Axes, labels: LabelledImage, points: npt.NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """Show the part of an image around some points, without ticks and frame.

    Args:
        axes: to draw on.
        labels: the image.
        points: (P, 2) pixels of the image, NaN where missing.

    Returns:
        x0, y0, x1, y1 of what is shown.
    """
    x0, y0, x1, y1 = window = view(points, labels.width, labels.height)
    axes.set_facecolor(FAINT)
    axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    # Whether an image can be read is reported elsewhere; its labels are drawn on grey then.
    with suppress(DataError):
        axes.imshow(read_image(labels.image), interpolation="bilinear")
    axes.set_xlim(x0, x1)
    axes.set_ylim(y1, y0)
    axes.set_aspect("equal")
    return window


def _scale_bar(axes: Axes, window: tuple[float, float, float, float]) -> None:
    """A bar of a round number of pixels, about a fifth of the window, in its lower left corner."""
    x0, _, x1, y1 = window
    side = x1 - x0
    unit = 10 ** np.floor(np.log10(side / 5))
    length = float(max(m * unit for m in (1, 2, 5) if m * unit <= side / 5))
    x, y = x0 + 0.05 * side, y1 - 0.05 * side
    outline = [withStroke(linewidth=2.5, foreground="black")]
    axes.plot([x, x + length], [y, y], color="white", linewidth=2.2, solid_capstyle="butt", zorder=6,
              path_effects=[withStroke(linewidth=4, foreground="black")])  # fmt: skip
    axes.text(
        x,
        y - 0.025 * side,
        f"{length:g} px",
        color="white",
        fontsize=8,
        va="bottom",
        zorder=6,
        path_effects=outline,
    )


class LegendLayout:
    """Draw the legend below the images: the signs, and the colours of up to 40 keypoints."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names if len(names) <= 40 else ()
        self.columns = max(1, min(len(self.names), 100 // (max((len(n) for n in self.names), default=0) + 5)))
        self.height = 0.35 + 0.24 * -(-len(self.names) // self.columns)

    def draw(self, axes: Axes, colours: Sequence[str]) -> None:
        axes.set_axis_off()
        signs = [
            Line2D(
                [],
                [],
                marker="o",
                mfc="none",
                mec=INK,
                mew=1.8,
                markersize=9,
                linestyle="none",
                label="labelled",
            ),
            Line2D(
                [], [], marker="o", mfc=INK, mec="white", markersize=6.5, linestyle="none", label="predicted"
            ),
            Line2D([], [], color=INK, linewidth=1.3, label="error"),
            Line2D(
                [],
                [],
                marker="x",
                color=GREY,
                mew=1.6,
                markersize=6,
                linestyle="none",
                label="false positive",
            ),
        ]
        look: Any = {"frameon": False, "fontsize": 9.5, "borderpad": 0, "borderaxespad": 0}
        axes.add_artist(axes.legend(handles=signs, loc="lower center", ncols=len(signs), **look))
        points = [
            Line2D([], [], marker="s", color=colour, markersize=8, linestyle="none", label=name)
            for name, colour in zip(self.names, colours, strict=False)
        ]
        if points:
            axes.legend(handles=points, loc="upper center", ncols=self.columns, **look)


def _short(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"…{name[-longest + 1 :]}"
