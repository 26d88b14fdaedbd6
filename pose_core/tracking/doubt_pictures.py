"""Pictures of doubtful moments: before, at and after, with tracks drawn."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import cv2
import numpy as np

from pose_core.data.draw_tracks import TrackDrawing, View, write_label
from pose_core.errors import PoseError
from pose_core.structures import ByteArray, Frame, Skeleton
from pose_core.tracking.doubts import Doubt
from pose_core.tracking.frame_images import ReadImage

_ASIDE = 10
"""Frames between a moment and the pictures before and after it."""

_FARTHEST = 45
"""Frames between the pictures, at most: of a long moment its middle is shown."""

_TRAIL = 15
_PANEL = 340
_GAP = 6
_AROUND = 0.6


class DoubtPictures:
    """Collect what is drawn of doubtful moments, as frames with tracks pass.

    Args:
        skeleton: of the predictions.
        doubts: those that are shown.
        first, last: numbers of the first and the last frame.
    """

    def __init__(self, skeleton: Skeleton, doubts: Sequence[Doubt], first: int, last: int) -> None:
        self._drawing = TrackDrawing(skeleton, _TRAIL, radius=4)
        self.doubts = doubts
        self._moments = [choose_frames(doubt, first, last) for doubt in doubts]
        # Of frames that are not there the next one is shown.
        self._wanted = sorted({frame for moment in self._moments for frame in moment})
        self._found: dict[int, tuple[Frame, TrackDrawing]] = {}

    def add(self, frame: Frame) -> None:
        """Take note of a frame with tracks; kept are those that will be drawn."""
        self._drawing.add(frame)
        while self._wanted and frame.index >= self._wanted[0]:
            wanted = self._wanted.pop(0)
            self._found[wanted] = frame, copy.deepcopy(self._drawing)

    def draw(self, read: ReadImage) -> list[bytes | str]:
        """Draw a picture for each moment: a PNG file, or why there is none."""
        pictures: list[bytes | str] = []
        for doubt, moment in zip(self.doubts, self._moments, strict=True):
            found = [self._found[number] for number in moment if number in self._found]
            try:
                pictures.append(self._draw(doubt, found, read))
            except PoseError as error:
                pictures.append(f"no picture: {error}")
        return pictures

    def _draw(self, doubt: Doubt, found: Sequence[tuple[Frame, TrackDrawing]], read: ReadImage) -> bytes:
        panels: list[ByteArray] = []
        view: tuple[int, int, int] | None = None
        for frame, drawing in found:
            image = read(frame)
            if view is None:
                view = _choose_view(
                    [frame for frame, _ in found], doubt.tracks, image.shape[1], image.shape[0]
                )
            x, y, side = view
            part = image[y : y + side, x : x + side]
            scale = _PANEL / max(side, 1)
            size = [min(max(round(length * scale), 1), _PANEL) for length in part.shape[1::-1]]
            enlarged = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
            drawn = np.full((_PANEL, _PANEL, 3), 255, np.uint8)
            drawn[: size[1], : size[0]] = drawing.draw(enlarged, frame, View(x, y, scale))
            write_label(drawn, f"frame {frame.index}", (0, _PANEL), (255, 255, 255))
            panels += [drawn, np.full((_PANEL, _GAP, 3), 255, np.uint8)]
        whole = np.concatenate(panels[:-1], axis=1)
        return cv2.imencode(".png", whole[..., ::-1])[1].tobytes()


def choose_frames(doubt: Doubt, first: int, last: int) -> tuple[int, int, int]:
    """Choose the frames before, at and after a moment that are shown, from ``first`` to ``last``."""
    before = max(doubt.first - _ASIDE, doubt.frame - _FARTHEST, first)
    after = min(doubt.last + _ASIDE, doubt.frame + _FARTHEST, last)
    return before, doubt.frame, max(after, doubt.frame)


def _choose_view(
    frames: Sequence[Frame], tracks: tuple[int, ...], width: int, height: int
) -> tuple[int, int, int]:
    """Choose the square (x, y, side) of the frame that shows these tracks in all frames."""
    boxes = [f.instances.animal_boxes()[np.isin(f.instances.track, tracks)] for f in frames]
    known = np.concatenate(boxes)
    known = known[np.isfinite(known).all(axis=1)]
    if not len(known):
        return 0, 0, max(width, height)
    low, high = known[:, :2].min(axis=0), known[:, 2:].max(axis=0)
    size = float((known[:, 2:] - known[:, :2]).max())
    side = round(min(float((high - low).max()) + 2 * _AROUND * size, float(min(width, height))))
    x, y = ((low + high) / 2 - side / 2).round().astype(int).tolist()
    return max(min(x, width - side), 0), max(min(y, height - side), 0), max(side, 1)
