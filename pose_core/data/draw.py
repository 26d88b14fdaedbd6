"""Draw animals into pictures. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from pose_core.data.palette import Colour, animal_colour, keypoint_colours
from pose_core.structures import ByteArray, FloatArray, Frame, Instances, Skeleton

_UNIQUE: Colour = (255, 255, 255)
_GREY: Colour = (150, 150, 150)

# cv2 takes positions in fractions of a pixel as whole numbers.
_BITS = 4
_FAR = 2**14  # what lies further outside is not drawn: cv2 counts in 32 bits


def draw_instances(
    image: ByteArray,
    frame: Frame | Instances,
    skeleton: Skeleton,
    *,
    threshold: float = 0.0,
    colour_by: Literal["auto", "keypoint", "animal", "track"] = "auto",
    marker: Literal["dot", "ring", "cross"] = "dot",
    edges: bool = True,
    radius: float | None = None,
    boxes: bool = False,
    colours: Sequence[Colour] | None = None,
) -> ByteArray:
    """A copy of a picture with animals drawn into it.

    Args:
        image: (H, W, 3) uint8 RGB.
        frame: animals in pixels of the image; of a frame also its unique keypoints are drawn, as rings.
        skeleton: which keypoints there are and how they are joined.
        threshold: keypoints with a lower score are left out.
        colour_by: ``keypoint``: each keypoint has a colour; ``animal``: each track (or individual, or row)
            has; ``track``: the same, and animals without a track are grey; ``auto``: by animal where the
            skeleton has several individuals.
        marker: how a keypoint looks; another for truth than for prediction tells them apart.
        edges: whether limbs are drawn.
        radius: of the markers in pixels; by default fitting the picture.
        boxes: whether the box of every animal is drawn, with its score in percent; whatever its keypoints' scores.
        colours: one a keypoint, instead of the usual ones; for ``colour_by: keypoint``.

    Returns:
        (H, W, 3) uint8 RGB, a new array.
    """
    canvas = np.ascontiguousarray(image).copy()
    instances = frame.instances if isinstance(frame, Frame) else frame
    size = radius if radius is not None else max(2.0, 0.006 * max(canvas.shape[:2]))
    width = max(1, round(size / 2.5))
    by_animal = colour_by in ("animal", "track") or (colour_by == "auto" and skeleton.num_individuals > 1)
    palette = list(colours) if colours is not None else keypoint_colours(skeleton.num_keypoints)
    for row in range(len(instances)):
        points = instances.keypoints[row]
        shown = _shown(points, instances.keypoint_scores[row], threshold)
        if by_animal:
            grey = colour_by == "track" and instances.track[row] < 0
            colour = _GREY if grey else animal_colour(_number(instances, row))
            palette = [colour] * skeleton.num_keypoints
        if boxes:
            _draw_box(canvas, instances, row, width)
        for a, b in skeleton.edge_indices if edges else ():
            if shown[a] and shown[b]:
                colour = _mean(palette[a], palette[b])
                cv2.line(canvas, _fixed(points[a]), _fixed(points[b]), colour, width, cv2.LINE_AA, _BITS)
        for k in np.flatnonzero(shown).tolist():
            _mark(canvas, points[k], palette[k], marker, size, width)
    if isinstance(frame, Frame):
        unique = _shown(frame.unique_keypoints, frame.unique_scores, threshold)
        for u in np.flatnonzero(unique).tolist():
            _mark(canvas, frame.unique_keypoints[u], _UNIQUE, "ring", size, width)
    return canvas


def draw_note(image: ByteArray, text: str) -> ByteArray:
    """A darkened copy of a picture with a line of text at the top left."""
    canvas = (np.ascontiguousarray(image) // 3).astype(np.uint8)
    scale = max(0.4, canvas.shape[1] / 1000)
    at = (round(20 * scale), round(40 * scale))
    cv2.putText(
        canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), max(1, round(scale)), cv2.LINE_AA
    )
    return canvas


def _draw_box(canvas: ByteArray, instances: Instances, row: int, width: int) -> None:
    box = instances.boxes[row]
    if not (np.isfinite(box).all() and (np.abs(box) < _FAR).all()):
        return
    colour = animal_colour(_number(instances, row))
    cv2.rectangle(canvas, _fixed(box[:2]), _fixed(box[2:]), colour, width, cv2.LINE_AA, _BITS)
    size = max(0.35, canvas.shape[1] / 1600)
    # Above the box, or in it where there is no room.
    at = round(float(box[0])), round(max(float(box[1]) - 2 * width, 25 * size))
    text = str(round(100 * float(instances.scores[row])))
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, max(1, width // 2), cv2.LINE_AA)


def _shown(
    points: FloatArray, scores: FloatArray, threshold: float
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    with np.errstate(invalid="ignore"):
        return (np.abs(points) < _FAR).all(axis=-1) & (scores >= threshold)


def _number(instances: Instances, row: int) -> int:
    for numbers in (instances.track, instances.identity):
        if numbers[row] >= 0:
            return int(numbers[row])
    return row


def _fixed(point: FloatArray) -> tuple[int, int]:
    return round(float(point[0]) * 2**_BITS), round(float(point[1]) * 2**_BITS)


def _mean(a: Colour, b: Colour) -> Colour:
    return (a[0] + b[0]) // 2, (a[1] + b[1]) // 2, (a[2] + b[2]) // 2


def _mark(
    canvas: ByteArray, point: FloatArray, colour: Colour, marker: str, radius: float, width: int
) -> None:
    if marker == "cross":
        for dx, dy in ((radius, radius), (radius, -radius)):
            step = np.array([dx, dy], np.float32)
            cv2.line(canvas, _fixed(point - step), _fixed(point + step), colour, width, cv2.LINE_AA, _BITS)
        return
    thickness = cv2.FILLED if marker == "dot" else width
    cv2.circle(canvas, _fixed(point), round(radius * 2**_BITS), colour, thickness, cv2.LINE_AA, _BITS)
