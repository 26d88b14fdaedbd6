"""Name the tensors that hold an entry for each keypoint, so that weights can move between sets of
keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class KeypointAxis:
    """One axis of a parameter, and what each entry along it belongs to.

    Attributes:
        axis: which one, from 0.
        entries: for each entry along the axis the names of the keypoints it belongs to: one for a heatmap,
            two for a limb, none for an entry that is nobody's (the centre of an animal, a feature channel).
            Entries of the same keypoints correspond in their order (x and y of an offset).
        individuals: whether the names are those of individuals instead.
    """

    axis: int
    entries: tuple[tuple[str, ...], ...]
    individuals: bool = False

    @classmethod
    def of(cls, axis: int, names: Sequence[str], values: int = 1, individuals: bool = False) -> KeypointAxis:
        """An axis of the given keypoints, each with so many entries side by side (2 for x and y)."""
        return cls(axis, tuple((name,) for name in names for _ in range(values)), individuals)
