"""Find when frames are shown, whether they are evenly spaced, and at which rate."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from pose_core.io.packets import Floats, Integers, PacketTable, stores_no_rate, stores_times


def find_times(
    container: InputContainer, table: PacketTable, order: Integers, of_parts: Sequence[slice]
) -> Floats:
    """Find when each frame is shown, in ticks; NaN where the file does not tell."""
    if stores_no_rate(container):
        return np.full(len(order), np.nan)
    if not stores_times(container):
        # AVI: the n-th frame shown takes the n-th place.
        return np.concatenate(
            [np.sort(table.decoded_at[order[piece]]) for piece in of_parts] or [table.decoded_at]
        )
    ticks = table.shown_at[order].copy()
    for piece in of_parts:
        latest = np.maximum.accumulate(np.nan_to_num(ticks[piece], nan=-np.inf))
        # Only where the order is not that of the times, because some are missing.
        ticks[piece][1:][ticks[piece][1:] <= latest[:-1]] = np.nan
    return ticks


def join_clocks(ticks: Sequence[Floats], interval: float) -> Floats:
    """Let parts, each with a clock of its own, follow each other at the usual step (rule 7)."""
    joined, begin = [], 0.0
    for of_part in ticks:
        if not len(of_part):
            continue
        first, last = np.nanmin(of_part, initial=np.inf), np.nanmax(of_part, initial=-np.inf)
        joined.append(of_part - first + begin)
        if first <= last:
            begin += last - first + interval
    return np.concatenate(joined or [np.zeros(0)])


def find_usual(steps: Floats) -> float:
    """Find the usual one of some steps; 1 where none goes on."""
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 1.0


def are_even(times: Floats, tick: float) -> bool:
    """Whether no step differs from the usual one by more than half of it."""
    steps = np.diff(times)
    steps = steps[~np.isnan(steps)]
    if len(steps) < 2:
        return True
    usual = float(np.median(steps))
    return bool((np.abs(steps - usual) <= usual / 2 + tick).all())


def find_average_rate(times: Floats, tick: float, stated: Sequence[float], even: bool) -> float:
    """Find the frames a second: a stated rate where the times agree with it, else what they give."""
    known = np.flatnonzero(~np.isnan(times))
    span = float(times[known[-1]] - times[known[0]]) if len(known) > 1 else 0.0
    if span <= 0:
        return stated[0] if stated else 0.0
    steps = int(known[-1] - known[0])
    if even:
        for rate in stated:
            if abs(steps / rate - span) <= max(1.5 * tick, 1e-4 * span):
                return rate
    return steps / span


def fit_grid(times: Floats) -> tuple[Integers, float] | None:
    """Fit a constant frame interval to sorted times.

    Returns:
        the multiple of the interval at which each time lies, and the interval; None without a constant rate.
    """
    if len(times) < 3 or np.isnan(times).any():
        return None
    steps = np.diff(times)
    usual = np.median(steps)
    # Times are rounded to ticks, but a tick of an AVI file is a whole frame.
    near = max(0.1 * usual, min(1.0, usual / 4))
    interval = float(steps[np.abs(steps - usual) <= near].mean())
    if interval <= 0:
        return None
    # Counted step by step: rounded time stamps would drift from a grid that starts at the first frame.
    whole = np.rint(steps / interval)
    if (np.abs(steps / interval - whole) > 0.25).any() or (whole < 1).any():
        return None
    return np.concatenate([[0], np.cumsum(whole)]).astype(np.int64), interval


def count_by_duration(container: InputContainer, stream: VideoStream, interval: float) -> int:
    """Count frames by the duration that the container declares; 0 if it declares none."""
    seconds = 0.0
    if tag := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d*)?)", stream.metadata.get("DURATION", "")):
        seconds = int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
    # With sound, the duration of the container may be that of the sound.
    elif container.format.name.startswith("matroska") and len(container.streams) == 1 and container.duration:
        seconds = container.duration / 1_000_000
    base = stream.time_base
    return round(seconds / (interval * float(base))) if seconds and base else 0
