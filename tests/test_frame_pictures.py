"""Pictures of decoded frames are those that FFmpeg makes, whatever way is taken to them."""

from __future__ import annotations

import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from pose_core.io.frame_pictures import to_rgb

MATRICES = {"bt709": 1, "bt601": 5}
"""Numbers of AVColorSpace."""

FORMATS = (
    "yuv444p",
    "yuvj444p",
    "yuva444p",
    "nv24",
    "yuv440p",
    "yuv422p",
    "yuv420p",
    "nv12",
    "gray",
    "rgb24",
    "gbrp",
)


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [(64, 48), (51, 33)])
def test_every_format_is_converted_as_ffmpeg_converts_it(
    size: tuple[int, int], kind: str, matrix: str
) -> None:
    frame = VideoFrame(*size, kind)
    random = np.random.default_rng(0)
    for plane in frame.planes:
        plane.update(random.integers(0, 256, plane.buffer_size, dtype=np.uint8).tobytes())
    if not frame.format.is_rgb:
        frame.colorspace = MATRICES[matrix]
    wanted = VideoReformatter().reformat(frame, format="rgb24", threads=1).to_ndarray()
    found = to_rgb(frame)
    np.testing.assert_array_equal(found, wanted)
