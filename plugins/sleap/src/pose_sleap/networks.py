"""What SLEAP-NN's networks are here: settings of backbone and neck, and names of weights.

The standard library only, so that the environment of SLEAP-NN can read this file, too (``parity/sleap``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

CONVNEXT_SIZES, SWIN_SIZES = ("tiny", "small", "base", "large"), ("tiny", "small", "base")


@dataclass(frozen=True)
class Network:
    """An encoder and a decoder.

    Attributes:
        kind: ``unet``, ``convnext`` or ``swint``.
        config: SLEAP-NN's settings of it.
        strides: of the feature maps that heads read, fine to coarse.
        keras: whether it is of SLEAP up to 1.4, whose stem and transposed convolutions are others.
    """

    kind: str
    config: Mapping[str, Any]
    strides: tuple[int, ...]
    keras: bool = False

    @property
    def convolutions(self) -> int:
        """Convolutions of a block of the encoder, and of the middle."""
        return int(self.config.get("convs_per_block", 2))

    @property
    def stem(self) -> int:
        """Stride of a U-Net's stem; 1: none."""
        return int(self.config.get("stem_stride") or 1)

    @property
    def coarsest(self) -> int:
        """Real stride of the coarsest map, which pooled heads read."""
        if self.kind != "unet":
            return 16 * int(self.config.get("stem_patch_stride", 2))
        # With a stem the first block of SLEAP-NN's encoder pools once more.
        return int(self.config["max_stride"]) * (2 if self.stem > 1 and not self.keras else 1)

    @property
    def levels(self) -> int:
        """Levels of our encoder of a U-Net: one a stride, from that of the stem to the coarsest."""
        return int((self.coarsest // self.stem).bit_length())


def our_parts(network: Network) -> dict[str, Any]:
    """The same network as our configuration has it: ``backbone``, and ``neck`` where there is one."""
    config = network.config
    up = "bilinear" if config.get("up_interpolate", True) else "transposed3"
    layers = {"kernel": config.get("kernel_size", 3), "norm": "none", "up": up}
    if network.kind == "unet":
        if network.keras and up == "transposed3":
            layers["crop"] = "last"
        stem = "convolutions" if network.keras else "convolutions_only"
        return {
            "backbone": {
                "type": "unet/unet",
                "filters": config["filters"],
                "rate": config["filters_rate"],
                "max_stride": network.coarsest,
                "outputs": list(network.strides),
                "convs_per_block": network.convolutions,
                "decoder_convs": 2,
                **layers,
                **({"stem_stride": network.stem, "stem": stem} if network.stem > 1 else {}),
            }
        }
    backbone = {
        **_find_encoder(network),
        "stem_patch_stride": config.get("stem_patch_stride", 2),
        # Of every stride: with 4 its cells begin a pixel before those of torchvision.
        "stem_padding": 1,
        "taps": "before",
        "out_features": [1, 2, 3, 4],
        "pretrained": False,
    }
    neck = {
        "type": "unet/decoder",
        "outputs": list(network.strides),
        "widths": "full",
        "middle_convs": network.convolutions,
        "middle_rate": 2.0,
        **layers,
    }
    return {"backbone": backbone, "neck": neck}


def _find_encoder(network: Network) -> dict[str, Any]:
    """Size or widths of the encoder; SLEAP-NN reads ``arch`` for a type that has no published size."""
    config = network.config
    size, arch = str(config.get("model_type", "tiny")), config.get("arch") or {}
    if network.kind == "convnext":
        own: dict[str, Any] = {"type": "convnext/convnext"}
        own |= (
            {"size": size}
            if size in CONVNEXT_SIZES
            else {"depths": list(arch["depths"]), "channels": list(arch["channels"])}
        )
        return {**own, "stem_patch_kernel": config.get("stem_patch_kernel", 4)}
    own = {"type": "swin/swin"}
    own |= (
        {"size": size}
        if size in SWIN_SIZES
        else {
            "embed_dim": arch["embed"],
            "depths": list(arch["depths"]),
            "num_heads": list(arch["num_heads"]),
        }
    )
    return {
        **own,
        "patch_size": config.get("patch_size", 4),
        "window_size": config.get("window_size", 7),
    }


def our_name(name: str, network: Network) -> str:
    """Our name of a weight of SLEAP-NN's network.

    Args:
        name: in its ``state_dict``; in a checkpoint ``model.`` stands before it.
        network: that has it.

    Returns:
        a name that begins with ``backbone.``, ``neck.`` or, for a layer of a head, ``head.N.``: ``layer`` of
        one convolution; ``hidden_layers.I`` and ``classifier`` of class vectors.

    Raises:
        ValueError: no rule names it.
    """
    stem, _, kind = name.rpartition(".")
    for pattern, ours in _list_rules(network):
        if found := re.fullmatch(pattern, stem):
            return f"{ours(*found.groups())}.{kind}"
    raise ValueError(f"{name}: no rule says what this weight is called here")


def _list_rules(network: Network) -> tuple[tuple[str, Callable[..., str]], ...]:
    unet = network.kind == "unet"
    decoder = "backbone" if unet else "neck"
    middle = f"backbone.encoder.{network.levels - 1}" if unet else "neck.middle"
    # A stem without convolutions after it is the finest level of our encoder.
    first = 1 if network.stem > 1 and not network.keras else 0
    block = r"backbone\.dec(?:oders\.0)?\.decoder_stack\.(\d+)\.blocks\."
    return (
        (
            r"backbone\.stem\.stem_stack\.(\d+)\.blocks\.\w+?_conv(\d+)",
            lambda i, j: f"backbone.stem.{2 * int(i)}.{j}.0",
        ),
        (
            r"backbone\.encoders\.0\.encoder_stack\.(\d+)\.blocks\.\w+?_conv(\d+)",
            lambda i, j: f"backbone.encoder.{int(i) + first}.{j}.0",
        ),
        (r"backbone\.middle_blocks\.\d+\.blocks\.\w+_expand_conv(\d+)", lambda j: f"{middle}.{j}.0"),
        (
            r"backbone\.middle_blocks\.\d+\.blocks\.\w+_contract_conv0",
            lambda: f"{middle}.{network.convolutions - 1}.0",
        ),
        (block + r"\w+_trans_conv", lambda b: f"{decoder}.up.{b}"),
        (block + r"\w+_refine_conv(\d+)", lambda b, j: f"{decoder}.decoder.{b}.{j}.0"),
        (r"backbone\.enc\.(.+)", lambda rest: f"backbone.{rest}"),
        (
            r"head_layers\.(\d+)\.pre_classification(\d+)_fc",
            lambda i, j: f"head.{i}.hidden_layers.{2 * int(j)}",
        ),
        (r"head_layers\.(\d+)\.ClassVectorsHead", lambda i: f"head.{i}.classifier"),
        (r"head_layers\.(\d+)\.\w+\.0", lambda i: f"head.{i}.layer"),
    )


FIRST_KERNELS = (
    "backbone.stem.0.0.0.weight",
    "backbone.encoder.0.0.0.weight",
    "backbone.features.0.0.weight",
)
"""Our names of the kernels that may see the image, the one that does first."""
