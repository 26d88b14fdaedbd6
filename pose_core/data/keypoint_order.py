"""Bring the labels of one project into the order of keypoints of another, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pose_core.errors import DataError
from pose_core.structures import Instances, IntArray, LabelledDataset, LabelledImage, Skeleton

_SETS = ("keypoints", "unique_keypoints")


def with_keypoints_of(dataset: LabelledDataset, skeleton: Skeleton, source: Path) -> LabelledDataset:
    """The project with the keypoints and individuals of a skeleton, in its order.

    Animals of individuals that the skeleton does not know have no identity (-1).

    Args:
        dataset: the project; its keypoints may stand in another order.
        skeleton: has the same names of keypoints, and of those that exist once an image.
        source: of the project, for messages.

    Raises:
        DataError: the names differ.
    """
    own = dataset.skeleton
    for what in _SETS:
        here, there = getattr(own, what), getattr(skeleton, what)
        if set(here) != set(there):
            missing, more = [n for n in there if n not in here], [n for n in here if n not in there]
            differing = [f"lack {', '.join(missing)}"] * bool(missing)
            differing += [f"have {', '.join(more)} besides"] * bool(more)
            raise DataError(
                f"{source}: its {what.replace('_', ' ')} {' and '.join(differing)}; both projects must have the "
                "same ones"
            )
    known = {name: number for number, name in enumerate(skeleton.individuals)}
    identities = np.array([known.get(name, -1) for name in own.individuals] + [-1], np.int64)
    body, unique = (find_order(getattr(own, what), getattr(skeleton, what)) for what in _SETS)
    images = tuple(_reorder(image, body, unique, identities) for image in dataset.images)
    return replace(dataset, skeleton=skeleton, images=images)


def find_order(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Find the place of each wanted keypoint among ``names``; -1 for one that is not there."""
    at = {name: place for place, name in enumerate(names)}
    return [at.get(name, -1) for name in wanted]


def take_keypoints(instances: Instances, order: Sequence[int]) -> Instances:
    """The same animals with the keypoints of ``order``; -1 stands for one that is missing."""
    rows, missing = list(order), np.asarray(order) < 0
    points, scores = instances.keypoints[:, rows].copy(), instances.keypoint_scores[:, rows].copy()
    points[:, missing], scores[:, missing] = np.nan, 0.0
    return replace(instances, keypoints=points, keypoint_scores=scores)


def take_labels(image: LabelledImage, order: Sequence[int]) -> LabelledImage:
    """The same labels with the keypoints of ``order``; -1 stands for one that is not labelled."""
    occluded = image.occluded[:, list(order)].copy()
    occluded[:, np.asarray(order) < 0] = False
    return replace(image, instances=take_keypoints(image.instances, order), occluded=occluded)


def _reorder(
    image: LabelledImage, body: Sequence[int], unique: Sequence[int], identities: IntArray
) -> LabelledImage:
    image = take_labels(image, body)
    # -1, no individual, is the last entry.
    instances = replace(image.instances, identity=identities[image.instances.identity])
    return replace(image, instances=instances, unique_keypoints=image.unique_keypoints[list(unique)])
