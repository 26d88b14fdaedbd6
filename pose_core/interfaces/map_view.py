"""What pictures need to know of an output of a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pose_core.interfaces.context import Grid

Meaning = Literal["score", "offset", "vector", "class", "distribution", "point"]


@dataclass(frozen=True)
class MapView:
    """How one output of a head is to be shown in pictures.

    Attributes:
        meaning: what its values are: ``score`` (B, C, h, w), a map each of how likely something is;
            ``offset`` (B, 2 C, h, w), x and y (channels 2 c and 2 c + 1) of the way from a cell's centre to
            something; ``vector`` (B, 2 C, h, w), directions, of length about 1 at most; ``class``
            (B, C, h, w) or (B, C), which of C a place or the whole input belongs to; ``distribution``
            (B, C, n) over places of one axis; ``point`` (B, C, 2), x and y in cells.
        labels: what the C are; numbers where there are none.
        grid: where the cells (of a distribution: the bins) lie; None: that of the head's predictor where it
            fits, else they fill the input.
        activation: turns the output into probabilities; targets are shown without it.
        scale: the values are multiplied by it: offsets then are in pixels of the network's input, and what
            ``activation`` turns into probabilities are logits.
        axis: of a distribution.
        read_at: for offsets, the output with the scores of the places where they count; empty: everywhere.
        read_label: the label of its map that says so; empty: the one with the same label as the offsets.
    """

    meaning: Meaning
    labels: tuple[str, ...] = ()
    grid: Grid | None = None
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    scale: float = 1.0
    axis: Literal["x", "y"] = "x"
    read_at: str = ""
    read_label: str = ""
