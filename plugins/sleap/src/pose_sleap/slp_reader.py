"""Read labelled SLEAP projects: .slp and .pkg.slp files."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pose_core.errors import DataError, setting
from pose_core.interfaces import Reader
from pose_core.io.files import is_file
from pose_core.structures import (
    ByteArray,
    ImageReference,
    Instances,
    IntArray,
    LabelledDataset,
    LabelledImage,
    Skeleton,
    VideoRange,
    keypoint_boxes,
)
from pose_sleap.config import SlpReaderConfig
from pose_sleap.individuals import find_individuals
from pose_sleap.places import Place, PlaceFinder
from pose_sleap.project_frames import ProjectFrames, find_ranges
from pose_sleap.slp_file import EXTENSION, join_places, open_slp
from pose_sleap.slp_labels import Labels, choose_labels
from pose_sleap.slp_videos import SlpVideo, find_same, parse_videos
from pose_sleap.stored_images import read_stored


class SlpReader(Reader):
    """Read the labels of a SLEAP project; nothing in it is run."""

    config: SlpReaderConfig

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Test for a file that is called .slp."""
        # Also a damaged one: reading it says what is wrong.
        return path.suffix.lower() == EXTENSION and is_file(path)

    def read(self, path: Path) -> LabelledDataset:
        """Read the frames that users labelled, and those that are marked as negative.

        Images are frames of videos, files, or images in the .slp file itself. An image is named by its video
        (``clip.mp4 frame 17``), in a project with embedded images as well, so that a split serves both.
        ``Instances.track`` is the row of the track in the file, ``Instances.identity`` that of the individual
        where tracks are taken for individuals.

        Raises:
            DataError: the file is spoilt, of a newer format, has no labels or lacks a video; one line says so.
        """
        with open_slp(path) as slp:
            videos, tracks = parse_videos(slp), slp.tracks
            same = find_same(videos)
            labels = choose_labels(slp, self.config.labels, self.config.skeleton, same)
            suggestions = slp.read_suggestions()
            predicted_only = slp.has_predictions
        if not len(labels.points):
            there = (
                "has predictions and no labels of a user" if predicted_only else "has no labelled instances"
            )
            option = setting("data.reader.type=sleap", "data.reader.labels=all")
            raise DataError(
                f"{path}: {there}; label or correct some in SLEAP"
                + (f", or read predictions as labels: {option}" if predicted_only else "")
            )
        with _without_collection():
            return self._make_dataset(path, videos, tracks, labels, suggestions, same)

    def _make_dataset(
        self,
        path: Path,
        videos: list[SlpVideo],
        tracks: list[str],
        labels: Labels,
        suggestions: IntArray,
        same: IntArray,
    ) -> LabelledDataset:
        """Make the records of all images."""
        finder = PlaceFinder(path, videos, self.config.videos, self.config.type)
        places = finder.find(labels.places)
        notes = [f"{path}: {line}" for line in labels.notes]
        image = np.repeat(np.arange(len(labels.places)), np.diff(labels.bounds))
        video = labels.places[image, 0]
        names, identity, identified, told = find_individuals(
            tracks, labels.track, image, video, self.config.identified
        )
        pairs, sides = labels.skeleton.order_pairs()
        notes += [f"{path}: {line}" for line in (*told, *sides)]
        if labels.negative:
            notes.append(f"{path}: {labels.negative} negative frames are read as images without animals")
        images = _make_images(labels, identity, places)
        if lost := [i for i, place in enumerate(places) if place is None]:
            first = labels.places[lost[0]]
            notes.append(
                f"{path}: {len(lost)} labelled frames whose images are not embedded left out, the first is frame "
                f"{first[1]} of video {first[0]}"
            )
        if not images:
            raise DataError(f"{path}: none of its labelled frames is embedded; save it in SLEAP once more")
        if waiting := _count_waiting(suggestions, labels.places, same):
            notes.append(f"{path}: {waiting} suggested frames are not labelled yet")
        return LabelledDataset(
            skeleton=Skeleton(
                keypoints=labels.skeleton.nodes,
                edges=labels.skeleton.edges,
                symmetry=pairs,
                individuals=names,
                identified=identified,
            ),
            images=images,
            root=path,
            name=path.name.removesuffix(EXTENSION).removesuffix(".pkg"),
            notes=tuple(dict.fromkeys([*notes, *finder.notes])),
            metadata={"sleap.skeleton": labels.skeleton.name},
        )

    def find_suggested(self, path: Path) -> tuple[ImageReference, ...]:
        """Find the frames that are suggested for labelling and have no labels of a user.

        Raises:
            DataError: as :meth:`read`; or the image of a suggested frame is not embedded.
        """
        frames = ProjectFrames.read(path, self.config.videos, self.config.type)
        if frames.lost:
            raise DataError(
                f"{path}: holds no images of {frames.lost} suggested frames; save it in SLEAP with these "
                "embedded, too"
            )
        return tuple(
            place.image for (place, _), new in zip(frames.places, frames.suggested, strict=True) if new
        )

    def find_frames(self, path: Path, ranges: Sequence[VideoRange]) -> tuple[ImageReference, ...]:
        """Find ranges of frames; a video is named as its frames are (``clip.mp4``), or by the end of its path.

        Raises:
            DataError: as :meth:`read`; or there are no such frames.
        """
        return find_ranges(path, ranges, self.config.videos, self.config.type)

    @classmethod
    def open_embedded(cls, path: Path, key: str) -> bytes | ByteArray:
        """Read an image that is embedded in a .pkg.slp file.

        Args:
            path: of the file.
            key: dataset and row: ``video0/video/3``.

        Raises:
            DataError: there is no such image, or the file is spoilt.
        """
        return read_stored(path, key)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Leave out the search for cyclic garbage, which would go through all records again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _count_waiting(suggestions: IntArray, labelled: IntArray, same: IntArray) -> int:
    """Count the suggested frames that are not among the labelled ones."""
    wanted = join_places(same[suggestions[:, 0]], suggestions[:, 1])
    return len(np.setdiff1d(wanted, join_places(labelled[:, 0], labelled[:, 1])))


def _make_images(labels: Labels, identity: IntArray, places: list[Place | None]) -> tuple[LabelledImage, ...]:
    """Make the images, slices of arrays that hold the animals of all."""
    boxes = keypoint_boxes(labels.points)
    present = labels.scores > 0
    means = labels.scores.sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    counts = np.diff(labels.bounds)
    most = int(counts.max(initial=0))
    # The same of all images: the first rows of these.
    occluded = np.zeros((most, labels.points.shape[1]), bool)
    areas = np.full(most, np.nan, np.float32)
    same = [(occluded[:count], areas[:count]) for count in range(most + 1)]
    unique = np.zeros((0, 2), np.float32)
    ignore = np.zeros((0, 4), np.float32)
    scores, named = means.astype(np.float32), (identity >= 0).astype(np.float32)
    bounds = labels.bounds.tolist()
    images = []
    # Instances.from_keypoints for each of 20,000 frames would take ten times as long as all the rest.
    for i, place in enumerate(places):
        if place is None:
            continue
        rows = slice(bounds[i], bounds[i + 1])
        hidden, unknown = same[bounds[i + 1] - bounds[i]]
        animals = Instances(
            labels.points[rows],
            labels.scores[rows],
            scores[rows],
            boxes[rows],
            identity[rows],
            labels.track[rows],
            named[rows],
        )
        images.append(LabelledImage(*place, animals, hidden, unique, unknown, ignore))
    return tuple(images)
