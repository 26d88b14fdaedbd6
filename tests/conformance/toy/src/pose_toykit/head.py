"""A head with two maps a keypoint, its codec and its loss: how far and where the keypoint is, from each
cell."""

import torch
from torch import nn

from pose_core.interfaces import Grid, Head, KeypointAxis, Loss, Predictor, Target, TargetGenerator

REACH = 8.0


class ToyHead(Head):
    """For each keypoint: whether it is within reach of a cell, and the offset (in pixels) to it."""

    def __init__(self, config, context):
        super().__init__(config, context)
        self.chosen = config.feature or 0
        self.names = context.skeleton.keypoints
        self.conv = nn.Conv2d(context.features[self.chosen].channels, 3 * len(self.names), 1)
        grid = Grid.cells(context.features[self.chosen].stride)
        self.set_codec(
            context.build("target_generator", config.target_generator, grid),
            context.build("predictor", config.predictor, grid),
            config.losses,
            context,
        )

    def forward(self, features):
        return {"maps": self.conv(features[self.chosen])}

    def keypoint_axes(self):
        entries = tuple((n,) for n in self.names for _ in range(3))
        return {"conv.weight": (KeypointAxis(0, entries),), "conv.bias": (KeypointAxis(0, entries),)}


class ToyTargets(TargetGenerator):
    def forward(self, labels, outputs):
        height, width = outputs["maps"].shape[-2:]
        points = labels.keypoints[:, 0]  # (B, K, 2)
        x = points[..., 0, None, None] - self.grid.centres(width)[None, None, None, :]
        y = points[..., 1, None, None] - self.grid.centres(height)[None, None, :, None]
        x, y = torch.broadcast_tensors(x, y)
        near = (x.square() + y.square() < REACH**2).float()  # NaN is not near
        offsets = torch.stack([near, x.nan_to_num() * near, y.nan_to_num() * near], dim=2)
        weight = torch.stack([torch.ones_like(near), near, near], dim=2)
        return {"maps": Target(offsets.flatten(1, 2), weight.flatten(1, 2))}


class ToyPredictor(Predictor):
    exportable = True

    def forward(self, outputs, found):
        maps = outputs["maps"]
        width = maps.shape[-1]
        near, x, y = maps.unflatten(1, (-1, 3)).flatten(3).unbind(2)  # (B, K, h w)
        score, at = near.max(-1)
        cells = torch.stack([at % width, at // width], dim=-1)
        offset = torch.stack([x.gather(2, at[..., None])[..., 0], y.gather(2, at[..., None])[..., 0]], dim=-1)
        points = self.grid.to_pixels(cells.float()) + offset
        return found.with_animals(points[:, None], score.clamp(0, 1)[:, None])


class ToyLoss(Loss):
    def forward(self, output, target, weight):
        error = torch.where(weight > 0, output - target, 0.0).square() * weight
        return error.sum() / weight.expand_as(error).sum().clamp(min=1)
