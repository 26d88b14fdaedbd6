"""Convert frames to rows of DeepLabCut's tables, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError
from pose_core.interfaces import PredictionsHeader
from pose_core.structures import Frame, Instances, Skeleton
from pose_deeplabcut.columns import PREDICTED, UNIQUE, Columns, make_prediction_columns

ROWS = 512
"""Number of frames in memory at a time."""


def make_scorer_name(header: PredictionsHeader, given: str | None) -> str:
    """Make the name of the predictions' scorer as DeepLabCut does.

    It is ``DLC_<Model>_<task><date>shuffle1_snapshot_best``, with the name of the run folder where there is
    no task of a DeepLabCut project. The same run gives the same name.
    """
    if given is not None:
        return given
    words = re.split(r"[^0-9A-Za-z]+", header.model.rpartition("/")[2])
    model = "".join(word.capitalize() for word in words)
    task = header.metadata.get("deeplabcut.task", "") + header.metadata.get("deeplabcut.date", "")
    task = task or Path(header.run).name
    return f"DLC_{model}_{re.sub(r'[^0-9A-Za-z.-]+', '-', task)}shuffle1_snapshot_best"


def make_file_stem(header: PredictionsHeader, scorer: str) -> str:
    """Make DeepLabCut's name of a file of predictions: video and scorer."""
    source = Path(header.source)
    return f"{source.name if source.is_dir() else source.stem}{scorer}"


class RowMaker:
    """Make rows of DeepLabCut's tables from frames.

    Args:
        header: of the predictions.
        scorer: name in the first level of the columns.
        format: name of the file format, for messages.

    Attributes:
        columns: C of them.
    """

    def __init__(self, header: PredictionsHeader, scorer: str, format: str) -> None:
        self._skeleton = header.skeleton
        self._format = format
        self._source = Path(header.source)
        self._selected = bool(header.selected)
        # A model of one animal writes the columns of a multi-animal project if it was trained on one.
        self._multi = (
            header.skeleton.num_individuals > 1
            or bool(header.skeleton.unique_keypoints)
            or header.metadata.get("deeplabcut.multianimal") == "true"
        )
        self.columns = make_prediction_columns(header.skeleton, scorer, self._multi)

    def make_chunks(self, frames: Iterable[Frame]) -> Iterator[tuple[list[Frame], npt.NDArray[np.float64]]]:
        """Yield some frames at a time, with their rows (R, C).

        Raises:
            DataError: frames are out of order, or one has animals that the format cannot hold.
        """
        # Rows of the table are frames by their order: a missing number would shift all that follow, unless the user
        # chose the frames, which rows then name.
        pending, expected = iter(frames), 0
        while chunk := list(islice(pending, ROWS)):
            values = np.full((len(chunk), len(self.columns.tuples)), np.nan)
            for row, frame in zip(values, chunk, strict=True):
                if frame.index < expected or (frame.index > expected and not self._selected):
                    raise DataError(
                        f"got frame {frame.index} instead of frame {expected}; write all frames in order"
                    )
                expected = frame.index + 1
                self._fill(row, frame)
            yield chunk, values

    def name_image(self, frame: Frame) -> str:
        """Name an image by its path below the folder of images, with forward slashes."""
        image = Path(frame.image or str(frame.index))
        if image.is_relative_to(self._source):
            image = image.relative_to(self._source)
        return image.as_posix() if image != Path() else self._source.as_posix()

    def _fill(self, row: npt.NDArray[np.float64], frame: Frame) -> None:
        """Write one frame into its row of NaN.

        Absent animals, and all of a frame that could not be decoded, stay NaN. A missing keypoint of an
        animal that was found gets NaN coordinates and likelihood 0, so that it fails every threshold; so do
        all keypoints of the only animal of a single-animal project if it was not found, because DeepLabCut
        expects it in every frame.
        """
        if frame.missing is not None:
            return
        n, k = self._skeleton.num_individuals, self._skeleton.num_keypoints
        animals = row[: n * k * 3].reshape(n, k, 3)
        if not self._multi:
            animals[..., 2] = 0.0
        slots = self._assign_individuals(frame)
        animals[slots, :, :2] = frame.instances.keypoints
        animals[slots, :, 2] = frame.instances.keypoint_scores
        unique = row[n * k * 3 :].reshape(-1, 3)
        unique[:, :2], unique[:, 2] = frame.unique_keypoints, frame.unique_scores

    def _assign_individuals(self, frame: Frame) -> npt.NDArray[np.int64]:
        """Assign each animal to the columns of an individual.

        That is its identity; in a frame without identities its track; else the first free individual, in the
        order of the frame. Of two animals with the same identity the higher-scoring one gets it.

        Returns:
            (N,) int64 index of the individual.
        """
        animals, individuals = frame.instances, self._skeleton.num_individuals
        if len(animals) > individuals:
            known = f"{individuals} individual{'s' if individuals > 1 else ''}"
            raise DataError(
                f"frame {frame.index} has {len(animals)} animals, but the project has {known}: "
                f"{self._format} cannot "
                "hold more; write the format parquet"
            )
        wanted = animals.identity if (animals.identity >= 0).any() else animals.track
        if (wanted < 0).all():
            return np.arange(len(animals))
        if wanted.max() >= individuals:
            raise DataError(
                f"frame {frame.index} has track {wanted.max()}, but the project has {individuals} "
                "individuals: "
                f"{self._format} cannot hold more tracks; write the format parquet"
            )
        slots = np.full(len(animals), -1)
        for animal in np.argsort(-animals.scores, kind="stable"):
            if wanted[animal] >= 0 and wanted[animal] not in slots:
                slots[animal] = wanted[animal]
        free = np.setdiff1d(np.arange(individuals), slots)
        slots[slots < 0] = free[: (slots < 0).sum()]
        return slots


class FrameMaker:
    """Make frames from rows of DeepLabCut's tables.

    Args:
        columns: of the table.
        skeleton: made from these columns.
    """

    def __init__(self, columns: Columns, skeleton: Skeleton) -> None:
        self._skeleton = skeleton
        individuals = skeleton.individuals if columns.multi else ("",)
        self._animals = columns.locate(individuals, skeleton.keypoints, PREDICTED)
        self._unique = columns.locate((UNIQUE,), skeleton.unique_keypoints, PREDICTED)[0]

    def make_frames(
        self, names: Sequence[int | str], values: npt.NDArray[np.float64], start: int
    ) -> Iterator[Frame]:
        """Yield the frames of some rows.

        Args:
            names: frame numbers, or names of images.
            values: (R, C).
            start: number of the first of these rows in the table; the index of images.
        """
        animals, scores = self._read_points(values, self._animals)
        unique, unique_scores = self._read_points(values, self._unique)
        present = np.asarray(~np.isnan(animals).any(axis=-1).all(axis=-1))
        for row, name in enumerate(names):
            there = np.flatnonzero(present[row])
            yield Frame(
                index=name if isinstance(name, int) else start + row,
                instances=Instances.from_keypoints(
                    animals[row, there], keypoint_scores=scores[row, there], identity=there
                ),
                unique_keypoints=unique[row],
                unique_scores=unique_scores[row],
                image=None if isinstance(name, int) else name,
            )

    def _read_points(
        self, values: npt.NDArray[np.float64], places: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        # Columns that the table lacks have index -1: the appended one.
        padded = np.concatenate([values, np.full((len(values), 1), np.nan)], axis=1)
        found = padded[:, places]
        # DeepLabCut marks missing keypoints by -1 in some of its files.
        missing = np.isnan(found[..., :2]).any(axis=-1) | (found[..., 2] < 0)
        points = np.where(missing[..., None], np.nan, found[..., :2]).astype(np.float32)
        scores = np.where(missing, 0.0, np.nan_to_num(found[..., 2]).clip(0.0, 1.0)).astype(np.float32)
        return points, scores
