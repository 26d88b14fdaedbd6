"""Say that frames have another size than the images that a network was trained on.

Networks know animals at the size at which they were shown. A recording of another camera or resolution shows them
larger or smaller, and nothing else tells.
"""

from __future__ import annotations

from collections.abc import Iterable

from pose_core.errors import setting
from pose_core.structures import LabelledImage

SIZES = "image_sizes"
"""Entry of a run's provenance: (width, height) of the images it was trained on, the most frequent first."""

_MOST = 10
_NEAR = 0.1


def list_sizes(images: Iterable[LabelledImage]) -> list[tuple[int, int]]:
    """List the sizes of labelled images, the most frequent first, at most ten."""
    counts: dict[tuple[int, int], int] = {}
    for image in images:
        counts[image.width, image.height] = counts.get((image.width, image.height), 0) + 1
    return sorted(counts, key=lambda size: -counts[size])[:_MOST]


def describe_other_size(width: int, height: int, recorded: object) -> str | None:
    """Word the note on frames of another size than all known ones; None where they are of about one of them.

    Args:
        width, height: of what the network sees of a frame, pixels.
        recorded: what a run keeps of the images of its training, see :data:`SIZES`.
    """
    known = [
        (size[0], size[1])
        for size in (recorded if isinstance(recorded, list | tuple) else ())
        # A file that was edited may hold anything, and a note is no reason to refuse it.
        if isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(side, int) for side in size)
    ]
    if not width or not height or not known:
        return None
    if any(abs(width - w) <= _NEAR * w or abs(height - h) <= _NEAR * h for w, h in known):
        return None
    w, h = known[0]
    return (
        f"{width} x {height} pixels, and the model was trained on images of {w} x {h}; if its animals appear "
        f"larger or smaller than there, {setting('model.preprocess.scale=FACTOR')} shows them as in training"
    )
