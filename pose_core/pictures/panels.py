"""Draw an image, and animals, candidates and boxes over it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import AbstractPathEffect, withStroke

from pose_core.data.palette import animal_colour, keypoint_colours, to_hex
from pose_core.structures import ByteArray, Skeleton

Floats = npt.NDArray[np.float32]

OUTLINE: list[AbstractPathEffect] = [withStroke(linewidth=2.4, foreground="black")]


def show_image(axes: Axes, image: ByteArray) -> None:
    """Show an image without ticks and frame; its pixels are the coordinates of the panel.

    Args:
        axes: to draw on.
        image: (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    axes.imshow(image, interpolation="bilinear")
    axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)


def name_colours(skeleton: Skeleton) -> dict[str, str]:
    """The colour of each keypoint, by its name, for a legend."""
    colours = keypoint_colours(skeleton.num_keypoints)
    return {name: to_hex(colour) for name, colour in zip(skeleton.keypoints, colours, strict=True)}


def count(number: int, what: str) -> str:
    """``1 animal``, ``2 animals``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def draw_poses(
    axes: Axes,
    keypoints: Floats,
    skeleton: Skeleton,
    *,
    hidden: npt.NDArray[np.bool_] | None = None,
    unique: Floats | None = None,
    by_animal: bool = False,
) -> None:
    """Draw animals: limbs as lines, keypoints as dots in their colours.

    Args:
        axes: to draw on.
        keypoints: (N, K, 2) pixels of the panel, NaN where missing.
        skeleton: which keypoints there are and how they are joined.
        hidden: (N, K), keypoints that are drawn as rings; None: none.
        unique: (U, 2), drawn as white squares.
        by_animal: a colour an animal, not one a keypoint.
    """
    colours = [to_hex(colour) for colour in keypoint_colours(skeleton.num_keypoints)]
    for animal, pose in enumerate(keypoints):
        present = np.isfinite(pose).all(axis=-1)
        own = to_hex(animal_colour(animal))
        for a, b in skeleton.edge_indices:
            if present[a] and present[b]:
                line = own if by_animal else "white"
                axes.plot(
                    *pose[[a, b]].T, color=line, linewidth=1.1, alpha=0.85, zorder=4, path_effects=OUTLINE
                )
        for k in np.flatnonzero(present).tolist():
            ring = hidden is not None and bool(hidden[animal, k])
            colour = own if by_animal else colours[k]
            look: Any = (
                {"mfc": "none", "mec": colour, "mew": 1.6}
                if ring
                else {"mfc": colour, "mec": "white", "mew": 0.7}
            )
            axes.plot(*pose[k], "o", markersize=5, zorder=5, **look)
    if unique is not None:
        for x, y in unique[np.isfinite(unique).all(axis=-1)]:
            axes.plot(
                x, y, "s", mfc="none", mec="white", mew=1.4, markersize=6, zorder=5, path_effects=OUTLINE
            )


def draw_candidates(axes: Axes, keypoints: Floats, scores: Floats) -> None:
    """Draw candidates for keypoints as crosses, the thicker the higher their score.

    Args:
        axes: to draw on.
        keypoints: (N, K, 2) pixels of the panel, NaN where missing.
        scores: (N, K).
    """
    colours = [to_hex(colour) for colour in keypoint_colours(keypoints.shape[1])]
    present = np.isfinite(keypoints).all(axis=-1) & (scores > 0)
    for animal, k in np.argwhere(present).tolist():
        width = 1.0 + 1.6 * float(scores[animal, k])
        axes.plot(
            *keypoints[animal, k],
            "x",
            color=colours[k],
            markersize=6,
            mew=width,
            zorder=5,
            path_effects=OUTLINE,
        )


def draw_boxes(axes: Axes, boxes: Floats, scores: Floats | None = None) -> None:
    """Draw boxes, each with its score; one without an extent is a cross.

    Args:
        axes: to draw on.
        boxes: (N, 4) ``x1, y1, x2, y2`` in pixels of the panel; NaN is none.
        scores: (N,), or None to leave them out.
    """
    for number in np.flatnonzero(np.isfinite(boxes).all(axis=-1)).tolist():
        x1, y1, x2, y2 = boxes[number].tolist()
        colour = to_hex(animal_colour(number))
        if x1 == x2 and y1 == y2:
            axes.plot(x1, y1, "P", color=colour, mec="white", mew=0.8, markersize=9, zorder=5)
        else:
            patch = Rectangle(
                (x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.8, zorder=5
            )
            patch.set_path_effects(OUTLINE)
            axes.add_patch(patch)
        if scores is not None:
            axes.text(x1, y1, f"{scores[number]:.2f}", color=colour, fontsize=8, va="bottom", zorder=6,
                      path_effects=OUTLINE, clip_on=True)  # fmt: skip
