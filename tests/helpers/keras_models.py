"""Small Keras models of SLEAP up to 1.4, made without TensorFlow, with what their layers put out.

Each layer is computed as Keras defines it, in numpy, and its weights are made when it is first met.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.float64]
NODES = ["nose", "earL", "earR", "tail"]
EDGES = [("nose", "tail"), ("nose", "earL"), ("nose", "earR")]
PAIRS = [("earL", "earR")]


class KerasLayers:
    """Layers of Keras on one image, (height, width, channels); ``weights`` collects theirs by name.

    Args:
        weights: of the layers by name, ``kernel`` and ``bias``; those of others are drawn.
    """

    def __init__(self, weights: dict[str, dict[str, Map]] | None = None, seed: int = 0) -> None:
        self.weights = dict(weights or {})
        self._rng = np.random.default_rng(seed)

    def _get(self, name: str, shape: tuple[int, ...], outputs: int) -> tuple[Map, Map]:
        if name not in self.weights:
            fan = np.prod(shape) / outputs
            kernel = self._rng.normal(0, np.sqrt(2 / fan), shape)
            made = {"kernel": kernel, "bias": self._rng.normal(0, 0.1, outputs)}
            # As they are stored, so that rounding is no difference.
            self.weights[name] = {key: value.astype(np.float32).astype(float) for key, value in made.items()}
        return self.weights[name]["kernel"], self.weights[name]["bias"]

    def convolve(self, x: Map, name: str, outputs: int, size: int = 3, relu: bool = True) -> Map:
        """Conv2D(outputs, size, padding="same")."""
        kernel, bias = self._get(name, (size, size, x.shape[2], outputs), outputs)
        height, width = x.shape[:2]
        padded = np.pad(x, ((size // 2,) * 2, (size // 2,) * 2, (0, 0)))
        made = np.zeros((height, width, outputs)) + bias
        for a in range(size):
            for b in range(size):
                made += padded[a : a + height, b : b + width] @ kernel[a, b]
        return np.maximum(made, 0) if relu else made

    def transpose(self, x: Map, name: str, outputs: int) -> Map:
        """Conv2DTranspose(outputs, 3, strides=2, padding="same"), and ReLU."""
        kernel, bias = self._get(name, (3, 3, outputs, x.shape[2]), outputs)
        height, width = x.shape[:2]
        full = np.zeros((2 * height + 1, 2 * width + 1, outputs))
        for a in range(3):
            for b in range(3):
                full[a : a + 2 * height : 2, b : b + 2 * width : 2] += x @ kernel[a, b].T
        return np.maximum(full[:-1, :-1] + bias, 0)

    def dense(self, x: Map, name: str, outputs: int, relu: bool) -> Map:
        """Dense(outputs)."""
        kernel, bias = self._get(name, (len(x), outputs), outputs)
        made = x @ kernel + bias
        return np.maximum(made, 0) if relu else made


def pool(x: Map) -> Map:
    """MaxPooling2D(2), of even sides."""
    return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).max(axis=(1, 3))


def upsample(x: Map) -> Map:
    """UpSampling2D(2, interpolation="bilinear"): between the centres of cells, constant beyond the outer ones."""
    for axis in (0, 1):
        at = (np.arange(2 * x.shape[axis]) + 0.5) / 2 - 0.5
        low = np.floor(at).astype(int)
        part = (at - low).reshape(-1, *(1,) * (x.ndim - 1 - axis))
        last = x.shape[axis] - 1
        first, second = (x.take(np.clip(low + i, 0, last), axis) for i in (0, 1))
        x = first * (1 - part) + second * part
    return x


@dataclass
class KerasModel:
    """A model of SLEAP up to 1.4, to be changed and written.

    Attributes:
        heads: the one key of ``model.heads`` with its content.
        unet: of ``model.backbone``.
        channels: of the image.
        size: height and width of the image.
        data: to replace keys of ``data``.
        suffix: behind the names of heads.
        loaded: weights of the layers; others are drawn.
    """

    heads: dict[str, Any]
    unet: dict[str, Any] = field(default_factory=dict)
    channels: int = 3
    size: tuple[int, int] = (32, 48)
    data: dict[str, Any] = field(default_factory=dict)
    suffix: str = "_0"
    loaded: dict[str, dict[str, Map]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.unet = {
            "stem_stride": None,
            "max_stride": 8,
            "output_stride": 2,
            "filters": 4,
            "filters_rate": 1.5,
            "middle_block": True,
            "up_interpolate": False,
            "stacks": 1,
        } | self.unet

    def describe(self) -> dict[str, Any]:
        """The content of training_config.json."""
        backbone = dict.fromkeys(("leap", "unet", "hourglass", "resnet", "pretrained_encoder"))
        types = ("single_instance", "centroid", "centered_instance", "multi_instance")
        heads = dict.fromkeys((*types, "multi_class_bottomup", "multi_class_topdown"))
        data: dict[str, Any] = {
            "labels": {"validation_fraction": 0.1, "skeletons": [describe_graph()]},
            "preprocessing": {
                "ensure_rgb": False,
                "ensure_grayscale": False,
                "imagenet_mode": None,
                "input_scaling": 1.0,
                "pad_to_stride": 8,
                "resize_and_pad_to_target": True,
                "target_height": None,
                "target_width": None,
            },
            "instance_cropping": {"center_on_part": None, "crop_size": None},
        }
        for name, value in self.data.items():
            data[name] = data[name] | value
        return {
            "data": data,
            "model": {"backbone": backbone | {"unet": self.unet}, "heads": heads | self.heads},
            "optimization": {"batch_size": 4},
            "sleap_version": "1.3.3",
        }

    def run(self, image: Map, layers: KerasLayers) -> dict[str, Map]:
        """What the heads put out, by their layers' names."""
        unet = self.unet
        levels = unet["max_stride"].bit_length() - 1
        stems = (unet["stem_stride"] or 1).bit_length() - 1

        def filters(level: int) -> int:
            return int(unet["filters"] * unet["filters_rate"] ** level)

        x, skips = image, {}
        for i in range(stems):
            for j in range(2):
                x = layers.convolve(x, f"stem{i}_conv{j}", filters(i), 7)
            x = pool(x)
        stride = 1 << stems
        for i in range(levels - stems):
            if i:
                x, stride = pool(x), 2 * stride
            for j in range(2):
                x = layers.convolve(x, f"stack0_enc{i}_conv{j}", filters(stems + i))
            skips[stride] = x
        x, stride = pool(x), 2 * stride
        number = levels - stems + 1
        x = layers.convolve(x, f"stack0_enc{number}_middle_expand_conv0", filters(levels))
        x = layers.convolve(x, f"stack0_enc{number + 1}_middle_contract_conv0", filters(levels))
        maps = {stride: x}
        while stride > unet["output_stride"]:
            block = levels - (stride.bit_length() - 1)
            name = f"stack0_dec{block}_s{stride}_to_s{stride // 2}"
            width, stride = filters(levels - 1 - block), stride // 2
            x = upsample(x) if unet["up_interpolate"] else layers.transpose(x, f"{name}_trans_conv", width)
            x = np.concatenate([skips[stride], x], axis=2)
            for j in range(2):
                x = layers.convolve(x, f"{name}_refine_conv{j}", width)
            maps[stride] = x
        return self._run_heads(maps, layers)

    def _run_heads(self, maps: dict[int, Map], layers: KerasLayers) -> dict[str, Map]:
        ((kind, content),) = self.heads.items()
        found = content if "output_stride" in content else content["confmaps"]
        name = {
            "single_instance": "SingleInstance",
            "centroid": "Centroid",
            "centered_instance": "CenteredInstance",
            "multi_class_topdown": "CenteredInstance",
        }.get(kind, "MultiInstance")
        keypoints = 1 if kind == "centroid" else len(found.get("part_names") or NODES)
        sizes = {f"{name}ConfmapsHead": (found, keypoints)}
        if found.get("offset_refinement"):
            sizes["OffsetRefinementHead"] = (found, 2 * keypoints)
        if "pafs" in content:
            sizes["PartAffinityFieldsHead"] = (content["pafs"], 2 * len(content["pafs"]["edges"] or EDGES))
        if "class_maps" in content:
            sizes["ClassMapsHead"] = (content["class_maps"], len(content["class_maps"]["classes"]))
        outputs = {}
        for layer, (head, channels) in sizes.items():
            source = maps[head["output_stride"]]
            outputs[layer] = layers.convolve(source, f"{layer}{self.suffix}", channels, 1, relu=False)
        if "class_maps" in content:
            outputs["ClassMapsHead"] = 1 / (1 + np.exp(-outputs["ClassMapsHead"]))
        if vectors := content.get("class_vectors"):
            x = maps[vectors["output_stride"]].max(axis=(0, 1))
            for i in range(vectors["num_fc_layers"]):
                x = layers.dense(x, f"pre_classification{i}_fc", vectors["num_fc_units"], relu=True)
            x = layers.dense(x, "ClassVectorsHead", len(vectors["classes"]), relu=False)
            outputs["ClassVectorsHead"] = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
        return outputs

    def write(self, folder: Path, image: Map | None = None) -> dict[str, Map]:
        """Write the folder of the model; what its heads put out for an image, of noise by default.

        Args:
            folder: is made.
            image: (height, width, channels) in [0, 1].
        """
        layers = KerasLayers(self.loaded)
        outputs = self.run(self.make_image() if image is None else image, layers)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "training_config.json").write_text(json.dumps(self.describe()))
        with h5py.File(folder / "best_model.h5", "w") as file:
            file.attrs["backend"] = "tensorflow"
            first = {"batch_input_shape": [None, *self.size, self.channels], "name": "input"}
            content = {"layers": [{"class_name": "InputLayer", "config": first}]}
            file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": content})
            weights = file.create_group("model_weights")
            # Layers without weights have empty groups.
            weights.create_group("input")
            for name, arrays in layers.weights.items():
                for key, value in arrays.items():
                    weights[f"{name}/{name}/{key}:0"] = value.astype(np.float32)
            file.create_group("optimizer_weights")["training/Adam/iter:0"] = 7
        return outputs

    def make_image(self) -> Map:
        """Noise."""
        return np.random.default_rng(1).random((*self.size, self.channels))


def describe_graph() -> dict[str, Any]:
    """The skeleton as jsonpickle writes it: each object where it is first met, then its number."""
    numbers: dict[str | int, int] = {}

    def refer(key: str | int, content: dict[str, Any]) -> dict[str, Any]:
        if key in numbers:
            return {"py/id": numbers[key]}
        numbers[key] = len(numbers) + 1
        return content

    def node(name: str) -> dict[str, Any]:
        return refer(name, {"py/object": "sleap.skeleton.Node", "py/state": {"py/tuple": [name, 1.0]}})

    def kind(number: int) -> dict[str, Any]:
        made = {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [number]}]}
        return refer(number, made)

    links: list[dict[str, Any]] = []
    for number, (first, second) in enumerate(EDGES):
        ends = {"source": node(first), "target": node(second), "type": kind(1)}
        links.append({"edge_insert_idx": number, "key": 0, **ends})
    for first, second in (*PAIRS, *(pair[::-1] for pair in PAIRS)):
        links.append({"key": 0, "source": node(first), "target": node(second), "type": kind(2)})
    return {
        "directed": True,
        "graph": {"name": "mouse", "num_edges_inserted": len(EDGES)},
        "links": links,
        "multigraph": True,
        "nodes": [{"id": node(name)} for name in NODES],
    }
