"""The detector."""

from __future__ import annotations

import math

import torch
from pose_core.interfaces import BuildContext, Detector, Grid, Labels
from torch import Tensor, nn
from torch.nn import functional

from {{ cookiecutter.__package }}.config import STRIDE, DetectorSettings

_NEAR = 0.6
"""Height of a centre's blob from which on a cell learns its box; the cell nearest to a centre always lies above."""


class CentreDetector(Detector):
    """Finds the centres of animals as peaks of a map, and their boxes by the way from there (Zhou et al. 2019).

    A convolution of stride 8 in three steps, then dilated ones, so that a cell sees a large animal as a whole.
    """

    def __init__(self, config: DetectorSettings, context: BuildContext) -> None:
        super().__init__(config, context)
        self.threshold, self.most = config.threshold, config.most
        self.grid = Grid.cells(STRIDE)
        c = config.channels
        layers: list[nn.Module] = []
        steps = ((3, c, 2, 1), (c, 2 * c, 2, 1), (2 * c, 4 * c, 2, 1), (4 * c, 4 * c, 1, 2), (4 * c, 4 * c, 1, 4))
        for incoming, outgoing, stride, dilation in steps:
            kernel, padding = (4, 1) if stride == 2 else (3, dilation)
            layers += [
                nn.Conv2d(incoming, outgoing, kernel, stride, padding, dilation, bias=False),
                nn.BatchNorm2d(outgoing),
                nn.ReLU(inplace=True),
            ]
        self.layers = nn.Sequential(*layers)
        self.centre = nn.Conv2d(4 * c, 1, 1)
        self.sides = nn.Conv2d(4 * c, 4, 1)
        # Most cells are background: start from there (the focal loss's trick, Lin et al. 2017).
        nn.init.constant_(self.centre.bias, -math.log(99))  # type: ignore[arg-type]

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Args:
            images: (B, 3, H, W) float32 RGB in [0, 1].

        Returns:
            logits of centres (B, h, w), and boxes (B, h, w, 4) in pixels.
        """
        features = self.layers((images - 0.45) / 0.25)
        way = functional.softplus(self.sides(features).float()).permute(0, 2, 3, 1) * STRIDE
        x, y = self.cells(way.shape[1], way.shape[2], images.device)
        left, top, right, bottom = way.unbind(-1)
        return self.centre(features)[:, 0].float(), torch.stack([x - left, y - top, x + right, y + bottom], dim=-1)

    def cells(self, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Centres of the cells in pixels: x (w,) and y (h, 1)."""
        return self.grid.centres(width, device), self.grid.centres(height, device)[:, None]

    def loss(self, images: Tensor, labels: Labels) -> dict[str, Tensor]:
        """Args:
            images: (B, 3, H, W) float32 RGB in [0, 1].
            labels: of the batch; ``boxes`` are the targets, an image may have none.

        Returns:
            ``centre``: cross-entropy of the centres; ``sides``: smooth L1 of the boxes around them, in cells.
        """
        logits, found = self.maps(images)
        # One box that is none, so that there is always one to ask for.
        boxes = torch.cat([labels.boxes, labels.boxes.new_full((len(images), 1, 4), torch.nan)], dim=1)
        blobs = self.blobs(boxes, *logits.shape[1:])
        height, owner = blobs.max(dim=1)
        near = height > _NEAR
        count = near.sum().clamp(min=1)
        centre = functional.binary_cross_entropy_with_logits(logits, height, reduction="sum") / count
        wanted = torch.take_along_dim(boxes.nan_to_num(), owner.flatten(1)[..., None], dim=1).view_as(found)
        error = functional.smooth_l1_loss(found / STRIDE, wanted / STRIDE, reduction="none").mean(-1)
        return {"centre": centre, "sides": (error * near).sum() / count}

    def blobs(self, boxes: Tensor, height: int, width: int) -> Tensor:
        """A Gaussian blob at the centre of each box, (B, N, h, w); 0 where there is no box."""
        x, y = self.cells(height, width, boxes.device)
        left, top, right, bottom = boxes[..., None, None].unbind(2)
        sigma_x, sigma_y = (((b - a) / 8).clamp(min=0.75 * STRIDE) for a, b in ((left, right), (top, bottom)))
        exponent = ((x - (left + right) / 2) / sigma_x) ** 2 + ((y - (top + bottom) / 2) / sigma_y) ** 2
        return torch.exp(-exponent / 2).nan_to_num(0.0)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Args:
            images: (B, 3, H, W) float32 RGB in [0, 1].

        Returns:
            boxes (B, M, 4) ``x1, y1, x2, y2`` in pixels of the images, NaN beyond the last, and scores (B, M) in
            [0, 1], 0 beyond the last; best first.
        """
        logits, boxes = self.maps(images)
        scores = logits.sigmoid()
        peak = scores == functional.max_pool2d(scores, 3, stride=1, padding=1)
        best, index = (scores * peak).flatten(1).topk(min(self.most, scores[0].numel()))
        chosen = torch.take_along_dim(boxes.flatten(1, 2), index[..., None], dim=1)
        reported = best >= max(self.threshold, 1e-6)
        return torch.where(reported[..., None], chosen, torch.nan), torch.where(reported, best, 0.0)
