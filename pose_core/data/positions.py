"""Check where labels lie: outside their image, just beyond its edge, or at a place that means "not labelled".

One bad value in a file made by hand stands against all the good ones: of other tools' formats it is left out
with a note. Many bad values, or all of an image, say that the labels belong to other images; these are
refused, and so is every one in a strict format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError, listed
from pose_core.structures import (
    FloatArray,
    LabelledDataset,
    LabelledImage,
    keypoint_boxes,
    present_keypoints,
)

TOLERANCE = 1.0
"""Pixels by which a label may lie beyond the edge of its image; such a label is moved onto the edge.
Labelling tools that count pixel corners instead of centres put labels on the edge up to half a pixel
outside."""

MOST_OUTSIDE = 0.1
"""Fraction of the labels that may lie outside; with more, they belong to other images. One always may."""

_Mask = npt.NDArray[np.bool_]


def check_positions(dataset: LabelledDataset, strict: bool) -> LabelledDataset:
    """Refuse, leave out or move labels that no pixel is at.

    Args:
        dataset: as its reader made it; sizes of images are known.
        strict: refuse every label outside its image.

    Returns:
        the project, with a note for each kind of label that was left out or moved.

    Raises:
        DataError: nothing is labelled; labels are infinite; or too many are outside. Names ten and a count.
    """
    labels = _Labels(dataset)
    if not len(labels.points):
        # Boxes do for some networks; which one is trained is not known here (see make_split).
        if any(np.isfinite(image.instances.boxes).all(axis=1).any() for image in dataset.images):
            return dataset
        raise DataError(
            f"{dataset.root}: no keypoint is labelled in any of {len(dataset.images)} images; label some "
            "first"
        )
    infinite: _Mask = np.asarray(np.isinf(labels.points).any(axis=1))
    if infinite.any():
        raise DataError(
            f"{dataset.root}: {listed([f'{each} is infinite' for each in labels.describe(infinite)])}; "
            "correct or delete these labels"
        )
    coded, outside = labels.find_coded(strict), labels.beyond > TOLERANCE
    outside &= ~coded
    if refusal := _refuse(labels, outside, coded, strict):
        raise DataError(f"{dataset.root}: {refusal}")
    notes = []
    if coded.any():
        notes.append(
            f"{_count(coded)} at (-1, -1), or with others of the image at (0, 0), counted as not labelled, "
            f"the first is {labels.name_first(coded)}"
        )
    if outside.any():
        whose = "its image" if outside.sum() == 1 else "their images"
        notes.append(f"{_count(outside)} outside {whose} left out, the first is {labels.name_first(outside)}")
    near = (labels.beyond > 0) & ~coded & ~outside
    if near.any():
        notes.append(
            f"{near.sum()} labels up to {TOLERANCE:g} px outside their image were moved onto its edge"
        )
    if not notes:
        return dataset
    return _repair(dataset, labels, coded | outside, near, notes)


class _Labels:
    """All labelled keypoints of a project in one array, so that checks need no loop.

    Attributes:
        points: (L, 2) float32.
        places: (L,) where each is among all keypoints of all animals, which unique keypoints follow.
        image: (L,) row of the image.
        slot: (L,) index of the keypoint among ``names``.
        names: keypoints, then unique keypoints.
        sizes: (L, 2) width and height of its image.
        beyond: (L,) pixels by which it lies beyond the edge of its image; below 0 within it.
    """

    def __init__(self, dataset: LabelledDataset) -> None:
        skeleton, self.images = dataset.skeleton, dataset.images
        self.names = (*skeleton.keypoints, *skeleton.unique_keypoints)
        k, u = skeleton.num_keypoints, len(skeleton.unique_keypoints)
        counts = [len(i.instances) for i in self.images]
        points = np.concatenate(
            [i.instances.keypoints.reshape(-1, 2) for i in self.images]
            + [i.unique_keypoints for i in self.images]
        )
        rows = np.arange(len(self.images))
        image = np.concatenate([np.repeat(rows, np.multiply(counts, k)), np.repeat(rows, u)])
        slot = np.concatenate(
            [np.tile(np.arange(k), sum(counts)), np.tile(np.arange(u) + k, len(self.images))]
        )
        self.places = np.flatnonzero(~np.isnan(points).any(axis=1))
        self.points, self.image, self.slot = (each[self.places] for each in (points, image, slot))
        self._every, self._counts = points, counts
        sizes = np.array([(image.width, image.height) for image in self.images], np.float64)
        self.sizes = sizes[self.image]
        self.beyond = np.maximum(self.points - (self.sizes - 0.5), -0.5 - self.points).max(axis=1)

    def find_coded(self, strict: bool) -> _Mask:
        """Find labels that say "not labelled" in numbers, (L,) bool."""
        # No pixel is at -1, -1, and tools without a word for "missing" write it.
        coded: _Mask = (self.points == -1).all(axis=1)
        if strict:
            return coded & False
        # A single label may be in the very corner. Two cannot: no image shows two parts in one place,
        # exactly, at the origin of all places.
        corner = (self.points == 0).all(axis=1)
        several = np.bincount(self.image[corner], minlength=len(self.images)) > 1
        return np.asarray(coded | (corner & several[self.image]))

    def repaired(self, lost: _Mask, near: _Mask) -> list[tuple[FloatArray, FloatArray]]:
        """Take some labels out and move others onto the edge: keypoints and unique keypoints by image."""
        points = self._every.copy()
        points[self.places[lost]] = np.nan
        edge = (self.sizes[near] - 0.5).astype(np.float32)
        points[self.places[near]] = self.points[near].clip(np.float32(-0.5), edge)
        k, total = len(self.names) - self.images[0].unique_keypoints.shape[0], sum(self._counts)
        animals = np.split(points[: total * k].reshape(total, k, 2), np.cumsum(self._counts)[:-1])
        unique = points[total * k :].reshape(len(self.images), len(self.names) - k, 2)
        return list(zip(animals, unique, strict=True))

    def describe(self, which: _Mask) -> list[str]:
        """Describe labels for a message: ``image 'a.png': keypoint 'nose' at (3, 4)``."""
        return [
            f"image {self.images[self.image[i]].name!r}: keypoint {self.names[self.slot[i]]!r} at {self._at(i)}"
            for i in np.flatnonzero(which).tolist()
        ]

    def name_first(self, which: _Mask) -> str:
        """Name the first of some labels for a note: ``a.png nose at (3, 4) of 64 x 48``."""
        i = int(np.flatnonzero(which)[0])
        name = self.images[self.image[i]].name
        return f"{name} {self.names[self.slot[i]]} at {self._at(i)} of {self._size(i)}"

    def describe_outside(self, which: _Mask) -> list[str]:
        """Describe labels outside their images."""
        rows = np.flatnonzero(which).tolist()
        return [
            f"{each} is outside the {self._size(i)} image"
            for each, i in zip(self.describe(which), rows, strict=True)
        ]

    def _at(self, i: int) -> str:
        x, y = (f"{float(v):g}" for v in self.points[i])
        return f"({x}, {y})"

    def _size(self, i: int) -> str:
        width, height = self.sizes[i].astype(int)
        return f"{width} x {height}"


def _refuse(labels: _Labels, outside: _Mask, coded: _Mask, strict: bool) -> str:
    """Say why labels outside their images cannot be left out; empty where they can, or there are none."""
    if not outside.any():
        return ""
    said = listed(labels.describe_outside(outside))
    if strict:
        return f"{said}; correct or delete {'it' if outside.sum() == 1 else 'them'}"
    total = np.bincount(labels.image[~coded], minlength=len(labels.images))
    wrong = np.bincount(labels.image[outside], minlength=len(labels.images))
    # One label that is all of an image says nothing of its size; two that are both outside do.
    whole = np.flatnonzero((wrong == total) & (wrong > 1))
    many = outside.sum() > max(1, MOST_OUTSIDE * (~coded).sum())
    if not many and not len(whole):
        return ""
    what = f"{outside.sum()} of {(~coded).sum()} labels are outside their images"
    if not many:
        what += f", and all of image {labels.images[whole[0]].name!r}"
    return (
        f"{what}, so these are not the images that were labelled ({said}); restore those, or correct the "
        "labels"
    )


def _count(which: _Mask) -> str:
    return f"{which.sum()} label{'' if which.sum() == 1 else 's'}"


def _repair(
    dataset: LabelledDataset, labels: _Labels, lost: _Mask, near: _Mask, notes: Sequence[str]
) -> LabelledDataset:
    """Take labels out, and move those just beyond an edge onto it."""
    changed = set(labels.image[lost | near].tolist())
    kept: list[LabelledImage] = []
    emptied: list[str] = []
    for row, (image, (keypoints, unique)) in enumerate(
        zip(dataset.images, labels.repaired(lost, near), strict=True)
    ):
        new = _with_keypoints(image, keypoints, unique) if row in changed else image
        # Without its label an image must not become one that shows no animal.
        if row in changed and not len(new.instances) and not new.has_keypoint:
            emptied.append(image.name)
        else:
            kept.append(new)
    if emptied:
        count = "1 image has" if len(emptied) == 1 else f"{len(emptied)} images have"
        notes = [*notes, f"{count} no label left and cannot be used, the first is {emptied[0]}"]
    if not any(image.has_keypoint for image in kept):
        raise DataError(f"{dataset.root}: no label says where a keypoint is ({'; '.join(notes)})")
    return replace(dataset, images=tuple(kept), notes=(*dataset.notes, *notes))


def _with_keypoints(image: LabelledImage, keypoints: FloatArray, unique: FloatArray) -> LabelledImage:
    """Change the keypoints of an image, and what follows from them."""
    old = image.instances
    there = present_keypoints(keypoints)
    # A box around the keypoints follows them; one that was labelled stays.
    tight = np.isclose(old.boxes, keypoint_boxes(old.keypoints), equal_nan=True).all(axis=1, keepdims=True)
    boxes = np.where(tight, keypoint_boxes(keypoints), old.boxes)
    present = np.flatnonzero(there.any(axis=1) | np.isfinite(boxes).all(axis=1))
    instances = replace(
        old, keypoints=keypoints, keypoint_scores=old.keypoint_scores * there, boxes=boxes.astype(np.float32)
    )
    return replace(
        image,
        instances=instances.select(present),
        occluded=(image.occluded & there)[present],
        areas=image.areas[present],
        unique_keypoints=unique,
    )
