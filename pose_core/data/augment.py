"""Random views of an image: one movement a sample, used once for its pixels and once for its labels."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pose_core.catalog import get_catalog
from pose_core.data.geometry import transform_points, translation_matrix
from pose_core.data.landmarks import LARGEST_TURN
from pose_core.data.mirroring import describe_unpaired, find_conflicts
from pose_core.data.movements import Placement, join_movements
from pose_core.data.transform_list import TransformList
from pose_core.interfaces import FrameGeometry, LabelledView, TransformContext
from pose_core.specs import RunSpec
from pose_core.specs.train import DecidedAugmentationSpec
from pose_core.structures import IntArray, LabelledImage, Skeleton, keypoint_boxes

LANDMARK_VIEWS = 0.2
"""Fraction of views of whole frames that are for landmarks, where there are any."""

Point = npt.NDArray[np.float64]


def make_augmenter(spec: RunSpec) -> Augmenter:
    """Make the augmenter of a pose network.

    Raises:
        ConfigError: a transform does not suit the network, or a value is not decided yet.
        PluginError: a transform cannot be made.
    """
    crops = spec.model.view == "animal"
    # A crop is about its first animal, whatever else is in it.
    several = crops or get_catalog().method(spec.model.method).animals == "several"
    return Augmenter(spec.augmentation.decided(), spec.finds, crops=crops, several=several)


class Augmenter:
    """Draws the random views that a spec allows, and applies its transforms.

    All randomness comes from the generator that is handed in, so that the same generator state gives the same
    sample.

    Args:
        spec: what may happen.
        skeleton: of the project.
        crops: whether the network sees crops around animals.
        several: whether the network may find several animals in an image.

    Attributes:
        flip: probability of mirroring; 0 where it would mix names up.
        notes: one line for each thing in the spec that is not done, for the user.

    Raises:
        ConfigError: a transform does not suit the network.
        PluginError: a transform cannot be made.
    """

    def __init__(
        self, spec: DecidedAugmentationSpec, skeleton: Skeleton, *, crops: bool = False, several: bool = True
    ) -> None:
        self.spec = spec
        self.notes: tuple[str, ...] = ()
        self.flip = spec.flip
        self._landmarks, self._body = list(skeleton.landmark_indices), list(skeleton.body_indices)
        # A mirrored left ear looks like a right ear: mirroring without exchange would teach the wrong name.
        groups = [group for group in find_conflicts(skeleton) if len(group) > 1]
        if spec.flip and groups:
            self.flip = 0.0
            self.notes = (f"images are not mirrored: {describe_unpaired(groups)}",)
        self._transforms = TransformList(
            spec.transforms,
            TransformContext(skeleton, crops),
            several=several,
            unpaired=describe_unpaired(groups) if groups else None,
        )
        self.notes += self._transforms.notes

    def frame_geometry(
        self, record: LabelledImage, animals: IntArray, base: FrameGeometry, rng: np.random.Generator
    ) -> FrameGeometry:
        """A random view of a frame: rotation, zoom and mirroring about a point of interest, seen through a
        window.

        With a crop size the point of interest is the centre of a random animal's keypoints (or one of them at
        random, where the animal is larger than the window), or any point of the frame for the fraction of
        background windows; the window is centred on it up to a shift. Without one the whole frame turns about
        its centre.

        Landmarks belong to no animal. A fifth of the views are for them: of a window they are the points of
        interest, and these views are not mirrored and turned by 25 degrees at most, as landmarks are learned
        from no others (see :func:`pose_core.data.sample.place_labels`).

        Args:
            record: the labelled image.
            animals: (N,) rows of ``record.instances`` with at least one keypoint.
            base: what the network would see of the frame without augmentation.

        """
        crop, points = self.spec.crop, record.instances.keypoints[animals]
        upright = bool(self._landmarks) and rng.random() < LANDMARK_VIEWS
        if crop.size is None:
            centre = np.array([(record.width - 1) / 2, (record.height - 1) / 2])
            point = target = _through(centre, base)
            return self._around(base, point, target, (base.height, base.width), rng, upright)
        height, width = crop.size
        extent = np.array([width, height])
        target = (extent - 1) / 2
        candidates = record.unique_keypoints[~np.isnan(record.unique_keypoints[:, 0])]
        landmarks = points[:, self._landmarks]
        landmarks = landmarks[~np.isnan(landmarks[..., 0])]
        points = points[:, self._body]
        points = points[~np.isnan(points[..., 0]).all(axis=1)]
        if upright and len(landmarks):
            interest = landmarks[rng.integers(len(landmarks))].astype(np.float64)
            target = target - rng.uniform(-1, 1, 2) * crop.shift * extent
            return self._around(base, _through(interest, base), target, (height, width), rng, upright)
        if rng.random() < crop.background or not (len(points) or len(candidates)):
            interest = rng.uniform(-0.5, np.array([record.width, record.height]) - 0.5)
        else:
            if len(points):
                keypoints = points[rng.integers(len(points))]
                candidates = keypoints[~np.isnan(keypoints[:, 0])]
                x1, y1, x2, y2 = keypoint_boxes(keypoints[None])[0]
                scale = math.sqrt(abs(np.linalg.det(base.matrix[:2, :2])))
                if max(x2 - x1, y2 - y1) * scale <= min(height, width):
                    candidates = np.array([[(x1 + x2) / 2, (y1 + y2) / 2]], np.float32)
            interest = candidates[rng.integers(len(candidates))].astype(np.float64)
            target = target - rng.uniform(-1, 1, 2) * crop.shift * extent
        return self._around(base, _through(interest, base), target, (height, width), rng, upright)

    def animal_geometry(self, base: FrameGeometry, rng: np.random.Generator) -> FrameGeometry:
        """A random view of one animal: rotation, zoom and mirroring about the centre of its crop.

        Args:
            base: the crop without augmentation, see :func:`pose_core.data.geometry.compute_crop_geometry`.
        """
        centre = np.array([(base.width - 1) / 2, (base.height - 1) / 2])
        return self._around(base, centre, centre, (base.height, base.width), rng)

    def move(self, view: FrameGeometry, rng: np.random.Generator) -> Placement:
        """Join the movements of geometric transforms to a view."""
        return join_movements(view, self._transforms.draw_movements(view.width, view.height, rng))

    def change(self, view: LabelledView, rng: np.random.Generator) -> LabelledView:
        """Apply the transforms that leave everything where it is; may change the arrays of ``view``."""
        return self._transforms.change(view, rng)

    def _around(
        self,
        base: FrameGeometry,
        point: Point,
        target: Point,
        size: tuple[int, int],
        rng: np.random.Generator,
        upright: bool = False,
    ) -> FrameGeometry:
        """``base`` turned, zoomed and mirrored about ``point``, which comes to ``target`` in an output of
        ``size``; ``upright``: so that landmarks count."""
        height, width = size
        spec = self.spec
        rotation = min(spec.rotation, LARGEST_TURN) if upright else spec.rotation
        angle = math.radians(rng.uniform(-1, 1) * rotation)
        zoom = math.exp(rng.uniform(math.log(spec.scale[0]), math.log(spec.scale[1])))
        mirror = -1.0 if rng.random() < (0.0 if upright else self.flip) else 1.0
        shift = rng.uniform(-1, 1, 2) * spec.translation * np.array([width, height])
        # All is drawn in any case, so that p changes nothing of the images that it leaves to be changed.
        if rng.random() >= spec.p:
            angle, zoom, shift = 0.0, 1.0, np.zeros(2)
        target = target + shift
        cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
        turn = np.array([[mirror * cos, -sin, 0.0], [mirror * sin, cos, 0.0], [0.0, 0.0, 1.0]])
        matrix = translation_matrix(*target) @ turn @ translation_matrix(*-point) @ base.matrix
        return FrameGeometry(matrix, width, height)


def _through(point: Point, base: FrameGeometry) -> Point:
    return transform_points(point, base.matrix).astype(np.float64)
