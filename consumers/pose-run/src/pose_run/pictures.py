"""Images and frames of videos as (H, W, 3) uint8 RGB."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pose_run.errors import ExportError
from pose_run.geometry import Image

_ELSE = "predict with pose_core, which reads it"


def as_rgb(image: object, name: str = "image") -> Image:
    """Check an array, or read a file.

    Args:
        image: (H, W, 3) RGB or (H, W) gray uint8, or the path of an image file.
        name: for messages.

    Raises:
        ExportError: it is something else, or cannot be read.
    """
    if isinstance(image, str | Path):
        return read_image(Path(image))
    if not isinstance(image, np.ndarray):
        raise ExportError(f"{name}: must be an array or a path, not {type(image).__name__}")
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ExportError(
            f"{name}: must be uint8 of shape (H, W, 3) in RGB or (H, W), not {image.dtype} of shape {image.shape}"
        )
    if not image.size:
        raise ExportError(f"{name}: has no pixels (shape {image.shape})")
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)


def read_image(path: Path) -> Image:
    """Read an image file of 8 bits; it is turned as its EXIF says, and alpha is left out.

    Raises:
        ExportError: it cannot be read, has more bits, or holds several images.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ExportError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None
    try:
        if path.suffix.lower() in (".tif", ".tiff", ".gif", ".webp", ".apng") and cv2.imcount(str(path)) > 1:
            raise ExportError(f"{path}: holds several images; {_ELSE}")
        image: Any = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise ExportError(f"{path}: cannot be decoded as an image; is the file complete?")
    if image.dtype != np.uint8:
        raise ExportError(f"{path}: has samples of type {image.dtype}, not 8 bits; {_ELSE}")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def read_frames(path: Path | str) -> Iterator[Image]:
    """Decode a video frame by frame; frames are turned as the file asks, as players do.

    Raises:
        ExportError: it is missing, damaged, or no video of 8 bits.
    """
    # Here: images need no decoder of videos.
    import av

    path = Path(path)
    if not path.is_file():
        raise ExportError(f"{path}: no such file; check the path")
    number = 0
    try:
        # As a URL, in which FFmpeg takes no letter for anything but a name.
        with av.open(
            f"file:{path.absolute()}", options={"pattern_type": "none"}, metadata_errors="replace"
        ) as file:
            streams = [stream for stream in file.streams.video if not stream.disposition & _COVER]
            if len(streams) != 1:
                raise ExportError(
                    f"{path}: holds {len(streams) or 'no'} videos; {_ELSE if streams else 'name a video'}"
                )
            (stream,) = streams
            stream.thread_type = "AUTO"
            for frame in file.decode(stream):
                if frame.is_corrupt:
                    raise ExportError(f"{path}: frame {number} is damaged; {_ELSE} as far as it can")
                yield _to_rgb(frame, path)
                number += 1
    except av.FFmpegError as error:
        where = "cannot be opened as a video" if not number else f"is damaged after frame {number - 1}"
        raise ExportError(f"{path}: {where} ({error.strerror}); {_ELSE} as far as it can") from None
    if not number:
        raise ExportError(f"{path}: holds no frames")


_COVER = 0x400
"""Disposition of pictures that are no video (AV_DISPOSITION_ATTACHED_PIC)."""


def _to_rgb(frame: Any, path: Path) -> Image:
    kind = frame.format
    if kind.components[0].bits > 8 and kind.name.startswith(("gray", "rgb", "gbr", "bgr")):
        raise ExportError(f"{path}: has frames of {kind.components[0].bits} bits ({kind.name}); {_ELSE}")
    image = np.asarray(frame.reformat(format="rgb24").to_ndarray(), np.uint8)
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return image
    # libavutil/display.h: whole turns by 90 degrees and mirrors.
    a, b, _, c, d, *_ = struct.unpack("9i", bytes(matrix))
    right, down = a, d
    if abs(b) + abs(c) > abs(a) + abs(d):
        image = image.transpose(1, 0, 2)
        right, down = c, b
    return np.ascontiguousarray(image[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])
