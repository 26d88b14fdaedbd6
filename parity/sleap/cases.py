"""Networks of SLEAP-NN beside ours: which, how their weights are called, and what weights and image they get.

Read by both Pythons: the standard library and torch only. Weights and image are a formula of names and
places, so that each side makes the same without a file between them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SIZE = (64, 128)
SAMPLES = 24
_SMALL_UNET = {"filters": 6, "filters_rate": 1.5, "max_stride": 16}
_SMALL = {
    "convnext": {"model_type": "custom", "arch": {"depths": [1, 1, 2, 1], "channels": [8, 16, 32, 64]}},
    "swint": {
        "model_type": "custom",
        "arch": {"embed": 8, "depths": [1, 2, 2, 1], "num_heads": [1, 2, 2, 4]},
        "window_size": 4,
    },
}


@dataclass(frozen=True)
class Case:
    """One network.

    Attributes:
        kind: ``unet``, ``convnext`` or ``swint``.
        config: SLEAP-NN's settings of it, but for ``in_channels``, which is 3.
        strides: of the feature maps that a layer of one convolution each reads, fine to coarse.
    """

    kind: str
    config: Mapping[str, Any]
    strides: tuple[int, ...]

    @property
    def convolutions(self) -> int:
        """Convolutions of a block of the encoder, and of the middle."""
        return int(self.config.get("convs_per_block", 2))

    @property
    def stem(self) -> int:
        """Stride of a U-Net's stem; 1: none."""
        return int(self.config.get("stem_stride", 1))

    @property
    def levels(self) -> int:
        """Levels of our encoder of a U-Net: one a stride, from that of the stem to twice ``max_stride`` where
        there is a stem."""
        coarsest = self.config["max_stride"] * (2 if self.stem > 1 else 1)
        return int((coarsest // self.stem).bit_length())


def _encoder(kind: str, strides: tuple[int, ...], **config: Any) -> Case:
    return Case(kind, {**_SMALL[kind], "output_stride": strides[0], **config}, strides)


def _unet(strides: tuple[int, ...], **config: Any) -> Case:
    return Case("unet", {**_SMALL_UNET, "output_stride": strides[0], **config}, strides)


CASES = {
    "unet": _unet((2,)),
    "unet to full resolution": _unet((1,), filters_rate=2.0),
    "unet, two strides": _unet((2, 4)),
    "unet, transposed": _unet((2,), up_interpolate=False),
    "unet, kernel 5, 3 convolutions": _unet((4,), kernel_size=5, convs_per_block=3, max_stride=32),
    "unet, stem": _unet((2,), stem_stride=2),
    "unet, stem, to full resolution, transposed": _unet((1,), stem_stride=2, up_interpolate=False),
    "unet without decoder": _unet((16,)),
    "convnext": _encoder("convnext", (2,)),
    "convnext, two strides, transposed": _encoder("convnext", (2, 4), up_interpolate=False),
    "convnext to full resolution": _encoder("convnext", (1,)),
    "convnext, stem of stride 4": _encoder("convnext", (4,), stem_patch_stride=4, max_stride=64),
    "convnext, 3 convolutions in the middle": _encoder("convnext", (2,), convs_per_block=3, kernel_size=5),
    "swint": _encoder("swint", (2,)),
    "swint, two strides, transposed": _encoder("swint", (2, 4), up_interpolate=False),
    "swint, stem of stride 4": _encoder("swint", (4,), stem_patch_stride=4, max_stride=64),
}
"""What is compared, by name."""


def our_spec(case: Case) -> dict[str, Any]:
    """The same network as our configuration has it: ``backbone``, and ``neck`` where there is one."""
    config = case.config
    up = "bilinear" if config.get("up_interpolate", True) else "transposed3"
    layers = {"kernel": config.get("kernel_size", 3), "norm": "none", "up": up}
    if case.kind == "unet":
        backbone = {
            "type": "unet/unet",
            "filters": config["filters"],
            "rate": config["filters_rate"],
            # With a stem the first block of SLEAP-NN's encoder pools once more.
            "max_stride": config["max_stride"] * (2 if case.stem > 1 else 1),
            "outputs": case.strides,
            "convs_per_block": case.convolutions,
            "decoder_convs": 2,
            **layers,
        }
        stem = {"stem_stride": case.stem, "stem": "convolutions_only"} if case.stem > 1 else {}
        return {"backbone": {**backbone, **stem}}
    arch = config["arch"]
    own = (
        {"type": "convnext/convnext", "depths": arch["depths"], "channels": arch["channels"]}
        if case.kind == "convnext"
        else {
            "type": "swin/swin",
            "embed_dim": arch["embed"],
            "depths": arch["depths"],
            "num_heads": arch["num_heads"],
            "window_size": config["window_size"],
        }
    )
    backbone = {
        **own,
        "stem_patch_stride": config.get("stem_patch_stride", 2),
        # Of every stride: with 4 its cells begin a pixel before those of torchvision.
        "stem_padding": 1,
        "taps": "before",
        "out_features": [1, 2, 3, 4],
        "pretrained": False,
    }
    neck = {
        "type": "unet/decoder",
        "outputs": case.strides,
        "widths": "full",
        "middle_convs": case.convolutions,
        "middle_rate": 2.0,
        **layers,
    }
    return {"backbone": backbone, "neck": neck}


def our_name(name: str, case: Case) -> str:
    """Our name of a weight of SLEAP-NN's network.

    Args:
        name: in its ``state_dict``; in a checkpoint ``model.`` stands before it.

    Returns:
        a name that begins with ``backbone.``, ``neck.`` or, for the layer of a head, ``head.N.``.

    Raises:
        ValueError: no rule names it.
    """
    unet = case.kind == "unet"
    decoder = "backbone" if unet else "neck"
    middle = f"backbone.encoder.{case.levels - 1}" if unet else "neck.middle"
    # The stem is the finest level of our encoder.
    first = 1 if case.stem > 1 else 0
    block = r"backbone\.dec(?:oders\.0)?\.decoder_stack\.(\d+)\.blocks\."
    rules = (
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
            lambda: f"{middle}.{case.convolutions - 1}.0",
        ),
        (block + r"\w+_trans_conv", lambda b: f"{decoder}.up.{b}"),
        (block + r"\w+_refine_conv(\d+)", lambda b, j: f"{decoder}.decoder.{b}.{j}.0"),
        (r"backbone\.enc\.(.+)", lambda rest: f"backbone.{rest}"),
        (r"head_layers\.(\d+)\.\w+\.0", lambda i: f"head.{i}"),
    )
    stem, _, kind = name.rpartition(".")
    for pattern, ours in rules:
        if found := re.fullmatch(pattern, stem):
            return f"{ours(*found.groups())}.{kind}"
    raise ValueError(f"{name}: no rule says what this weight is called here")


def weight(name: str, shape: torch.Size) -> Tensor:
    """Values for a weight, by our name of it: about as large as fresh ones, norms near 1."""
    wave = _wave(name, shape)
    if name.endswith("layer_scale"):
        return 0.5 * wave
    if len(shape) > 1:
        return wave * float(6 / max(1, shape[1:].numel())) ** 0.5
    return 0.1 * wave + (1.0 if name.endswith("weight") else 0.0)


def image() -> Tensor:
    """(1, 3, H, W) in [0, 1]."""
    return _wave("image", torch.Size((1, 3, *SIZE))) / 2 + 0.5


def summarize(output: Tensor) -> list[float]:
    """Mean, standard deviation, largest absolute value, and some values of an output."""
    flat = output.double().flatten()
    at = torch.linspace(0, len(flat) - 1, SAMPLES).round().long()
    return [float(f"{float(v):.7g}") for v in (flat.mean(), flat.std(), flat.abs().max(), *flat[at])]


def _wave(name: str, shape: torch.Size) -> Tensor:
    """Values in [-1, 1] that look random: the fractional part of a large sine."""
    # In float64, for the fractional part of large numbers has too few digits left in float32.
    places = torch.arange(1, shape.numel() + 1, dtype=torch.float64)
    values = (torch.sin(places * 12.9898 + zlib.crc32(name.encode()) % 1000) * 43758.5453) % 1.0
    return (2 * values - 1).float().reshape(shape)
