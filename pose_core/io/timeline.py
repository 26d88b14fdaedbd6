"""Decide which frames a video has: their numbers, and when each is shown.

Nothing else in the program numbers frames. The rules:

1. Frame n is the n-th picture of the recording in the order of showing, decodable or not. Numbers come from
   the packets alone, so that a frame that cannot be decoded leaves its own number empty and moves no other.
2. A packet is not a frame. The second field of a frame, a packet that an edit list leaves out, one that only
   serves others, and the empty one of a dropped frame have no number. A field without its partner is a frame.
3. The order of showing is that of the stored times. AVI files and raw streams store none, and the times that
   FFmpeg guesses are not believed: there the order is that of the pictures' headers; where the codec has no
   reader of headers, that in which the decoder gives the frames.
4. Recordings that were joined (a clock that goes back, an AVI file after another) are parts. The frames of a
   part follow those of the part before; nothing refers from one to another, so decoders begin anew.
5. What comes before the first key frame of a part, stored or shown, refers to a frame that the file does not
   hold. It has numbers, but what a decoder makes of it is no picture.
6. Stated counts are not believed, but for what is lost: the index of an MP4 file, and the header of an AVI
   file that ends before its end. In damaged files of a constant rate a hole in the times is a lost frame.
7. Times are seconds after the first frame. Parts follow each other at the usual step. A container without
   times gives none; in an AVI file frame times follow from its rate and the places of the packets.
8. The rate is the average one: what the container states where the times agree with it, else what they give.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from pose_core.io.frame_ranges import FrameRange, to_ranges
from pose_core.io.frame_times import (
    are_even,
    count_by_duration,
    find_average_rate,
    find_times,
    find_usual,
    fit_grid,
    join_clocks,
)
from pose_core.io.packets import (
    Flag,
    Floats,
    Integers,
    PacketTable,
    find_joints,
    read_table,
    stores_times,
)

# In order of storage, times go back by less than this many packets unless another recording begins.
_LONGEST_REORDERING = 17

# Bytes of an AVI file that a frame takes at least, and the frames of a day at 100 a second.
_SMALLEST_CHUNK, _MOST_LOST = 8, 8_640_000

CAREFUL_DECODERS = frozenset({"h264", "hevc", "vp8", "vp9", "av1", "libdav1d", "vvc"})
"""Codecs whose decoders give nothing until they have what a frame refers to. Others make pictures of nothing."""

MARKING_DECODERS = frozenset(
    {
        "mpeg1video",
        "mpeg2video",
        "mpeg4",
        "msmpeg4v1",
        "msmpeg4v2",
        "msmpeg4v3",
        "wmv1",
        "wmv2",
        "flv",
        "h263",
    }
) | {"h263p", "ffv1", "theora", "vp3"}
"""Codecs, not among these, whose decoders say which frames are key frames; containers may be wrong there."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """The frames of a video.

    Attributes:
        frames: number of frames, including those that the file lost.
        numbers: (packets,) number of the frame in each packet, in order of storage; both fields of a frame
            have its number; -1 for a packet that shows nothing.
        packets: (frames,) the first packet of each frame; -1 for a frame that the file lost.
        parts: (parts,) the first packet of each recording in the file; usually 0 alone.
        keys: (packets,) True for a key frame, which refers to no other.
        times: (frames,) seconds after the first frame; NaN where unknown.
        fps: average frames a second; 0 where unknown.
        even: frames follow each other at this rate, as far as times are known.
        step: usual seconds between two frames; 0 where unknown.
        table: the packets.
    """

    frames: int
    numbers: Integers
    packets: Integers
    parts: Integers
    keys: Flag
    times: Floats
    fps: float
    even: bool
    step: float
    table: PacketTable

    def part_of(self, packet: int) -> int:
        """Find the part that a packet belongs to."""
        return bisect_right(self._part_starts, packet) - 1

    @cached_property
    def _part_starts(self) -> list[int]:
        # Asked for each frame, and a list answers faster than an array.
        found: list[int] = self.parts.tolist()
        return found

    @cached_property
    def rootless(self) -> Flag:
        """(frames,) True for a frame stored or shown before the first key frame of its part (rule 5)."""
        result = np.zeros(self.frames, bool)
        for (start, end), key in zip(self._part_bounds(), self.first_keys, strict=True):
            if key >= 0:
                numbers = self.numbers[start:end]
                early = (np.arange(start, end) < key) | (numbers < self.numbers[key])
                result[numbers[early & (numbers >= 0)]] = True
        return result

    @cached_property
    def before_keys(self) -> Flag:
        """(packets,) True for one stored before the first key frame of its part.

        False throughout a part of which the container marks none: there the decoder has to tell.
        """
        result = np.zeros(len(self.keys), bool)
        for (start, _), key in zip(self._part_bounds(), self.first_keys, strict=True):
            result[start : max(start, key)] = True
        return result

    @cached_property
    def first_keys(self) -> list[int]:
        """The first key frame of each part, as a packet; -1 where the container marks none."""
        found = (np.flatnonzero(self.keys[a:b]) + a for a, b in self._part_bounds())
        return [int(keys[0]) if len(keys) else -1 for keys in found]

    def _part_bounds(self) -> list[tuple[int, int]]:
        return list(pairwise([*self.parts.tolist(), len(self.keys)]))

    def after_damage(self, missing: Sequence[int]) -> list[FrameRange]:
        """Find frames stored between a missing one and the next key frame.

        They may refer to what is missing and show something wrong.

        Args:
            missing: numbers of the missing frames.

        Returns:
            ranges (first, last) of the frames that exist.
        """
        numbers = self.numbers
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
        begins = self.keys.copy()
        begins[self.parts] = True
        fresh = np.where(begins & ~damaged, places, -1)
        stale = np.maximum.accumulate(damage) > np.maximum.accumulate(fresh)
        return to_ranges(np.unique(numbers[stale & ~damaged & (numbers >= 0)]))

    def describe_unevenness(self) -> str | None:
        """Say in a line how far apart frames are; None where they are even."""
        if self.even:
            return None
        steps = np.diff(self.times) * 1000
        steps = steps[~np.isnan(steps)]
        return (
            f"its frames are not evenly spaced ({steps.min():.3g} to {steps.max():.3g} ms); times cannot be "
            "told from frame numbers"
        )


def read_timeline(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    decode_order: Callable[[Sequence[int]], Sequence[int]],
) -> Timeline:
    """Number the packets of a freshly opened video.

    Reads the whole file once.

    Args:
        path: of the file.
        container, stream: the video in it.
        decode_order: gets the first packets of the parts, decodes the file and gives the packets in the order
            in which their frames come out; called only where neither times nor headers give the order.
    """
    table = read_table(container, stream)
    parts = _find_parts(path, container, table)
    order = _order_frames(container, stream, table, parts, decode_order)
    of_parts = _split_parts(order, parts)
    ticks = find_times(container, table, order, of_parts)
    steps = [np.diff(ticks[piece]) for piece in of_parts]
    interval = find_usual(np.concatenate(steps or [ticks]))
    places = np.arange(len(order))
    total = len(order)
    if table.damaged and len(parts) == 1 and (grid := fit_grid(ticks)) is not None:
        # A damaged file with a constant frame rate: what the container lost shows as a hole in the times.
        places, interval = grid
        total = max(int(places[-1]) + 1, count_by_duration(container, stream, interval))
    total = max(total, len(order) + _count_unread(path, container, stream, table))
    packets = np.full(total, -1, np.int64)
    packets[places] = order
    numbers = np.full(len(table), -1, np.int64)
    numbers[order] = places
    for field in np.flatnonzero(table.second).tolist():
        numbers[field] = numbers[field - 1]
    times = np.full(total, np.nan)
    times[places] = join_clocks([ticks[piece] for piece in of_parts], interval)
    if (lost := packets[: places[-1]] < 0 if len(places) else np.zeros(0, bool)).any():
        lost = np.flatnonzero(lost)
        times[lost] = np.interp(lost, places, times[places])
    tick = float(stream.time_base or 0)
    times *= tick
    # Stored times are rounded to whole ticks; those of an AVI file are places, which are exact.
    even = are_even(times, tick if stores_times(container) else 0.0)
    rates = [float(r) for r in (stream.average_rate, stream.guessed_rate) if r]
    fps = find_average_rate(times, tick, rates, even)
    step = interval * tick if np.isfinite(times).any() else 0.0
    return Timeline(total, numbers, packets, parts, table.keys, times, fps, even, step, table)


def _find_parts(path: Path, container: InputContainer, table: PacketTable) -> Integers:
    """Find the first packet of each recording that was joined to the file (rule 4)."""
    if not len(table):
        return np.zeros(0, np.int64)
    parts = [0]
    if container.format.name == "avi":
        begins = find_joints(path)[1:-1]
        stored = np.maximum.accumulate(table.position)
        parts += [at for b in begins if 0 < (at := int(np.searchsorted(stored, b))) < len(table)]
        return np.unique(parts)
    known = np.flatnonzero(~np.isnan(table.decoded_at))
    steps = np.diff(table.decoded_at[known])
    back = known[1:][steps < -find_usual(steps) / 2]
    if container.format.name in ("mpegts", "mpeg"):
        return np.concatenate([parts, back])
    # Elsewhere FFmpeg makes the times of decoding up from those of showing, which alone are sure.
    for at in np.union1d(back, _find_jumps_back(table.shown_at)).tolist():
        recent = table.shown_at[max(parts[-1], at - _LONGEST_REORDERING) : at]
        if len(recent) and table.shown_at[at] < np.nanmin(recent, initial=np.inf):
            parts.append(at)
    return np.array(parts, np.int64)


def _find_jumps_back(times: Floats) -> Integers:
    """Find packets shown before all of the many that are stored before them."""
    if len(times) <= _LONGEST_REORDERING:
        return np.zeros(0, np.int64)
    recent = np.lib.stride_tricks.sliding_window_view(times[:-1], _LONGEST_REORDERING).min(axis=1)
    return np.flatnonzero(times[_LONGEST_REORDERING:] < recent) + _LONGEST_REORDERING


def _split_parts(frames: Integers, parts: Integers) -> list[slice]:
    """Find the stretch of each part in packets that are sorted by part."""
    of_part = np.searchsorted(parts, frames, side="right")
    bounds = np.searchsorted(of_part, np.arange(1, len(parts) + 2))
    return [slice(a, b) for a, b in pairwise(bounds.tolist())]


def _order_frames(
    container: InputContainer,
    stream: VideoStream,
    table: PacketTable,
    parts: Integers,
    decode_order: Callable[[Sequence[int]], Sequence[int]],
) -> Integers:
    """Find the first packets of all frames, in the order of showing (rules 2 and 3)."""
    frames = np.flatnonzero(~table.hidden & ~table.second)
    shown_at = table.shown_at[frames]
    pieces = _split_parts(frames, parts)
    if stores_times(container) and all(_are_distinct(shown_at[piece]) for piece in pieces):
        sorts = [frames[piece][np.argsort(shown_at[piece], kind="stable")] for piece in pieces]
        return np.concatenate(sorts or [frames])
    orders = [table.orders[i] for i in frames] if table.orders else []
    if any(order is not None for order in orders):
        sorts = [frames[piece][_sort_known(orders[piece])] for piece in pieces]
        return np.concatenate(sorts or [frames])
    if not stream.codec_context.has_b_frames:
        return frames
    came = np.array(list(dict.fromkeys(decode_order(parts.tolist()))), np.int64)
    came = came[np.isin(came, frames)]
    of_parts = _split_parts(came, parts)
    return np.concatenate(
        [_sort_as_decoded(frames[a], came[b]) for a, b in zip(pieces, of_parts, strict=True)] or [frames]
    )


def _sort_as_decoded(frames: Integers, came: Integers) -> Integers:
    """Sort the frames of a part as they came out of the decoder; those that did not keep their places."""
    result = frames.copy()
    out = np.isin(frames, came)
    result[out] = came
    if out.any() and (begin := int(np.flatnonzero(out)[0])) < len(frames):
        # Stored right behind the first key frame and lost with what is before it: shown before it.
        leading = int(np.argmax(out[begin + 1 :])) if out[begin + 1 :].any() else 0
        result[begin : begin + leading + 1] = np.roll(result[begin : begin + leading + 1], -1)
    return result


def _are_distinct(times: Floats) -> bool:
    return not np.isnan(times).any() and len(np.unique(times)) == len(times)


def _sort_known(orders: Sequence[tuple[int, int, int] | None]) -> Integers:
    """Sort what has an order; what has none (a damaged packet) keeps its place."""
    known = [i for i, order in enumerate(orders) if order is not None]
    result = np.arange(len(orders))
    result[known] = sorted(known, key=lambda i: orders[i] or (0, 0, 0))
    return result


def _count_unread(path: Path, container: InputContainer, stream: VideoStream, table: PacketTable) -> int:
    """Count packets that the file lists and does not hold (rule 6)."""
    if container.format.name.startswith("mov,"):
        if len(stream.index_entries) <= len(table):
            return 0
        # An empty entry is a dropped frame.
        return max(0, sum(e.size > 0 for e in stream.index_entries) - len(table))
    if container.format.name == "avi" and (gone := find_joints(path)[-1] - path.stat().st_size) > 0:
        places = int(np.nanmax(table.decoded_at, initial=-1)) + 1
        # The header counts places, of which some may be empty.
        lost = round(max(0, stream.frames - places) * len(table) / max(places, 1))
        # A count that what is gone has no room for is damaged itself.
        return lost if lost <= min(gone // _SMALLEST_CHUNK, _MOST_LOST) else 0
    return 0
