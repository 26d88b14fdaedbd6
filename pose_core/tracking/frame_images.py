"""The images of frames: of the video that stored predictions name, or of the source that is being predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pose_core.data.images import read_image
from pose_core.errors import DataError, PoseError, argument
from pose_core.interfaces.writer import PredictionsHeader
from pose_core.io.images import read_image_header, read_page
from pose_core.io.video import open_video
from pose_core.pipeline.pages import PageSource
from pose_core.pipeline.sources import FrameSource, SourceFrame
from pose_core.structures import ByteArray, Frame, ImageFile, VideoFrame

ReadImage = Callable[[Frame], ByteArray]
"""Reads the image (H, W, 3) uint8 RGB of a frame; raises PoseError where it cannot. Fastest in rising order."""


def find_images(header: PredictionsHeader, predictions: Path, video: Path | None) -> ReadImage | str:
    """Find the images that predictions were made of.

    Args:
        header: names the video or folder.
        predictions: their file; a video may lie beside it.
        video: where the user says that it is.

    Returns:
        what reads them, or why there are none.

    Raises:
        DataError: what the user named is not there, or not what was predicted.
    """
    source = Path(header.source)
    places = (
        [video]
        if video is not None
        else [source, predictions.parent / source, predictions.parent / source.name]
    )
    # A header without a source would name the folder itself.
    place = next((place for place in places if place.exists() and (header.source or video)), None)
    if place is None:
        if video is not None:
            raise DataError(f"{video}: no such file; name the video or folder that was predicted")
        return f"{header.source or 'the video'} is not there; name it by {argument('video', 'FILE')}"
    if place.is_dir():
        return lambda frame: _read_file(place, frame)
    try:
        frames, size, read = _open_file(place)
        wrong = _compare(header, frames, *size)
    except PoseError as error:
        wrong = str(error)
    else:
        if not wrong:
            return read
    if video is not None:
        raise DataError(f"{place}: {wrong}; name the video that was predicted ({header.source})")
    return f"{place} is another video ({wrong})"


def _open_file(place: Path) -> tuple[int, tuple[int, int], ReadImage]:
    """Open a video, or a stack of images; how many there are, (width, height), and what reads them."""
    image = read_image_header(place)
    if image is not None and image.format == "tiff":
        stack = PageSource(place)
        return (
            stack.total,
            (stack.info.width, stack.info.height),
            lambda frame: read_page(place, frame.index),
        )
    known = open_video(place)
    return (
        known.timeline.frames,
        (known.width, known.height),
        lambda frame: read_image(VideoFrame(place, frame.index)),
    )


def _compare(header: PredictionsHeader, frames: int, width: int, height: int) -> str:
    """Say in what a video differs from the one that was predicted; nothing where it does not."""
    if header.frames and header.frames != frames:
        return f"it has {frames} frames, the predictions {header.frames}"
    if header.width and (header.width, header.height) != (width, height):
        return f"it has {width} x {height} pixels, the predictions {header.width} x {header.height}"
    return ""


def _read_file(place: Path, frame: Frame) -> ByteArray:
    if frame.image is None:
        raise DataError(f"{place}: frame {frame.index} names no image")
    paths = [Path(frame.image), place / frame.image, place / Path(frame.image).name]
    return read_image(ImageFile(next((path for path in paths if path.is_file()), paths[-1])))


def read_in_step(source: FrameSource) -> ReadImage:
    """Read the images of a source, once and in order, in step with the frames that are asked for."""
    frames: Iterator[SourceFrame] = source.read()

    def read(frame: Frame) -> ByteArray:
        found = next((one for one in frames if one.index >= frame.index), None)
        if found is None or found.index != frame.index:
            raise DataError(f"{source.info.name}: has no frame {frame.index} any more")
        if found.load is None:
            raise DataError(f"{source.info.name}: frame {frame.index} {found.reason}")
        return found.load()

    return read
