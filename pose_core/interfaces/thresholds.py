"""The least scores of keypoints that are reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pose_core.errors import ConfigError
from pose_core.structures import FloatArray, Skeleton


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Keypoints with lower scores are missing.

    Attributes:
        keypoints: (K,) float32, of each keypoint of animals.
        unique: (U,) float32, of each keypoint that exists once a frame.
    """

    keypoints: FloatArray
    unique: FloatArray

    @classmethod
    def of(cls, threshold: float | Mapping[str, float], skeleton: Skeleton) -> Thresholds:
        """Spread one number, or numbers by name, over the keypoints of a skeleton.

        Raises:
            ConfigError: there is no keypoint of a name.
        """
        known = (*skeleton.keypoints, *skeleton.unique_keypoints)
        by_name = threshold if isinstance(threshold, Mapping) else dict.fromkeys(known, threshold)
        if unknown := [name for name in by_name if name not in known]:
            raise ConfigError(
                f"inference.threshold: there is no keypoint {unknown[0]!r}; there are {', '.join(known)}"
            )

        def spread(names: tuple[str, ...]) -> FloatArray:
            return np.array([by_name.get(name, 0.0) for name in names], np.float32)

        return cls(spread(skeleton.keypoints), spread(skeleton.unique_keypoints))
