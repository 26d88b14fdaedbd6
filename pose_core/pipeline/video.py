"""Read frames from videos."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pose_core.escapes import escape_name
from pose_core.io.frame_pictures import to_rgb
from pose_core.io.video import VideoFile
from pose_core.pipeline.sources import FrameSource, SourceFrame, SourceInfo


class VideoSource(FrameSource):
    """Read a video frame by frame, as :class:`pose_core.io.video.VideoFile` numbers and decodes it.

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
        frames = video.timeline
        return SourceInfo(
            str(video.path), frames.frames, video.width, video.height, frames.fps, frames.even, frames.step
        )

    @property
    def notes(self) -> list[str]:
        """What :attr:`pose_core.io.video.VideoFile.notes` says."""
        return self._video.notes

    def identity(self) -> dict[str, object]:
        """Name, size and time of the file."""
        # Not a hash of the contents, which would mean to read the whole video first.
        stat = self._video.path.stat()
        return {"video": [escape_name(self._video.path.name), stat.st_size, stat.st_mtime_ns]}

    def read(self, start: int = 0) -> Iterator[SourceFrame]:
        """Decode the frames from ``start`` on."""
        times = [None if math.isnan(t) else t for t in self._video.timeline.times.tolist()]
        for number, frame, reason in self._video.frames(start):
            # Converted to RGB only when the frame is loaded, by a helper thread instead of the reader.
            load = None if frame is None else partial(to_rgb, frame)
            yield SourceFrame(number, load, reason, time=times[number])
        self.doubtful = self._video.doubtful
