"""Pretrained weights that torchvision publishes, as a detector starts from them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pose_core.errors import ConfigError, DownloadError
from pose_core.interfaces import RemoteFile, load_pretrained
from pose_torchvision import transfer
from pose_torchvision.coco import COCO_WEIGHTS, WeightFile
from pose_torchvision.config import TorchvisionConfig

_LOG = logging.getLogger("pose_core.torchvision")
_OPTION = "stages.detector.network.pretrained"


@dataclass(frozen=True, eq=False)
class BackboneWeights:
    """How the backbone of a detector starts without COCO's weights.

    Attributes:
        module: what gets them, as a module of its own.
        file: of ImageNet weights.
        convert: from the tensors of the file by name to all those of the module.
    """

    module: nn.Module
    file: WeightFile
    convert: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


def start_from_pretrained(model: nn.Module, config: TorchvisionConfig, backbone: BackboneWeights) -> None:
    """Load the pretrained weights that a config asks for.

    Args:
        model: torchvision's network.
        config: ``pretrained`` is not false.
        backbone: the ImageNet weights of its backbone.

    Raises:
        DownloadError: they cannot be had although the config insists on them.
        ConfigError: they cannot be had, and the config keeps parts of the network as they are.
        WeightsError: a file is damaged.
    """
    coco = COCO_WEIGHTS[config.network]
    reasons = []
    if config.pretrained != "imagenet":
        try:
            _load(model, coco, transfer.named if config.classes else transfer.named_one_animal)
        except DownloadError as error:
            if config.pretrained is True:
                raise
            reasons.append(str(error))
        else:
            return
    try:
        _load(backbone.module, backbone.file, backbone.convert)
    except DownloadError as error:
        if config.pretrained == "imagenet":
            raise
        if config.freeze_bn or config.trainable_layers is not None:
            raise ConfigError(
                f"freeze_bn and trainable_layers keep parts of the detector as they are, which needs weights: {error}"
            ) from None
        reasons.append("training starts from random weights, which takes longer and needs more labels")
    else:
        reasons.append(f"training starts from {backbone.file.what}")
    # The processes of a training say it once.
    if config.pretrained == "auto" and os.environ.get("LOCAL_RANK", "0") == "0":
        _LOG.warning("%s", "; ".join(reasons))


def remote(file: WeightFile) -> RemoteFile:
    """A file in the core's cache, or where torchvision keeps it (``$TORCH_HOME/hub/checkpoints/``)."""
    kept = Path(torch.hub.get_dir()) / "checkpoints" / file.name
    return RemoteFile(file.url, file.what, sha256=file.sha256, elsewhere=(kept,))


def _load(module: nn.Module, file: WeightFile, convert: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]) -> None:
    load_pretrained(module, remote(file), required=True, option=_OPTION, convert=convert)
