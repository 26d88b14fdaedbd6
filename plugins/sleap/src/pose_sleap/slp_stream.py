"""Read predictions of .slp files, frame by frame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from pose_core.errors import DataError
from pose_core.interfaces import PredictionsHeader, PredictionsStream
from pose_core.structures import FloatArray, Frame, Instances, IntArray, Skeleton, list_frames
from pose_sleap.slp_file import SlpFile, Table, open_slp, split_places
from pose_sleap.slp_labels import find_corrected
from pose_sleap.slp_videos import SlpVideo, parse_videos
from pose_sleap.track_names import TrackNames

OWN = "pose_core_json"
"""Dataset with what .slp has no place for; programs that do not know it leave it alone."""

_BLOCK = 512
"""Frames in memory at a time."""


def describe_header(header: PredictionsHeader, missing: list[list[Any]], tracks: TrackNames) -> str:
    """Describe predictions for :data:`OWN`, as JSON.

    Args:
        header: of the predictions.
        missing: ranges (first, last, reason) of frames that could not be decoded.
        tracks: of the file.
    """
    return json.dumps({"header": asdict(header), "missing": missing, "tracks": list(tracks.keys)})


class SlpStream(PredictionsStream):
    """The predictions of a .slp file.

    Of a file with one video the frames are those of the video; of one with a list of images these images; of
    one with several videos the frames that it has, as a sequence.

    Args:
        path: of the file.

    Raises:
        DataError: the file is spoilt, or its instances have several skeletons.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with open_slp(path) as slp:
            if len(slp.skeletons) > 1:
                raise DataError(
                    f"{path}: has {len(slp.skeletons)} skeletons; keep the one of the predictions"
                )
            self._videos = parse_videos(slp)
            self._frames = slp.read_frames()
            places, self._group = np.unique(self._frames.keys, return_inverse=True)
            self._places = split_places(places)
            own = self._read_own(slp)
            self._missing: list[tuple[int, int, str]] = [
                (a, b, str(why)) for a, b, why in own.get("missing", [])
            ]
            self._identity, self._track = _read_tracks(own, len(slp.tracks))
            self.header = self._make_header(slp, own)
            self._numbers: IntArray | range = range(self.header.frames)
            if self.header.selected:
                self._take_selected()

    def _take_selected(self) -> None:
        """Take the numbers of the frames, where a file holds some of a video or sequence."""
        numbers, places = list_frames(self.header.selected), self._places[:, 1]
        of_images = len(self._videos) == 1 and self._videos[0].kind == "images"
        if len(self._videos) == 1 and np.isin(places, range(len(numbers)) if of_images else numbers).all():
            self._numbers = numbers
        else:
            # Somebody has added others since.
            self.header = replace(self.header, selected=())

    def __iter__(self) -> Iterator[Frame]:
        # Frames are grouped by place: a file may list one twice, and in any order.
        order = np.argsort(self._group, kind="stable")
        bounds = np.searchsorted(self._group[order], np.arange(len(self._places) + 1))
        # Places in the numbers of the frames: those of images are places in the file's list, too.
        numbers, due = self._numbers, 0
        some_of_video = bool(self.header.selected) and self._videos[0].kind != "images"
        for start in range(0, len(self._places), _BLOCK):
            stop = min(start + _BLOCK, len(self._places))
            rows = order[bounds[start] : bounds[stop]]
            animals = self._read_animals(rows, start, stop)
            for i in range(start, stop):
                place = int(self._places[i, 1]) if len(self._videos) == 1 else i
                if some_of_video:
                    place = int(np.searchsorted(numbers, place))
                while due < place:
                    yield self._make_empty(due)
                    due += 1
                yield Frame(int(numbers[place]), animals[i - start], image=self._name_image(i, place))
                due += 1
        while due < len(numbers):
            yield self._make_empty(due)
            due += 1

    def _read_animals(self, rows: IntArray, start: int, stop: int) -> list[Instances]:
        """Read the animals of the places from start to stop, which some rows of frames belong to."""
        keypoints = self.header.skeleton.num_keypoints
        position, numbers = self._frames.list_instances(rows)
        groups = self._group[rows][position] - start
        with open_slp(self._path) as slp:
            low, high = (int(numbers.min()), int(numbers.max()) + 1) if len(numbers) else (0, 0)
            table = slp.read_instances(low, high)[numbers - low]
            kept = ~find_corrected(table, groups)
            table, groups = table[kept], groups[kept]
            points, scores, _ = slp.read_points(table, keypoints)
        values = np.nan_to_num(table["score"].astype(np.float64)).clip(0.0, 1.0)
        # Instances of users have no score.
        values = np.where(table["instance_type"] == 0, 1.0, values)
        track = table["track"].astype(np.int64)
        identity = np.where(track >= 0, self._identity[track], -1)
        named = _read_identity_scores(table, identity)
        order = np.argsort(groups, kind="stable")
        bounds = np.searchsorted(groups[order], np.arange(stop - start + 1))
        return [
            Instances.from_keypoints(
                points[chosen],
                keypoint_scores=scores[chosen],
                scores=values[chosen],
                identity=identity[chosen],
                identity_scores=named[chosen],
                track=np.where(track[chosen] >= 0, self._track[track[chosen]], -1),
            )
            for chosen in (order[bounds[i] : bounds[i + 1]] for i in range(stop - start))
        ]

    def _make_empty(self, place: int) -> Frame:
        skeleton, image = self.header.skeleton, self._name_image(place, place)
        index = int(self._numbers[place])
        for first, last, reason in self._missing:
            if first <= index <= last:
                return Frame.absent(index, skeleton, reason, image)
        return Frame(index, Instances.empty(skeleton.num_keypoints), image=image)

    def _name_image(self, row: int, index: int) -> str | None:
        """Name the image of a frame; None for a frame of a video."""
        if len(self._videos) == 1:
            video = self._videos[0]
            if video.kind != "images":
                return None
            return video.files[index] if index < len(video.files) else f"{video.files[0]} frame {index}"
        video, frame = self._videos[int(self._places[row, 0])], int(self._places[row, 1])
        return video.name_frame(video.source, frame)

    def _read_own(self, slp: SlpFile) -> dict[str, Any]:
        texts = slp.read_texts(OWN)
        own = json.loads(texts[0]) if texts else {}
        if not isinstance(own, dict):
            raise ValueError(f"{OWN} is no object")
        return own

    def _make_header(self, slp: SlpFile, own: dict[str, Any]) -> PredictionsHeader:
        most = (
            int(np.bincount(self._group, self._frames.last - self._frames.first).max())
            if len(self._group)
            else 1
        )
        frames = len(self._places)
        video = self._videos[0] if len(self._videos) == 1 else None
        if video is not None:
            frames = max(_count_frames(video), int(self._places[:, 1].max(initial=-1)) + 1)
        if "header" in own:
            try:
                header = TypeAdapter(PredictionsHeader).validate_python(own["header"])
            except ValidationError as error:
                raise ValueError(f"{OWN} holds no header: {error.errors()[0]['msg']}") from None
            if header.skeleton.keypoints == slp.skeletons[0].nodes:
                return header if video is not None else replace(header, frames=frames)
        skeleton = slp.skeletons[0]
        width, height = _read_size(video)
        return PredictionsHeader(
            skeleton=Skeleton(
                skeleton.nodes,
                skeleton.edges,
                skeleton.order_pairs()[0],
                individuals=("animal",) if most <= 1 else tuple(f"animal{i + 1}" for i in range(most)),
            ),
            source=video.files[0] if video is not None and video.kind == "video" else str(self._path),
            frames=frames,
            width=width,
            height=height,
            fps=0.0,
            model="",
            run="",
        )


def _read_tracks(own: dict[str, Any], count: int) -> tuple[IntArray, IntArray]:
    """Read for each track the individual, and the number of the track; -1 where it is not such a one."""
    keys = own.get("tracks", [])
    identity, track = np.full(count + 1, -1, np.int64), np.arange(count + 1)
    if len(keys) == count:
        for row, (kind, number) in enumerate(keys):
            identity[row], track[row] = (int(number), -1) if kind == "identity" else (-1, int(number))
    return identity, track


def _read_identity_scores(table: Table, identity: IntArray) -> FloatArray:
    """Read how sure it is that animals are the individuals ``identity``, (N,) float32; 0 for unknown ones."""
    known = identity >= 0
    if "tracking_score" not in (table.dtype.names or ()):
        return known.astype(np.float32)
    scores = np.asarray(table["tracking_score"], np.float32)
    # Files that say nothing of it are sure.
    return np.where(known, np.where(np.isfinite(scores), scores.clip(0, 1), 1), 0).astype(np.float32)


def _count_frames(video: SlpVideo) -> int:
    if video.kind == "images":
        return len(video.files)
    shape = _read_shape(video)
    return shape[0] if shape else 0


def _read_size(video: SlpVideo | None) -> tuple[int, int]:
    """Read width and height; 0 where the file does not say, or has several videos."""
    shape = _read_shape(video) if video is not None else None
    return (shape[2], shape[1]) if shape else (0, 0)


def _read_shape(video: SlpVideo) -> list[int] | None:
    shape = (video.content.get("backend") or {}).get("shape")
    if (
        not isinstance(shape, list)
        or len(shape) != 4
        or not all(isinstance(n, int) and n >= 0 for n in shape)
    ):
        return None
    return shape
