"""Heatmaps and offsets -> animals."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Predictions, Predictor
from pose_core.maps import (
    fit_parabola,
    keep_local_maxima,
    order_by_height,
    sample_own_map,
    top_cells,
    unravel_cells,
)
from pose_dekr.config import HEATMAP, OFFSET, CentersConfig
from pose_dekr.nms import (
    count_close_keypoints,
    decide_joints,
    pose_diagonals,
    suppress_at_once,
    suppress_in_order,
)

_CANDIDATES = 30
"""Centres looked at at least, as in the paper's code."""


class CentersPredictor(Predictor):
    """The animals with the highest centres, each the centre plus the offsets found there (Geng et al. 2021).

    Local maxima of the centres' map above a threshold are candidates; a candidate's keypoints are its cell
    minus the offsets there. A keypoint's score is the height of its heatmap where it lies (times that of the
    centre); an animal's the height of its centre times the mean height at its keypoints. Of poses that are
    the same animal the highest-scoring one stays.
    """

    exportable = True

    def __init__(self, config: CentersConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        self.animals = config.animals or context.skeleton.num_individuals
        self.candidates = max(self.animals, config.candidates or max(_CANDIDATES, 2 * self.animals))
        self.threshold = config.threshold
        self.center_nms = config.center_nms
        self.keypoint_score = config.keypoint_score
        self.keypoint_threshold = config.keypoint_threshold
        self.refine = config.refine
        self.pose_nms = config.pose_nms
        self.joints = decide_joints(config.pose_nms_joints, context.skeleton.num_keypoints)
        self.in_order = config.suppression == "in_order"
        self.interpolated = config.reading == "interpolated"
        self.sigmoid = bool(config.sigmoid)

    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """Args:
            outputs: ``heatmap`` (B, K + 1, h, w) and ``offset`` (B, 2 K, h, w) in cells.
            found: replaced but for its unique keypoints.

        Returns:
            the animals of each image, the highest score first; rows beyond the last are NaN with score 0.
        """
        maps = outputs[HEATMAP].float().nan_to_num(0.0, 0.0, 0.0)
        maps = maps.sigmoid() if self.sigmoid else maps
        poses, center = self._candidates(maps[:, -1:], outputs[OFFSET].float())
        exists = center > self.threshold
        poses, heights = self._read(maps[:, :-1], poses)
        missing = ~torch.isfinite(poses).all(-1) | ~exists[..., None]
        if self.keypoint_threshold > 0:
            missing |= heights < self.keypoint_threshold
        poses = torch.where(missing[..., None], torch.nan, self.grid.to_pixels(poses))
        if self.interpolated:
            heights, center = heights.clamp(0, 1), center.clamp(0, 1)
        # Once: of one tensor that is clamped twice, torch.onnx writes a file that no runtime opens.
        combined = (center[..., None] * heights).clamp(0, 1)
        shown = {"combined": combined, "heatmap": heights, "center": center[..., None].expand_as(heights)}
        scores = shown[self.keypoint_score].clamp(0, 1).masked_fill(missing, 0.0)
        pose_score = combined.masked_fill(missing, 0.0).mean(-1)
        # An animal without any keypoint is no animal.
        exists &= ~missing.all(-1)
        kept = self._keep(poses, exists, pose_score)
        # An animal of score 0 is one still, and comes before those that are none.
        order = torch.where(kept, pose_score, -1.0).topk(self.animals, dim=1).indices
        kept = kept.gather(1, order)
        rows = order[..., None].expand(-1, -1, poses.shape[2])
        poses = poses.gather(1, rows[..., None].expand(-1, -1, -1, 2)).masked_fill(
            ~kept[..., None, None], torch.nan
        )
        scores = scores.gather(1, rows).masked_fill(~kept[..., None], 0.0)
        return found.with_animals(poses, scores, pose_score.gather(1, order).masked_fill(~kept, 0.0))

    def _candidates(self, centers: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Poses (B, M, K, 2) in cells and heights of their centres (B, M), the highest first."""
        index, height = top_cells(keep_local_maxima(centers, self.center_nms), self.candidates)
        index, height = index[:, 0], height[:, 0]
        ways = offsets.flatten(2).gather(2, index[:, None].expand(-1, offsets.shape[1], -1))
        ways = ways.view(ways.shape[0], -1, 2, self.candidates).permute(0, 3, 1, 2)
        return unravel_cells(index, centers.shape[-1]).float()[:, :, None] - ways, height

    def _read(self, maps: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
        """Poses after refinement, in cells, and the heights of the keypoints' maps there: (B, M, K, 2), (B,
        M, K)."""
        if self.refine is not None:
            peaks = keep_local_maxima(maps, 5)
            index, height = top_cells(peaks, self.candidates if self.interpolated else self.animals)
            at = (
                fit_parabola(maps, index)
                if self.interpolated
                else unravel_cells(index, maps.shape[-1]).float()
            )
            # Infinitely far, so that no keypoint moves to a maximum of the background.
            at = torch.where((height > self.threshold)[..., None], at, torch.inf)
            # (B, M, K, P): from each keypoint to each maximum of its map.
            distance = (poses[:, :, :, None] - at[:, None]).norm(dim=-1).nan_to_num(torch.inf)
            nearest = distance.argmin(-1, keepdim=True)
            close = distance.gather(3, nearest) * self.grid.stride < self.refine
            chosen = at[:, None].expand(-1, poses.shape[1], -1, -1, -1)
            chosen = chosen.gather(3, nearest[..., None].expand(-1, -1, -1, -1, 2))[:, :, :, 0]
            poses = torch.where(close, chosen, poses)
            maps = maps if self.interpolated else peaks
        # Places that are not finite would index outside the map; they are marked as missing by the caller.
        finite = torch.where(torch.isfinite(poses), poses, 0.0)
        return poses, sample_own_map(maps, finite) if self.interpolated else _read_cells(maps, finite)

    def _keep(self, poses: Tensor, exists: Tensor, pose_score: Tensor) -> Tensor:
        """Keep the highest-scoring candidate of each animal: (B, M) bool."""
        if self.pose_nms == 0:
            return exists
        reach = self.pose_nms * pose_diagonals(poses)
        if not self.in_order:
            same = count_close_keypoints(poses, reach.clamp(min=self.pose_nms)[:, None]) >= self.joints
            return suppress_at_once(same, exists)
        order = order_by_height(torch.where(exists, pose_score, -1.0))
        reach = reach.clamp(min=self.grid.stride / 2)
        same = count_close_keypoints(poses, reach[..., None]) >= self.joints
        same = same.gather(1, order[..., None].expand_as(same)).gather(2, order[:, None].expand_as(same))
        kept = suppress_in_order(same, exists.gather(1, order))
        return torch.zeros_like(kept).scatter(1, order, kept)


def _read_cells(maps: Tensor, at: Tensor) -> Tensor:
    """Heights (B, M, K) of the cells up and left of places (B, M, K, 2), of the nearest cell beyond the
    edge."""
    h, w = maps.shape[-2:]
    column, row = at[..., 0].floor().clamp(0, w - 1).long(), at[..., 1].floor().clamp(0, h - 1).long()
    return maps.flatten(2).gather(2, (row * w + column).transpose(1, 2)).transpose(1, 2)
