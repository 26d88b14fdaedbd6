"""Transform: a random change of what training shows the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pose_core.interfaces.geometry import Matrix
from pose_core.specs.training_components import Covered, TransformConfig
from pose_core.structures import ByteArray, FloatArray, IntArray, Skeleton


@dataclass(frozen=True)
class TransformContext:
    """What a transform is told of the training.

    Attributes:
        skeleton: keypoints that the labels have, in their order; for a detector, which tells none apart, a stand-in of
            one keypoint.
        crops: whether an image is a crop around one animal, which comes first in its labels.
    """

    skeleton: Skeleton
    crops: bool = False


@dataclass(frozen=True, eq=False)
class Movement:
    """Where everything in an image goes: one law for pixels, keypoints and boxes.

    First the matrix, then the displacement: the pixel at p shows what the matrix brings to p + displacement[p].
    A matrix that mirrors makes left and right keypoints change places by the skeleton.

    Attributes:
        matrix: (3, 3) or (2, 3), affine: pixels of the input -> pixels of the changed input, which has the same
            size.
        displacement: (height, width, 2) x and y in pixels; None: none. From one pixel to the next it changes by less
            than 1, so that nothing is folded.
    """

    matrix: Matrix = field(default_factory=lambda: np.eye(3))
    displacement: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class PlacedLabels:
    """The labels of one image in pixels of the network's input; see
    :class:`pose_core.interfaces.tensors.Labels`.

    Attributes:
        keypoints: (N, K, 2) float32; NaN where unlabelled or outside the output.
        occluded: (N, K) bool.
        boxes: (N, 4) float32 ``x1, y1, x2, y2``, clipped to the output; NaN for an animal that is not in it.
        areas: (N,) float32, square pixels of the output.
        identity: (N,) int64; -1 where unknown.
        unique_keypoints: (U, 2) float32.
        absent: (N, K) bool, landmarks that are labelled, but outside the output; None without landmarks.
    """

    keypoints: FloatArray
    occluded: npt.NDArray[np.bool_]
    boxes: FloatArray
    areas: FloatArray
    identity: IntArray
    unique_keypoints: FloatArray
    absent: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class LabelledView:
    """An input of the network with its labels.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: in pixels of ``image``.
        draw_other: makes another input, of a training image drawn at random, with a view of its own and before any
            transform; it reads an image.
    """

    image: ByteArray
    labels: PlacedLabels
    draw_other: Callable[[], LabelledView]


class Transform:
    """Base of all transforms; write a :class:`GeometricTransform`, :class:`PixelTransform` or
    :class:`LabelTransform`.

    All randomness comes from the generator that is handed in, and nothing is kept from one image to the next: the
    same seed gives the same image in any process. What breaks the law of its class ends the training in one line that
    names the transform; ``pose check`` asks for it before.

    Args:
        config: of the transform; ``config.p``, the probability, is the core's business.
        context: of the training.
    """

    def __init__(self, config: TransformConfig, context: TransformContext) -> None:
        self.context = context


class GeometricTransform(Transform, ABC):
    """Moves what is in the image, labels included.

    Movements of all geometric transforms are joined to that of the view, and the image is resampled once.

    Attributes:
        mirrors: whether a movement may mirror. Such a transform is left out, with a note, where it is not known
            which keypoints are left and right.
    """

    mirrors: ClassVar[bool] = False

    @abstractmethod
    def draw_movement(self, width: int, height: int, rng: np.random.Generator) -> Movement:
        """Draw a movement.

        Args:
            width, height: of the input in pixels.
            rng: for all that is random.
        """


class PixelTransform(Transform, ABC):
    """Changes values of pixels; what is in the image stays where it is."""

    @abstractmethod
    def change_pixels(self, image: ByteArray, rng: np.random.Generator) -> ByteArray:
        """Change an image.

        Args:
            image: (H, W, 3) uint8 RGB; may be changed in place.
            rng: for all that is random.

        Returns:
            (H, W, 3) uint8.
        """


class LabelTransform(Transform, ABC):
    """Changes pixels with regard to the labels, and what of the labels is still seen.

    Keypoints stay where they are, in their number and order: one that is covered may become NaN or occluded.

    Attributes:
        adds_animals: whether rows of new animals may follow those that are there. Such a transform is refused where
            the network finds one animal in a whole frame.
    """

    adds_animals: ClassVar[bool] = False

    @abstractmethod
    def change_view(self, view: LabelledView, rng: np.random.Generator) -> LabelledView:
        """Change an input of the network.

        Args:
            view: with arrays that may be changed in place.
            rng: for all that is random.

        Returns:
            the changed view; ``dataclasses.replace(view, ...)`` makes one.
        """


def cover_labels(labels: PlacedLabels, hidden: npt.NDArray[np.bool_], covered: Covered) -> PlacedLabels:
    """Say of keypoints behind something that they are hidden.

    Args:
        labels: in pixels of the image.
        hidden: (H, W), the pixels that are covered.
        covered: ``keep`` leaves the labels as they are, ``occlude`` marks keypoints as occluded (those that exist
            once an image have no such mark), ``remove`` makes them NaN.

    Returns:
        new labels.
    """
    if covered == "keep":
        return labels
    animals = _find_hidden(labels.keypoints, hidden)
    if covered == "occlude":
        return replace(labels, occluded=labels.occluded | animals)
    unique = _find_hidden(labels.unique_keypoints, hidden)
    nothing = np.float32(np.nan)
    return replace(
        labels,
        keypoints=np.where(animals[..., None], nothing, labels.keypoints),
        occluded=labels.occluded & ~animals,
        unique_keypoints=np.where(unique[..., None], nothing, labels.unique_keypoints),
    )


def _find_hidden(points: FloatArray, hidden: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether points (..., 2) lie in covered pixels; those that are NaN do not."""
    height, width = hidden.shape
    places = np.rint(np.nan_to_num(points)).astype(np.intp)
    x, y = places[..., 0].clip(0, width - 1), places[..., 1].clip(0, height - 1)
    found: npt.NDArray[np.bool_] = hidden[y, x] & ~np.isnan(points[..., 0])
    return found
