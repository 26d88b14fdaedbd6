"""Draw predictions into the video they were made of."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pose_core.data.draw import draw_note
from pose_core.data.draw_tracks import TRAIL, TrackDrawing
from pose_core.errors import DataError, PoseError, VideoError, argument, command
from pose_core.interfaces import PredictionsHeader, PredictionsStream
from pose_core.interfaces.prediction_files import open_predictions
from pose_core.io.ffmpeg import create_container
from pose_core.io.files import disk_errors, make_folder, put_in_place
from pose_core.io.name_lengths import check_name, name_temporary
from pose_core.pipeline.selected_frames import SelectedFrames
from pose_core.pipeline.sources import FrameSource, SourceInfo
from pose_core.pipeline.threads import Channel, Flow, Stopped
from pose_core.pipeline.video import VideoSource
from pose_core.prediction.inputs import find_inputs
from pose_core.reporting import Reporter, current_reporter
from pose_core.structures import ByteArray, Frame

IMAGES_PER_SECOND = 10.0
"""Rate of a video made of image files, which have none."""

# Holds the usual rates exactly, and is as fine as MPEG-4 allows.
_FINE_CLOCK = Fraction(1, 60_000)

# They store none, or few; there frames have places at even steps.
_KEEP_NO_TIMES = ("avi", "mpeg")

_Picture = tuple[ByteArray, float | None]
"""A drawn frame, and its time in seconds."""


def render(
    predictions: Path,
    video: Path,
    out: Path,
    *,
    threshold: float = 0.2,
    radius: float | None = None,
    boxes: bool = False,
    trail: int | None = None,
    bit_depth: int | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> None:
    """Write a video with the predicted animals drawn into it, frame by frame.

    Of a prediction of some frames only these are shown, one after the other.
    Each frame keeps its time. AVI files have places at even steps alone; there a frame takes the nearest.

    Args:
        predictions: file of any format that can be read back.
        video: what was predicted: a video, or a folder of images.
        out: video file to write; its ending names the container (.mp4 ...).
        threshold: keypoints with a lower score are left out.
        radius: of the keypoints in pixels; by default fitting the frame.
        boxes: draw the box of every animal and its score in percent, whatever the scores of its keypoints.
        trail: frames of the way that is drawn behind each animal that has a track; None: 25, 0: none. Tracked animals
            also have their id drawn (or their name), and the colour of their track.
        bit_depth: bits that 16-bit images use where the file does not say; None: all 16.
        overwrite: replace ``out`` if it exists.
        reporter: is told how far it is, in frames.

    Raises:
        DataError: the predictions cannot be read or belong to another video.
        VideoError: the video cannot be read, or the result not be written.
        PoseError: the disk is full, or ``out`` exists.
    """
    check_name(out)
    if out.is_dir():
        raise PoseError(f"{out}: is a folder; name a video file in it")
    stream = open_predictions(predictions)
    inputs = find_inputs([video], partial(VideoSource, bit_depth=bit_depth), bit_depth)
    if len(inputs.found) != 1:
        raise DataError(f"{video}: holds {len(inputs.found)} videos; name one of them")
    source = inputs.found[0].source
    # Of a single one the reason was raised.
    assert not isinstance(source, VideoError)
    reporter = reporter or current_reporter()
    for line in inputs.notes:
        reporter.note(f"note: {line}")
    _check(predictions, stream.header, video, source)
    info = source.info
    if stream.header.selected:
        source = SelectedFrames(source, stream.header.selected)
        # One after the other: their own times have gaps.
        info = replace(source.info, even=True)
    if out.exists() and not overwrite:
        raise PoseError(f"{out}: exists; add {argument('overwrite', True)} or choose another name")
    if out.exists() and out.samefile(video):
        raise PoseError(f"{out}: is the video itself; choose another name")
    make_folder(out.parent)
    drawing = TrackDrawing(
        stream.header.skeleton,
        TRAIL if trail is None else trail,
        threshold=threshold,
        radius=radius,
        boxes=boxes,
    )
    temporary = name_temporary(out.with_suffix(""), f".partial{out.suffix}")
    try:
        with disk_errors(out.parent):
            _encode(
                _draw_pictures(stream, source, drawing, reporter),
                temporary,
                out,
                info,
            )
            put_in_place(temporary, out)
        if trail and not drawing.tracked:
            reporter.note(
                f"note: {predictions}: no animal has a track, so there is no {argument('trail')}; "
                f"{command('track')} gives tracks"
            )
    finally:
        temporary.unlink(missing_ok=True)


def _check(path: Path, header: PredictionsHeader, video: Path, source: FrameSource) -> None:
    info = source.info
    if header.frames and header.frames != info.frames:
        raise DataError(
            f"{path}: has {header.frames} frames, {video} has {info.frames}; name the video that was "
            f"predicted ({header.source})"
        )
    if header.width and info.width and (header.width, header.height) != (info.width, info.height):
        raise DataError(
            f"{path}: was made of frames of {header.width} x {header.height} pixels, {video} has "
            f"{info.width} x {info.height}; name the video that was predicted ({header.source})"
        )


def _draw_pictures(
    stream: PredictionsStream,
    source: FrameSource,
    drawing: TrackDrawing,
    reporter: Reporter,
) -> Iterator[_Picture]:
    """Draw the frames; the source is decoded in a thread of its own."""
    total = source.info.frames
    found = iter(stream)
    waiting: Frame | None = next(found, None)
    last: ByteArray | None = None
    for done, (index, picture, time) in enumerate(_decode(source), 1):
        # Predictions are joined to frames by their number.
        while waiting is not None and waiting.index < index:
            waiting = next(found, None)
        frame = waiting if waiting is not None and waiting.index == index else None
        if frame is not None:
            drawing.add(frame)
        if picture is not None:
            last = picture
        elif last is None:
            last = np.zeros((source.info.height or 64, source.info.width or 64, 3), np.uint8)
        if picture is None:
            yield draw_note(last, f"frame {index} is missing"), time
        elif frame is None or frame.missing is not None:
            yield picture, time
        else:
            yield drawing.draw(picture, frame), time
        reporter.progress("drawing", done, total)


def _decode(source: FrameSource) -> Iterator[tuple[int, ByteArray | None, float | None]]:
    def read(out: Channel[tuple[int, ByteArray | None, float | None]]) -> None:
        for item in source.read():
            picture: ByteArray | None = None
            if item.load is not None:
                try:
                    picture = item.load()
                except DataError:
                    # An image file that cannot be decoded is shown as missing.
                    picture = None
            out.put((item.index, picture, item.time))
        out.end()

    with Flow() as flow:
        pictures: Channel[tuple[int, ByteArray | None, float | None]] = flow.channel(4)
        flow.start("read", lambda: read(pictures))
        try:
            yield from pictures
        except Stopped:
            flow.check()
            raise


def _encode(pictures: Iterator[_Picture], path: Path, out: Path, source: SourceInfo) -> None:
    rate = Fraction(source.fps or IMAGES_PER_SECOND).limit_denominator(100_000)
    first, _ = begin = next(pictures)
    height, width = first.shape[:2]
    try:
        container = create_container(path)
    except ValueError:
        raise VideoError(f"{out}: {out.suffix or 'no ending'} names no video format; use .mp4") from None
    except av.FFmpegError as error:
        raise _explain_failure(out, error) from None
    try:
        with container:
            options = {}
            if not source.even and container.format.name in _KEEP_NO_TIMES:
                rate = Fraction(1 / source.step).limit_denominator(1000)
                # With reordered frames an empty place comes too late.
                options = {"bf": "0"}
            stream = _add_stream(container, rate, width + width % 2, height + height % 2, options)
            clock = 1 / rate
            if not source.even and container.format.name not in _KEEP_NO_TIMES:
                clock = stream.codec_context.time_base = _FINE_CLOCK
            due = 0
            for number, (picture, time) in enumerate(_chain(begin, pictures)):
                if picture.shape != first.shape:
                    raise VideoError(
                        f"{out}: frame {number} has {picture.shape[1]} x {picture.shape[0]} pixels, the "
                        f"first has {width} x {height}; only images of one size make a video"
                    )
                # The pixel format (yuv420p) halves both sides for colours, so that they must be even.
                even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
                frame = VideoFrame.from_ndarray(even, format="rgb24")
                # Even frames are counted: their times may be rounded to milliseconds.
                at = number if source.even or time is None else round(time / clock)
                frame.pts = max(at, due)
                frame.time_base = clock
                due = frame.pts + 1
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except av.FFmpegError as error:
        raise _explain_failure(out, error) from None


def _add_stream(
    container: OutputContainer, rate: Fraction, width: int, height: int, options: dict[str, str]
) -> VideoStream:
    # H.264 plays everywhere; builds of FFmpeg without libx264 have MPEG-4 at least.
    if "libx264" in av.codecs_available and "libx264" in container.supported_codecs:
        stream = container.add_stream(
            "libx264", rate=rate, options={"crf": "18", "preset": "veryfast", **options}
        )
    else:
        stream = container.add_stream("mpeg4", rate=rate, options={"qscale": "3"})
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    return stream


def _chain(first: _Picture, others: Iterator[_Picture]) -> Iterator[_Picture]:
    yield first
    yield from others


def _explain_failure(out: Path, error: av.FFmpegError) -> PoseError:
    if error.errno == errno.ENOSPC:
        return PoseError(f"{out.parent}: no space left on the disk; free some and run the command again")
    return VideoError(
        f"{out}: cannot be written ({(error.strerror or str(error)).lower()}); choose another "
        f"{argument('out')}"
    )
