"""Draw labelled images whose labels are in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patheffects import withStroke

from pose_core.data.palette import keypoint_colours, to_hex
from pose_core.evaluation.contact_sheet import show_window
from pose_core.inspection.suspicions import Suspicion
from pose_core.pictures.style import INK, style
from pose_core.structures import LabelledDataset, present_keypoints

IMAGES = 12
"""Images on a sheet."""

_COLUMNS = 4
_RING = withStroke(linewidth=3, foreground="black")


def draw_suspicions(dataset: LabelledDataset, suspicions: Sequence[Suspicion], path: Path) -> int:
    """Draw the animals with the most suspicious labels, zoomed, the labels in doubt in a red ring.

    Args:
        dataset: the labelled project.
        suspicions: the most suspicious first.
        path: PNG to write.

    Returns:
        the number of animals drawn; 0 where nothing is suspicious, and nothing is written.

    Raises:
        OSError: the file cannot be written.
    """
    by_animal: dict[tuple[int, int | None], list[Suspicion]] = {}
    for suspicion in suspicions:
        by_animal.setdefault((suspicion.image, suspicion.animal), []).append(suspicion)
    shown = list(by_animal.values())[:IMAGES]
    if not shown:
        return 0
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    with style():
        figure = Figure(
            figsize=(max(3.1 * columns, 6.2), 3.6 * rows + 0.4),
            layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06),
        )
        grid = figure.add_gridspec(rows, columns)
        for place, found in enumerate(shown):
            _draw_animal(figure.add_subplot(grid[place // columns, place % columns]), dataset, found)
        of = "" if len(by_animal) == len(shown) else f" {len(shown)} of {len(by_animal)} animals"
        figure.suptitle(
            f"Labels in doubt, the most suspicious first{':' + of if of else ''}",
            x=0.01, ha="left", fontsize=13, fontweight="bold",
        )  # fmt: skip
        figure.savefig(path)
    return len(shown)


def _draw_animal(axes: Axes, dataset: LabelledDataset, found: Sequence[Suspicion]) -> None:
    image, animal = dataset.images[found[0].image], found[0].animal
    points = image.instances.keypoints.astype(np.float64)
    own = points if animal is None else points[animal : animal + 1]
    show_window(axes, image, own.reshape(-1, 2))
    colours = [to_hex(colour) for colour in keypoint_colours(dataset.skeleton.num_keypoints)]
    doubtful = {keypoint for suspicion in found for keypoint in suspicion.keypoints}
    for pose in own:
        for a, b in dataset.skeleton.edge_indices:
            if present_keypoints(pose[[a, b]]).all():
                axes.plot(*pose[[a, b]].T, color="white", linewidth=1, alpha=0.7, zorder=2)
        for keypoint, (x, y) in enumerate(pose):
            if not np.isfinite([x, y]).all():
                continue
            axes.plot(x, y, "o", mfc=colours[keypoint], mec="white", mew=0.9, markersize=6, zorder=4)
            if keypoint in doubtful:
                axes.plot(x, y, "o", mfc="none", mec="#e11d48", mew=2, markersize=14, zorder=5,
                          path_effects=[_RING])  # fmt: skip
                axes.annotate(
                    dataset.skeleton.keypoints[keypoint], (x, y), xytext=(9, 7), textcoords="offset points",
                    fontsize=8, color="white", path_effects=[_RING], zorder=6, annotation_clip=True,
                )  # fmt: skip
    name = image.name if len(image.name) <= 34 else f"…{image.name[-33:]}"
    axes.set_title(
        f"{name}\n{_fold(found[0].reason)}", fontsize=8.5, fontweight="normal", loc="left", color=INK
    )


def _fold(text: str, width: int = 44) -> str:
    """Break a reason onto two lines where it is too long for its picture."""
    if len(text) <= width:
        return text
    cut = text.rfind(" ", 0, width)
    rest = text[cut + 1 :]
    return f"{text[:cut]}\n{rest if len(rest) <= width else rest[: width - 1] + '…'}"
