"""SLEAP projects, written with h5py as SLEAP's GUI and sleap-io write them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np

FRAME = np.dtype(
    [
        ("frame_id", "<u8"),
        ("video", "<u4"),
        ("frame_idx", "<u8"),
        ("instance_id_start", "<u8"),
        ("instance_id_end", "<u8"),
    ]
)
INSTANCE = np.dtype(
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
POINT = np.dtype([("x", "<f8"), ("y", "<f8"), ("visible", "?"), ("complete", "?")])
PREDICTED_POINT = np.dtype([*((name, POINT[name]) for name in POINT.names or ()), ("score", "<f8")])
NEGATIVE = np.dtype([("video_id", "<u4"), ("frame_idx", "<u8")])


@dataclass
class Animal:
    """An instance.

    Attributes:
        points: (K, 2).
        track: index; -1: none.
        score: of a predicted one; None: a user placed it.
        made_from: place in the frame of the prediction that it corrects.
        hidden: nodes with a position that are marked as not visible.
        skeleton: index.
    """

    points: Any
    track: int = -1
    score: float | None = None
    made_from: int | None = None
    hidden: tuple[int, ...] = ()
    skeleton: int = 0


@dataclass
class SlpProject:
    """What a .slp file holds, to be changed and written.

    Attributes:
        frames: video, number in it, and animals of each frame.
        videos: JSON of each.
        embedded: images of each video by frame, encoded.
        kinds: types of links that have been defined, as the file numbers them.
    """

    nodes: list[str] = field(default_factory=lambda: ["nose", "earR", "earL", "tail"])
    edges: list[tuple[int, int]] = field(default_factory=lambda: [(0, 3), (0, 1)])
    pairs: list[tuple[int, int]] = field(default_factory=lambda: [(1, 2)])
    name: str = "mouse"
    tracks: list[str] = field(default_factory=list)
    videos: list[dict[str, Any]] = field(default_factory=list)
    frames: list[tuple[int, int, list[Animal]]] = field(default_factory=list)
    negative: list[tuple[int, int]] = field(default_factory=list)
    suggestions: list[tuple[int, int]] = field(default_factory=list)
    embedded: dict[int, dict[int, np.ndarray]] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    format: float = 1.4
    padded: bool = True
    more: dict[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """The JSON of the metadata."""
        links: list[dict[str, Any]] = []
        defined: list[int] = []
        for kind, pairs in ((1, self.edges), (2, self.pairs)):
            for number, (source, target) in enumerate(pairs):
                if kind in defined:
                    described: dict[str, Any] = {"py/id": defined.index(kind) + 1}
                else:
                    defined.append(kind)
                    described = {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [kind]}]}
                link = {"key": 0, "source": source, "target": target, "type": described}
                links.append(link | ({"edge_insert_idx": number} if kind == 1 else {}))
        skeleton = {
            "directed": True,
            "graph": {"name": self.name, "num_edges_inserted": len(self.edges)},
            "links": links,
            "multigraph": True,
            "nodes": [{"id": i} for i in range(len(self.nodes))],
        }
        return {
            "version": "2.0.0",
            "skeletons": [skeleton],
            "nodes": [{"name": name, "weight": 1.0} for name in self.nodes],
            "videos": [],
            "tracks": [],
            "provenance": {},
            **self.more,
        }

    def write(self, path: Path) -> Path:
        """Write the file; returns its path."""
        frames = np.zeros(len(self.frames), FRAME)
        instances: list[tuple[Any, ...]] = []
        points: dict[bool, list[tuple[Any, ...]]] = {False: [], True: []}
        for row, (video, number, animals) in enumerate(self.frames):
            first = len(instances)
            for animal in animals:
                predicted = animal.score is not None
                start = len(points[predicted])
                for node, (x, y) in enumerate(np.asarray(animal.points, float).tolist()):
                    seen = bool(np.isfinite([x, y]).all()) and node not in animal.hidden
                    points[predicted].append((x, y, seen, False, *((0.5 + node / 100,) if predicted else ())))
                instances.append(
                    (
                        len(instances),
                        int(predicted),
                        row,
                        animal.skeleton,
                        animal.track,
                        -1 if animal.made_from is None else first + animal.made_from,
                        animal.score or 0.0,
                        start,
                        len(points[predicted]),
                        np.nan,
                    )
                )
            frames[row] = (row, video, number, first, len(instances))
        table = np.array(instances, INSTANCE)
        if self.format < 1.2:
            table = table[[name for name in INSTANCE.names or () if name != "tracking_score"]].copy()
        with h5py.File(path, "w") as file:
            file["frames"], file["instances"] = frames, table
            file["points"] = np.array(points[False], POINT)
            file["pred_points"] = np.array(points[True], PREDICTED_POINT)
            if self.negative:
                file["negative_frames"] = np.array(self.negative, NEGATIVE)
            suggested = [{"video": str(video), "frame_idx": i, "group": 0} for video, i in self.suggestions]
            write_texts(file, "tracks_json", [[0, name] for name in self.tracks])
            write_texts(file, "videos_json", self.videos)
            write_texts(file, "suggestions_json", suggested)
            group = file.create_group("metadata")
            group.attrs["format_id"] = self.format
            group.attrs["json"] = np.bytes_(json.dumps(self.describe()).encode())
            for video, images in self.embedded.items():
                self._embed(file.create_group(f"video{video}"), images)
        return path

    def _embed(self, group: h5py.Group, images: dict[int, np.ndarray]) -> None:
        encoded = [
            cv2.imencode(".png", image[..., ::-1])[1].reshape(-1).view(np.int8) for image in images.values()
        ]
        if self.padded:
            length = max(map(len, encoded))
            data = np.stack([np.pad(row, (0, length - len(row))) for row in encoded])
            node = group.create_dataset("video", data=data)
        else:
            node = group.create_dataset("video", (len(encoded),), h5py.vlen_dtype(np.int8))
            for row, values in enumerate(encoded):
                node[row] = values
        height, width = next(iter(images.values())).shape[:2]
        node.attrs["format"] = "png"
        node.attrs["height"], node.attrs["width"], node.attrs["channels"] = height, width, 3
        for name, value in self.attributes.items():
            node.attrs[name] = value
        group["frame_numbers"] = np.array(list(images), np.int64)


def write_texts(file: h5py.File, name: str, contents: list[Any]) -> None:
    """Write a list of JSON texts."""
    texts = np.array([json.dumps(content).encode() for content in contents], object)
    file.create_dataset(name, data=texts, dtype=h5py.string_dtype())


def media_video(name: str, frames: int = 12, width: int = 64, height: int = 48) -> dict[str, Any]:
    """JSON of a video file."""
    backend = {
        "type": "MediaVideo",
        "shape": [frames, height, width, 3],
        "filename": name,
        "grayscale": False,
        "bgr": True,
        "dataset": "",
        "input_format": "",
    }
    return {"filename": name, "backend": backend}


def old_video(name: str) -> dict[str, Any]:
    """JSON of a video file as SLEAP's GUI wrote it up to 1.4."""
    return {"backend": {"filename": name, "grayscale": "", "bgr": True, "dataset": "", "input_format": ""}}


def image_video(names: list[str]) -> dict[str, Any]:
    """JSON of a list of images."""
    return {"filename": names, "backend": {"type": "ImageVideo", "filename": names[0], "filenames": names}}


def embedded_video(number: int, source: dict[str, Any] | None, frames: int = 1) -> dict[str, Any]:
    """JSON of a video whose images are embedded."""
    backend = {
        "type": "HDF5Video",
        "shape": [frames, 48, 64, 3],
        "filename": ".",
        "dataset": f"video{number}/video",
        "input_format": "channels_last",
    }
    made: dict[str, Any] = {"filename": "old.pkg.slp", "backend": backend}
    return made | ({} if source is None else {"source_video": source})
