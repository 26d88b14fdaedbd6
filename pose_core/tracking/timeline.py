"""Draw who was where when: the track under which each animal of the truth was found, over time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from pose_core.data.palette import animal_colour, to_hex
from pose_core.interfaces.tracker import Floats
from pose_core.pictures.style import FAINT, INK, style
from pose_core.structures import IntArray
from pose_core.tracking.metrics import match_frame

_LOST = -1
_NAMED = 12
"""Tracks that the legend names; colours repeat beyond seven."""


class Timeline:
    """Collects matches of a video, some numbers a frame."""

    def __init__(self) -> None:
        self._frames: list[int] = []
        self._found: list[dict[int, int]] = []

    def add(self, frame: int, truth: IntArray, tracks: IntArray, similarity: Floats) -> None:
        """Take note of a frame.

        Args:
            frame: its number, larger than those before.
            truth: (G,) ids of the animals that are there.
            tracks: (T,) those that were found.
            similarity: (G, T) in [0, 1].
        """
        rows, columns = match_frame(similarity)
        found = dict.fromkeys(truth.tolist(), _LOST)
        found |= dict(zip(truth[rows].tolist(), tracks[columns].tolist(), strict=True))
        self._frames.append(frame)
        self._found.append(found)

    def list_spans(self) -> dict[int, list[tuple[int, int, int]]]:
        """List for each animal of the truth from which frame to which it was found under which track.

        Returns:
            animal -> (first frame, last frame, track), in order; track -1: it was there and not found. Frames in which
            it is not in the truth are in no span.
        """
        spans: dict[int, list[tuple[int, int, int]]] = {}
        seen: dict[int, int] = {}
        for place, (frame, found) in enumerate(zip(self._frames, self._found, strict=True)):
            for animal, track in found.items():
                own = spans.setdefault(animal, [])
                # Frames that the truth leaves out end nothing: it may have every tenth.
                if own and seen[animal] == place - 1 and own[-1][2] == track:
                    own[-1] = (own[-1][0], frame, track)
                else:
                    own.append((frame, frame, track))
                seen[animal] = place
        return dict(sorted(spans.items()))

    def draw(self, path: Path) -> None:
        """Write a PNG with a row for each animal of the truth, coloured by track; grey where it was not found."""
        spans = self.list_spans()
        step = min(np.diff(self._frames).tolist(), default=1)
        tracks = sorted({track for own in spans.values() for _, _, track in own} - {_LOST})
        with style():
            figure = Figure(figsize=(11, 1.6 + 0.42 * max(len(spans), 1)), layout="constrained")
            axes = figure.add_subplot()
            for row, own in enumerate(spans.values()):
                bars = [(first, last + step - first) for first, last, _ in own]
                axes.broken_barh(bars, (row - 0.4, 0.8), facecolors=[_colour(track) for _, _, track in own])
            axes.set_yticks(range(len(spans)), [f"animal {animal}" for animal in spans], color=INK)
            axes.set_ylim(max(len(spans), 1) - 0.5, -0.5)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_xlabel("frame")
            axes.set_title("Track under which each animal of the truth was found")
            named = tracks[:_NAMED]
            handles = [Patch(color=_colour(track), label=f"track {track}") for track in named]
            if len(tracks) > len(named):
                handles.append(Patch(color="white", label=f"and {len(tracks) - len(named)} more"))
            handles.append(Patch(color=FAINT, label="not found"))
            figure.legend(handles=handles, loc="outside right upper", frameon=False)
            figure.savefig(path, format="png", metadata={"Software": ""})


def _colour(track: int) -> str:
    return FAINT if track == _LOST else to_hex(animal_colour(track))
