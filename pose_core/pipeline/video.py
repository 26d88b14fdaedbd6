"""Read frames from videos."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from pose_core.data.images import measure_reference_peak
from pose_core.escapes import escape_name
from pose_core.io.frame_pictures import to_rgb
from pose_core.io.frame_ranges import FrameRange
from pose_core.io.video import VideoFile
from pose_core.pipeline.sources import FrameSource, SourceFrame, SourceInfo
from pose_core.structures import VideoFrame


class VideoSource(FrameSource):
    """Read a video frame by frame, as :class:`pose_core.io.video.VideoFile` numbers and decodes it.

    Args:
        path: of the video.
        threads: of the decoder; 0 lets FFmpeg choose.
        bit_depth: bits that samples of 16-bit formats use; None: all.
        index: as for :class:`pose_core.io.video.VideoFile`.

    Raises:
        VideoError: the file is missing, is no video, or none of its frames can be decoded.
    """

    def __init__(
        self, path: Path | str, threads: int = 1, bit_depth: int | None = None, index: Path | None = None
    ) -> None:
        self._bit_depth = bit_depth
        self._video = VideoFile(path, threads, index)
        self.video = self._video.path

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

    def measure_peaks(self) -> list[int]:
        """Of the first frame."""
        peak = measure_reference_peak(VideoFrame(self._video.path, 0)) if self._video.bits == 16 else None
        return [] if peak is None else [peak]

    @property
    def unseekable(self) -> str | None:
        """What :attr:`pose_core.io.video.VideoFile.unseekable` says."""
        return self._video.unseekable

    def keep_index(self) -> None:
        """Keep it as :meth:`pose_core.io.video.VideoFile.keep_index` does."""
        self._video.keep_index()

    def remove_index(self) -> None:
        """Remove it as :meth:`pose_core.io.video.VideoFile.remove_index` does."""
        self._video.remove_index()

    def find_doubtful(self, missing: Mapping[str, Sequence[FrameRange]]) -> list[FrameRange]:
        """Find what was decoded after damage, as :meth:`pose_core.io.video.VideoFile.find_doubtful` does."""
        return self._video.find_doubtful(missing)

    def read(self, start: int = 0) -> Iterator[SourceFrame]:
        """Decode the frames from ``start`` on, from the key frame before it where the file allows to go there."""
        times = [None if math.isnan(t) else t for t in self._video.timeline.times.tolist()]
        for number, frame, reason in self._video.frames(start):
            # Converted to RGB only when the frame is loaded, by a helper thread instead of the reader.
            name = f"{self._video.path} frame {number}"
            load = None if frame is None else partial(to_rgb, frame, self._bit_depth, name)
            yield SourceFrame(number, load, reason, time=times[number])
