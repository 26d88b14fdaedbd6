"""Find the images that frames of a .slp file stand for, on this computer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pose_core.errors import DataError, VideoError, listed, setting
from pose_core.escapes import escape_name
from pose_core.io.files import is_file
from pose_core.io.images import read_image_size
from pose_core.io.names import FileFinder, shorten_names, split_name
from pose_core.io.video import open_video
from pose_core.structures import EmbeddedImage, ImageFile, ImageReference, IntArray, VideoFrame
from pose_sleap.slp_videos import SlpVideo
from pose_sleap.stored_images import StoredImages


class Place(NamedTuple):
    """An image of a project: reference, name that does not depend on its folder, size in pixels."""

    image: ImageReference
    name: str
    width: int
    height: int


class PlaceFinder:
    """Find the images of frames.

    Args:
        path: of the .slp file.
        videos: of the file.
        folder: where files are looked for first, if the user names one: absolute, or relative to the .slp
            file's folder or the working directory.
        reader: name of the reader, for images that are stored in a file.

    Raises:
        DataError: there is no such folder.

    Attributes:
        notes: what was left out.
    """

    def __init__(self, path: Path, videos: Sequence[SlpVideo], folder: str | None, reader: str) -> None:
        self._path, self._videos, self._reader = path, list(videos), reader
        self._files = {
            noun: FileFinder(tails=True, noun=noun) for noun in ("video", "image", "file of images")
        }
        self._folders = [path.parent]
        if folder is not None:
            given = [place for place in (path.parent / folder, Path(folder)) if place.is_dir()]
            if not given:
                raise DataError(f"{path}: the folder of its videos, {folder}, does not exist")
            self._folders.insert(0, given[0])
        names = list(dict.fromkeys(name for video in videos for name in video.source))
        self._names = dict(zip(names, shorten_names(names), strict=True))
        self.notes: list[str] = []

    def find(self, frames: IntArray) -> list[Place | None]:
        """Find the image of each frame.

        Args:
            frames: (F, 2) int64, index of the video and number of the frame in it; sorted by video.

        Returns:
            for each the place; None for a frame whose image the file was to hold and does not.

        Raises:
            DataError: a video or image is missing, is not readable, or has no such frame; names it.
        """
        present, starts = np.unique(frames[:, 0], return_index=True)
        ends = [*starts[1:].tolist(), len(frames)]
        found: list[Place | None] = []
        missing: list[str] = []
        for video, start, end in zip(present.tolist(), starts.tolist(), ends, strict=True):
            found += self._find_in_video(self._videos[video], frames[start:end, 1].tolist(), missing)
        if missing:
            raise DataError(
                f"{self._path}: {listed(missing, most=1)} {'is' if len(missing) == 1 else 'are'} missing, looked "
                f"for in {', '.join(map(str, self._folders))}; put what is missing there, name its folder: "
                f"{setting('data.reader.type=sleap', 'data.reader.videos=FOLDER')}, or save the project in SLEAP "
                "with embedded images (.pkg.slp), which needs no video"
            )
        for finder in self._files.values():
            self.notes += finder.notes()
        return found

    def find_videos(self, name: str) -> list[int]:
        """Find the videos that a name means, by their index: what frames are called by, or the end of it."""
        wanted = split_name(name)
        return [
            i
            for i, video in enumerate(self._videos)
            if self._names[video.source[0]] == name or split_name(video.source[0])[-len(wanted) :] == wanted
        ]

    def describe_videos(self) -> str:
        """List the names that frames of the videos are called by."""
        return ", ".join(dict.fromkeys(self._names[video.source[0]] for video in self._videos))

    def index_images(self) -> dict[str, tuple[int, int | None]]:
        """Find all that frames of the videos are read from.

        Returns:
            video and number of the frame of each image, as text; of a file of a video no number.
        """
        found: dict[str, tuple[int, int | None]] = {}
        for i, video in enumerate(self._videos):
            if video.kind == "stored" and video.files == (".",):
                frames = StoredImages.read(self._path, video.dataset, video.channels_first).frames.tolist()
                for place, frame in zip(self._find_in_video(video, frames, []), frames, strict=True):
                    if place is not None:
                        found.setdefault(escape_name(place.image), (i, frame))
            elif video.kind in ("video", "images"):
                for number, name in enumerate(video.files):
                    file = self._find_file(video.kind.removesuffix("s"), name)
                    if file is not None:
                        found.setdefault(escape_name(file), (i, number if video.kind == "images" else None))
        return found

    def _find_in_video(self, video: SlpVideo, frames: list[int], missing: list[str]) -> list[Place | None]:
        names = [self._names[name] for name in video.source]
        if video.kind == "images":
            return self._find_images(video, names, frames, missing)
        if video.kind == "stack":
            raise DataError(
                f"{self._path}: {video.files[0]} is a file of several images, whose labels are not read; save "
                "the project in SLEAP with embedded images (.pkg.slp)"
            )
        if video.kind == "stored" and video.files == (".",):
            return self._find_stored(self._path, video, names, frames)
        noun = "video" if video.kind == "video" else "file of images"
        file = self._find_file(noun, video.files[0])
        if file is None:
            missing.append(f"{noun} {video.files[0]} ({len(frames)} frames)")
            return []
        if video.kind == "stored":
            return self._find_stored(file, video, names, frames)
        try:
            opened = open_video(file)
            count = opened.timeline.frames
        except VideoError as error:
            raise DataError(f"{self._path}: {error}") from None
        if max(frames) >= count:
            raise DataError(
                f"{self._path}: refers to frame {max(frames)} of {file}, which has {count}; the first is 0"
            )
        width, height, name = opened.width, opened.height, names[0]
        # Inlined naming: this is the one loop over all frames of long videos.
        return [Place(VideoFrame(file, frame), f"{name} frame {frame}", width, height) for frame in frames]

    def _find_images(
        self, video: SlpVideo, names: list[str], frames: list[int], missing: list[str]
    ) -> list[Place | None]:
        if max(frames) >= len(video.files):
            raise DataError(
                f"{self._path}: refers to image {max(frames)} of a list of {len(video.files)}; the first is 0"
            )
        found: list[Place | None] = []
        for frame in frames:
            file = self._find_file("image", video.files[frame])
            if file is None:
                missing.append(f"image {video.files[frame]}")
            else:
                found.append(Place(ImageFile(file), names[frame], *read_image_size(file)))
        return found

    def _find_stored(
        self, file: Path, video: SlpVideo, names: list[str], frames: list[int]
    ) -> list[Place | None]:
        stored = StoredImages.read(file, video.dataset, video.channels_first)
        rows = {frame: row for row, frame in enumerate(stored.frames.tolist())}
        found: list[Place | None] = []
        for frame in frames:
            row = rows.get(frame)
            image = None if row is None else EmbeddedImage(file, f"{video.dataset}/{row}", self._reader)
            name = video.name_frame(names, frame)
            found.append(None if image is None else Place(image, name, stored.width, stored.height))
        return found

    def _find_file(self, noun: str, name: str) -> Path | None:
        try:
            found = self._files[noun].find(name, self._folders)
        except DataError as error:
            raise DataError(f"{self._path}: {error}") from None
        return found.path if found is not None and is_file(found.path) else None
