"""Videos of a .slp file: what its JSON says of them, and how their frames are called."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pose_core.io.hdf5 import read_text_attribute
from pose_core.structures import IntArray
from pose_sleap.slp_file import SlpFile

Kind = Literal["video", "images", "stored", "stack"]


@dataclass(frozen=True)
class SlpVideo:
    """A video of a .slp file.

    Attributes:
        kind: a video file, a list of image files, images stored in HDF5, a file of several images.
        files: name of the file, or names of the images; of stored images the HDF5 file that holds them, "."
            for the .slp file itself.
        dataset: of stored images.
        source: names of the files that stored images were taken from, where known; else those in ``files``.
        channels_first: whether stored pixels are (frames, channels, ...).
        content: its JSON.
    """

    kind: Kind
    files: tuple[str, ...]
    dataset: str
    source: tuple[str, ...]
    channels_first: bool
    content: dict[str, Any]

    def name_frame(self, names: Sequence[str], frame: int) -> str:
        """Name a frame: ``clip.mp4 frame 17``, or the image's name.

        Args:
            names: of :attr:`source`, shortened.
            frame: its number.
        """
        if len(names) == 1:
            return f"{names[0]} frame {frame}"
        return names[frame] if frame < len(names) else f"{names[0]} frame {frame}"


def parse_videos(slp: SlpFile) -> list[SlpVideo]:
    """Parse the videos of a file.

    Raises:
        Anything that :func:`~pose_core.io.hdf5.hdf5_errors` explains: the JSON is spoilt.
    """
    return [_parse(content, slp) for content in slp.videos]


def _parse(content: dict[str, Any], slp: SlpFile) -> SlpVideo:
    backend = content.get("backend") or {}
    dataset = str(backend.get("dataset") or "")
    files = _read_files(content)
    kind = _choose_kind(str(backend.get("type") or ""), dataset, files)
    source = files
    if kind == "stored":
        stored = str(backend.get("filename") or content.get("filename") or ".")
        # A package that was renamed still names itself as it was called.
        files = (".",) if slp.find(dataset) is not None else (stored,)
        place = dataset.rpartition("/")[0] or dataset
        # Without the source the group stands for the video; longer only where files hold equal groups.
        source = _read_source(content, dataset, slp) or (f"{stored}/{place}",)
    first = str(backend.get("input_format") or "") == "channels_first"
    return SlpVideo(kind, files, dataset, source, first, content)


def _read_files(content: dict[str, Any]) -> tuple[str, ...]:
    """Read the names of a video's files; newer files have them outside of the backend, too."""
    backend = content.get("backend") or {}
    for holder, key in ((backend, "filenames"), (content, "filename"), (backend, "filename")):
        found = holder.get(key)
        if isinstance(found, str) and found:
            return (found,)
        if isinstance(found, list) and found and all(isinstance(name, str) for name in found):
            return tuple(found)
    raise ValueError("a video has no file name")


def _choose_kind(backend: str, dataset: str, files: tuple[str, ...]) -> Kind:
    if backend == "HDF5Video" or dataset:
        return "stored"
    if backend in ("ImageVideo", "SingleImageVideo") or len(files) > 1:
        return "images"
    if backend == "TiffVideo" or Path(files[0]).suffix.lower() in (".tif", ".tiff"):
        return "stack"
    return "video"


def _read_source(content: dict[str, Any], dataset: str, slp: SlpFile) -> tuple[str, ...]:
    """Read from what files images were stored; empty where nobody says."""
    found = content.get("source_video")
    if not isinstance(found, dict):
        group = slp.find_group(f"{dataset.rpartition('/')[0]}/source_video")
        text = "" if group is None else read_text_attribute(group, "json")
        found = json.loads(text) if text else None
    if not isinstance(found, dict):
        return ()
    inner = found.get("source_video")
    files = _read_files(inner if isinstance(inner, dict) else found)
    return () if files == (".",) else files


def find_same(videos: list[SlpVideo]) -> IntArray:
    """For each video the first that is the same one: merged projects may list a video twice."""
    first: dict[str, int] = {}
    keys = [json.dumps([video.kind, video.files, video.dataset]) for video in videos]
    return np.array([first.setdefault(key, i) for i, key in enumerate(keys)], np.int64)
