"""Give a project keypoints that it does not label."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pose_core.data.keypoint_order import find_order, take_labels
from pose_core.errors import ConfigError
from pose_core.structures import FloatArray, LabelledDataset, LabelledImage, Skeleton


def extend_skeleton(
    own: Skeleton, other: Skeleton, names: Mapping[str, str], added: Collection[str]
) -> Skeleton:
    """Add keypoints of another skeleton to one's own, behind it, with their limbs and pairs.

    Limbs and pairs of the other one join keypoints of either; a keypoint that has a partner keeps it.

    Args:
        own: keeps its keypoints, their order, and its individuals.
        other: whose keypoints are added.
        names: keypoints of ``other`` that one's own has under these names.
        added: those of ``other`` that are added, under their own names.

    Raises:
        ConfigError: one's own has a keypoint of an added name.
    """
    mine = {*own.keypoints, *own.unique_keypoints}
    if twice := [name for name in added if name in mine]:
        raise ConfigError(
            f"train.replay: the weights have a keypoint {twice[0]!r} that is another one than that of the project; "
            "list those to be kept in train.replay.keypoints, without it"
        )
    called = {**{name: name for name in added}, **names}
    body = tuple(name for name in other.keypoints if name in added)

    def translate(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        known = {*own.keypoints, *body}
        found = [(called.get(a, ""), called.get(b, "")) for a, b in pairs]
        return [pair for pair in found if known.issuperset(pair) and pair[0] != pair[1]]

    joined = {frozenset(pair) for pair in own.edges}
    edges = [pair for pair in dict.fromkeys(translate(other.edges)) if frozenset(pair) not in joined]
    paired = {name for pair in own.symmetry for name in pair}
    symmetry = list(own.symmetry)
    for pair in translate(other.symmetry):
        if not paired & set(pair):
            symmetry.append(pair)
            paired |= set(pair)
    return replace(
        own,
        keypoints=(*own.keypoints, *body),
        edges=(*own.edges, *edges),
        symmetry=tuple(symmetry),
        unique_keypoints=(*own.unique_keypoints, *(n for n in other.unique_keypoints if n in added)),
    )


def with_more_keypoints(dataset: LabelledDataset, skeleton: Skeleton) -> LabelledDataset:
    """The project with the keypoints of a skeleton; those that it does not label are missing everywhere.

    Boxes stay as they are.

    Args:
        dataset: the project.
        skeleton: has all keypoints of the project, and others.
    """
    images = tuple(with_labels_for(image, dataset.skeleton, skeleton, {}) for image in dataset.images)
    return replace(dataset, skeleton=skeleton, images=images)


def add_replayed(dataset: LabelledDataset, replayed: Collection[str], skeleton: Skeleton) -> LabelledDataset:
    """The project with the keypoints that a training with memory replay keeps, unlabelled.

    A project that has other keypoints than that training is given back as it is, for whoever compares them.

    Args:
        dataset: the project.
        replayed: ``replayed_keypoints`` of the run.
        skeleton: of the run.
    """
    kept = set(replayed)
    if not kept:
        return dataset
    here = {*dataset.skeleton.keypoints, *dataset.skeleton.unique_keypoints}
    if here != {*skeleton.keypoints, *skeleton.unique_keypoints} - kept:
        return dataset
    return with_more_keypoints(dataset, skeleton)


def with_labels_for(
    image: LabelledImage, own: Skeleton, wanted: Skeleton, names: Mapping[str, str]
) -> LabelledImage:
    """The labels of an image for the keypoints of another skeleton, in its order; NaN where there are none.

    Args:
        image: with labels for the keypoints of ``own``.
        own, wanted: the skeletons.
        names: what keypoints of ``wanted`` are called in ``own``, where the names differ.
    """

    def order(here: Sequence[str], there: Sequence[str]) -> list[int]:
        return find_order(here, [names.get(name, name) for name in there])

    taken = take_labels(image, order(own.keypoints, wanted.keypoints))
    unique = order(own.unique_keypoints, wanted.unique_keypoints)
    return replace(taken, unique_keypoints=_take(image.unique_keypoints, unique))


def _take(points: FloatArray, order: Sequence[int]) -> FloatArray:
    # One row of NaN behind all others is what -1 means.
    return np.concatenate([points, np.full((1, 2), np.nan, np.float32)])[list(order)]
