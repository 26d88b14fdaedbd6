"""Random views of an image: one matrix a sample, used once for its pixels and once for its labels."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pose_core.data.geometry import transform_points, translation_matrix
from pose_core.data.photometric import change_pixels
from pose_core.interfaces import FrameGeometry
from pose_core.specs.train import DecidedAugmentationSpec
from pose_core.structures import ByteArray, IntArray, LabelledImage, Skeleton, keypoint_boxes
from pose_core.symmetry import symmetry_from_names

Point = npt.NDArray[np.float64]


class Augmenter:
    """Draws the random views and pixel changes that a spec allows.

    All randomness comes from the generator that is handed in, so that the same generator state gives the same
    sample.

    Args:
        spec: what may happen.
        skeleton: of the project.

    Attributes:
        notes: one line for each thing in the spec that is not done, for the user.
    """

    def __init__(self, spec: DecidedAugmentationSpec, skeleton: Skeleton) -> None:
        self.spec = spec
        self.notes: tuple[str, ...] = ()
        self._flip = spec.flip
        if spec.flip and (pairs := unpaired_sides(skeleton)):
            # A mirrored left ear looks like a right ear: mirroring without exchange would teach the wrong
            # name.
            self._flip = 0.0
            listed = ", ".join(f"{left}/{right}" for left, right in pairs)
            self.notes = (
                f"images are not mirrored: {listed} look like left and right but are no symmetry pairs",
            )

    def frame_geometry(
        self, record: LabelledImage, animals: IntArray, base: FrameGeometry, rng: np.random.Generator
    ) -> FrameGeometry:
        """A random view of a frame: rotation, zoom and mirroring about a point of interest, seen through a
        window.

        With a crop size the point of interest is the centre of a random animal's keypoints (or one of them at
        random, where the animal is larger than the window), or any point of the frame for the fraction of
        background windows; the window is centred on it up to a shift. Without one the whole frame turns about
        its centre.

        Args:
            record: the labelled image.
            animals: (N,) rows of ``record.instances`` with at least one keypoint.
            base: what the network would see of the frame without augmentation.

        """
        crop = self.spec.crop
        if crop.size is None:
            centre = np.array([(record.width - 1) / 2, (record.height - 1) / 2])
            point = target = _through(centre, base)
            return self._around(base, point, target, (base.height, base.width), rng)
        height, width = crop.size
        extent = np.array([width, height])
        target = (extent - 1) / 2
        candidates = record.unique_keypoints[~np.isnan(record.unique_keypoints[:, 0])]
        if rng.random() < crop.background or not (len(animals) or len(candidates)):
            interest = rng.uniform(-0.5, np.array([record.width, record.height]) - 0.5)
        else:
            if len(animals):
                keypoints = record.instances.keypoints[animals[rng.integers(len(animals))]]
                candidates = keypoints[~np.isnan(keypoints[:, 0])]
                x1, y1, x2, y2 = keypoint_boxes(keypoints[None])[0]
                scale = math.sqrt(abs(np.linalg.det(base.matrix[:2, :2])))
                if max(x2 - x1, y2 - y1) * scale <= min(height, width):
                    candidates = np.array([[(x1 + x2) / 2, (y1 + y2) / 2]], np.float32)
            interest = candidates[rng.integers(len(candidates))].astype(np.float64)
            target = target - rng.uniform(-1, 1, 2) * crop.shift * extent
        return self._around(base, _through(interest, base), target, (height, width), rng)

    def animal_geometry(self, base: FrameGeometry, rng: np.random.Generator) -> FrameGeometry:
        """A random view of one animal: rotation, zoom and mirroring about the centre of its crop.

        Args:
            base: the crop without augmentation, see :func:`pose_core.data.geometry.compute_crop_geometry`.
        """
        centre = np.array([(base.width - 1) / 2, (base.height - 1) / 2])
        return self._around(base, centre, centre, (base.height, base.width), rng)

    def change_pixels(self, image: ByteArray, rng: np.random.Generator) -> ByteArray:
        """Random changes of brightness, contrast, sharpness and noise, and erasing; (H, W, 3) uint8."""
        return change_pixels(image, self.spec, rng)

    def _around(
        self,
        base: FrameGeometry,
        point: Point,
        target: Point,
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> FrameGeometry:
        """``base`` turned, zoomed and mirrored about ``point``, which comes to ``target`` in an output of
        ``size``."""
        height, width = size
        spec = self.spec
        angle = math.radians(rng.uniform(-1, 1) * spec.rotation)
        zoom = math.exp(rng.uniform(math.log(spec.scale[0]), math.log(spec.scale[1])))
        mirror = -1.0 if rng.random() < self._flip else 1.0
        target = target + rng.uniform(-1, 1, 2) * spec.translation * np.array([width, height])
        cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
        turn = np.array([[mirror * cos, -sin, 0.0], [mirror * sin, cos, 0.0], [0.0, 0.0, 1.0]])
        matrix = translation_matrix(*target) @ turn @ translation_matrix(*-point) @ base.matrix
        return FrameGeometry(matrix, width, height)


def unpaired_sides(skeleton: Skeleton) -> tuple[tuple[str, str], ...]:
    """List pairs named like left and right (:func:`symmetry_from_names`) that are no symmetry pair.

    Names that a project pairs otherwise, both of them, are as it says.
    """
    known = {frozenset(pair) for pair in skeleton.symmetry}
    paired = frozenset().union(*known)
    named = symmetry_from_names(skeleton.keypoints)
    return tuple(pair for pair in named if frozenset(pair) not in known and not paired.issuperset(pair))


def _through(point: Point, base: FrameGeometry) -> Point:
    return transform_points(point, base.matrix).astype(np.float64)
