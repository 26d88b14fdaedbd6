"""Make samples of labelled images, for training and validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from pose_core.data.augment import Augmenter
from pose_core.data.boxes import CropRule, with_boxes
from pose_core.data.geometry import (
    crop_view,
    frame_view,
    keypoint_matrix,
    reduce_image,
    resize_matrix,
)
from pose_core.data.images import ImageCache, read_image
from pose_core.data.movements import Placement
from pose_core.data.sample import Sample, place_labels
from pose_core.errors import ConfigError, DataError
from pose_core.interfaces import LabelledView
from pose_core.specs import DetectorConfig, Preprocess
from pose_core.specs.sides import check_sides
from pose_core.structures import (
    ByteArray,
    FloatArray,
    IntArray,
    LabelledDataset,
    LabelledImage,
    Skeleton,
    VideoFrame,
    present_keypoints,
)


@dataclass(frozen=True, eq=False)
class _Source:
    """Image that samples are made of.

    Attributes:
        record: its labels; ``ignore`` are the regions that are made black for training.
        animals: (A,) rows of the animals that are worth looking at.
        kept: boxes (R, 4) within which nothing is made black.
    """

    record: LabelledImage
    animals: IntArray
    kept: FloatArray


class ImageSamples(Dataset[Sample]):
    """Samples of some images of a project.

    A sample depends on (seed, epoch, number of the sample) alone: not on the order in which samples are
    drawn, nor on the process that draws them. Without augmenter it does not depend on them either, and is
    what inference would see.

    Args:
        dataset: the project.
        sources: its images by row, as samples are made of them.
        preprocess: of the model.
        multiple: the network's ``size_multiple``.
        augmenter: random changes for training; None for none.
        seed: of the augmentation.
        cache_bytes: decoded images kept in memory by each process, at most.

    Raises:
        ConfigError: a size in the configuration does not suit the network.
    """

    def __init__(
        self,
        dataset: LabelledDataset,
        sources: Mapping[int, _Source],
        preprocess: Preprocess,
        multiple: int,
        augmenter: Augmenter | None,
        seed: int,
        cache_bytes: int,
    ) -> None:
        self.dataset = dataset
        self.preprocess = preprocess
        self.multiple = multiple
        self.augmenter = augmenter
        self.seed = seed
        self.epoch = 0
        self._check_sizes()
        self._cache = ImageCache(cache_bytes)
        self._videos_cached: set[Path] = set()
        self._reduction = self._exact_reduction()
        self._sources = sources
        self._samples = [(row, -1) for row in sources]
        if preprocess.view == "animal":
            self._samples = [
                (row, int(animal)) for row, source in sources.items() for animal in source.animals
            ]

    def __len__(self) -> int:
        return len(self._samples)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of samples that are asked for by number alone."""
        # Worker processes have copies of this object: with them, ask for (epoch, number).
        self.epoch = epoch

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        """Make one sample.

        Args:
            key: number of the sample, or (epoch, number).

        Raises:
            DataError: the image cannot be read, or has another size than the project says.
        """
        epoch, number = key if isinstance(key, tuple) else (self.epoch, key)
        # A generator for each sample: its numbers depend on no other sample and no worker process.
        rng = np.random.default_rng([self.seed, epoch, number])
        made = self._make(number, rng, transformed=True)
        if self.augmenter is None:
            return made
        # Drawn by a generator of its own, since it is asked for in the middle of a transform.
        others = np.random.default_rng([self.seed, epoch, number, 1])
        view = self.augmenter.change(self._as_view(made, others), rng)
        return replace(made, image=view.image, labels=view.labels)

    def _make(self, number: int, rng: np.random.Generator, transformed: bool) -> Sample:
        """Make a sample without the transforms that change pixels, and unless ``transformed`` without any."""
        row, animal = self._samples[number]
        record, animals = self._sources[row].record, self._sources[row].animals
        if self.preprocess.view == "animal":
            # The animal that the crop is about comes first; the network learns from the first alone.
            animals = np.concatenate([[animal], animals[animals != animal]])
            geometry = base = crop_view(record.instances.boxes[animal], self.preprocess)
            if self.augmenter is not None:
                geometry = self.augmenter.animal_geometry(base, rng)
        else:
            geometry = base = frame_view(record.width, record.height, self.preprocess, self.multiple)
            if self.augmenter is not None:
                geometry = self.augmenter.frame_geometry(record, animals, base, rng)
        moved = Placement(geometry)
        if self.augmenter is not None and transformed:
            moved = self.augmenter.move(geometry, rng)
        image = self._view(row, moved)
        # Keypoints of imported models may lie half a pixel off the image (`half_pixel`).
        matrix = keypoint_matrix(moved.geometry.matrix, self.preprocess, base.matrix)
        placed = replace(moved, geometry=replace(moved.geometry, matrix=matrix))
        labels = place_labels(record, animals, placed, self.dataset.skeleton)
        return Sample(image, labels, placed.matrix, row)

    def _as_view(self, sample: Sample, rng: np.random.Generator) -> LabelledView:
        def draw_other() -> LabelledView:
            other = self._make(int(rng.integers(len(self._samples))), rng, transformed=False)
            return self._as_view(other, rng)

        return LabelledView(sample.image, sample.labels, draw_other)

    def _view(self, row: int, placement: Placement) -> ByteArray:
        """Cut from an image what the placement shows."""
        source = self._cache.get(row)
        if source is None:
            image = self._sources[row].record.image
            if isinstance(image, VideoFrame) and image.path not in self._videos_cached:
                self._cache_video(image.path)
            source = self._cache.get(row)
        if source is None:
            source = self._load(self._sources[row])
            self._cache.put(row, source)
        # Geometries are for the full image, and the cached one may be reduced.
        geometry = placement.geometry
        matrix = geometry.matrix @ resize_matrix(float(self._reduction))
        return replace(placement, geometry=replace(geometry, matrix=matrix)).move_pixels(source)

    def _cache_video(self, path: Path) -> None:
        """Decode the labelled frames of a video while the cache has room."""
        # In their order, ahead of need: samples are drawn at random, and each frame by itself would be
        # decoded from the key frame before it.
        self._videos_cached.add(path)
        images = {row: source.record.image for row, source in self._sources.items()}
        frames = {row: image for row, image in images.items() if isinstance(image, VideoFrame)}
        for row in sorted((r for r in frames if frames[r].path == path), key=lambda r: frames[r].index):
            if not self._cache.put(row, self._load(self._sources[row])):
                return

    def _load(self, source: _Source) -> ByteArray:
        record = source.record
        image = read_image(record.image)
        height, width = image.shape[:2]
        if (width, height) != (record.width, record.height):
            raise DataError(
                f"{record.image} has {width} x {height} pixels, but the project was read as "
                f"{record.width} x {record.height}; was the image replaced or rotated?"
            )
        if self.augmenter is not None and len(record.ignore):
            image = _blacken_regions(image, record.ignore, source.kept)
        return reduce_image(image, self._reduction, self._reduction) if self._reduction > 1 else image

    def _exact_reduction(self) -> int:
        """Compute the whole number of pixels that one of a resized frame averages."""
        # Where it is a whole number, images are kept reduced, which is what warp() would do with them each
        # time: the cache holds more of them and a view costs less.
        if self.preprocess.view == "animal" or self.preprocess.size is not None:
            return 1
        factor = round(1 / self.preprocess.scale)
        return factor if factor > 1 and abs(factor * self.preprocess.scale - 1) < 1e-9 else 1

    def _check_sizes(self) -> None:
        """Refuse sizes that do not suit the network or each other."""
        sizes = {"model.preprocess.size": self.preprocess.size}
        if self.preprocess.view == "frame" and self.augmenter is not None:
            crop, size = self.augmenter.spec.crop.size, self.preprocess.size
            if size is not None and crop is not None and crop != size:
                raise ConfigError(
                    f"augmentation.crop.size: must be {list(size)} or null, not {list(crop)}, because "
                    f"model.preprocess.size says that the network takes inputs of that size only"
                )
            sizes["augmentation.crop.size"] = crop
        for name, value in sizes.items():
            if value is not None:
                check_sides(name, value, self.multiple)


def find_cropped(record: LabelledImage, skeleton: Skeleton) -> IntArray:
    """Find the animals that a network on crops learns from: those with a keypoint that is no landmark.

    Returns:
        rows of ``record.instances``.
    """
    body = record.instances.keypoints[:, list(skeleton.body_indices)]
    return np.flatnonzero(present_keypoints(body).any(axis=1))


class PoseSamples(ImageSamples):
    """Samples of a pose network.

    For a network that looks at whole frames an image is one sample; for one that looks at crops each of its
    labelled animals is, cropped around its box, and is the first in the labels of its sample.

    For training (with an augmenter) the regions of a whole frame that labels say to ignore are black, and
    keypoints in them unlabelled; the boxes of animals without a labelled keypoint are such regions too.

    Args:
        dataset: the project.
        rows: the images to take, in this order.
        preprocess, multiple, augmenter, seed, cache_bytes: as of :class:`ImageSamples`.

    Raises:
        ConfigError: a size in the configuration does not suit the network.
    """

    def __init__(
        self,
        dataset: LabelledDataset,
        rows: Sequence[int],
        preprocess: Preprocess,
        multiple: int,
        augmenter: Augmenter | None,
        seed: int,
        cache_bytes: int,
    ) -> None:
        rule = CropRule(dataset.skeleton, preprocess.min_box, preprocess.centre)

        def source(record: LabelledImage) -> _Source:
            # A crop is about its own animal, whatever stands beside it: no region of it is made black.
            if preprocess.view == "animal":
                boxed = with_boxes(record, rule)
                record = replace(boxed, ignore=record.ignore[:0])
                return _Source(record, find_cropped(record, dataset.skeleton), record.ignore)
            if augmenter is not None:
                record = remove_ignored(_ignore_unlabelled(record))
            return _Source(record, np.flatnonzero(record.instances.has_keypoint), record.ignore[:0])

        sources = {row: source(dataset.images[row]) for row in rows}
        super().__init__(dataset, sources, preprocess, multiple, augmenter, seed, cache_bytes)


class DetectorSamples(ImageSamples):
    """Samples of a detector: whole frames with the boxes of their animals.

    Frames are as :func:`detector_view` shows them. Animals of which only the box is labelled are among them.
    For training, regions to ignore are black except where they overlap the box of an animal, which stays as
    it is.

    Args:
        dataset: the project.
        rows: the images to take, in this order.
        config: of the detector.
        rule: says which boxes it learns.
        augmenter, seed, cache_bytes: as of :class:`ImageSamples`.
    """

    def __init__(
        self,
        dataset: LabelledDataset,
        rows: Sequence[int],
        config: DetectorConfig,
        rule: CropRule,
        augmenter: Augmenter | None,
        seed: int,
        cache_bytes: int,
    ) -> None:
        def source(record: LabelledImage) -> _Source:
            record = with_boxes(record, rule)
            animals = np.flatnonzero(np.isfinite(record.instances.boxes).all(axis=1))
            return _Source(record, animals, record.instances.boxes[animals])

        sources = {row: source(dataset.images[row]) for row in rows}
        super().__init__(
            dataset, sources, detector_view(config), config.size_multiple(), augmenter, seed, cache_bytes
        )


def detector_view(config: DetectorConfig) -> Preprocess:
    """View of frames that a detector has, in training and inference."""
    return Preprocess(size=config.size)


def _blacken_regions(image: ByteArray, regions: FloatArray, kept: FloatArray) -> ByteArray:
    """Make regions of an image black, but for kept boxes; changes the image."""
    # A region may cover part of a kept box, which is then put back from the copy.
    seen = image.copy() if len(kept) else image
    for region in _find_pixels(regions):
        image[region] = 0
    for box in _find_pixels(kept):
        image[box] = seen[box]
    return image


def _find_pixels(boxes: FloatArray) -> list[tuple[slice, slice]]:
    """Find the rows and columns of pixels that finite boxes (R, 4) touch."""
    # Pixel i reaches from i - 0.5 to i + 0.5; below 0 a slice would count from the end.
    low = np.maximum(np.floor(boxes[:, :2] + 0.5), 0).astype(int).tolist()
    high = np.maximum(np.ceil(boxes[:, 2:] + 0.5), 0).astype(int).tolist()
    return [(slice(y1, y2), slice(x1, x2)) for (x1, y1), (x2, y2) in zip(low, high, strict=True)]


def _ignore_unlabelled(record: LabelledImage) -> LabelledImage:
    """Add the boxes of animals without a keypoint to the regions to ignore."""
    boxes = record.instances.boxes[~record.instances.has_keypoint]
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    return replace(record, ignore=np.concatenate([record.ignore, boxes])) if len(boxes) else record


def remove_ignored(record: LabelledImage) -> LabelledImage:
    """Remove keypoints that lie in a region to ignore."""
    if not len(record.ignore):
        return record

    def outside(points: FloatArray) -> FloatArray:
        low, high = record.ignore[:, :2], record.ignore[:, 2:]
        inside = ((points[..., None, :] >= low) & (points[..., None, :] <= high)).all(axis=-1)
        return np.where(inside.any(axis=-1, keepdims=True), np.float32(np.nan), points)

    instances = replace(record.instances, keypoints=outside(record.instances.keypoints))
    return replace(record, instances=instances, unique_keypoints=outside(record.unique_keypoints))
