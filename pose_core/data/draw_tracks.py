"""Draw tracked animals: in the colours of their tracks, with their ids and the way that they came. No torch."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np

from pose_core.data.draw import draw_instances
from pose_core.data.palette import Colour, animal_colour
from pose_core.structures import ByteArray, FloatArray, Frame, Instances, Skeleton

TRAIL = 25
"""Frames of the way that is drawn by default."""

_BITS = 4
_FAR = 2**14


@dataclass(frozen=True)
class View:
    """The part of a frame that a picture shows.

    Attributes:
        x, y: the pixel of the frame that is at its top left.
        scale: pixels of the picture for each of the frame.
    """

    x: int = 0
    y: int = 0
    scale: float = 1.0

    def place(self, points: FloatArray) -> FloatArray:
        """Move points (..., 2) of the frame into the picture."""
        moved = (points - np.array([self.x, self.y]) + 0.5) * self.scale - 0.5
        return np.asarray(moved, np.float32)

    def move(self, frame: Frame) -> Frame:
        """Move all of a frame into the picture."""
        animals = frame.instances
        boxes = self.place(animals.boxes.reshape(-1, 2, 2)).reshape(-1, 4)
        moved = replace(animals, keypoints=self.place(animals.keypoints), boxes=boxes)
        return replace(frame, instances=moved, unique_keypoints=self.place(frame.unique_keypoints))


WHOLE = View()
"""All of a frame, as it is."""


class TrackDrawing:
    """Draw one frame after another; animals without a track are grey.

    Args:
        skeleton: of the predictions.
        trail: frames of the way that is drawn behind each track; 0: none.
        threshold, radius, boxes: as for :func:`~pose_core.data.draw.draw_instances`.

    Attributes:
        tracked: whether an animal had a track so far. Until then frames are drawn as without tracks.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        trail: int = TRAIL,
        *,
        threshold: float = 0.0,
        radius: float | None = None,
        boxes: bool = False,
    ) -> None:
        self.tracked = False
        self._skeleton, self._trail = skeleton, trail
        self._threshold, self._radius, self._boxes = threshold, radius, boxes
        # Of each track (frame, x, y), the latest at the end.
        self._ways: dict[int, deque[tuple[int, float, float]]] = {}

    def add(self, frame: Frame) -> None:
        """Take note of a frame, larger in number than those before, whether it is drawn or not."""
        animals = frame.instances
        self.tracked |= bool((animals.track >= 0).any())
        for row in np.flatnonzero(animals.track >= 0).tolist():
            centre = _find_centre(animals, row)
            if centre is not None:
                way = self._ways.setdefault(int(animals.track[row]), deque())
                way.append((frame.index, *centre))
        for track, way in list(self._ways.items()):
            while way and way[0][0] < frame.index - self._trail:
                way.popleft()
            if not way:
                del self._ways[track]

    def draw(self, image: ByteArray, frame: Frame, view: View = WHOLE) -> ByteArray:
        """Draw the frame that was added last into a copy of its picture.

        Args:
            image: (H, W, 3) uint8 RGB, what ``view`` shows.
            frame: in pixels of the whole frame.
            view: the part that the picture shows.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        frame = view.move(frame)
        canvas = np.ascontiguousarray(image).copy()
        size = self._radius if self._radius is not None else max(2.0, 0.006 * max(canvas.shape[:2]))
        width = max(1, round(size / 2.5))
        for track, way in self._ways.items():
            points = view.place(np.array([(x, y) for _, x, y in way], np.float32)).tolist()
            for number, (one, other) in enumerate(pairwise(points), 1):
                # Older parts are darker, which reads on any background.
                share = 0.35 + 0.65 * number / len(points)
                red, green, blue = (round(share * c) for c in animal_colour(track))
                cv2.line(canvas, _fix(one), _fix(other), (red, green, blue), width, cv2.LINE_AA, _BITS)
        canvas = draw_instances(
            canvas,
            frame,
            self._skeleton,
            threshold=self._threshold,
            radius=self._radius,
            boxes=self._boxes,
            colour_by="track" if self.tracked else "auto",
        )
        for row in np.flatnonzero(frame.instances.track >= 0).tolist():
            self._write_id(canvas, frame.instances, row)
        return canvas

    def _write_id(self, canvas: ByteArray, animals: Instances, row: int) -> None:
        """Write the id above an animal, or its name where it has one."""
        box = animals.animal_boxes()[row]
        if not (np.isfinite(box).all() and (np.abs(box) < _FAR).all()):
            return
        track, name = int(animals.track[row]), int(animals.identity[row])
        text = str(track)
        if 0 <= name < len(self._skeleton.individuals) and len(self._skeleton.individuals) > 1:
            text = self._skeleton.individuals[name]
        write_label(canvas, text, (float(box[0]), float(box[1]) - 4), animal_colour(track))


def write_label(canvas: ByteArray, text: str, at: tuple[float, float], colour: Colour) -> None:
    """Write black text on a ground of a colour, its bottom left at a place of the canvas, or within it at the edge."""
    scale = max(0.45, canvas.shape[1] / 1400)
    # The font has no letters beyond ASCII.
    text = text.encode("ascii", "replace").decode()
    (wide, high), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    pad = max(2, high // 5)
    x = int(np.clip(at[0], 0, max(canvas.shape[1] - wide - 2 * pad, 0)))
    y = int(np.clip(at[1], high + 2 * pad, canvas.shape[0] - below))
    cv2.rectangle(canvas, (x, y - high - 2 * pad), (x + wide + 2 * pad, y), colour, cv2.FILLED)
    place = (x + pad, y - pad)
    cv2.putText(
        canvas,
        text,
        place,
        cv2.FONT_HERSHEY_SIMPLEX,
        scale,
        (0, 0, 0),
        max(1, round(1.4 * scale)),
        cv2.LINE_AA,
    )


def _find_centre(animals: Instances, row: int) -> tuple[float, float] | None:
    """Find the mean of an animal's keypoints, or the centre of its box; None where it has neither."""
    points = animals.keypoints[row]
    points = points[np.isfinite(points).all(axis=1)]
    box = animals.boxes[row]
    centre = points.mean(axis=0) if len(points) else (box[:2] + box[2:]) / 2
    if not (np.isfinite(centre).all() and (np.abs(centre) < _FAR).all()):
        return None
    return float(centre[0]), float(centre[1])


def _fix(point: Sequence[float]) -> tuple[int, int]:
    return round(point[0] * 2**_BITS), round(point[1] * 2**_BITS)
