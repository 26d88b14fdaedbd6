"""Write SLEAP's analysis HDF5, an array of tracks over frames."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError
from pose_core.interfaces import PredictionsHeader, Writer
from pose_core.io.hdf5 import DiskFile
from pose_core.structures import Frame, Skeleton
from pose_sleap.config import AnalysisWriterConfig
from pose_sleap.predicted_videos import find_source
from pose_sleap.slp_file import EXTENSION
from pose_sleap.slp_writer import iterate_blocks
from pose_sleap.track_names import TrackNames, score_tracks

_CHUNK = 1024


class AnalysisWriter(Writer):
    """Write SLEAP's analysis HDF5, which most of its users' scripts begin with.

    ``tracks`` is (T, 2, K, F): tracks, x and y, keypoints, frames; NaN where missing. A track is an
    individual, or what a tracker followed; an animal that is neither has a row of its own, ``untracked_1`` and
    so on in the order of its frame, or the name of the individual in a project of one. Frames that could not be
    decoded are NaN.
    """

    config: AnalysisWriterConfig
    extension = ".h5"

    def stem(self, header: PredictionsHeader) -> str:
        """Make the file name ``<video>.analysis``."""
        return f"{super().stem(header)}.analysis"

    def write(self, path: Path, header: PredictionsHeader, frames: Iterable[Frame]) -> None:
        """Write all frames, some hundreds at a time.

        Raises:
            DataError: the frames are of several videos; or the skeleton has keypoints that exist once an image.
        """
        if Path(header.source).suffix.lower() == EXTENSION:
            raise DataError(
                f"{header.source}: is a project, and sleap-analysis is of one video; write the format slp, or predict "
                "its videos"
            )
        if header.skeleton.unique_keypoints:
            raise DataError(
                "sleap-analysis cannot hold keypoints that exist once an image "
                f"({', '.join(header.skeleton.unique_keypoints)}); write the format parquet"
            )
        disk = DiskFile(path, "w+")
        try:
            with h5py.File(disk, "w") as file:
                arrays = _Arrays(file, header)
                for block in iterate_blocks(frames, _CHUNK):
                    arrays.write(block)
                    disk.check()
                _write_names(file, header, arrays.names)
        finally:
            disk.close()
        disk.check()


class _Arrays:
    """The arrays of a file; tracks are added as they appear."""

    def __init__(self, file: h5py.File, header: PredictionsHeader) -> None:
        self._frames, self._skeleton = header.frames, header.skeleton
        k, frames = header.skeleton.num_keypoints, header.frames
        # A chunk may be no longer than an axis of fixed length, which no frames at all would make 0.
        most, chunk = (frames, min(frames, _CHUNK)) if frames else (None, _CHUNK)
        self._tracks = TrackNames(header.skeleton)
        self.names: list[str] = []
        self._rows: dict[tuple[bool, int], int] = {}
        self._written = 0

        def create(name: str, dims: Sequence[str], *inner: int) -> h5py.Dataset:
            made = file.create_dataset(
                name,
                (0, *inner, frames),
                "<f8",
                maxshape=(None, *inner, most),
                chunks=(1, *inner, chunk),
                compression="gzip",
                compression_opts=1,
                fillvalue=np.nan,
            )
            made.attrs["dims"] = json.dumps([*dims])
            return made

        self._points = create("tracks", ("track", "xy", "node", "frame"), 2, k)
        self._point_scores = create("point_scores", ("track", "node", "frame"), k)
        self._scores = create("instance_scores", ("track", "frame"))
        self._tracking = create("tracking_scores", ("track", "frame"))
        self._occupancy = file.create_dataset(
            "track_occupancy",
            (frames, 0),
            "u1",
            maxshape=(most, None),
            chunks=(chunk, 1),
            compression="gzip",
            compression_opts=1,
        )
        self._occupancy.attrs["dims"] = json.dumps(["frame", "track"])

    def write(self, block: Sequence[Frame]) -> None:
        """Write frames that follow those before."""
        rows: list[int] = []
        columns: list[int] = []
        for column, frame in enumerate(block):
            if frame.index != self._written + column or frame.index >= self._frames:
                raise DataError(
                    f"got frame {frame.index} instead of frame {self._written + column} of {self._frames}; write "
                    "all frames in order"
                )
            unnamed = 0
            for track in self._tracks.number(frame.instances).tolist():
                # Rows of tracks and of untracked animals are numbered as they appear.
                key = (True, track) if track >= 0 else (False, unnamed)
                unnamed += track < 0
                rows.append(self._find_row(key))
                columns.append(column)
        start, stop, count = self._written, self._written + len(block), len(self.names)
        self._written = stop
        for array in (self._points, self._point_scores, self._scores, self._tracking):
            array.resize(count, axis=0)
        self._occupancy.resize(count, axis=1)
        if not rows:
            return
        animals = [frame.instances for frame in block]
        at = np.array(rows), np.array(columns)
        for array, values in (
            (self._points, np.concatenate([found.keypoints for found in animals]).swapaxes(1, 2)),
            (self._point_scores, np.concatenate([found.keypoint_scores for found in animals])),
            (self._scores, np.concatenate([found.scores for found in animals])),
            (self._tracking, np.concatenate([score_tracks(found) for found in animals])),
        ):
            _write_rows(array, at, values, start, stop)
        there = np.zeros((stop - start, count), np.uint8)
        there[at[1], at[0]] = 1
        self._occupancy[start:stop] = there

    def _find_row(self, key: tuple[bool, int]) -> int:
        if key not in self._rows:
            self._rows[key] = len(self.names)
            tracked, number = key
            self.names.append(
                self._tracks.names[number] if tracked else _name_untracked(self._skeleton, number)
            )
        return self._rows[key]


def _write_rows(
    array: h5py.Dataset,
    at: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    values: npt.NDArray[np.float32],
    start: int,
    stop: int,
) -> None:
    """Write the frames from start to stop of those tracks that are in them; ``at`` says row and column."""
    for row in np.unique(at[0]).tolist():
        chosen = at[0] == row
        block = np.full((*array.shape[1:-1], stop - start), np.nan)
        block[..., at[1][chosen]] = np.moveaxis(values[chosen], 0, -1)
        array[row, ..., start:stop] = block


def _name_untracked(skeleton: Skeleton, number: int) -> str:
    if skeleton.num_individuals == 1 and number == 0:
        return skeleton.individuals[0]
    return f"untracked_{number + 1}"


def _write_names(file: h5py.File, header: PredictionsHeader, tracks: Sequence[str]) -> None:
    skeleton = header.skeleton
    _write_list(file, "track_names", tracks)
    _write_list(file, "node_names", skeleton.keypoints)
    edges = np.array(skeleton.edge_indices, np.int64).reshape(-1, 2)
    file.create_dataset("edge_inds", data=edges)
    names = [name.encode() for edge in skeleton.edges for name in edge]
    file.create_dataset("edge_names", data=np.array(names or [b""], "S")[: len(names)].reshape(-1, 2))
    text = h5py.string_dtype()
    file.create_dataset("video_path", data=find_source(header.source), dtype=text)
    file.create_dataset("video_ind", data=np.int64(0))
    file.create_dataset("labels_path", data="", dtype=text)
    provenance = {"model": header.model, "run": header.run, "source": header.source}
    file.create_dataset("provenance", data=json.dumps(provenance), dtype=text)
    file.attrs["format"], file.attrs["preset"] = "analysis", "matlab"
    file.attrs["skeleton_name"] = header.metadata.get("sleap.skeleton") or "skeleton"
    file.attrs["skeleton_symmetries"] = json.dumps([list(pair) for pair in skeleton.symmetry])


def _write_list(file: h5py.File, name: str, texts: Sequence[str]) -> None:
    encoded = np.array([text.encode() for text in texts] or [b""], "S")
    file.create_dataset(name, data=encoded[: len(texts)])
