"""Note which tracks were seen when, in as many steps as a plot shows, and draw it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from pose_core.data.palette import animal_colour, to_hex
from pose_core.interfaces.tracker import Floats
from pose_core.pictures.style import FAINT, GREY, style
from pose_core.structures import Frame
from pose_core.tracking.doubts import Doubt

STEPS = 1200
"""Steps in time of the plot; memory does not grow with the number of frames."""

SHOWN = 30
"""Tracks in the plot; of more, those that are seen most."""

_DOUBT = "#e11d48"


class Presence:
    """The share of frames that each track is seen in, step by step.

    Args:
        first, last: numbers of the first and the last frame.
    """

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last
        self._steps = min(STEPS, last - first + 1)
        self._frames = np.zeros(self._steps, np.int64)
        self._seen: dict[int, np.ndarray[tuple[int], np.dtype[np.int32]]] = {}

    def add(self, frame: Frame) -> None:
        """Take note of a frame with tracks."""
        step = (frame.index - self.first) * self._steps // (self.last - self.first + 1)
        self._frames[step] += 1
        for track in frame.instances.track[frame.instances.track >= 0].tolist():
            if track not in self._seen:
                self._seen[track] = np.zeros(self._steps, np.int32)
            self._seen[track][step] += 1

    def list_tracks(self) -> tuple[list[int], int]:
        """List the tracks that are shown, by their numbers, and say how many are not."""
        most = sorted(self._seen, key=lambda track: (-int(self._seen[track].sum()), track))[:SHOWN]
        return sorted(most), len(self._seen) - len(most)

    def measure(self, track: int) -> Floats:
        """Measure the share of frames (steps,) that a track is seen in, 0 to 1."""
        return np.asarray(self._seen[track] / np.maximum(self._frames, 1))


def draw_presence(presence: Presence, doubts: Sequence[Doubt], names: Sequence[str], fps: float) -> bytes:
    """Draw who was where when: a row a track, gaps left out, doubts marked above it.

    Args:
        presence: of the tracks.
        doubts: moments to mark, the darker the more they need.
        names: of the tracks that are shown.
        fps: frames a second; 0: time is not shown.

    Returns:
        a PNG file.
    """
    tracks, _ = presence.list_tracks()
    with style():
        figure = Figure(figsize=(11, 0.9 + 0.36 * max(len(tracks), 1)), layout="constrained", dpi=110)
        axes = figure.add_subplot()
        end = presence.last + 1
        for row, track in enumerate(tracks):
            share = presence.measure(track)
            strip = np.ones((1, len(share), 4))
            strip[..., :3] = to_rgb(to_hex(animal_colour(track)))
            strip[0, :, 3] = share
            axes.imshow(
                strip,
                extent=(presence.first, end, row + 0.3, row - 0.3),
                aspect="auto",
                interpolation="nearest",
            )
            own = [doubt for doubt in doubts if track in doubt.tracks]
            axes.scatter(
                [doubt.frame for doubt in own],
                [row - 0.4] * len(own),
                marker="v",
                s=26,
                c=[(*to_rgb(_DOUBT), 0.25 + 0.75 * doubt.need) for doubt in own],
                linewidths=0,
                clip_on=False,
                zorder=3,
            )
        axes.set_xlim(presence.first, end)
        axes.set_ylim(max(len(tracks), 1) - 0.5, -0.65)
        axes.set_yticks(range(len(tracks)), list(names))
        axes.set_xlabel("frame")
        axes.grid(axis="x", color=FAINT)
        axes.set_axisbelow(True)
        if fps > 0:
            _add_clock(axes, end, fps)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=110)
        return file.getvalue()


def _add_clock(axes: Axes, end: int, fps: float) -> None:
    """Add an axis of time above, in a unit that suits the length of the video."""
    seconds = end / fps
    unit, each = ("seconds", fps) if seconds < 180 else ("minutes", 60 * fps)
    if seconds > 3 * 3600:
        unit, each = "hours", 3600 * fps

    def to_time(frames: Any) -> Any:
        return frames / each

    def to_frames(time: Any) -> Any:
        return time * each

    axes.secondary_xaxis("top", functions=(to_time, to_frames)).set_xlabel(unit, color=GREY)
