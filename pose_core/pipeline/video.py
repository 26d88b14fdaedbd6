"""Videos as sources of frames."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pose_core.io.video import VideoFile, to_rgb
from pose_core.pipeline.sources import FrameSource, SourceFrame, SourceInfo


class VideoSource(FrameSource):
    """A video file, frame by frame, as :class:`pose_core.io.video.VideoFile` numbers and decodes it.

    Args:
        path: of the video.
        threads: of the decoder; 0 lets FFmpeg choose.

    Raises:
        VideoError: the file is missing, is no video, or none of its frames can be decoded.
    """

    def __init__(self, path: Path | str, threads: int = 1) -> None:
        super().__init__()
        self._video = VideoFile(path, threads)

    @property
    def info(self) -> SourceInfo:
        """Path, number of frames, size and rate."""
        video = self._video
        return SourceInfo(str(video.path), video.timeline.frames, video.width, video.height, video.fps)

    def identity(self) -> dict[str, Any]:
        """Name, size and time of the file."""
        stat = self._video.path.stat()
        return {"video": [self._video.path.name, stat.st_size, stat.st_mtime_ns]}

    def read(self, start: int = 0) -> Iterator[SourceFrame]:
        """The frames from ``start`` on; earlier ones are decoded but not converted."""
        for number, frame, reason in self._video.frames(start):
            yield SourceFrame(number, None if frame is None else partial(to_rgb, frame), reason)
        self.doubtful = self._video.doubtful
