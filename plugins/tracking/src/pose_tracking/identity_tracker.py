"""Tracker by the names that a model stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pose_core.interfaces import Tracker, TrackerContext, Tracklet
from pose_core.structures import Instances, IntArray
from pose_tracking.config import IdentityConfig


class IdentityTracker(Tracker):
    """An animal is who its name says, in each frame by itself; of two with one name the surer one has it."""

    config: IdentityConfig

    def __init__(self, config: IdentityConfig, context: TrackerContext) -> None:
        super().__init__(config, context)
        names = len(context.skeleton.individuals)
        self._ids, self._last = np.full(names, -1, np.int64), np.zeros(names, np.int64)
        self._next = 0

    def update(self, frame: int, instances: Instances) -> IntArray:
        """Say who the animals of the next frame are."""
        ids = np.full(len(instances), -1, np.int64)
        named, sure = instances.identity, np.nan_to_num(instances.identity_scores)
        rows = np.flatnonzero((named >= 0) & (sure >= self.config.min_identity_score))
        # The surest of each name; where they are equally sure, the higher score, then the place.
        place = np.nan_to_num(instances.animal_boxes())
        keys = (place[rows, 1], place[rows, 0], -np.nan_to_num(instances.scores[rows]), -sure[rows])
        rows = rows[np.lexsort(keys)]
        rows = rows[np.sort(np.unique(named[rows], return_index=True)[1])]
        rows = rows[: self.context.animals]
        who = named[rows]
        ended = self._ids[who] < 0
        if self.config.track_buffer:
            ended |= frame - self._last[who] > self.config.track_buffer + 1
        # New ids by name: the order of animals within the frame means nothing.
        new = np.sort(who[ended])
        self._ids[new] = self._next + np.arange(len(new))
        self._next += len(new)
        self._last[who] = frame
        ids[rows] = self._ids[who]
        return ids

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
