from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from pose_core.interfaces import Tracker, TrackerContext
from pose_core.specs import TrackerConfig
from pose_core.structures import Instances, IntArray, Skeleton


class NearestConfig(TrackerConfig):
    reach: float = Field(20.0, gt=0, description="Pixels that an animal moves between frames, at most.")


class Nearest(Tracker):
    """Each animal continues the nearest one of the frame before, the nearest pairs first."""

    config: NearestConfig

    def __init__(self, config: NearestConfig, context: TrackerContext) -> None:
        super().__init__(config, context)
        self.centres, self.ids, self.next = np.zeros((0, 2)), np.zeros(0, np.int64), 0

    def update(self, frame: int, instances: Instances) -> IntArray:
        boxes = instances.animal_boxes().astype(float)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        ids = np.full(len(centres), -1, np.int64)
        if not len(centres):
            return ids  # the same as if the frame were left out
        far = np.linalg.norm(centres[:, None] - self.centres, axis=-1)
        far[~(far <= self.config.reach)] = np.inf  # NaN is out of reach, too
        while np.isfinite(far).any():
            row, column = np.unravel_index(far.argmin(), far.shape)
            ids[row] = self.ids[column]
            far[row], far[:, column] = np.inf, np.inf
        # New ids from left to right, so that the order of animals means nothing.
        new = np.lexsort((centres[:, 1], centres[:, 0]))
        new = new[ids[new] < 0]
        ids[new] = self.next + np.arange(len(new))
        self.centres, self.ids, self.next = centres, ids, self.next + len(new)
        return ids

    def state_dict(self) -> dict[str, Any]:
        return {"centres": self.centres.copy(), "ids": self.ids.copy(), "next": self.next}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.centres, self.ids, self.next = state["centres"].copy(), state["ids"].copy(), state["next"]


tracker = Nearest(NearestConfig(), TrackerContext(Skeleton(("nose",))))
first = Instances.from_keypoints([[[10, 10]], [[90, 10]]])
second = Instances.from_keypoints([[[85, 12]], [[14, 11]]])
assert tracker.update(0, first).tolist() == [0, 1]
assert tracker.update(1, second).tolist() == [1, 0]
