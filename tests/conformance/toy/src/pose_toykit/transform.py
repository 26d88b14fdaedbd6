"""A transform that darkens, and one that moves."""

from dataclasses import replace

import numpy as np

from pose_core.interfaces import GeometricTransform, LabelTransform, Movement


class ToyTransform(LabelTransform):
    def change_view(self, view, rng):
        image = view.image // rng.integers(2, 4, dtype=np.uint8)
        return replace(view, image=image, labels=view.labels)


class ToyShear(GeometricTransform):
    def draw_movement(self, width, height, rng):
        return Movement(np.array([[1.0, rng.uniform(-0.2, 0.2), 0.0], [0.0, 1.0, 0.0]]))
