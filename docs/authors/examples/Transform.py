import numpy as np

from pose_core.interfaces import GeometricTransform, Movement, TransformContext
from pose_core.specs import TransformConfig
from pose_core.structures import Skeleton


class Shear(GeometricTransform):
    """Lean the image to one side."""

    def draw_movement(self, width: int, height: int, rng: np.random.Generator) -> Movement:
        lean = rng.uniform(-0.3, 0.3)
        # The middle row stays where it is. Pixels, keypoints and boxes all go through this matrix.
        return Movement(np.array([[1.0, lean, -lean * (height - 1) / 2], [0.0, 1.0, 0.0]]))


shear = Shear(TransformConfig(), TransformContext(Skeleton(("nose", "tail"))))
movement = shear.draw_movement(64, 49, np.random.default_rng(0))
assert np.allclose(movement.matrix @ [10.0, 24.0, 1.0], [10.0, 24.0])
