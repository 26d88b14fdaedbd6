"""Read a Keras model of SLEAP up to 1.4: ``best_model.h5`` and ``training_config.json``, without TensorFlow.

The network follows from the configuration, so each weight has one place and one shape; a file that lacks one,
or has more, is refused. Names and shapes of weights were learned from such files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from pose_core.errors import DataError, RunError
from pose_core.io.files import is_file, parse_json
from pose_core.io.hdf5 import find_dataset, hdf5_errors, read_text_attribute
from pose_sleap.keras_config import CONFIG, CROPS, KerasConfig, UNet, read_keras_config

WEIGHTS = "best_model.h5"
_STEM_KERNEL, _KERNEL, _CONVOLUTIONS = 7, 3, 2
_OFFSETS = "OffsetRefinementHead"
_CONFMAPS = {
    "single_instance": "SingleInstanceConfmapsHead",
    "centroid": "CentroidConfmapsHead",
    "centered_instance": "CenteredInstanceConfmapsHead",
    "bottomup": "MultiInstanceConfmapsHead",
    "multi_class_bottomup": "MultiInstanceConfmapsHead",
    "multi_class_topdown": "CenteredInstanceConfmapsHead",
}


@dataclass(frozen=True)
class _Layer:
    """A layer with weights.

    Attributes:
        theirs: its name in Keras; that of a head may end in ``_0``.
        ours: prefix of its weights in SLEAP-NN.
        shape: of the kernel as Keras stores it: (height, width, in, out), transposed convolutions (height,
            width, out, in), dense layers (in, out).
        transposed: whether it is a transposed convolution.
    """

    theirs: str
    ours: str
    shape: tuple[int, ...]
    transposed: bool = False

    @property
    def outputs(self) -> int:
        """Number of its outputs."""
        return self.shape[2] if self.transposed else self.shape[-1]

    def convert(self, kernel: np.ndarray[Any, Any]) -> Tensor:
        """Bring a kernel into torch's order of axes."""
        # (height, width, a, b) -> (b, a, height, width) is right for both kinds of convolutions.
        axes = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
        return torch.from_numpy(np.ascontiguousarray(kernel.transpose(axes), dtype=np.float32))


def is_keras_model(folder: Path) -> bool:
    """Whether a folder holds a Keras model of SLEAP, or what is left of one."""
    return any(is_file(folder / name) for name in (CONFIG, WEIGHTS))


def read_keras_model(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a Keras model in SLEAP-NN's words.

    Args:
        folder: of the model.

    Returns:
        the configuration in the form of SLEAP-NN's ``training_config.yaml``: ``model_config`` with
        ``backbone_config.unet``, ``head_configs.TYPE`` and the mark ``keras: True`` (transposed convolutions
        drop the last row and column, a stem leads to ``stem_stride``, and strides are as configured);
        ``data_config`` with ``preprocessing`` and ``skeletons``; ``notes``, lines for the user. Lengths are
        pixels of the frame, strides and sigmas those of the network's input.
        The weights, float32, under SLEAP-NN's names without ``model.`` before them.

    Raises:
        RunError: a file is missing or damaged, holds other weights than the configuration says, or the model
            is of a kind that cannot be imported; one line that names the file and says why.
    """
    for name in (CONFIG, WEIGHTS):
        if not is_file(folder / name):
            raise RunError(
                f"{folder}: has no {name}; a Keras model of SLEAP is {CONFIG} and {WEIGHTS} together"
            )
    config, path = read_keras_config(folder / CONFIG), folder / WEIGHTS
    try:
        with hdf5_errors(path, "a Keras model of SLEAP"), h5py.File(path, "r") as file:
            if "model_weights" not in file:
                raise ValueError("it has no model_weights")
            weights = file["model_weights"]
            channels = _count_input_channels(weights, config.unet)
            layers = list(_plan_layers(config, channels))
            tensors = {name: value for layer in layers for name, value in _read_layer(weights, layer)}
            _check_left_over(weights, layers)
            side = _read_input_side(file) if config.model_type in CROPS else None
    except DataError as error:
        raise RunError(str(error)) from None
    notes = []
    if config.offsets:
        notes.append(
            f"{path}: its offset maps are left out; keypoints are refined by the confidence maps alone, as "
            "SLEAP-NN does"
        )
    return config.describe(channels, side) | {"notes": notes}, tensors


def _plan_layers(config: KerasConfig, channels: int) -> Iterator[_Layer]:
    """List the layers of the network: stem, encoder, middle, decoder, heads."""
    unet = config.unet
    stem_blocks = (unet.stem_stride or 1).bit_length() - 1
    down_blocks = unet.max_stride.bit_length() - 1 - stem_blocks
    levels = stem_blocks + down_blocks

    def width(level: int) -> int:
        return int(unet.filters * unet.filters_rate**level)

    def convolve(theirs: str, ours: str, kernel: int, outputs: int) -> _Layer:
        nonlocal channels
        layer = _Layer(theirs, ours, (kernel, kernel, channels, outputs))
        channels = outputs
        return layer

    for i in range(stem_blocks):
        for j in range(_CONVOLUTIONS):
            name = f"stem{i}_conv{j}"
            yield convolve(name, f"backbone.stem.stem_stack.{i}.blocks.{name}", _STEM_KERNEL, width(i))
    skips: dict[int, int] = {}
    for i in range(down_blocks):
        for j in range(_CONVOLUTIONS):
            name = f"stack0_enc{i}_conv{j}"
            ours = f"backbone.encoders.0.encoder_stack.{i}.blocks.{name}"
            yield convolve(name, ours, _KERNEL, width(stem_blocks + i))
        skips[(unet.stem_stride or 1) << i] = channels
    # The pooling after the last block has a number, too.
    for i, part in enumerate(("expand", "contract")):
        name = f"stack0_enc{down_blocks + 1 + i}_middle_{part}_conv0"
        yield convolve(name, f"backbone.middle_blocks.{i}.blocks.{name}", _KERNEL, width(levels))
    maps = {unet.max_stride: channels}
    stride = unet.max_stride
    for b in range((unet.max_stride // unet.output_stride).bit_length() - 1):
        name = f"stack0_dec{b}_s{stride}_to_s{stride // 2}"
        ours = f"backbone.decoders.0.decoder_stack.{b}.blocks.{name}"
        stride //= 2
        outputs = width(levels - 1 - b)
        if not unet.up_interpolate:
            shape = (_KERNEL, _KERNEL, outputs, channels)
            yield _Layer(f"{name}_trans_conv", f"{ours}_trans_conv", shape, transposed=True)
            channels = outputs
        channels += skips[stride]
        for j in range(_CONVOLUTIONS):
            yield convolve(f"{name}_refine_conv{j}", f"{ours}_refine_conv{j}", _KERNEL, outputs)
        maps[stride] = channels
    yield from _plan_heads(config, maps)


def _plan_heads(config: KerasConfig, maps: dict[int, int]) -> Iterator[_Layer]:
    """List the layers of the heads, which read maps of some channels by stride."""
    for number, (name, head) in enumerate(config.heads.items()):
        inputs, ours = maps[head["output_stride"]], f"head_layers.{number}"
        if name == "class_vectors":
            for i in range(head["num_fc_layers"]):
                dense = f"pre_classification{i}_fc"
                yield _Layer(dense, f"{ours}.{dense}", (inputs, head["num_fc_units"]))
                inputs = head["num_fc_units"]
            yield _Layer("ClassVectorsHead", f"{ours}.ClassVectorsHead", (inputs, len(head["classes"])))
            continue
        if name == "confmaps":
            kind = _CONFMAPS[config.model_type]
            outputs = 1 if config.model_type == "centroid" else len(head["part_names"])
        elif name == "pafs":
            kind, outputs = "PartAffinityFieldsHead", 2 * len(head["edges"])
        else:
            kind, outputs = "ClassMapsHead", len(head["classes"])
        yield _Layer(kind, f"{ours}.{kind}.0", (1, 1, inputs, outputs))


def _count_input_channels(weights: Any, unet: UNet) -> int:
    """Read the channels of the input off the first kernel."""
    first = "stem0_conv0" if (unet.stem_stride or 1) > 1 else "stack0_enc0_conv0"
    kernel = find_dataset(weights, f"{first}/{first}/kernel:0")
    if kernel is None or kernel.ndim != 4:
        raise ValueError(f"it has no kernel of {first}")
    channels = int(kernel.shape[2])
    if channels not in (1, 3):
        raise ValueError(f"{first} takes images of {channels} channels, and 1 or 3 are known")
    return channels


def _read_layer(weights: Any, layer: _Layer) -> Iterator[tuple[str, Tensor]]:
    """Read kernel and bias of a layer."""
    name = next((name for name in (layer.theirs, f"{layer.theirs}_0") if name in weights), None)
    if name is None:
        raise ValueError(f"it lacks the layer {layer.theirs} that {CONFIG} asks for")
    for ours, theirs, shape in (
        ("weight", "kernel:0", layer.shape),
        ("bias", "bias:0", (layer.outputs,)),
    ):
        node = find_dataset(weights, f"{name}/{name}/{theirs}")
        if node is None:
            raise ValueError(f"layer {name} has no {theirs}")
        if node.shape != shape or node.dtype.kind != "f":
            raise ValueError(
                f"{theirs} of layer {name} is {node.dtype} {node.shape}, and {CONFIG} makes it float {shape}"
            )
        values = node[()]
        if not np.isfinite(values).all():
            raise ValueError(f"{theirs} of layer {name} holds values that are no numbers")
        yield (
            f"{layer.ours}.{ours}",
            layer.convert(values) if len(shape) > 1 else torch.from_numpy(values.astype(np.float32)),
        )


def _check_left_over(weights: Any, layers: list[_Layer]) -> None:
    """Refuse layers with weights that have no place in the network."""
    known = {name for layer in layers for name in (layer.theirs, f"{layer.theirs}_0")}
    # Layers without weights are empty groups.
    left = [
        name
        for name, group in weights.items()
        if name not in known and name.removesuffix("_0") != _OFFSETS and len(group)
    ]
    if left:
        raise ValueError(f"layer {left[0]} is in no network that {CONFIG} describes")


def _read_input_side(file: Any) -> int | None:
    """Read the side of the network's input from its description; None where it is not square or not said."""
    text = read_text_attribute(file, "model_config")
    for layer in parse_json(text)["config"]["layers"] if text else ():
        shape = layer.get("config", {}).get("batch_input_shape")
        if layer.get("class_name") == "InputLayer" and isinstance(shape, list) and len(shape) == 4:
            height, width = shape[1:3]
            return height if isinstance(height, int) and height == width and height > 0 else None
    return None
