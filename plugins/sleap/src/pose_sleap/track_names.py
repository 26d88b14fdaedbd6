"""Name the tracks of predictions, as both files of SLEAP's kind have them."""

from __future__ import annotations

import numpy as np

from pose_core.structures import FloatArray, Instances, IntArray, Skeleton


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
        rows: list[int] = []
        for identity, track in zip(animals.identity.tolist(), animals.track.tolist(), strict=True):
            if identity >= 0:
                rows.append(self._find("identity", identity))
            else:
                rows.append(self._find("track", track) if track >= 0 else -1)
        found = np.array(rows, np.int64)
        if len(set(rows)) < len(rows):
            for row in {row for row in rows if row >= 0}:
                same = np.flatnonzero(found == row)
                found[np.delete(same, np.argmax(animals.scores[same]))] = -1
        return found

    def _find(self, kind: str, number: int) -> int:
        key = kind, number
        if key not in self.keys:
            self.keys[key] = len(self.names)
            name = self._individuals[number] if kind == "identity" else f"track_{number}"
            # An individual may be called like a track.
            self.names.append(name if name not in self.names else f"{name} ({kind})")
        return self.keys[key]


def score_tracks(animals: Instances) -> FloatArray:
    """Score how sure it is that animals are the ones that their tracks are named after.

    Returns:
        (N,) float32 in [0, 1]; NaN for an animal that is not identified.
    """
    return np.where(animals.identity >= 0, animals.identity_scores, np.nan).astype(np.float32)
