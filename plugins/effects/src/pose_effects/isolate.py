"""Crops without context: black around the animals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pose_core.interfaces import LabelledView, LabelTransform, TransformContext, cover_labels
from pose_effects.config import IsolateConfig


class Isolate(LabelTransform):
    """Make all black but the box of the animal, with a margin; in whole frames the boxes of all animals.

    The keypoints of an animal count to its box. Keypoints of others that are no longer seen become unlabelled. An
    image without animals stays as it is.
    """

    def __init__(self, config: IsolateConfig, context: TransformContext) -> None:
        super().__init__(config, context)
        self._margin = config.margin

    def change_view(self, view: LabelledView, rng: np.random.Generator) -> LabelledView:
        """Nothing is drawn."""
        # In a crop, the first animal is the one that it is about.
        rows = slice(0, 1) if self.context.crops else slice(None)
        seen = np.zeros(view.image.shape[:2], bool)
        for box, keypoints in zip(view.labels.boxes[rows], view.labels.keypoints[rows], strict=True):
            if not np.isfinite(box).all():
                continue
            points = np.concatenate([box.reshape(2, 2), keypoints[~np.isnan(keypoints[:, 0])]])
            low, high = points.min(axis=0), points.max(axis=0)
            around = self._margin * (high - low).max()
            # A pixel reaches half a pixel to each side of its centre.
            left, top = np.maximum(np.floor(low - around + 0.5), 0).astype(int)
            right, bottom = np.maximum(np.floor(high + around + 0.5), 0).astype(int)
            seen[top : bottom + 1, left : right + 1] = True
        if not seen.any():
            return view
        view.image[~seen] = 0
        return replace(view, labels=cover_labels(view.labels, ~seen, "remove"))
