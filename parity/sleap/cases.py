"""Networks of SLEAP-NN beside ours: which, and what weights and image they get.

Read by both Pythons: the standard library and torch only, and so is what the plugin says of their weights.
Weights and image are a formula of names and places, so that each side makes the same without a file between
them.
"""

from __future__ import annotations

import importlib.util
import sys
import zlib
from pathlib import Path
from types import ModuleType
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


def load_networks() -> ModuleType:
    """The module of the plugin that says what SLEAP-NN's networks are here."""
    file = Path(__file__).resolve().parents[2] / "plugins" / "sleap" / "src" / "pose_sleap" / "networks.py"
    spec = importlib.util.spec_from_file_location("sleap_networks", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules["sleap_networks"] = module
    spec.loader.exec_module(module)
    return module


_NETWORKS = load_networks()
Case = _NETWORKS.Network
"""One network: its kind, SLEAP-NN's settings of it but for ``in_channels``, which is 3, and the strides of the
feature maps that a layer of one convolution each reads."""
our_spec = _NETWORKS.our_parts


def _encoder(kind: str, strides: tuple[int, ...], **config: Any) -> Any:
    return Case(kind, {**_SMALL[kind], "output_stride": strides[0], **config}, strides)


def _unet(strides: tuple[int, ...], **config: Any) -> Any:
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


def our_name(name: str, case: Any) -> str:
    """Our name of a weight; that of a head's convolution is ``head.N``."""
    return str(_NETWORKS.our_name(name, case)).replace(".layer.", ".")


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
