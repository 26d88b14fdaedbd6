"""Where a mirrored image would have wrong names of left and right."""

from __future__ import annotations

from collections.abc import Sequence

from pose_core.errors import setting
from pose_core.structures import Skeleton
from pose_core.symmetry import find_sides


def unpaired_sides(skeleton: Skeleton) -> tuple[tuple[str, str], ...]:
    """List pairs named like left and right (:func:`pose_core.symmetry.find_sides`) that are no symmetry pair.

    Names that a project pairs otherwise, both of them, are as it says. Landmarks do not count, for they are
    learned from no mirrored image.
    """
    known = {frozenset(pair) for pair in skeleton.symmetry}
    paired = frozenset().union(*known)
    named = find_sides(_body_names(skeleton)).pairs
    return tuple(pair for pair in named if frozenset(pair) not in known and not paired.issuperset(pair))


def find_conflicts(skeleton: Skeleton) -> tuple[tuple[str, ...], ...]:
    """List the groups of names for which mirrored images would be wrong.

    They are the pairs of :func:`unpaired_sides`, and names that say a side while it is in doubt who is
    opposite to them: one name alone where nobody is. Groups of which the skeleton pairs a name are as it says.
    """
    paired = frozenset().union(*map(frozenset, skeleton.symmetry))
    doubtful = find_sides(_body_names(skeleton)).doubtful
    return (*unpaired_sides(skeleton), *(group for group in doubtful if not paired & set(group)))


def _body_names(skeleton: Skeleton) -> list[str]:
    return [skeleton.keypoints[i] for i in skeleton.body_indices]


def describe_unpaired(groups: Sequence[tuple[str, ...]]) -> str:
    """Say why images are not mirrored, and how to state pairs."""
    parts = []
    several = [group for group in groups if len(group) > 1]
    if several:
        listed, pairs = ", ".join(map("/".join, several)), ",".join(f"[{g[0]},{g[-1]}]" for g in several)
        parts.append(
            f"{listed} look like left and right but are no symmetry pairs; to mirror images, state who changes "
            f"places: {setting(f'skeleton.symmetry=[{pairs}]')}"
        )
    if alone := [group[0] for group in groups if len(group) == 1]:
        parts.append(f"{', '.join(alone)} would be taken for the other side")
    return "; ".join(parts)


def describe_pairs(skeleton: Skeleton, flip: float) -> str | None:
    """Say that no left/right pairs are known, and what follows; None where there are some, or one keypoint."""
    if skeleton.symmetry or len(skeleton.body_indices) < 2:
        return None
    stated = setting("skeleton.symmetry=[[a,b]]")
    if flip:
        return (
            "no left/right pairs known; images are mirrored, which mixes up parts that differ in their side: "
            f"state them with {stated}, or {setting('augmentation.flip=0')}"
        )
    return f"no left/right pairs known, and images are not mirrored; state pairs with {stated}"
