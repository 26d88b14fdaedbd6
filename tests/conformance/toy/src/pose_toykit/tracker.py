"""A tracker by the nearest animal of the frame before."""

import numpy as np

from pose_core.interfaces import Tracker


class ToyTracker(Tracker):
    def __init__(self, config, context):
        super().__init__(config, context)
        self.centres, self.ids, self.next = np.zeros((0, 2)), np.zeros(0, np.int64), 0

    def update(self, frame, instances):
        boxes = instances.animal_boxes().astype(float)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        ids = np.full(len(centres), -1, np.int64)
        if not len(centres):
            return ids
        far = np.linalg.norm(centres[:, None] - self.centres, axis=-1)
        far[~(far <= 30)] = np.inf
        while np.isfinite(far).any():
            row, column = np.unravel_index(far.argmin(), far.shape)
            ids[row] = self.ids[column]
            far[row], far[:, column] = np.inf, np.inf
        new = np.flatnonzero(ids < 0)
        new = new[: max(0, (self.context.animals or 10**9) - int((ids >= 0).sum()))]
        ids[new] = self.next + np.arange(len(new))
        self.next += len(new)
        self.centres, self.ids = centres[ids >= 0], ids[ids >= 0]
        return ids

    def state_dict(self):
        return {"centres": self.centres.copy(), "ids": self.ids.copy(), "next": self.next}

    def load_state_dict(self, state):
        self.centres, self.ids, self.next = state["centres"], state["ids"], state["next"]
