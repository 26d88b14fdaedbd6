"""ImageNet weights of timm, from huggingface.co."""

from __future__ import annotations

import timm
from torch import Tensor, nn

from pose_core.errors import ConfigError
from pose_core.interfaces import hugging_face, load_pretrained

_CLASSIFIER = ("incre_modules.", "downsamp_modules.", "final_layer.", "classifier.")
"""What belongs to the classifier: the beginnings of its names in timm."""


def load_imagenet(model: nn.Module, name: str, *, required: bool) -> bool:
    """Load ImageNet weights into a network without classifier.

    Args:
        model: timm's network.
        name: of the network in timm.
        required: whether it is an error when they cannot be had; otherwise that is a warning.

    Returns:
        whether they were loaded.

    Raises:
        ConfigError: this timm has none.
        DownloadError: they cannot be had and are required.
        WeightsError: the file is damaged or of another network.
    """
    published = timm.models.get_pretrained_cfg(name)
    if published is None or published.hf_hub_id is None:
        raise ConfigError(f"timm {timm.__version__} has no ImageNet weights for {name}; pip install --upgrade timm")
    repository = str(published.hf_hub_id)
    file = hugging_face(repository, "model.safetensors", f"the ImageNet weights {repository}")
    own = model.state_dict()

    def without_classifier(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {key: value for key, value in state.items() if key in own or not key.startswith(_CLASSIFIER)}

    return load_pretrained(
        model, file, required=required, option="model.backbone.pretrained", convert=without_classifier
    )
