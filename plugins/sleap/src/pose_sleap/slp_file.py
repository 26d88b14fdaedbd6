"""The tables of a .slp file, read with h5py and checked.

A .slp file is HDF5: ``frames`` (one row a labelled frame), ``instances`` (one row an animal, those of a frame
together), ``points`` and ``pred_points`` (one row a node of an instance), lists of JSON texts for videos,
tracks and suggestions, and ``metadata`` with the skeletons.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError
from pose_core.io.hdf5 import find_dataset, hdf5_errors
from pose_core.structures import FloatArray, IntArray
from pose_sleap.slp_skeleton import SlpSkeleton, parse_skeletons

EXTENSION = ".slp"
USER, PREDICTED = 0, 1
"""Values of ``instance_type``."""

_NEWEST = 3.0
"""From this format on the tables may mean something else."""
_CORNERS = 1.1
"""Before this format coordinates counted from the corner of the top-left pixel."""

_FRAME_BITS = 40
"""Bits of the number of a frame; 23 are left for the number of its video."""

_FRAME_FIELDS = ("video", "frame_idx", "instance_id_start", "instance_id_end")
_INSTANCE_FIELDS = (
    *("instance_id", "instance_type", "skeleton", "track"),
    *("from_predicted", "score", "point_id_start", "point_id_end"),
)

Table = npt.NDArray[Any]


@dataclass(frozen=True)
class Frames:
    """The frames of a file, F of them.

    Attributes:
        video: (F,) int64 index of the video.
        frame: (F,) int64 number of the frame in its video.
        first, last: (F,) int64 rows of the instances, half open.
    """

    video: IntArray
    frame: IntArray
    first: IntArray
    last: IntArray

    @property
    def keys(self) -> IntArray:
        """(F,) int64 of :func:`join_places`."""
        return join_places(self.video, self.frame)

    def list_instances(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """List the instances of some frames.

        Returns:
            (N,) position in ``rows`` of each instance's frame; (N,) row of the instance.
        """
        lengths = self.last[rows] - self.first[rows]
        position = np.repeat(np.arange(len(rows)), lengths)
        # The first instance's row less the number of instances of frames before.
        starts = self.first[rows] - (np.cumsum(lengths) - lengths)
        return position, np.repeat(starts, lengths) + np.arange(len(position))


def join_places(video: IntArray, frame: IntArray) -> IntArray:
    """Join video and number of a frame into one number that sorts by both; :func:`split_places` undoes it."""
    # Sorting numbers is ten times as fast as sorting rows of two.
    return (video << _FRAME_BITS) | frame


def split_places(keys: IntArray) -> IntArray:
    """Split the numbers that :func:`join_places` made, (M, 2) int64."""
    return np.stack([keys >> _FRAME_BITS, keys & ((1 << _FRAME_BITS) - 1)], axis=1)


class SlpFile:
    """An open .slp file.

    Args:
        file: opened for reading.
        path: of the file.

    Attributes:
        path: of the file.
        format: its version.
        metadata: the JSON that describes the project.
        skeletons: those in the metadata.
        tracks: names of the tracks.
        videos: JSON of each video, parsed.
        has_predictions: whether it holds predicted points.

    Raises:
        DataError: the format is newer than is known.
        Anything that :func:`hdf5_errors` explains: the file is spoilt.
    """

    def __init__(self, file: h5py.File, path: Path) -> None:
        self._file = file
        self.path = path
        if "metadata" not in file or "json" not in file["metadata"].attrs:
            raise ValueError("it has no metadata")
        attributes = file["metadata"].attrs
        self.format = float(attributes.get("format_id", 1.0))
        if not self.format < _NEWEST:
            raise DataError(
                f"{path}: has format {self.format:g} of .slp, and formats before {_NEWEST:g} are known; save the "
                "project with an older SLEAP, or update pose-sleap"
            )
        self.metadata = _parse_object(attributes["json"])
        self.skeletons: list[SlpSkeleton] = parse_skeletons(self.metadata)
        if not self.skeletons:
            raise ValueError("it has no skeleton")
        self.tracks = [str(json.loads(text)[1]) for text in self.read_texts("tracks_json")]
        self.videos = [_parse_object(text) for text in self.read_texts("videos_json")]
        predicted = find_dataset(file, "pred_points")
        self.has_predictions = predicted is not None and len(predicted) > 0

    @property
    def shift(self) -> float:
        """What is subtracted of coordinates, so that the centre of the top-left pixel is (0, 0)."""
        return 0.5 if self.format < _CORNERS else 0.0

    def read_texts(self, name: str) -> list[str]:
        """Read a list of texts; empty where there is no such dataset."""
        node = find_dataset(self._file, name)
        if node is None or not node.size:
            return []
        return [
            value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            for value in np.atleast_1d(node[()]).tolist()
        ]

    def read_frames(self) -> Frames:
        """Read the frames, and check what they refer to."""
        table = self.read_table("frames", _FRAME_FIELDS)
        video, frame, first, last = (_to_int(table, name) for name in _FRAME_FIELDS)
        _check_range("frames", "video", video, len(self.videos))
        _check_range("frames", "frame_idx", frame, 1 << _FRAME_BITS)
        count = self.count("instances")
        _check_range("frames", "instance_id_end", last, count + 1)
        _check_range("frames", "instance_id_start", first, count + 1)
        if (first > last).any() or (last - first).sum() > count:
            raise ValueError("frames share instances")
        return Frames(video, frame, first, last)

    def read_instances(self, first: int = 0, last: int | None = None) -> Table:
        """Read rows of the instances; ``tracking_score`` may be missing in old files."""
        table = self.read_table("instances", _INSTANCE_FIELDS, first, last)
        _check_range("instances", "instance_type", _to_int(table, "instance_type"), 2)
        _check_range("instances", "skeleton", _to_int(table, "skeleton"), len(self.skeletons))
        _check_range("instances", "track", _to_int(table, "track"), len(self.tracks), -1)
        return table

    def read_points(self, instances: Table, nodes: int) -> tuple[FloatArray, FloatArray, int]:
        """Read the points of some instances.

        Args:
            instances: N rows of the table, of one skeleton.
            nodes: K of that skeleton.

        Returns:
            (N, K, 2) float32 in pixels from the centre of the top-left one, NaN where missing or marked as not
            visible; (N, K) float32 scores in [0, 1], 1 for those of users; number of points that have a
            position and are marked as not visible.
        """
        first, last = _to_int(instances, "point_id_start"), _to_int(instances, "point_id_end")
        if (last - first != nodes).any():
            raise ValueError(
                f"an instance has another number of points than the {nodes} nodes of its skeleton"
            )
        kinds = _to_int(instances, "instance_type")
        points = np.full((len(instances), nodes, 2), np.nan, np.float32)
        scores = np.zeros((len(instances), nodes), np.float32)
        hidden = 0
        for kind, name, fields in (
            (USER, "points", ("x", "y", "visible")),
            (PREDICTED, "pred_points", ("x", "y", "visible", "score")),
        ):
            rows = np.flatnonzero(kinds == kind)
            if not len(rows):
                continue
            low, high = int(first[rows].min()), int(last[rows].max())
            if low < 0 or high > self.count(name):
                raise ValueError(f"instances refer to points that {name} does not hold")
            table = self.read_table(name, fields, low, high)
            pick = _make_picker(first[rows] - low, nodes, high - low)
            # Columns of a table lie apart, and each is gone through several times.
            x, y = (pick(np.ascontiguousarray(table[field], np.float64)) for field in ("x", "y"))
            visible = pick(np.ascontiguousarray(table["visible"], bool))
            there = np.isfinite(x) & np.isfinite(y)
            seen = there & visible
            hidden += int(there.sum()) - int(seen.sum())
            target = slice(None) if len(rows) == len(instances) else rows
            if kind == PREDICTED:
                # Scores of other programs are peaks of maps or sums of them, which may lie above 1, or NaN.
                given = pick(np.ascontiguousarray(table["score"], np.float64))
                scores[target] = np.where(seen & (given > 0), np.minimum(given, 1.0), 0.0)
            else:
                scores[target] = seen
            for axis, values in enumerate((x, y)):
                points[target, :, axis] = np.where(seen, values - self.shift, np.nan)
        return points, scores, hidden

    def read_negative_frames(self) -> IntArray:
        """Read the frames that are marked as empty, (M, 2) int64: video and number."""
        if find_dataset(self._file, "negative_frames") is None:
            return np.zeros((0, 2), np.int64)
        table = self.read_table("negative_frames", ("video_id", "frame_idx"))
        marked = np.stack([_to_int(table, "video_id"), _to_int(table, "frame_idx")], axis=1)
        _check_range("negative_frames", "video_id", marked[:, 0], len(self.videos))
        _check_range("negative_frames", "frame_idx", marked[:, 1], 1 << _FRAME_BITS)
        return marked

    def read_suggestions(self) -> IntArray:
        """Read the frames that are suggested for labelling, (M, 2) int64: video and number."""
        rows = [_parse_object(text) for text in self.read_texts("suggestions_json")]
        found = np.array([[int(row["video"]), int(row["frame_idx"])] for row in rows], np.int64).reshape(
            -1, 2
        )
        _check_range("suggestions_json", "video", found[:, 0], len(self.videos))
        _check_range("suggestions_json", "frame_idx", found[:, 1], 1 << _FRAME_BITS)
        return found

    def count(self, name: str) -> int:
        """Count the rows of a table; 0 where there is none."""
        node = find_dataset(self._file, name)
        return 0 if node is None else len(node)

    def read_table(
        self, name: str, fields: tuple[str, ...], first: int = 0, last: int | None = None
    ) -> Table:
        """Read rows of a table that must have certain fields of numbers."""
        node = find_dataset(self._file, name)
        if node is None:
            raise ValueError(f"it has no {name}")
        if node.dtype.names is None or node.ndim != 1:
            raise ValueError(f"{name} is no table")
        if lacking := [field for field in fields if field not in node.dtype.names]:
            raise ValueError(f"{name} has no {', '.join(lacking)}")
        if wrong := [
            field for field in fields if node.dtype[field].kind not in "biuf" or node.dtype[field].shape
        ]:
            raise ValueError(f"{name} holds no numbers in {', '.join(wrong)}")
        table: Table = node[first:last]
        return table

    def find(self, name: str) -> Any:
        """Find a dataset of the file; None if there is none."""
        return find_dataset(self._file, name)

    def find_group(self, name: str) -> Any:
        """Find a group of the file; None if there is none, or a link to elsewhere."""
        node = self._file
        for part in name.strip("/").split("/"):
            link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
            if not isinstance(link, h5py.HardLink):
                return None
            node = node[part]
        return node


@contextmanager
def open_slp(path: Path) -> Iterator[SlpFile]:
    """Open a .slp file; what is wrong with it while it is open becomes one line, too.

    Raises:
        DataError: the file cannot be read, or is spoilt.
    """
    with hdf5_errors(path, "a .slp file of SLEAP"), h5py.File(path, "r") as file:
        yield SlpFile(file, path)


def _parse_object(text: object) -> dict[str, Any]:
    content = json.loads(bytes(text) if isinstance(text, bytes) else str(text))
    if not isinstance(content, dict):
        raise ValueError("its JSON is no object where one is due")
    return content


def _make_picker(first: IntArray, nodes: int, count: int) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    """Make what brings a column of points into rows of instances, (N, K).

    Args:
        first: (N,) place of the first point of each.
        nodes: K.
        count: of points.
    """
    # As nearly all files have them: one after the other, which needs no copy.
    if count == len(first) * nodes and (first == np.arange(len(first)) * nodes).all():
        return lambda values: values.reshape(-1, nodes)
    chosen = first[:, None] + np.arange(nodes)
    return lambda values: values[chosen]


def _to_int(table: Table, name: str) -> IntArray:
    values = table[name]
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"{name} holds a value that is no number")
    return np.asarray(values).astype(np.int64)


def _check_range(table: str, name: str, values: IntArray, end: int, start: int = 0) -> None:
    if len(values) and (values.min() < start or values.max() >= end):
        odd = int(values.min() if values.min() < start else values.max())
        raise ValueError(f"{table} holds {name} {odd}, and the file has {max(end, 0)}")
