"""Say which frame of which video each predicted frame is, in a .slp file of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pose_core.errors import DataError
from pose_core.escapes import escape_name, unescape_name
from pose_core.interfaces import PredictionsHeader
from pose_core.io.files import is_file
from pose_core.structures import Frame, IntArray
from pose_sleap.places import PlaceFinder
from pose_sleap.project_frames import ProjectFrames
from pose_sleap.slp_file import EXTENSION


class PredictedPlaces:
    """The frames of one video.

    Args:
        header: of the predictions.
    """

    def __init__(self, header: PredictionsHeader) -> None:
        self._header = header

    def locate(self, block: Sequence[Frame]) -> IntArray:
        """Give video and number of some frames, (F, 2) int64, in order."""
        return np.array([[0, frame.index] for frame in block], np.int64).reshape(-1, 2)

    def describe_videos(self) -> list[dict[str, Any]]:
        """Describe the videos, as ``videos_json`` has them."""
        header, name = self._header, find_source(self._header.source)
        backend = {
            "type": "TiffVideo" if Path(name).suffix.lower() in (".tif", ".tiff") else "MediaVideo",
            "shape": [header.frames, header.height, header.width, 3],
            "filename": name,
            "grayscale": False,
            "bgr": True,
            "dataset": "",
            "input_format": "",
            **({"fps": header.fps} if header.fps else {}),
        }
        return [{"filename": name, "backend": backend}]


class _ImageList(PredictedPlaces):
    """A sequence of image files: one video of as many frames."""

    def __init__(self, header: PredictionsHeader) -> None:
        super().__init__(header)
        self._images: list[str] = []

    def locate(self, block: Sequence[Frame]) -> IntArray:
        for frame in block:
            # Every frame is written or is missing, so numbers are rows of the list; of chosen images the file
            # has no others, and its header says which they are.
            if frame.index != len(self._images) and not self._header.selected:
                raise DataError(
                    f"got frame {frame.index} instead of frame {len(self._images)}; write all frames in order"
                )
            self._images.append(find_source(frame.image or str(frame.index)))
        end = len(self._images)
        return np.array([[0, row] for row in range(end - len(block), end)], np.int64).reshape(-1, 2)

    def describe_videos(self) -> list[dict[str, Any]]:
        width, height = self._header.width, self._header.height
        shape = [len(self._images), height, width, 3] if width else None
        backend = {
            "type": "ImageVideo",
            "shape": shape,
            "filename": self._images[0] if self._images else "",
            "filenames": self._images,
            "height_": height or None,
            "width_": width or None,
            "channels_": 3,
            "grayscale": False,
        }
        return [{"filename": self._images, "backend": backend}]


class _Project(PredictedPlaces):
    """Frames of the videos of a project, which the file of predictions lists as the project does."""

    def __init__(self, header: PredictionsHeader, path: Path) -> None:
        super().__init__(header)
        project = ProjectFrames.read(path)
        keypoints = header.skeleton.keypoints
        if not any(set(nodes) == set(keypoints) for nodes in project.nodes):
            raise DataError(
                f"{path}: its skeleton has the nodes {', '.join(project.nodes[0])}, and the model predicts "
                f"{', '.join(keypoints)}; such predictions cannot be merged into the project, write another format "
                "(parquet)"
            )
        self._path, self._project = path, project
        self._videos = [_name_package(video, path) for video in project.videos]
        self._places = {escape_name(place.image): row for place, row in project.places}
        self._images: dict[str, tuple[int, int | None]] | None = None

    def locate(self, block: Sequence[Frame]) -> IntArray:
        rows = [self._locate(frame.image or "") for frame in block]
        return np.array(rows, np.int64).reshape(-1, 2)

    def _locate(self, image: str) -> tuple[int, int]:
        """Give video and number of an image: one of the project's lists, or any other of its videos."""
        if image in self._places:
            return self._places[image]
        if self._images is None:
            videos = self._project.parsed
            self._images = PlaceFinder(self._path, videos, None, self._project.reader).index_images()
        if image in self._images:
            video, number = self._images[image]
            return video, number or 0
        file, _, number_text = image.rpartition(" frame ")
        if file in self._images and number_text.isdecimal():
            return self._images[file][0], int(number_text)
        raise DataError(f"{self._path}: {image} is not among its frames; predict the project as it is now")

    def describe_videos(self) -> list[dict[str, Any]]:
        return self._videos


def _name_package(video: dict[str, Any], path: Path) -> dict[str, Any]:
    """Name the package that holds embedded images, which calls itself "."."""
    backend = video.get("backend")
    if not isinstance(backend, dict) or backend.get("filename") != ".":
        return video
    name = path.resolve().as_posix()
    return {**video, "filename": name, "backend": {**backend, "filename": name}}


def choose_places(header: PredictionsHeader, first: Sequence[Frame]) -> PredictedPlaces:
    """Choose how frames are located, by what was predicted.

    Args:
        header: of the predictions.
        first: some of the frames.

    Raises:
        DataError: the project that was predicted cannot be read any more.
    """
    source = Path(unescape_name(header.source))
    if source.suffix.lower() == EXTENSION and is_file(source):
        return _Project(header, source)
    return PredictedPlaces(header) if not first or first[0].image is None else _ImageList(header)


def find_source(name: str) -> str:
    """Find the absolute path of a predicted file, so that the .slp file can be opened from any folder.

    The name as it is, where there is no such file any more.
    """
    path = Path(unescape_name(name))
    return path.resolve().as_posix() if is_file(path) else path.as_posix()
