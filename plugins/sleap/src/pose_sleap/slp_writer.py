"""Write predictions as .slp, which SLEAP's GUI and sleap-io open, and read them back."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError
from pose_core.interfaces import PredictionsHeader, PredictionsStream, Writer
from pose_core.io.hdf5 import DiskFile
from pose_core.structures import Frame
from pose_sleap.config import SlpWriterConfig
from pose_sleap.predicted_videos import choose_places
from pose_sleap.slp_file import EXTENSION, PREDICTED, open_slp
from pose_sleap.slp_skeleton import describe_skeleton
from pose_sleap.slp_stream import OWN, SlpStream, describe_header
from pose_sleap.track_names import TrackNames, score_tracks

_BLOCK = 1024
"""Frames in memory at a time."""
_CHUNK_BYTES = 1 << 16
_FORMAT = 1.2
"""The oldest format that has all that is written: tracking scores came with it."""

_FRAME = np.dtype(
    [
        ("frame_id", "<u8"),
        ("video", "<u4"),
        ("frame_idx", "<u8"),
        ("instance_id_start", "<u8"),
        ("instance_id_end", "<u8"),
    ]
)
_INSTANCE = np.dtype(
    [
        ("instance_id", "<i8"),
        ("instance_type", "u1"),
        ("frame_id", "<u8"),
        ("skeleton", "<u4"),
        ("track", "<i4"),
        ("from_predicted", "<i8"),
        ("score", "<f4"),
        ("point_id_start", "<u8"),
        ("point_id_end", "<u8"),
        ("tracking_score", "<f4"),
    ]
)
_POINT = np.dtype([("x", "<f8"), ("y", "<f8"), ("visible", "?"), ("complete", "?")])
_PREDICTED_POINT = np.dtype([*((name, _POINT[name]) for name in _POINT.names or ()), ("score", "<f8")])


class SlpWriter(Writer):
    """Write a .slp file with the predicted instances of a video, of images, or of a project's frames.

    Frames without animals have no row, as in SLEAP; boxes are not stored. Of frames that could not be decoded
    the file keeps the numbers and reasons where only pose_core looks for them.
    """

    config: SlpWriterConfig
    extension = EXTENSION
    takes_selected = True

    def stem(self, header: PredictionsHeader) -> str:
        """Make the file name ``<video>.predictions``, so that a project is never taken for its predictions."""
        return f"{super().stem(header).removesuffix('.pkg')}.predictions"

    def write(self, path: Path, header: PredictionsHeader, frames: Iterable[Frame]) -> None:
        """Write all frames, some hundreds at a time; of images memory holds the names.

        Raises:
            DataError: the skeleton has keypoints that exist once an image, which .slp cannot hold; or images
                of a project are not in it.
        """
        if header.skeleton.unique_keypoints:
            raise DataError(
                f"slp cannot hold keypoints that exist once an image ({', '.join(header.skeleton.unique_keypoints)}); "
                "write the format parquet"
            )
        blocks = iterate_blocks(frames)
        first = next(blocks, [])
        places, tracks = choose_places(header, first), TrackNames(header.skeleton)
        missing: list[list[Any]] = []
        disk = DiskFile(path, "w+")
        try:
            with h5py.File(disk, "w") as file:
                tables = _Tables(file, header.skeleton.num_keypoints)
                for block in chain([first], blocks):
                    _note_missing(missing, block)
                    tables.append(block, places.locate(block), tracks)
                    disk.check()
                _write_texts(file, "tracks_json", [json.dumps([0, name]) for name in tracks.names])
                _write_texts(file, "videos_json", [json.dumps(video) for video in places.describe_videos()])
                _write_texts(file, "suggestions_json", [])
                _write_metadata(file, header)
                _write_texts(file, OWN, [describe_header(header, missing, tracks)])
        finally:
            disk.close()
        disk.check()

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Test for a .slp file with predicted instances, or one that this writer wrote. Never raises."""
        try:
            if path.suffix.lower() != EXTENSION or not path.is_file():
                return False
            with open_slp(path) as slp:
                return slp.has_predictions or slp.find(OWN) is not None
        except (DataError, OSError):
            return False

    def read(self, path: Path) -> PredictionsStream:
        """Open predictions of any program; of a project all instances, corrected ones once.

        Raises:
            DataError: the file is spoilt.
        """
        return SlpStream(path)


class _Tables:
    """The tables of frames, instances and points, which rows are appended to."""

    def __init__(self, file: h5py.File, keypoints: int) -> None:
        self._keypoints = keypoints
        self._frames = _create(file, "frames", _FRAME)
        self._instances = _create(file, "instances", _INSTANCE)
        _create(file, "points", _POINT)
        self._points = _create(file, "pred_points", _PREDICTED_POINT)

    def append(self, block: Sequence[Frame], places: npt.NDArray[np.int64], tracks: TrackNames) -> None:
        """Append frames; ``places`` (F, 2) has the video and the number of each."""
        counts = np.array([len(frame.instances) for frame in block], np.int64)
        # A frame without a row has no animals.
        kept = np.flatnonzero(counts)
        if not len(kept):
            return
        animals = [block[i].instances for i in kept.tolist()]
        first_frame, first = len(self._frames), len(self._instances)
        ends = first + np.cumsum(counts[kept])
        rows = np.zeros(len(kept), _FRAME)
        rows["frame_id"] = np.arange(first_frame, first_frame + len(kept))
        rows["video"], rows["frame_idx"] = places[kept].T
        rows["instance_id_start"], rows["instance_id_end"] = ends - counts[kept], ends
        total, k = int(counts.sum()), self._keypoints
        numbers = np.arange(first, first + total)
        instances = np.zeros(total, _INSTANCE)
        instances["instance_id"], instances["instance_type"] = numbers, PREDICTED
        instances["frame_id"] = np.repeat(rows["frame_id"], counts[kept])
        instances["track"] = np.concatenate([tracks.number(found) for found in animals])
        instances["from_predicted"] = -1
        instances["score"] = np.concatenate([found.scores for found in animals])
        instances["point_id_start"], instances["point_id_end"] = numbers * k, (numbers + 1) * k
        instances["tracking_score"] = np.concatenate([score_tracks(found) for found in animals])
        points = np.zeros((total, k), _PREDICTED_POINT)
        xy = np.concatenate([found.keypoints for found in animals])
        points["x"], points["y"] = xy[..., 0], xy[..., 1]
        points["visible"] = np.isfinite(xy).all(axis=-1)
        points["score"] = np.concatenate([found.keypoint_scores for found in animals])
        for table, values in (
            (self._frames, rows),
            (self._instances, instances),
            (self._points, points.reshape(-1)),
        ):
            start = len(table)
            table.resize(start + len(values), axis=0)
            table[start:] = values


def _create(file: h5py.File, name: str, dtype: npt.DTypeLike) -> h5py.Dataset:
    size = np.dtype(dtype).itemsize
    return file.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(max(1, _CHUNK_BYTES // size),))


def _write_texts(file: h5py.File, name: str, texts: Sequence[str]) -> None:
    file.create_dataset(
        name, data=np.array([text.encode() for text in texts], object), dtype=h5py.string_dtype()
    )


def _write_metadata(file: h5py.File, header: PredictionsHeader) -> None:
    name = header.metadata.get("sleap.skeleton") or "skeleton"
    content = {
        "version": "2.0.0",
        **describe_skeleton(header.skeleton, name),
        "videos": [],
        "tracks": [],
        "suggestions": [],
        "negative_anchors": {},
        "provenance": {
            "pose_core": importlib.metadata.version("pose-core"),
            "model": header.model,
            "run": header.run,
            "source": header.source,
        },
    }
    group = file.create_group("metadata")
    group.attrs["format_id"] = _FORMAT
    # Bytes of a fixed length, for older versions of SLEAP take no other text here.
    group.attrs["json"] = np.bytes_(json.dumps(content, separators=(",", ":")).encode())


def _note_missing(missing: list[list[Any]], block: Iterable[Frame]) -> None:
    """Add the frames that could not be decoded to ranges (first, last, reason)."""
    for frame in block:
        if frame.missing is None:
            continue
        if missing and missing[-1][1] == frame.index - 1 and missing[-1][2] == frame.missing:
            missing[-1][1] = frame.index
        else:
            missing.append([frame.index, frame.index, frame.missing])


def iterate_blocks(frames: Iterable[Frame], size: int = _BLOCK) -> Iterator[list[Frame]]:
    """Yield some frames at a time."""
    pending = iter(frames)
    while block := list(islice(pending, size)):
        yield block
