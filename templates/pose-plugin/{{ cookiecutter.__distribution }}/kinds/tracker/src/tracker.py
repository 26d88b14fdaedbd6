"""A tracker by the nearest animal of the frame before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pose_core.interfaces import Tracker, TrackerContext
from pose_core.structures import Instances, IntArray

from {{ cookiecutter.__package }}.config import NearestConfig

Floats = npt.NDArray[np.float64]


class NearestTracker(Tracker):
    """Each animal continues the nearest track, the nearest pairs first; the others begin tracks."""

    config: NearestConfig

    def __init__(self, config: NearestConfig, context: TrackerContext) -> None:
        super().__init__(config, context)
        self._ids: IntArray = np.zeros(0, np.int64)
        self._centres: Floats = np.zeros((0, 2))
        self._seen: IntArray = np.zeros(0, np.int64)
        self._next = 0

    def update(self, frame: int, instances: Instances) -> IntArray:
        """Say who the animals of the next frame are."""
        ids: IntArray = np.full(len(instances), -1, np.int64)
        if not len(instances):
            return ids
        boxes = instances.animal_boxes().astype(np.float64)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        sizes = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        # Time is the number of the frame: frames may have been left out.
        kept = frame - self._seen <= self.config.track_buffer + 1
        self._ids, self._centres, self._seen = self._ids[kept], self._centres[kept], self._seen[kept]
        # An animal of one keypoint has no size; that of a pixel is better than none.
        reach = self.config.reach * np.maximum(sizes, 1.0)[:, None] * (frame - self._seen)
        far = np.linalg.norm(centres[:, None] - self._centres, axis=-1)
        far[~(far <= reach)] = np.inf  # NaN is out of reach, too
        while np.isfinite(far).any():
            row, column = np.unravel_index(far.argmin(), far.shape)
            ids[row] = self._ids[column]
            far[row], far[:, column] = np.inf, np.inf
        # New tracks from left to right, so that the order of animals within the frame means nothing.
        new = np.lexsort((centres[:, 1], centres[:, 0]))
        new = new[ids[new] < 0]
        if self.context.animals is not None:
            new = new[: max(self.context.animals - int((ids >= 0).sum()), 0)]
        ids[new] = self._next + np.arange(len(new))
        self._next += len(new)
        found = ids >= 0
        gone = ~np.isin(self._ids, ids)
        everyone = np.concatenate([self._ids[gone], ids[found]])
        places = np.concatenate([self._centres[gone], centres[found]])
        seen = np.concatenate([self._seen[gone], np.full(int(found.sum()), frame)])
        # Never more tracks than animals: those that were not seen for longest end.
        order = np.lexsort((everyone, -seen))[: self.context.animals]
        self._ids, self._centres, self._seen = everyone[order], places[order], seen[order]
        return ids

    def state_dict(self) -> dict[str, Any]:
        """Copy what it remembers."""
        return {
            "ids": self._ids.copy(),
            "centres": self._centres.copy(),
            "seen": self._seen.copy(),
            "next": self._next,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what state_dict() gave."""
        self._ids, self._centres = state["ids"].copy(), state["centres"].copy()
        self._seen, self._next = state["seen"].copy(), state["next"]
