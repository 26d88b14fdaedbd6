"""Start detectors from the pretrained weights that torchvision publishes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from pose_core.errors import ConfigError, DownloadError
from pose_core.interfaces import load_pretrained, torchvision_file, warn_once
from pose_torchvision import transfer
from pose_torchvision.coco import COCO_WEIGHTS, WeightFile
from pose_torchvision.config import TorchvisionConfig

_OPTION = "stages.detector.network.pretrained"


@dataclass(frozen=True, eq=False)
class BackboneWeights:
    """The ImageNet weights of a detector's backbone, used without COCO's.

    Attributes:
        module: the module to load them into.
        file: of ImageNet weights.
        convert: maps the tensors of the file, by name, to all those of the module.
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
        DownloadError: the weights that the config requires are not available.
        ConfigError: weights are not available, and the config freezes parts of the network.
        WeightsError: a file is damaged.
    """
    coco = COCO_WEIGHTS[config.network]
    reasons = []
    if config.pretrained != "imagenet":
        try:
            _load(model, coco, transfer.rename_keys if config.classes else transfer.convert_to_one_animal)
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
        # Frozen parts of a network with random weights would never learn.
        if config.freeze_bn or config.trainable_layers is not None:
            raise ConfigError(
                "freeze_bn and trainable_layers freeze parts of the detector, which needs pretrained "
                f"weights: {error}"
            ) from None
        reasons.append("training starts from random weights, which takes longer and needs more labels")
    else:
        reasons.append(f"training starts from {backbone.file.what}")
    if config.pretrained == "auto":
        warn_once("; ".join(reasons))


def _load(
    module: nn.Module, file: WeightFile, convert: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
) -> None:
    load_pretrained(
        module, torchvision_file(file.name, file.what), required=True, option=_OPTION, convert=convert
    )
