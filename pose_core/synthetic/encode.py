"""Encode frames in memory as a small H.264 video."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pose_core.io.ffmpeg import create_container
from pose_core.structures import ByteArray


def write_video(path: Path, frames: Iterable[ByteArray], fps: int = 25, crf: int = 12) -> int:
    """Write frames as H.264 in MP4.

    At the default quality a pixel keeps its value to a few grey levels.

    Args:
        path: of the file to write (.mp4).
        frames: (H, W, 3) uint8 RGB, of one size, both sides even; at least one.
        fps: frames a second.
        crf: quality of x264; 0 is lossless but for the colours' resolution, 23 is usual.

    Returns:
        the number of frames.

    Raises:
        ValueError: there is no frame, or frames differ in size or have odd sides.
        OSError: the file cannot be written.
    """
    count = 0
    size: tuple[int, ...] = ()
    with create_container(path) as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": str(crf), "preset": "veryfast"})
        assert isinstance(stream, VideoStream)
        for image in frames:
            if count == 0:
                size = image.shape
                # yuv420p stores one colour for each 2 x 2 pixels;
                # players know few other pixel formats of H.264.
                if size[0] % 2 or size[1] % 2:
                    raise ValueError(f"H.264 needs even sides, not {size[1]} x {size[0]}")
                stream.height, stream.width, stream.pix_fmt = size[0], size[1], "yuv420p"
            elif image.shape != size:
                raise ValueError(
                    f"frame {count} has {image.shape[1]} x {image.shape[0]} pixels, not {size[1]} x {size[0]}"
                )
            frame = VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = count
            container.mux(stream.encode(frame))
            count += 1
        if count == 0:
            raise ValueError("a video needs at least one frame")
        # The encoder holds frames back to order them; without this the video's end is missing.
        container.mux(stream.encode())
    return count
