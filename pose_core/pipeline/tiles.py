"""Look at large frames tile by tile, each shown as a frame of its size would be.

Tiles overlap, so that an animal at the edge of one is whole in another. What is found in several tiles is one animal
where poses (or boxes) coincide; within a tile nothing is merged, for there the network tells animals apart itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pose_core.data.device_warp import show_frames
from pose_core.data.geometry import invert, resize_matrix, translation_matrix
from pose_core.errors import ConfigError, argument
from pose_core.interfaces import (
    BoxNetwork,
    FrameGeometry,
    FrameNetwork,
    Picture,
    Predictions,
    View,
    drop_repeated,
    find_duplicates,
)
from pose_core.pipeline.limits import keep_best
from pose_core.specs import RunSpec, TilesSpec
from pose_core.structures import FloatArray

SAME_POSE = 0.7
"""Similarity above which poses of two tiles are those of one animal."""

SAME_POINT = 8.0
"""Pixels of the network's input, up to which points of two tiles are of one animal, where a network finds one point an
animal."""

SAME_BOX = 0.6
"""Of the smaller of two boxes of two tiles, the part within the other above which they are of one animal."""

_CLEAR = 0.5
"""Keypoints below this part of the best score of their animal are not compared: beyond the edge of a tile they are
guesses."""


class _Grid:
    """Tiles of resized frames: whole pixels of these, so that each shows exactly what the frame would show there.

    Args:
        tile: how the network sees a frame of the size of a tile.
        tiles: size and overlap, pixels of the frame.

    Attributes:
        scale: pixels of the network's input for each of the frame.
    """

    def __init__(self, tile: FrameGeometry, tiles: TilesSpec) -> None:
        self.scale = float(tile.matrix[0, 0])
        # The view of a tile may be larger than what it has to show: padded, or of another form than a square.
        self._width, self._height = tile.width, tile.height
        self._seen = math.ceil(tiles.size * self.scale)
        self._overlap = math.ceil(tiles.shared * self.scale)

    def view(self, width: int, height: int) -> FrameGeometry:
        """The view of a frame (pixels) that holds the views of all its tiles."""
        right, bottom = (max(0, math.ceil(side * self.scale) - self._seen) for side in (width, height))
        return FrameGeometry(resize_matrix(self.scale), right + self._width, bottom + self._height)

    def cut(self, view: View) -> Iterator[View]:
        """Cut the tiles out of such a view of whole frames."""
        height, width = view.images.shape[2:]
        for top in self._place(height - self._height):
            for left in self._place(width - self._width):
                images = view.images[:, :, top : top + self._height, left : left + self._width]
                to_frame = view.to_frame @ translation_matrix(left, top)
                yield View(images.contiguous(memory_format=torch.channels_last), to_frame)

    def _place(self, last: int) -> list[int]:
        """Place tiles along an axis, from 0 to ``last``, evenly: they overlap by what is asked for or more."""
        steps = math.ceil(last / (self._seen - self._overlap))
        places: list[int] = np.linspace(0, last, steps + 1).round().astype(int).tolist()
        return places


class TiledFrames:
    """See frames through a pose network tile by tile; a :class:`~pose_core.interfaces.FrameNetwork`.

    Args:
        network: sees frames of the size of a tile.
        device: that it computes on.
        tiles: their size and overlap.
        max_animals: kept a frame, those with the highest scores; None: all.
    """

    def __init__(
        self, network: FrameNetwork, device: torch.device, tiles: TilesSpec, max_animals: int | None
    ) -> None:
        self.fixed_size = network.fixed_size
        self._network = network
        self._device = device
        self._grid = _Grid(network.view(tiles.size, tiles.size), tiles)
        self._max_animals = max_animals

    def view(self, width: int, height: int) -> FrameGeometry:
        """The whole frame, at the scale at which a tile is seen."""
        return self._grid.view(width, height)

    def predict(self, view: View, initial: Predictions | None = None) -> Predictions:
        """Find the animals of frames, each once, in pixels of the frames."""
        if initial is not None:
            raise ConfigError(
                f"{argument('tiles')}: the network refines poses of whole frames, and a tile shows some of them; "
                "leave it out"
            )
        found = [self._network.predict(part) for part in self._grid.cut(view)]
        together = Predictions.merge(found)
        tile = _number_tiles([each.scores for each in found])
        repeated = _find_repeated(together, tile, SAME_POINT / self._grid.scale)
        # Padding, as that of frames with fewer animals.
        kept = replace(
            together,
            scores=together.scores.masked_fill(repeated, 0.0),
            keypoints=together.keypoints.masked_fill(repeated[..., None, None], torch.nan),
            keypoint_scores=together.keypoint_scores.masked_fill(repeated[..., None], 0.0),
        )
        return keep_best(kept, self._max_animals)

    def predict_frame(self, frame: Picture) -> Predictions:
        """Find the animals of one frame."""
        geometry = self.view(frame.shape[1], frame.shape[0])
        image = show_frames([frame], [geometry], self._device)
        return self.predict(View(image, invert(geometry.matrix)))

    def predict_window(self, frame: Picture, box: FloatArray) -> Predictions:
        """Find the animals in a window, which needs no tiles."""
        return self._network.predict_window(frame, box)


class TiledBoxes:
    """See frames through a detector tile by tile; a :class:`~pose_core.interfaces.BoxNetwork`.

    Args:
        network: sees frames of the size of a tile.
        tiles: their size and overlap.
        max_animals: boxes kept a frame, those with the highest scores; None: all.
    """

    def __init__(self, network: BoxNetwork, tiles: TilesSpec, max_animals: int | None) -> None:
        self._network = network
        self._grid = _Grid(network.view(tiles.size, tiles.size), tiles)
        self._max_animals = max_animals

    def view(self, width: int, height: int) -> FrameGeometry:
        """The whole frame, at the scale at which a tile is seen."""
        return self._grid.view(width, height)

    def predict(self, view: View, width: int, height: int) -> tuple[Tensor, Tensor]:
        """Find the boxes of animals, each once, best first, in pixels of the frames."""
        found = [self._network.predict(part, width, height) for part in self._grid.cut(view)]
        boxes, scores = torch.cat([b for b, _ in found], 1), torch.cat([s for _, s in found], 1)
        tile = _number_tiles([s for _, s in found])
        # A box that a tile cuts off lies within that of the whole animal, and may be as certain.
        areas = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1).nan_to_num(0.0)
        same = _compare_boxes(boxes) > SAME_BOX
        same &= (tile[:, None] != tile[None, :])[None]
        repeated = drop_repeated(same, areas * (scores > 0))
        scores, order = scores.masked_fill(repeated, 0.0).sort(dim=1, descending=True, stable=True)
        boxes = boxes.gather(1, order[..., None].expand_as(boxes))
        boxes = boxes.masked_fill((scores <= 0)[..., None], torch.nan)
        return boxes[:, : self._max_animals], scores[:, : self._max_animals]


def check_tiles(spec: RunSpec, looks_at_frames: bool) -> None:
    """Check that the tiles of a run make sense, once its stages are made.

    Args:
        spec: of the run that predicts.
        looks_at_frames: whether one of its networks does.

    Raises:
        ConfigError: none does, or a tile is smaller than what a crop shows of it.
    """
    tiles, preprocess = spec.inference.tiles, spec.model.decided_preprocess()
    if tiles is None:
        return
    if not looks_at_frames:
        raise ConfigError(
            f"{argument('tiles', str(tiles.size))}: nothing here looks at whole frames; leave it out"
        )
    shown = max(preprocess.extent or 0.0, preprocess.min_box)
    if tiles.size < shown:
        raise ConfigError(
            f"{argument('tiles', str(tiles.size))}: a tile is smaller than the crop of an animal, which shows "
            f"{shown:g} pixels; choose larger ones"
        )


def _number_tiles(scores: list[Tensor]) -> Tensor:
    """Number the tile of each animal, (N,) int64, of the scores (B, n) of each tile."""
    counts = torch.tensor([each.shape[1] for each in scores], device=scores[0].device)
    return torch.repeat_interleave(torch.arange(len(scores), device=scores[0].device), counts)


def _find_repeated(found: Predictions, tile: Tensor, near: float) -> Tensor:
    """Find animals that another tile shows better, (B, N) bool.

    Args:
        found: of all tiles beside each other.
        tile: (N,), the tile of each.
        near: pixels up to which single points are the same.
    """
    # The sum and not the mean: an animal that a tile cuts off may be certain of the half that it shows.
    worth = found.keypoint_scores.sum(-1) * (found.scores > 0)
    if found.keypoints.shape[2] == 1:
        # One point has no size, by which poses are compared.
        points = found.keypoints[:, :, 0]
        same = torch.cdist(points.nan_to_num(torch.inf), points.nan_to_num(torch.inf)) <= near
        return drop_repeated(same & (tile[:, None] != tile[None, :])[None], worth)
    best = found.keypoint_scores.amax(-1, keepdim=True)
    doubtful = found.keypoint_scores < _CLEAR * best
    clear = found.keypoints.masked_fill(doubtful[..., None], torch.nan)
    return find_duplicates(clear, worth, SAME_POSE, groups=tile)


def _compare_boxes(boxes: Tensor) -> Tensor:
    """Compare boxes (B, N, 4) with each other: what they share, as a part of the smaller one, (B, N, N); 0 for NaN."""
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    areas = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)
    shared = (high - low).clamp(min=0).prod(-1)
    smaller = torch.minimum(areas[:, :, None], areas[:, None, :]).clamp(min=1e-6)
    return (shared / smaller).nan_to_num(0.0)
