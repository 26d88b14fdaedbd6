"""Name the keypoints and animals of a project, and what belongs together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


def _duplicates(names: Sequence[str]) -> list[str]:
    return sorted({n for n in names if list(names).count(n) > 1})


@dataclass(frozen=True)
class Skeleton:
    """Names of keypoints and animals, limbs, and pairs of left and right.

    Raises:
        ValueError: a name appears twice, is empty, an edge, pair or landmark names an unknown keypoint, or
            all keypoints are landmarks.
    """

    # A dataclass and not a Spec, for this module does without pydantic; as a field of specs it is as strict,
    # and says what its keys mean.
    __pydantic_config__ = {"extra": "forbid", "use_attribute_docstrings": True}

    keypoints: tuple[str, ...]
    """Names of the K keypoints that every animal has, in array order."""
    edges: tuple[tuple[str, str], ...] = ()
    """Pairs of keypoint names joined by a limb (for drawing and for part affinity fields)."""
    symmetry: tuple[tuple[str, str], ...] = ()
    """Pairs (left, right) of keypoint names that change places when an image is mirrored."""
    individuals: tuple[str, ...] = ("animal",)
    """Names of the animals a project distinguishes; a single-animal project has one."""
    identified: bool = False
    """True when individual i is the same animal in every frame (identity can be learned)."""
    unique_keypoints: tuple[str, ...] = ()
    """Names of the U keypoints that exist once a frame (a corner of the arena ...)."""
    landmarks: tuple[str, ...] | None = None
    """Names of keypoints that stand among those of the animal but do not move with it (a corner of the arena, a
    lever); they count neither for its size nor for its box. null: nobody said; training tells them from the
    labels."""

    def __post_init__(self) -> None:
        if not self.keypoints:
            raise ValueError("a skeleton needs at least one keypoint")
        if not self.individuals:
            raise ValueError("a skeleton needs at least one individual")
        for what, names in (
            # Together, for columns of tables and axes of weights find both by name.
            ("keypoint", (*self.keypoints, *self.unique_keypoints)),
            ("individual", self.individuals),
            ("landmark", self.landmarks or ()),
        ):
            if twice := _duplicates(names):
                raise ValueError(f"{what} names must be unique; twice: {', '.join(twice)}")
            if any(not n.strip() for n in names):
                raise ValueError(f"a {what} name is empty")
        known = set(self.keypoints)
        for what, pairs in (("edge", self.edges), ("symmetry pair", self.symmetry)):
            for pair in pairs:
                if unknown := [n for n in pair if n not in known]:
                    raise ValueError(f"{what} {list(pair)} names unknown keypoints: {', '.join(unknown)}")
        if unknown := [n for n in self.landmarks or () if n not in known]:
            raise ValueError(f"landmarks name unknown keypoints: {', '.join(unknown)}")
        if known.issubset(self.landmarks or ()):
            raise ValueError("all keypoints are landmarks; leave at least one that belongs to the animal")

    @property
    def num_keypoints(self) -> int:
        """K."""
        return len(self.keypoints)

    @property
    def num_individuals(self) -> int:
        """The most animals a frame can hold, N."""
        return len(self.individuals)

    @property
    def edge_indices(self) -> tuple[tuple[int, int], ...]:
        """The edges as pairs of indices into ``keypoints``."""
        at = {n: i for i, n in enumerate(self.keypoints)}
        return tuple((at[a], at[b]) for a, b in self.edges)

    @property
    def body_indices(self) -> tuple[int, ...]:
        """The indices of the keypoints that belong to the animal: all but the landmarks."""
        return tuple(i for i, name in enumerate(self.keypoints) if name not in (self.landmarks or ()))

    @property
    def landmark_indices(self) -> tuple[int, ...]:
        """The indices of the landmarks; none where nobody said which they are."""
        return tuple(i for i, name in enumerate(self.keypoints) if name in (self.landmarks or ()))

    @property
    def mirror_indices(self) -> tuple[int, ...]:
        """Indices that put the keypoints of a mirrored image into their order.

        Landmarks keep their places: what is left in the frame is not left of the animal.
        """
        at = {n: i for i, n in enumerate(self.keypoints)}
        # Keypoints without a partner (nose, tail) stay where they are.
        order = list(range(len(self.keypoints)))
        fixed = set(self.landmarks or ())
        for left, right in self.symmetry:
            if not fixed & {left, right}:
                order[at[left]], order[at[right]] = at[right], at[left]
        return tuple(order)
