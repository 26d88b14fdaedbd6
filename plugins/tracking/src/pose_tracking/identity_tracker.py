"""Tracker by the names that a model stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from pose_core.interfaces import Tracker, TrackerContext, Tracklet
from pose_core.structures import FloatArray, Instances, IntArray
from pose_tracking.config import IdentityConfig

Floats = npt.NDArray[np.float64]


class IdentityTracker(Tracker):
    """An animal is who its name says, in each frame by itself; of two with one name the surer one has it.

    Where the probabilities of all individuals are stored, names are given so that these sum up to most.
    """

    config: IdentityConfig

    def __init__(self, config: IdentityConfig, context: TrackerContext) -> None:
        super().__init__(config, context)
        names = len(context.skeleton.individuals)
        self._ids, self._last = np.full(names, -1, np.int64), np.zeros(names, np.int64)
        self._next = 0
        self._margins: FloatArray | None = None

    def update(self, frame: int, instances: Instances) -> IntArray:
        """Say who the animals of the next frame are."""
        ids = np.full(len(instances), -1, np.int64)
        chances, whole = self._read_chances(instances)
        # By how sure they are; where they are equally sure, by score and place: the order within a frame means nothing.
        place = np.nan_to_num(instances.animal_boxes())
        keys = (place[:, 1], place[:, 0], -np.nan_to_num(instances.scores), -chances.max(axis=1, initial=0.0))
        order = np.lexsort(keys)
        rows, who = linear_sum_assignment(chances[order], maximize=True)
        rows = order[rows]
        sure = chances[rows, who]
        kept = (sure > 0) & (sure >= self.config.min_identity_score)
        # Names that are left over for an animal are none: as when frames are named one by one.
        kept &= ~whole[rows] | (sure >= 1 / (2 * max(len(self._ids), 1)))
        rows, who, sure = rows[kept], who[kept], sure[kept]
        first = np.argsort(-sure, kind="stable")[: self.context.animals]
        rows, who, sure = rows[first], who[first], sure[first]
        ended = self._ids[who] < 0
        if self.config.track_buffer:
            ended |= frame - self._last[who] > self.config.track_buffer + 1
        # New ids by name: the order of animals within the frame means nothing.
        new = np.sort(who[ended])
        self._ids[new] = self._next + np.arange(len(new))
        self._next += len(new)
        self._last[who] = frame
        ids[rows] = self._ids[who]
        self._margins = np.full(len(instances), np.nan, np.float32)
        if chances.shape[1] > 1:
            others = chances[rows]
            others[np.arange(len(rows)), who] = -np.inf
            ahead = np.clip(sure - others.max(axis=1, initial=-np.inf), 0.0, 1.0)
            self._margins[rows] = np.where(whole[rows], ahead, np.nan)
        return ids

    def compute_margins(self) -> FloatArray | None:
        """Compute how much more probable each name is than the next one, where all probabilities are stored."""
        return self._margins

    def _read_chances(self, instances: Instances) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Read the probabilities of names (N, I), and of which animals (N,) all are stored."""
        count = len(self._ids)
        chances = np.zeros((len(instances), count))
        named = np.flatnonzero(instances.identity >= 0)
        chances[named, instances.identity[named]] = np.nan_to_num(instances.identity_scores[named])
        stored = instances.identity_probabilities
        if stored.shape[1] != count:
            return chances, np.zeros(len(instances), bool)
        whole = np.asarray(np.isfinite(stored).all(axis=1))
        return np.where(whole[:, None], stored, chances), whole

    def finish(self, tracklets: Sequence[Tracklet]) -> Mapping[int, int] | None:
        """Where names never end they are the animals, those that are seen most; else pieces are joined."""
        if self.config.track_buffer:
            return None
        most = sorted(tracklets, key=lambda t: (-t.count, t.id))[: self.context.animals]
        kept = sorted(most, key=lambda t: t.id)
        return {tracklet.id: number for number, tracklet in enumerate(kept)}

    def state_dict(self) -> dict[str, Any]:
        """Copy what it remembers."""
        return {"ids": self._ids.copy(), "last": self._last.copy(), "next": self._next}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave."""
        self._ids, self._last = np.array(state["ids"]), np.array(state["last"])
        self._next = int(state["next"])
