"""Outputs of a SimCC head -> the keypoints of one animal."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Predictions, Predictor
from pose_rtmpose.config import AXES, BETA, SimccPredictorConfig, by_axis, default_sigma

_FINE = 4
"""Targets a bin that are compared with an output."""


class SimccPredictor(Predictor):
    """Reads one animal from the scores of bins; every keypoint gets a position, a missing one has a low
    score.

    ``decode: fit`` finds the position between bins (:func:`fit_position`); ``argmax`` is that of SimCC and
    RTMPose, which leaves an error of up to half a bin. A score is a probability: with ``score: mass`` that of
    the bins within three standard deviations of the position, with ``score: peak`` that of the highest bin.
    """

    exportable = True

    def __init__(self, config: SimccPredictorConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__(config, context, grid)
        self.fit = config.decode == "fit"
        self.mass = config.score == "mass"
        self.beta = by_axis(BETA if config.beta is None else config.beta)
        self.sigma = None if config.sigma is None else by_axis(config.sigma)

    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """Args:
            outputs: ``x`` and ``y``, (B, K, bins).
            found: replaced but for its unique keypoints.

        Returns:
            one animal an image.
        """
        read = [self._read(axis, outputs[axis].float()) for axis in AXES]
        keypoints = self.grid.to_pixels(torch.stack([position for position, _ in read], dim=-1))
        score = torch.minimum(read[0][1], read[1][1])
        return found.with_animals(keypoints[:, None], score[:, None])

    def _read(self, axis: str, output: Tensor) -> tuple[Tensor, Tensor]:
        """Positions (B, K) in bins and scores (B, K)."""
        sigma = default_sigma(output.shape[-1] * self.grid.stride, 1 / self.grid.stride)
        if self.sigma is not None:
            sigma = self.sigma[axis]
        beta = self.beta[axis]
        logits = beta * output
        highest = logits.argmax(-1)
        position = fit_position(logits, highest, sigma, beta) if self.fit else highest.to(logits.dtype)
        probability = logits.softmax(-1)
        if not self.mass:
            return position, probability.amax(-1)
        bins = torch.arange(output.shape[-1], dtype=position.dtype, device=position.device)
        # At least one bin either way: a target narrower than a bin still puts mass on two of them.
        near = (bins - position[..., None]).abs() <= max(3 * sigma / math.sqrt(beta), 1.0)
        return position, (probability * near).sum(-1).clamp(max=1.0)


def fit_position(logits: Tensor, highest: Tensor, sigma: float, beta: float) -> Tensor:
    """Find the position with the target that differs least from the output.

    The difference is the divergence that the network was trained with.

    Targets are softmax(beta exp(-d^2 / (2 sigma^2))), so close to Gaussians of standard deviation sigma /
    sqrt(beta). Those at quarter-bin steps around the highest bin are compared with the logits of a window of
    bins, and a parabola through the best one and its neighbours gives the position between the steps. As a
    target weighs several bins, this is far less sensitive to noise than the highest bin, and as bins beyond
    the last one are left out on both sides, it is as exact at the edge of the image.

    Args:
        logits: (B, K, bins).
        highest: (B, K) int64, the highest bin.
        sigma: of the targets, bins.
        beta: of the loss.

    Returns:
        (B, K) positions in bins, fractional.
    """
    count, width = logits.shape[-1], sigma / math.sqrt(beta)
    reach = max(1, math.ceil(2 * width))
    window = reach + math.ceil(4.5 * width)
    device = logits.device
    steps = torch.arange(-window, window + 1, device=device)
    candidates = torch.arange(-_FINE * reach, _FINE * reach + 1, device=device) / _FINE
    shape = beta * torch.exp((steps - candidates[:, None]).square() * (-0.5 / sigma**2))

    bins = highest[..., None] + steps
    beyond = (bins < 0) | (bins >= count)
    values = logits.gather(-1, bins.clamp(0, count - 1)) - logits.gather(-1, highest[..., None])
    target = shape.masked_fill(beyond[..., None, :], -torch.inf).log_softmax(-1)
    difference = (target - values[..., None, :]).masked_fill(beyond[..., None, :], 0.0)
    divergence = (target.exp() * difference).sum(-1)

    # The parabola needs a neighbour on both sides.
    best = divergence.argmin(-1, keepdim=True).clamp(1, 2 * _FINE * reach - 1)
    before, at, after = (divergence.gather(-1, best + step)[..., 0] for step in (-1, 0, 1))
    curvature = before - 2 * at + after
    # Where all candidates fit alike (a flat output) there is nothing to refine.
    bent = curvature > 1e-9
    shift = torch.where(bent, (before - after) / (2 * torch.where(bent, curvature, 1.0)), 0.0).clamp(-1, 1)
    return highest + candidates[best[..., 0]] + shift / _FINE
