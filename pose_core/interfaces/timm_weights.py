"""ImageNet weights for networks made by timm (Wightman 2019), from huggingface.co.

A plugin whose backbone is one of timm's makes it without weights and loads them here, by a path that neither
hangs offline nor unpickles::

    self.model = timm.create_model("resnet18", pretrained=False, num_classes=0)
    if context.pretrained and config.pretrained:
        option = f"{context.key}.pretrained"
        load_timm(self.model, "resnet18", required=config.pretrained is True, classifier=("fc.",),
        option=option)
"""

from __future__ import annotations

from torch import Tensor, nn

from pose_core.errors import ConfigError
from pose_core.interfaces.hub import hugging_face, load_pretrained


def load_timm(
    module: nn.Module,
    name: str,
    *,
    required: bool,
    classifier: tuple[str, ...],
    option: str = "model.backbone.pretrained",
) -> bool:
    """Load ImageNet weights into a network of timm that has no classifier.

    Args:
        module: the network; every name but those of the classifier must be in the file, and the other way
            round.
        name: of the network in timm (``hrnet_w32``); the weights are its default ones.
        required: whether it is an error when they cannot be had; otherwise that is a warning.
        classifier: beginnings of the names of what belongs to the classifier (``("fc.",)``). They are left
            out where the network does not have them.
        option: the setting that asks for them, for messages.

    Returns:
        whether they were loaded.

    Raises:
        ConfigError: this timm has none.
        DownloadError: they cannot be had and are required.
        WeightsError: the file is damaged or of another network.
    """
    # The calling plugin requires timm; the core does without it.
    import timm

    published = timm.models.get_pretrained_cfg(name)
    if published is None or published.hf_hub_id is None:
        raise ConfigError(
            f"timm {timm.__version__} has no ImageNet weights for {name}; pip install --upgrade timm"
        )
    repository = str(published.hf_hub_id)
    file = hugging_face(repository, "model.safetensors", f"the ImageNet weights {repository}")
    own = module.state_dict()

    def without_classifier(state: dict[str, Tensor]) -> dict[str, Tensor]:
        # Only the classifier may be left over; any other name too many must show as a misfit.
        return {key: value for key, value in state.items() if key in own or not key.startswith(classifier)}

    return load_pretrained(module, file, required=required, option=option, convert=without_classifier)
