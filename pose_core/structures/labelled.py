"""Refer to labelled images, wherever they are kept, and hold them as a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pose_core.structures.frame_span import FrameSpan
from pose_core.structures.instances import FloatArray, Instances, present_keypoints
from pose_core.structures.region import Region
from pose_core.structures.skeleton import Skeleton


@dataclass(frozen=True)
class ImageFile:
    """An image that is a file of its own.

    Attributes:
        path: of the file.
        bit_depth: bits that the samples of 16-bit images use where the file does not say; None: all.
    """

    path: Path
    bit_depth: int | None = None

    @property
    def name(self) -> str:
        """Name of the file, without its folder."""
        return self.path.name

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class VideoFrame:
    """An image that is a frame of a video, numbered from 0 in the order in which frames are shown.

    Attributes:
        path: of the video.
        index: number of the frame.
        bit_depth: as of :class:`ImageFile`.
    """

    path: Path
    index: int
    bit_depth: int | None = None

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
        bit_depth: as of :class:`ImageFile`.
    """

    path: Path
    key: str
    reader: str
    bit_depth: int | None = None

    @property
    def name(self) -> str:
        """Name of the file, and the key: ``labels.pkg.slp image video0/3``."""
        return f"{self.path.name} image {self.key}"

    def __str__(self) -> str:
        return f"{self.path} image {self.key}"


class VideoRange(NamedTuple):
    """Frames of a video of a labelled project, or of each of its videos.

    Attributes:
        video: name of the video; None: each.
        first, last: numbers of the frames, from 0; both are among them.
        step: from one frame to the next; ``last`` is among them where the steps meet it.
    """

    video: str | None
    first: int
    last: int
    step: int = 1

    def __str__(self) -> str:
        frames = str(FrameSpan(self.first, self.last, self.step))
        return frames if self.video is None else f"{self.video}:{frames}"


# A closed union instead of a base class: whoever opens images must handle each of them, and mypy tells.
ImageReference = ImageFile | VideoFrame | EmbeddedImage
"""Place of a labelled image's pixels. Can be hashed, compared and pickled; ``str`` names it in
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


@dataclass(frozen=True)
class ProjectSplit:
    """A split that a labelled project brings with it, by the names of its images.

    Attributes:
        train: images to train on.
        test: images that the project holds out; where there are none, a fraction of ``train`` is drawn.
        validation: images that choose the best weights; where there are none, a fraction of ``train`` is
            drawn.
        notes: one line for each thing that the user should know about the split.
    """

    train: tuple[str, ...]
    test: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


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
        crop: the part of each video's frames that the project looks at; None: all. The images are as they
            are, and their labels are in pixels of the image.
        video_crops: the same for single videos, by the names of their files.
    """

    skeleton: Skeleton
    images: tuple[LabelledImage, ...]
    root: Path
    name: str
    notes: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    crop: Region | None = None
    video_crops: dict[str, Region] = field(default_factory=dict)

    @property
    def multi_animal(self) -> bool:
        """Whether a frame can hold more than one animal."""
        return self.skeleton.num_individuals > 1

    def subset(self, rows: Sequence[int]) -> LabelledDataset:
        """The same project with only the given images, in that order."""
        return replace(self, images=tuple(self.images[i] for i in rows))
