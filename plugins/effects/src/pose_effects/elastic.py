"""Elastic deformation: a smooth random displacement of every pixel."""

from __future__ import annotations

import math

import cv2
import numpy as np

from pose_core.interfaces import GeometricTransform, Movement, TransformContext
from pose_effects.config import ElasticConfig

_STEEPEST = 0.8
"""From a pixel to the next, displacements change by no more."""


class Elastic(GeometricTransform):
    """Displace pixels by Gaussian noise that is smooth (Simard et al. 2003).

    Displacements along x and y are independent, of mean 0 and standard deviation ``shift``; those a distance d apart
    have the correlation exp(-d^2 / (4 smoothness^2)).
    """

    def __init__(self, config: ElasticConfig, context: TransformContext) -> None:
        super().__init__(config, context)
        self._shift, self._smoothness = config.shift, config.smoothness

    def draw_movement(self, width: int, height: int, rng: np.random.Generator) -> Movement:
        """Draw a displacement."""
        noise = rng.standard_normal((height, width, 2), np.float32)
        smooth = cv2.GaussianBlur(noise, (0, 0), self._smoothness, borderType=cv2.BORDER_REFLECT)
        # White noise after a Gaussian of standard deviation s has the standard deviation 1 / (2 s sqrt(pi)).
        displacement = smooth * np.float32(self._shift * 2 * self._smoothness * math.sqrt(math.pi))
        # The settings make this rare: a fold would lose keypoints.
        steepest = _find_steepest(displacement)
        if steepest > _STEEPEST:
            displacement *= np.float32(_STEEPEST / steepest)
        return Movement(displacement=displacement)


def _find_steepest(displacement: np.ndarray) -> float:
    """The most by which a displacement changes from a pixel to the next, along x and y together."""
    across, down = np.diff(displacement, axis=1), np.diff(displacement, axis=0)
    # By name: numpy's sum along an axis of two is slow.
    largest = (side[..., 0] ** 2 + side[..., 1] ** 2 for side in (across, down))
    return math.sqrt(sum(float(squares.max(initial=0.0)) for squares in largest))
