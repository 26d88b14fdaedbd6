"""Animals of other training images, put into this one with their labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pose_core.interfaces import LabelledView, LabelTransform, PlacedLabels, TransformContext, cover_labels
from pose_core.structures import ByteArray, FloatArray
from pose_effects.config import CopyPasteConfig

_TRIES = 10
_OPAQUE = 0.5


@dataclass(frozen=True, eq=False)
class _Patch:
    """A part of another image: its pixels, how much of each shows, and the animals in it, in its own pixels."""

    image: ByteArray
    opacity: FloatArray
    labels: PlacedLabels


class CopyPaste(LabelTransform):
    """Cut animals out of another image by their boxes and put them into this one (Ghiasi et al. 2021, who cut along
    masks).

    A box is cut with a margin, over which it fades out. What else is labelled in it comes along. The animals that are
    put in have no name. The animal that a crop is about stays the first.
    """

    adds_animals = True

    def __init__(self, config: CopyPasteConfig, context: TransformContext) -> None:
        super().__init__(config, context)
        self._config = config

    def change_view(self, view: LabelledView, rng: np.random.Generator) -> LabelledView:
        """Draw how many, which, and where; where none has room, nothing is put in."""
        for _ in range(int(rng.integers(1, self._config.most + 1))):
            patch = self._cut(view.draw_other(), rng)
            if patch is not None:
                view = self._paste(view, patch, rng)
        return view

    def _cut(self, other: LabelledView, rng: np.random.Generator) -> _Patch | None:
        labels = other.labels
        rows = np.flatnonzero(np.isfinite(labels.boxes).all(axis=1))
        if not len(rows):
            return None
        box = labels.boxes[rows[rng.integers(len(rows))]]
        around = self._config.margin * float((box[2:] - box[:2]).max())
        height, width = other.image.shape[:2]
        low = np.floor(box[:2] - around + 0.5).clip(0).astype(int)
        high = np.minimum(np.floor(box[2:] + around + 0.5).astype(int) + 1, [width, height])
        (left, top), (right, bottom) = low.tolist(), high.tolist()
        if right <= left or bottom <= top:
            return None
        opacity = np.outer(_fade(bottom - top, around), _fade(right - left, around)).astype(np.float32)
        moved = _take_part(labels, low, opacity > _OPAQUE, list(self.context.skeleton.landmark_indices))
        return _Patch(other.image[top:bottom, left:right], opacity, moved)

    def _paste(self, view: LabelledView, patch: _Patch, rng: np.random.Generator) -> LabelledView:
        rows, columns = patch.opacity.shape
        height, width = view.image.shape[:2]
        if rows > height or columns > width:
            return view
        for _ in range(_TRIES):
            left, top = int(rng.integers(width - columns + 1)), int(rng.integers(height - rows + 1))
            if _cover(view.labels.boxes, left, top, columns, rows) <= self._config.overlap:
                break
        else:
            return view
        place = slice(top, top + rows), slice(left, left + columns)
        opacity = patch.opacity[..., None]
        image = view.image.copy()
        image[place] = np.rint(opacity * patch.image + (1 - opacity) * image[place]).astype(np.uint8)
        hidden = np.zeros((height, width), bool)
        hidden[place] = patch.opacity > _OPAQUE
        labels = cover_labels(view.labels, hidden, self._config.covered)
        return replace(view, image=image, labels=_append(labels, patch.labels, (left, top)))


def _fade(length: int, around: float) -> npt.NDArray[np.float64]:
    """Opacity along a side: 1, but rising from the ends over the margin."""
    steps = np.arange(length)
    return np.minimum(1.0, (np.minimum(steps, steps[::-1]) + 1) / (around + 1))


def _cover(boxes: FloatArray, left: int, top: int, columns: int, rows: int) -> float:
    """The largest part of a box (N, 4) that a patch would cover; NaN boxes are not covered."""
    low = np.maximum(boxes[:, :2], [left - 0.5, top - 0.5])
    high = np.minimum(boxes[:, 2:], [left + columns - 0.5, top + rows - 0.5])
    common = (high - low).clip(0).prod(axis=1)
    # A box of one keypoint has no area: covered, it is covered wholly.
    inside = ((high - low) >= 0).all(axis=1)
    whole = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    parts = np.where(whole > 0, common / np.maximum(whole, 1e-6), inside.astype(np.float32))
    return float(np.nan_to_num(parts).max(initial=0.0))


def _take_part(
    labels: PlacedLabels, low: npt.NDArray[np.int_], shown: npt.NDArray[np.bool_], landmarks: list[int]
) -> PlacedLabels:
    """The animals in a part of an image that begins at pixel ``low``, in pixels of the part."""
    height, width = shown.shape
    first = low.astype(np.float32)
    limit = np.array([width, height], np.float32) - 0.5
    boxes = (labels.boxes.reshape(-1, 2, 2) - first).clip(-0.5, limit).reshape(-1, 4)
    inside = cover_labels(
        replace(
            labels,
            keypoints=_within(labels.keypoints - first, limit),
            boxes=boxes,
            identity=np.full_like(labels.identity, -1),
        ),
        ~shown,
        "remove",
    )
    inside.keypoints[:, landmarks] = np.nan
    seen = ~np.isnan(inside.keypoints[..., 0])
    # Of animals without a keypoint in the part, those whose box has its middle in it.
    middle = (labels.boxes[:, :2] + labels.boxes[:, 2:]) / 2 - first
    unlabelled = np.isnan(labels.keypoints[..., 0]).all(axis=1)
    rows = seen.any(axis=1) | (unlabelled & ((middle > -0.5) & (middle < limit)).all(axis=1))
    return replace(
        inside,
        keypoints=inside.keypoints[rows],
        occluded=(inside.occluded & seen)[rows],
        boxes=inside.boxes[rows],
        areas=inside.areas[rows],
        identity=inside.identity[rows],
        absent=None if inside.absent is None else np.zeros_like(inside.absent[rows]),
    )


def _within(points: FloatArray, limit: FloatArray) -> FloatArray:
    outside = ~((points >= -0.5) & (points <= limit)).all(axis=-1, keepdims=True)
    return np.where(outside, np.float32(np.nan), points)


def _append(labels: PlacedLabels, added: PlacedLabels, place: tuple[int, int]) -> PlacedLabels:
    shift = np.array(place, np.float32)
    return replace(
        labels,
        keypoints=np.concatenate([labels.keypoints, added.keypoints + shift]),
        occluded=np.concatenate([labels.occluded, added.occluded]),
        boxes=np.concatenate([labels.boxes, added.boxes + np.tile(shift, 2)]),
        areas=np.concatenate([labels.areas, added.areas]),
        identity=np.concatenate([labels.identity, added.identity]),
        absent=None
        if labels.absent is None or added.absent is None
        else np.concatenate([labels.absent, added.absent]),
    )
