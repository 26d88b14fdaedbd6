"""A detector of an exported folder: images in, boxes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pose_run.contract import Contract, DetectorContract, read_detector_contract
from pose_run.engines import open_network
from pose_run.errors import ExportError
from pose_run.geometry import Floats, Image, Place, find_way_back, move, place_frame, show


class Detector:
    """An exported detector; made by :func:`load_detector`.

    Args:
        contract: of its folder.
        threads: of the runtime; None: as many as there are cores.

    Attributes:
        contract: what the folder says.
    """

    def __init__(self, contract: DetectorContract, threads: int | None = None) -> None:
        self.contract = contract
        self._network = open_network(contract, threads)

    def find(self, images: Sequence[Image], clip: bool = True) -> list[Floats]:
        """Find the boxes of images.

        Args:
            images: (H, W, 3) uint8 RGB each.
            clip: whether boxes end at the edges of the image.

        Returns:
            for each image (N, 5) float32 ``x1, y1, x2, y2, score`` in pixels of the image, the highest score first.

        Raises:
            ExportError: the file does not take images of this size.
        """
        view = self.contract.view
        places = [place_frame(image.shape[1], image.shape[0], view) for image in images]
        found: dict[int, Floats] = {}
        for shape in {(place.height, place.width) for place in places}:
            rows = [i for i, place in enumerate(places) if (place.height, place.width) == shape]
            check_sides(self.contract, places[rows[0]])
            pictures = np.stack([show(images[i], places[i]) for i in rows])
            for i, boxes, scores in zip(rows, *self._network(pictures), strict=True):
                there = scores > 0
                corners = move(boxes[there].reshape(-1, 2, 2), find_way_back(places[i], view))
                corners = _take_off(corners, self.contract.excess)
                if clip:
                    # The centre of the top-left pixel is (0, 0), so an image reaches from -0.5 to its size less 0.5.
                    limit = np.array(images[i].shape[1::-1], np.float32) - np.float32(0.5)
                    corners = np.minimum(np.maximum(corners, np.float32(-0.5)), limit)
                found[i] = np.concatenate([corners.reshape(-1, 4), scores[there, None]], 1)
        return [found[i] for i in range(len(images))]


def load_detector(folder: Path | str, threads: int | None = None) -> Detector:
    """Open the folder of an exported detector.

    Args:
        folder: that ``pose export`` made of the run of a detector, or ``stages/detector`` in that of a top-down model.
        threads: of the runtime; None: as many as there are cores.

    Raises:
        ExportError: the folder is none, is damaged, of a newer version, or holds no detector.
    """
    if threads is not None and threads < 1:
        raise ExportError(f"threads {threads}: must be at least 1")
    return Detector(read_detector_contract(folder), threads)


def check_sides(contract: Contract | DetectorContract, place: Place) -> None:
    """Refuse an input of another size than the file takes.

    Raises:
        ExportError: it does not take it.
    """
    sides = (contract.height, place.height, "high"), (contract.width, place.width, "wide")
    for wanted, side, what in sides:
        if wanted not in (None, side):
            raise ExportError(
                f"image: its input would be {side} pixels {what}, and the file takes {wanted} only; give images of "
                "the size that it was exported for"
            )


def _take_off(corners: Floats, excess: float) -> Floats:
    """What boxes (N, 2, 2) are too large on each side; never beyond the middle of a box."""
    less = np.minimum((corners[:, 1] - corners[:, 0]) / 2, np.float32(excess))
    return np.stack([corners[:, 0] + less, corners[:, 1] - less], 1)
