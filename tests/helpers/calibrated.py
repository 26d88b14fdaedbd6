"""Networks of random weights whose maps have maxima that rounding does not move."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pose_core.model.assemble import PoseModel
from pose_core.model.build import build_model
from pose_core.model.runner import make_example
from pose_core.specs import RunSpec


def build_calibrated(spec: RunSpec) -> PoseModel:
    """Build a pose network in evaluation mode, its batch norms with the statistics of random images.

    With those that they are built with, signals vanish or explode on their way: heatmaps are then flat, or as high as
    can be in most cells, and a change of the last bit moves keypoints by pixels (5 px in dekr_w18 where its outputs
    change by a millionth).
    """
    torch.manual_seed(0)
    network = build_model(spec)
    assert isinstance(network, PoseModel)
    for part in network.modules():
        if isinstance(part, _BatchNorm):
            part.reset_running_stats()
            part.momentum = None
    images, *extra = make_example(network.eval())
    network.train()
    with torch.no_grad():
        network(images, **dict(zip(network.inputs, extra, strict=True)))
    return network.eval()


def calibrate(network: nn.Module, compute: Callable[[], object]) -> None:
    """Give the batch norms of a network the statistics of what it computes, and leave it in evaluation mode.

    Args:
        network: whose norms may have no counter of batches, as those of detectors.
        compute: computes it once.
    """
    norms = [part for part in network.eval().modules() if isinstance(part, _BatchNorm)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad():
        compute()
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
    network.eval()
