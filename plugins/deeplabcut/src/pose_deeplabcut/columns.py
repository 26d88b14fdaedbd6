"""Name and parse the columns of DeepLabCut's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError
from pose_core.structures import Skeleton
from pose_core.symmetry import symmetry_from_names

SINGLE_LEVELS = ("scorer", "bodyparts", "coords")
MULTI_LEVELS = ("scorer", "individuals", "bodyparts", "coords")
UNIQUE = "single"
"""The individual that holds the unique body parts (one of each in a frame) in DeepLabCut's tables."""

PREDICTED = ("x", "y", "likelihood")


@dataclass(frozen=True)
class Columns:
    """The names of a table's columns.

    Attributes:
        levels: :data:`SINGLE_LEVELS` or :data:`MULTI_LEVELS`.
        tuples: one tuple of names for each column, in order.
    """

    levels: tuple[str, ...]
    tuples: list[tuple[str, ...]]

    @classmethod
    def parse(cls, tuples: Sequence[Sequence[str]], source: str) -> Columns:
        """Parse the columns of a file.

        Args:
            tuples: names of each column.
            source: file name, for messages.

        Raises:
            DataError: these are not the columns of a DeepLabCut table.
        """
        depths = {len(column) for column in tuples}
        if depths == {3}:
            levels: tuple[str, ...] = SINGLE_LEVELS
        elif depths == {4}:
            levels = MULTI_LEVELS
        else:
            raise DataError(
                f"{source}: its columns are not those of a DeepLabCut table ({', '.join(MULTI_LEVELS)})"
            )
        if unknown := sorted({column[-1] for column in tuples} - set(PREDICTED)):
            raise DataError(f"{source}: unknown coordinate {unknown[0]!r}; there are {', '.join(PREDICTED)}")
        columns = cls(levels, [tuple(column) for column in tuples])
        seen: set[tuple[str, ...]] = set()
        for column in columns.tuples:
            if column[1:] in seen:
                name = " ".join(column[1:])
                raise DataError(
                    f"{source}: column {name!r} appears twice; every body part needs a name of its own"
                )
            # The scorer is left out: tables of several scorers are refused where labels are read.
            seen.add(column[1:])
        return columns

    @property
    def multi(self) -> bool:
        """True if the table names individuals."""
        return len(self.levels) == 4

    @property
    def scorers(self) -> list[str]:
        """The names in the first level, each once."""
        return list(dict.fromkeys(column[0] for column in self.tuples))

    @property
    def predicted(self) -> bool:
        """True if the table holds likelihoods, as predictions do."""
        return any(column[-1] == "likelihood" for column in self.tuples)

    def parts(self) -> dict[str, list[str]]:
        """Group the body parts by individual, in order; it is ``""`` in a table without individuals."""
        parts: dict[str, dict[str, None]] = {}
        for column in self.tuples:
            individual = column[1] if self.multi else ""
            parts.setdefault(individual, {})[column[-2]] = None
        return {individual: list(names) for individual, names in parts.items()}

    def locate(
        self, individuals: Sequence[str], parts: Sequence[str], coords: Sequence[str]
    ) -> npt.NDArray[np.int64]:
        """Locate the columns of some body parts.

        Args:
            individuals: I names; ignored (give one) for a table without individuals.
            parts: K names.
            coords: D names.

        Returns:
            (I, K, D) int64 column numbers, -1 where there is no such column.
        """
        # -1 is useful as an index: callers append a column of NaN.
        at = {column[1:]: i for i, column in enumerate(self.tuples)}
        found = [
            at.get((individual, part, coord) if self.multi else (part, coord), -1)
            for individual in individuals
            for part in parts
            for coord in coords
        ]
        return np.array(found, np.int64).reshape(len(individuals), len(parts), len(coords))


def make_prediction_columns(skeleton: Skeleton, scorer: str, multi: bool) -> Columns:
    """Make the columns of predictions: all animals, then the unique body parts.

    Args:
        skeleton: of the model.
        scorer: name in the first level.
        multi: name the individuals; must be True for several individuals and for unique keypoints.
    """
    if not multi:
        return Columns(
            SINGLE_LEVELS, [(scorer, part, coord) for part in skeleton.keypoints for coord in PREDICTED]
        )
    animals = [(i, part) for i in skeleton.individuals for part in skeleton.keypoints]
    unique = [(UNIQUE, part) for part in skeleton.unique_keypoints]
    return Columns(
        MULTI_LEVELS, [(scorer, *names, coord) for names in animals + unique for coord in PREDICTED]
    )


def make_skeleton(columns: Columns, source: str) -> Skeleton:
    """Make a skeleton from the columns of predictions.

    It has the names of the table and symmetry by these names, and no limbs.

    Raises:
        DataError: the individuals differ in their body parts.
    """
    parts = columns.parts()
    # A project may call its only individual "single", too.
    unique = parts.pop(UNIQUE) if len(parts) > 1 and UNIQUE in parts else []
    keypoints = next(iter(parts.values()))
    for individual, names in parts.items():
        if set(names) != set(keypoints):
            odd = sorted(set(names) ^ set(keypoints))
            raise DataError(
                f"{source}: individual {individual!r} differs from the others in body part {odd[0]!r}"
            )
    try:
        return Skeleton(
            keypoints=tuple(keypoints),
            symmetry=symmetry_from_names(keypoints),
            individuals=tuple(parts) if columns.multi else ("animal",),
            unique_keypoints=tuple(unique),
        )
    except ValueError as error:
        raise DataError(f"{source}: {error}") from None
