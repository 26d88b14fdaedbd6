"""Number the frames of a video from its packets, without decoding.

Packets are stored in the order in which they are decoded, frames are numbered in the order in which they are
shown. The numbers come from the time stamps, so a packet that cannot be decoded leaves its own number empty
and moves no other.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import av
import av.logging
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.stream import VideoStream

from pose_core.io.frame_ranges import FrameRange, to_ranges

# FFmpeg's log is one for the whole process.
_LOGGING = threading.Lock()


@dataclass(frozen=True, eq=False)
class Timeline:
    """The frames of a video.

    Attributes:
        frames: number of frames, including those that the file lost.
        numbers: (packets,) number of the frame in each packet, in order of storage; -1 for a packet that is
            not shown. None when the container holds no presentation times: frames are then numbered as they
            come out of the decoder.
        keys: (packets,) True for a key frame, which refers to no other.
        lost: number of frames that the file declares and does not hold.
        times: (packets,) presentation time (pts) of each packet, in ticks of the stream; NaN where the
            container has none.
    """

    frames: int
    numbers: npt.NDArray[np.int64] | None
    keys: npt.NDArray[np.bool_]
    lost: int
    times: npt.NDArray[np.float64]

    def after_damage(self, missing: Sequence[int]) -> list[FrameRange]:
        """Find frames stored between a missing one and the next key frame.

        They may refer to what is missing and show something wrong.

        Args:
            missing: numbers of the missing frames.

        Returns:
            ranges (first, last) of the frames that exist.
        """
        numbers = np.arange(len(self.keys)) if self.numbers is None else self.numbers
        absent = np.asarray(missing, np.int64)
        if not len(absent) or not len(numbers):
            return []
        damaged = np.isin(numbers, absent)
        # Places in order of storage, doubled: a frame that the container lost lies between two packets.
        places = 2 * np.arange(len(numbers))
        damage = np.where(damaged, places, -1)
        order = np.argsort(numbers, kind="stable")
        next_shown = np.searchsorted(numbers[order], np.setdiff1d(absent, numbers))
        after_hole = order[next_shown[next_shown < len(order)]]
        damage[after_hole] = np.maximum(damage[after_hole], 2 * after_hole - 1)
        fresh = np.where(self.keys & ~damaged, places, -1)
        stale = np.maximum.accumulate(damage) > np.maximum.accumulate(fresh)
        return to_ranges(np.sort(numbers[stale & ~damaged & (numbers >= 0)]))


def read_timeline(container: InputContainer, stream: VideoStream) -> Timeline:
    """Number the packets of a freshly opened video.

    Reads the whole file once; takes 26 bytes of memory a frame.
    """
    shown_at, decoded_at = array("d"), array("d")
    shown, keys = bytearray(), bytearray()
    damaged = False
    with _demuxer_errors(container.format.name) as errors:
        try:
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                shown_at.append(float("nan") if packet.pts is None else packet.pts)
                decoded_at.append(float("nan") if packet.dts is None else packet.dts)
                shown.append(not packet.is_discard)
                keys.append(packet.is_keyframe)
                damaged |= packet.is_corrupt
        except av.FFmpegError:
            # What can be read up to here is the video; the declared number of frames says what is lost.
            damaged = True
    damaged |= bool(errors)
    visible, fresh = (np.frombuffer(bytes(flags), np.uint8).astype(bool) for flags in (shown, keys))
    count = int(visible.sum())
    hidden = len(visible) - count
    declared = max(stream.frames - hidden, count) if stream.frames else count
    times = np.frombuffer(shown_at, np.float64)
    if not _can_order(times, np.frombuffer(decoded_at, np.float64), container.format.name, stream):
        return Timeline(declared, None, fresh, declared - count, times)
    order = np.argsort(times[visible], kind="stable")
    places = np.arange(count)
    if damaged and (grid := _fit_grid(times[visible][order])) is not None:
        # A damaged file with a constant frame rate: what the container lost shows as a hole in the times.
        places, interval = grid
        declared = max(declared, int(places[-1]) + 1, _count_by_duration(container, stream, interval))
    numbers = np.full(len(visible), -1, np.int64)
    numbers[np.flatnonzero(visible)[order]] = places
    return Timeline(declared, numbers, fresh, declared - count, times)


def _can_order(
    shown_at: npt.NDArray[np.float64],
    decoded_at: npt.NDArray[np.float64],
    container: str,
    stream: VideoStream,
) -> bool:
    """Test whether presentation times give the order of the frames."""
    if len(shown_at) == 0 or np.isnan(shown_at).any() or len(np.unique(shown_at)) != len(shown_at):
        return False
    known = decoded_at[~np.isnan(decoded_at)]
    # Decoding times that go back start again: recordings were joined.
    if (np.diff(known) < 0).any():
        return False
    # AVI stores no presentation times; FFmpeg guesses those of a codec with reordering.
    return not (container == "avi" and stream.codec_context.has_b_frames)


def _fit_grid(times: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], float] | None:
    """Fit a constant frame interval to sorted times.

    Returns:
        the multiple of the interval at which each time lies, and the interval; None without a constant rate.
    """
    if len(times) < 3:
        return None
    steps = np.diff(times)
    usual = np.median(steps)
    interval = float(steps[np.abs(steps - usual) <= 0.1 * usual + 1].mean())
    if interval <= 0:
        return None
    # Counted step by step: rounded time stamps would drift from a grid that starts at the first frame.
    whole = np.rint(steps / interval)
    if (np.abs(steps / interval - whole) > 0.25).any() or (whole < 1).any():
        return None
    return np.concatenate([[0], np.cumsum(whole)]).astype(np.int64), interval


def _count_by_duration(container: InputContainer, stream: VideoStream, interval: float) -> int:
    """Count frames by the duration that the container declares; 0 if it declares none."""
    seconds = 0.0
    tag = stream.metadata.get("DURATION", "")
    if tag.count(":") == 2:
        hours, minutes, rest = tag.split(":")
        seconds = int(hours) * 3600 + int(minutes) * 60 + float(rest)
    # With sound, the duration of the container may be that of the sound.
    elif container.format.name.startswith("matroska") and len(container.streams) == 1 and container.duration:
        seconds = container.duration / 1_000_000
    base = stream.time_base
    return round(seconds / (interval * float(base))) if seconds and base else 0


@contextmanager
def _demuxer_errors(name: str) -> Iterator[list[str]]:
    """Collect the errors that FFmpeg's demuxer reports only through its log, in this thread."""
    found: list[str] = []
    with _LOGGING:
        level, repeated = av.logging.get_level(), av.logging.get_skip_repeated()
        av.logging.set_level(av.logging.ERROR)
        av.logging.set_skip_repeated(False)
        try:
            with av.logging.Capture() as log:
                yield found
            found.extend(message.strip() for _, source, message in log if source == name)
        finally:
            av.logging.set_level(level)
            av.logging.set_skip_repeated(repeated)
