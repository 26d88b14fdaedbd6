"""Read frames from videos."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pose_core.io.video import VideoFile, to_rgb
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
        return SourceInfo(str(video.path), video.timeline.frames, video.width, video.height, video.fps)

    def identity(self) -> dict[str, object]:
        """Name, size and time of the file."""
        # Not a hash of the contents, which would mean to read the whole video first.
        stat = self._video.path.stat()
        return {"video": [self._video.path.name, stat.st_size, stat.st_mtime_ns]}

    def read(self, start: int = 0) -> Iterator[SourceFrame]:
        """Decode the frames from ``start`` on."""
        for number, frame, reason in self._video.frames(start):
            # Converted to RGB only when the frame is loaded, by a helper thread instead of the reader.
            yield SourceFrame(number, None if frame is None else partial(to_rgb, frame), reason)
        self.doubtful = self._video.doubtful
