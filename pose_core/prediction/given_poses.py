"""Poses that a caller gives with images in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from pose_core.errors import ConfigError, DataError, argument
from pose_core.structures import Frame, Instances, Skeleton

Poses = Frame | Instances | npt.ArrayLike
"""Poses of one image: as a prediction has them, or (N, K, 2) x and y, or (N, K, 3) with scores; NaN where missing."""


def check_given(given: Mapping[str, object], expected: Iterable[str]) -> None:
    """Check that all that comes with images is given, and nothing else.

    Raises:
        ConfigError: something is missing, or the model does not wait for it.
    """
    expected = list(expected)
    for name in given:
        if name not in expected:
            raise ConfigError(
                f"predict({name}=...): the model does not wait for it; load it with {argument(name, True)}"
            )
    for name in expected:
        if given.get(name) is None:
            raise ConfigError(
                f"predict(): the model was loaded to get {name} with the images; give {name}=..."
            )


class GivenPoses:
    """Takes poses image by image, with those of every supplier that gets some.

    Args:
        given: poses of all images, by the name of their supplier.
        skeleton: of the model.
    """

    def __init__(self, given: Mapping[str, Iterable[Poses]], skeleton: Skeleton) -> None:
        for name, poses in given.items():
            if isinstance(poses, (Frame, Instances, str)) or not isinstance(poses, Iterable):
                raise DataError(
                    f"{name}: must be a sequence with the poses of each image; put them into a list"
                )
        self._left = {name: iter(poses) for name, poses in given.items()}
        self._skeleton = skeleton
        self._taken = 0

    def take(self, count: int) -> list[dict[str, Instances]]:
        """Take those of the next images, a mapping for each.

        Raises:
            DataError: there are not so many, or some are no poses of the model.
        """
        return [self._take_one() for _ in range(count)]

    def check_end(self) -> None:
        """Check that nothing is left.

        Raises:
            DataError: there are poses of more images than there are.
        """
        for name, left in self._left.items():
            if next(left, None) is not None:
                raise DataError(
                    f"{name}: has poses of more than {self._taken} images, and so many images there are"
                )

    def _take_one(self) -> dict[str, Instances]:
        found = {}
        for name, left in self._left.items():
            poses = next(left, None)
            if poses is None:
                raise DataError(f"{name}: ends before image {self._taken}; give the poses of every image")
            found[name] = _as_instances(poses, self._skeleton, f"{name} of image {self._taken}")
        self._taken += 1
        return found


def _as_instances(poses: Poses, skeleton: Skeleton, what: str) -> Instances:
    instances = poses.instances if isinstance(poses, Frame) else poses
    if not isinstance(instances, Instances):
        try:
            points = np.asarray(instances, np.float32)
        except (TypeError, ValueError):
            raise DataError(f"{what}: is no array of numbers; give (N, K, 2) or (N, K, 3)") from None
        if points.ndim != 3 or points.shape[2] not in (2, 3):
            raise DataError(
                f"{what}: has shape {points.shape}; it must be (N, K, 2), or (N, K, 3) with scores"
            )
        scores = points[..., 2] if points.shape[2] == 3 else None
        instances = Instances.from_keypoints(points[..., :2], keypoint_scores=scores)
    if instances.keypoints.shape[1] != skeleton.num_keypoints:
        raise DataError(
            f"{what}: has {instances.keypoints.shape[1]} keypoints, the model has {skeleton.num_keypoints}: "
            f"{', '.join(skeleton.keypoints)}"
        )
    return instances
