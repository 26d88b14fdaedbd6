"""Skeletons, animals of a frame, labelled images: the values that all parts share.

Coordinates everywhere are pixels of the image named by the holder, x to the right, y down, the centre of the
top-left pixel at (0, 0). Boxes are ``x1, y1, x2, y2`` in the same coordinates. Arrays are float32; a missing
keypoint is NaN with score 0. Scores are in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]


def _duplicates(names: Sequence[str]) -> list[str]:
    return sorted({n for n in names if list(names).count(n) > 1})


@dataclass(frozen=True)
class Skeleton:
    """Which keypoints exist and how they belong together.

    Attributes:
        keypoints: names of the K keypoints that every animal has, in array order.
        edges: pairs of keypoint names joined by a limb (for drawing and for part affinity fields).
        symmetry: pairs (left, right) of keypoint names that change places when an image is mirrored.
        individuals: names of the animals a project distinguishes; a single-animal project has one.
        identified: True when individual i is the same animal in every frame (identity can be learned).
        unique_keypoints: names of the U keypoints that exist once a frame (a corner of the arena ...).

    Raises:
        ValueError: a name appears twice, is empty, or an edge or pair names an unknown keypoint.
    """

    # A dataclass and not a Spec, for this module does without pydantic; as a field of specs it is as
    # strict.
    __pydantic_config__ = {"extra": "forbid"}

    keypoints: tuple[str, ...]
    edges: tuple[tuple[str, str], ...] = ()
    symmetry: tuple[tuple[str, str], ...] = ()
    individuals: tuple[str, ...] = ("animal",)
    identified: bool = False
    unique_keypoints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.keypoints:
            raise ValueError("a skeleton needs at least one keypoint")
        if not self.individuals:
            raise ValueError("a skeleton needs at least one individual")
        for what, names in (
            # Together, for columns of tables and axes of weights find both by name.
            ("keypoint", (*self.keypoints, *self.unique_keypoints)),
            ("individual", self.individuals),
        ):
            if twice := _duplicates(names):
                raise ValueError(f"{what} names must be unique; twice: {', '.join(twice)}")
            if any(not n.strip() for n in names):
                raise ValueError(f"a {what} name is empty")
        known = set(self.keypoints)
        for what, pairs in (("edge", self.edges), ("symmetry pair", self.symmetry)):
            for pair in pairs:
                if unknown := [n for n in pair if n not in known]:
                    raise ValueError(f"{what} {list(pair)} names unknown keypoints: {', '.join(unknown)}")

    @property
    def num_keypoints(self) -> int:
        """K."""
        return len(self.keypoints)

    @property
    def num_individuals(self) -> int:
        """The most animals a frame can hold, N."""
        return len(self.individuals)

    @property
    def edge_indices(self) -> tuple[tuple[int, int], ...]:
        """The edges as pairs of indices into ``keypoints``."""
        at = {n: i for i, n in enumerate(self.keypoints)}
        return tuple((at[a], at[b]) for a, b in self.edges)

    @property
    def mirror_indices(self) -> tuple[int, ...]:
        """For each keypoint the index of the one whose place it takes in a mirrored image."""
        at = {n: i for i, n in enumerate(self.keypoints)}
        # Keypoints without a partner (nose, tail) stay where they are.
        order = list(range(len(self.keypoints)))
        for left, right in self.symmetry:
            order[at[left]], order[at[right]] = at[right], at[left]
        return tuple(order)


@dataclass(frozen=True, eq=False)
class Instances:
    """The animals of one frame, N of them with K keypoints each.

    Attributes:
        keypoints: (N, K, 2) float32, x and y in pixels of the frame; NaN where missing.
        keypoint_scores: (N, K) float32 in [0, 1]; 0 where missing. For labels 1 where labelled.
        scores: (N,) float32 in [0, 1], confidence in the animal as a whole.
        boxes: (N, 4) float32 ``x1, y1, x2, y2``; NaN where unknown.
        identity: (N,) int64 index into ``Skeleton.individuals``; -1 where unknown.
        track: (N,) int64 track number within a video; -1 where not tracked.
    """

    keypoints: FloatArray
    keypoint_scores: FloatArray
    scores: FloatArray
    boxes: FloatArray
    identity: IntArray
    track: IntArray

    @classmethod
    def from_keypoints(
        cls,
        keypoints: npt.ArrayLike,
        *,
        keypoint_scores: npt.ArrayLike | None = None,
        scores: npt.ArrayLike | None = None,
        boxes: npt.ArrayLike | None = None,
        identity: npt.ArrayLike | None = None,
        track: npt.ArrayLike | None = None,
    ) -> Instances:
        """Instances from (N, K, 2) keypoints, the rest filled in.

        Missing keypoints get score 0; scores default to 1 for labelled keypoints and to the mean keypoint
        score for animals; boxes to the tight box around the keypoints; identity and track to -1.

        Raises:
            ValueError: an array has the wrong shape.
        """
        # A copy (array, not asarray), since missing keypoints are written into it below.
        points = np.array(keypoints, dtype=np.float32)
        if points.ndim != 3 or points.shape[-1] != 2:
            raise ValueError(f"keypoints must have shape (N, K, 2), not {points.shape}")
        n, k = points.shape[:2]
        missing = np.isnan(points).any(axis=-1)
        points[missing] = np.nan
        point_scores = (
            np.ones((n, k), np.float32)
            if keypoint_scores is None
            else np.array(keypoint_scores, dtype=np.float32)
        )
        if point_scores.shape != (n, k):
            raise ValueError(f"keypoint_scores must have shape {(n, k)}, not {point_scores.shape}")
        # A missing keypoint with a score would pass thresholds and count in means.
        point_scores[missing] = 0.0
        if scores is None:
            # An animal without keypoints gets score 0, not NaN.
            count = np.maximum((~missing).sum(axis=1), 1)
            animal_scores = (point_scores.sum(axis=1) / count).astype(np.float32)
        else:
            animal_scores = np.asarray(scores, dtype=np.float32).reshape(n)
        return cls(
            keypoints=points,
            keypoint_scores=point_scores,
            scores=animal_scores,
            boxes=(
                keypoint_boxes(points) if boxes is None else np.asarray(boxes, dtype=np.float32).reshape(n, 4)
            ),
            identity=(
                np.full(n, -1, np.int64) if identity is None else np.asarray(identity, np.int64).reshape(n)
            ),
            track=np.full(n, -1, np.int64) if track is None else np.asarray(track, np.int64).reshape(n),
        )

    @classmethod
    def empty(cls, num_keypoints: int) -> Instances:
        """No animal, with the right shapes."""
        return cls.from_keypoints(np.zeros((0, num_keypoints, 2), np.float32))

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def has_keypoint(self) -> npt.NDArray[np.bool_]:
        """(N,) bool, which animals have at least one keypoint."""
        return np.asarray(present_keypoints(self.keypoints).any(axis=1))

    def animal_boxes(self) -> FloatArray:
        """Box of each animal: its own where it is known, else tight around its keypoints.

        Returns:
            (N, 4) float32 ``x1, y1, x2, y2``; NaN for an animal with neither.
        """
        # An animal may have a labelled box while its neighbour has none.
        known = np.isfinite(self.boxes).all(axis=1, keepdims=True)
        return np.where(known, self.boxes, keypoint_boxes(self.keypoints))

    def select(self, rows: npt.ArrayLike) -> Instances:
        """The animals chosen by a boolean mask or indices, in that order."""
        chosen = np.asarray(rows)
        return Instances(
            keypoints=self.keypoints[chosen],
            keypoint_scores=self.keypoint_scores[chosen],
            scores=self.scores[chosen],
            boxes=self.boxes[chosen],
            identity=self.identity[chosen],
            track=self.track[chosen],
        )


def present_keypoints(keypoints: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
    """Which of the (..., 2) keypoints are not missing, (...) bool."""
    there: npt.NDArray[np.bool_] = np.isfinite(keypoints).all(axis=-1)
    return there


def keypoint_boxes(keypoints: FloatArray) -> FloatArray:
    """Tight boxes around the labelled keypoints.

    Args:
        keypoints: (N, K, 2), NaN where missing.

    Returns:
        (N, 4) float32 ``x1, y1, x2, y2``; NaN for an animal without any keypoint.
    """
    # Not nanmin: that warns for animals without keypoints, and fails where there is no animal.
    low = np.where(np.isnan(keypoints), np.inf, keypoints).min(axis=1, initial=np.inf)
    high = np.where(np.isnan(keypoints), -np.inf, keypoints).max(axis=1, initial=-np.inf)
    boxes = np.concatenate([low, high], axis=-1).astype(np.float32)
    boxes[~np.isfinite(boxes).all(axis=-1)] = np.nan
    return boxes


def enlarge_boxes(boxes: FloatArray, length: float) -> FloatArray:
    """Boxes (N, 4) whose longer side is shorter than ``length`` as squares of that side about the same
    centre."""
    centre, half = (boxes[:, 2:] + boxes[:, :2]) / 2, np.float32(length / 2)
    # NaN compares as false, so unknown boxes stay unknown. initial: no boxes have no maximum.
    small = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True, initial=0) < length
    return np.where(small, np.concatenate([centre - half, centre + half], axis=1), boxes).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Frame:
    """What is known about one frame of a video or one image of a batch.

    Attributes:
        index: position in the video or sequence, from 0. Results are joined by it.
        instances: the animals; empty when there are none.
        unique_keypoints: (U, 2) float32, the keypoints that exist once a frame; NaN where missing.
        unique_scores: (U,) float32.
        missing: why the frame has no result (it could not be decoded ...); None for an ordinary frame.
        image: the image as text (path of a file, ``clip.mp4 frame 17``), for sequences of images; None for
            videos and arrays.
    """

    index: int
    instances: Instances
    # A factory, for arrays can be changed and must not be shared between frames.
    unique_keypoints: FloatArray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    unique_scores: FloatArray = field(default_factory=lambda: np.zeros((0,), np.float32))
    missing: str | None = None
    image: str | None = None

    @classmethod
    def absent(cls, index: int, skeleton: Skeleton, reason: str, image: str | None = None) -> Frame:
        """The explicit record of a frame that could not be decoded."""
        unique = len(skeleton.unique_keypoints)
        return cls(
            index=index,
            instances=Instances.empty(skeleton.num_keypoints),
            unique_keypoints=np.full((unique, 2), np.nan, np.float32),
            unique_scores=np.zeros(unique, np.float32),
            missing=reason,
            image=image,
        )

    def renumbered(self, index: int) -> Frame:
        """The same record under another index."""
        return replace(self, index=index)


@dataclass(frozen=True)
class ImageFile:
    """An image that is a file of its own."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the file, without its folder."""
        return self.path.name

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class VideoFrame:
    """An image that is a frame of a video, numbered from 0 in the order in which frames are shown."""

    path: Path
    index: int

    @property
    def name(self) -> str:
        """Name of the video and number of the frame: ``clip.mp4 frame 17``."""
        return f"{self.path.name} frame {self.index}"

    def __str__(self) -> str:
        return f"{self.path} frame {self.index}"


@dataclass(frozen=True)
class EmbeddedImage:
    """An image stored within another file, which the reader of that format opens.

    Attributes:
        path: of the file.
        key: where in the file, as the reader understands it (name of a dataset and row ...).
        reader: name of the reader whose ``open_embedded`` takes the key; a reader writes its own
            ``config.type``.
    """

    path: Path
    key: str
    reader: str

    @property
    def name(self) -> str:
        """Name of the file, and the key: ``labels.pkg.slp image video0/3``."""
        return f"{self.path.name} image {self.key}"

    def __str__(self) -> str:
        return f"{self.path} image {self.key}"


# A closed union instead of a base class: whoever opens images must handle each of them, and mypy tells.
ImageReference = ImageFile | VideoFrame | EmbeddedImage
"""Where the pixels of a labelled image are. Can be hashed, compared and pickled; ``str`` names it in
messages."""


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """One image with its labels, as a reader returns it.

    Attributes:
        image: where its pixels are.
        name: how the project calls it, stable under moving the project (``labeled-data/video/img0.png``).
        width, height: size in pixels.
        instances: the labelled animals; row i of ``instances.identity`` names the individual where known.
        occluded: (N, K) bool, labelled but hidden (COCO visibility 1).
        unique_keypoints: (U, 2) float32; NaN where missing.
        areas: (N,) float32, area of the animal in square pixels (COCO segment area); NaN where unknown.
        ignore: (R, 4) float32 boxes of regions to leave out of training and evaluation (COCO crowds).
    """

    image: ImageReference
    name: str
    width: int
    height: int
    instances: Instances
    occluded: npt.NDArray[np.bool_]
    unique_keypoints: FloatArray
    areas: FloatArray
    ignore: FloatArray = field(default_factory=lambda: np.zeros((0, 4), np.float32))

    @property
    def has_keypoint(self) -> bool:
        """Whether a keypoint is labelled, of an animal or one that exists once an image."""
        return bool(self.instances.has_keypoint.any() or present_keypoints(self.unique_keypoints).any())

    @classmethod
    def create(
        cls,
        image: ImageReference,
        name: str,
        width: int,
        height: int,
        instances: Instances,
        *,
        occluded: npt.ArrayLike | None = None,
        unique_keypoints: npt.ArrayLike | None = None,
        areas: npt.ArrayLike | None = None,
        ignore: npt.ArrayLike | None = None,
    ) -> LabelledImage:
        """A record with the optional parts filled in (nothing occluded, no unique keypoints, unknown
        areas)."""
        n, k = instances.keypoints.shape[:2]
        return cls(
            image=image,
            name=name,
            width=width,
            height=height,
            instances=instances,
            occluded=np.zeros((n, k), bool) if occluded is None else np.asarray(occluded, bool).reshape(n, k),
            unique_keypoints=(
                np.zeros((0, 2), np.float32)
                if unique_keypoints is None
                else np.asarray(unique_keypoints, np.float32).reshape(-1, 2)
            ),
            areas=np.full(n, np.nan, np.float32)
            if areas is None
            else np.asarray(areas, np.float32).reshape(n),
            ignore=(
                np.zeros((0, 4), np.float32)
                if ignore is None
                else np.asarray(ignore, np.float32).reshape(-1, 4)
            ),
        )


@dataclass(frozen=True, eq=False)
class LabelledDataset:
    """A labelled project as a reader returns it.

    Attributes:
        skeleton: keypoints, edges, individuals of the project.
        images: the labelled images in a stable order.
        root: folder or file the user named.
        name: short name of the project.
        notes: one line for each thing that was repaired or left out while reading; shown to the user.
        metadata: what a writer of the same family needs to write predictions in the project's manner
            (who labelled the images, say); plain strings, stored in the run.
    """

    skeleton: Skeleton
    images: tuple[LabelledImage, ...]
    root: Path
    name: str
    notes: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def multi_animal(self) -> bool:
        """Whether a frame can hold more than one animal."""
        return self.skeleton.num_individuals > 1

    def subset(self, rows: Sequence[int]) -> LabelledDataset:
        """The same project with only the given images, in that order."""
        return replace(self, images=tuple(self.images[i] for i in rows))
