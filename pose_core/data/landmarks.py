"""Tell landmarks, keypoints that do not move with the animal, from the labels.

Corners of an arena, levers and food ports stand among the body parts in many projects. They are part of no
animal: its size, its box and everything that is measured against these come from the other keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pose_core.structures import (
    LabelledDataset,
    LabelledImage,
    Skeleton,
    VideoFrame,
    keypoint_boxes,
    present_keypoints,
)

FEWEST_LABELS = 5
"""Labels of a keypoint in one recording that say whether it moves."""

STILL = 0.1
"""A landmark's spread is at most this fraction of the way that the animals move."""

STILL_IN_FRAME = 0.02
"""And at most this fraction of the frame's diagonal, which allows for a camera that was touched."""

LARGEST_TURN = 25.0
"""Degrees by which a view is turned at most in which landmarks count: turned further, or mirrored, the corners
of an arena look like each other."""

# Animals that stay where they are say nothing: the nose of a fixed head does not move either.
_MOVES_BODY = 0.25
_MOVES_FRAME = 0.08
_MOVES_FRAME_ONE = 0.2

_Floats = npt.NDArray[np.float64]


def find_landmarks(dataset: LabelledDataset, rows: Sequence[int]) -> tuple[str, ...]:
    """Find the keypoints that stay where they are while the animals move about.

    Labels are looked at by recording (the folder of the images, or the video), for the camera may stand
    elsewhere in the next. The spread of a keypoint is the distance from its median place within which 90 % of
    its labels lie. Keypoints with at least half of the largest spread tell how far the animals move: their
    centre must move by a quarter of the animal's length and 8 % of the frame's diagonal (20 % where there is
    one such keypoint, whose animal has no length), or the recording says nothing. A landmark is still in one
    recording and moves in none.

    Args:
        dataset: the project; its animals are pooled.
        rows: the images to look at.

    Returns:
        names, in the skeleton's order.
    """
    records = [dataset.images[row] for row in rows]
    counts = [len(record.instances) for record in records]
    if dataset.skeleton.num_keypoints < 2 or not sum(counts):
        return ()
    points = np.concatenate([record.instances.keypoints for record in records]).astype(np.float64)
    recordings = [_name_recording(record) for record in records]
    # Where each recording has a few images only, those of one size may be of one camera.
    for places in (recordings, [("", *place[1:]) for place in recordings]):
        known = {place: number for number, place in enumerate(dict.fromkeys(places))}
        group = np.repeat([known[place] for place in places], counts)
        verdicts = np.stack(
            [_judge(points[group == number], np.hypot(*place[1:])) for place, number in known.items()]
        )
        if (verdicts != 0).any():
            break
    still = (verdicts.max(axis=0) > 0) & (verdicts.min(axis=0) >= 0)
    return tuple(dataset.skeleton.keypoints[i] for i in np.flatnonzero(still))


def tell_landmarks(dataset: LabelledDataset, rows: Sequence[int]) -> LabelledDataset:
    """The project with its landmarks: those that it declares, else those of :func:`find_landmarks`.

    Landmarks that are found are in no left/right pair: what is left in the frame is not left of the animal.
    """
    skeleton = dataset.skeleton
    if skeleton.landmarks is None:
        found = find_landmarks(dataset, rows)
        pairs = tuple(pair for pair in skeleton.symmetry if not set(pair) & set(found))
        skeleton = replace(skeleton, landmarks=found, symmetry=pairs)
    return with_skeleton(dataset, skeleton)


def with_skeleton(dataset: LabelledDataset, skeleton: Skeleton) -> LabelledDataset:
    """The project with the skeleton of a run, which may know landmarks and pairs.

    Boxes that readers put around all keypoints are put around those of the animal.

    Args:
        dataset: as it was read, or as this function returned it.
        skeleton: with the same keypoints.
    """
    images = dataset.images
    if skeleton.landmarks:
        before, now = list(dataset.skeleton.body_indices), list(skeleton.body_indices)
        images = tuple(_with_boxes(image, before, now) for image in images)
    return replace(dataset, skeleton=skeleton, images=images)


def _with_boxes(image: LabelledImage, before: list[int], now: list[int]) -> LabelledImage:
    instances = image.instances
    # Readers put boxes around all keypoints, also where the project declares landmarks.
    tight = [keypoint_boxes(points) for points in (instances.keypoints, instances.keypoints[:, before])]
    around = np.any([(instances.boxes == box).all(axis=1, keepdims=True) for box in tight], axis=0)
    around |= ~np.isfinite(instances.boxes).all(axis=1, keepdims=True)
    # A box that differs was drawn by hand.
    boxes = np.where(around, keypoint_boxes(instances.keypoints[:, now]), instances.boxes)
    return replace(image, instances=replace(instances, boxes=boxes))


def _name_recording(record: LabelledImage) -> tuple[str, int, int]:
    """Where the image comes from, and its width and height."""
    image = record.image
    place = image.path if isinstance(image, VideoFrame) else image.path.parent
    return str(place), record.width, record.height


def _judge(points: _Floats, diagonal: float) -> npt.NDArray[np.int64]:
    """Judge each keypoint by the labels of one recording.

    Args:
        points: (A, K, 2), NaN where missing.
        diagonal: of its frames.

    Returns:
        (K,) 1 where it is still, -1 where it moves, 0 where that cannot be told.
    """
    labelled = present_keypoints(points)
    enough: npt.NDArray[np.bool_] = labelled.sum(axis=0) >= FEWEST_LABELS
    verdict = np.zeros(len(enough), np.int64)
    if not enough.any():
        return verdict
    spread: _Floats = np.full(len(enough), np.nan)
    spread[enough] = _spread(points[:, enough])
    body = np.flatnonzero(enough & (spread >= np.nanmax(spread) / 2))
    body_points, body_labelled = points[:, body], labelled[:, body]
    seen = np.asarray(body_labelled.any(axis=1))
    centre = np.full((len(points), 2), np.nan)
    centre[seen] = np.where(body_labelled[seen, :, None], body_points[seen], 0).sum(axis=1)
    centre[seen] /= body_labelled[seen].sum(axis=1, keepdims=True)
    # How far the animals move in the images in which the keypoint is labelled.
    both = labelled & seen[:, None]
    enough &= both.sum(axis=0) >= FEWEST_LABELS
    if not enough.any():
        return verdict
    moved = np.full(len(enough), np.nan)
    moved[enough] = _spread(np.where(both[:, enough, None], centre[:, None], np.nan))
    boxes = keypoint_boxes(body_points.astype(np.float32))[seen]
    length = float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1)))
    least = _MOVES_FRAME_ONE if len(body) == 1 else _MOVES_FRAME
    with np.errstate(invalid="ignore"):
        told = enough & (moved >= np.maximum(_MOVES_BODY * length, least * diagonal))
        still = (spread <= STILL * moved) & (spread <= STILL_IN_FRAME * diagonal)
        moves = spread > STILL_IN_FRAME * diagonal
    verdict[told & still] = 1
    verdict[(told & ~still) | (enough & moves)] = -1
    return verdict


def _spread(points: _Floats) -> _Floats:
    """Distance from the median place within which 90 % of the points (A, K, 2) lie, (K,)."""
    median = np.nanmedian(points, axis=0)
    spread: _Floats = np.nanpercentile(np.linalg.norm(points - median, axis=-1), 90, axis=0)
    return spread
