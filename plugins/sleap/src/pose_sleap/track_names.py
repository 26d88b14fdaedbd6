"""Name the tracks of predictions, as both files of SLEAP's kind have them."""

from __future__ import annotations

import numpy as np

from pose_core.structures import Instances, IntArray, Skeleton


class TrackNames:
    """Number the tracks of a sequence of frames, in the order in which they appear.

    An identified animal's track is called like the individual, that of a tracked one ``track_N``. Of two
    animals of a frame with one track the higher-scoring one has it.

    Args:
        skeleton: of the predictions.

    Attributes:
        names: of the tracks so far.
        keys: of these what each is, ``identity`` or ``track``, and its number.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        self._individuals = skeleton.individuals
        self.names: list[str] = []
        self.keys: dict[tuple[str, int], int] = {}

    def number(self, animals: Instances) -> IntArray:
        """Number the tracks of a frame's animals, (N,) int64; -1 for one that is neither identified nor tracked."""
        rows = np.full(len(animals), -1, np.int64)
        order = (
            np.argsort(-animals.scores, kind="stable").tolist() if len(animals) > 1 else range(len(animals))
        )
        taken: set[int] = set()
        identity, track = animals.identity.tolist(), animals.track.tolist()
        for animal in order:
            if identity[animal] >= 0:
                row = self._find("identity", identity[animal])
            elif track[animal] >= 0:
                row = self._find("track", track[animal])
            else:
                continue
            if row not in taken:
                taken.add(row)
                rows[animal] = row
        return rows

    def _find(self, kind: str, number: int) -> int:
        key = kind, number
        if key not in self.keys:
            self.keys[key] = len(self.names)
            name = self._individuals[number] if kind == "identity" else f"track_{number}"
            # An individual may be called like a track.
            self.names.append(name if name not in self.names else f"{name} ({kind})")
        return self.keys[key]
