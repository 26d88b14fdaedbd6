"""Configuration and weights of a model of SLEAP -> spec and weights of a network here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pose_core.errors import RunError
from pose_core.interfaces import ImportedNetwork
from pose_core.structures import Skeleton
from pose_sleap.model_config import ModelConfig, crop_side
from pose_sleap.networks import FIRST_KERNELS, our_name, our_parts

THRESHOLD = 0.2
"""Of peaks, by default in SLEAP."""

METHODS: Mapping[str, str] = {
    "single_instance": "single_animal",
    "centroid": "centroid",
    "centered_instance": "top_down",
    "bottomup": "bottom_up",
    "multi_class_bottomup": "bottom_up",
    "multi_class_topdown": "top_down",
}
"""Type of model there -> method here."""

_HEADS = {"confmaps": "keypoints", "pafs": "limbs", "class_maps": "identity", "class_vectors": "identity"}
_LAYERS = {"confmaps": "heatmap_head", "pafs": "paf_head", "class_maps": "heatmap_head"}
# Parts of red, green and blue in SLEAP's gray (ITU-R BT.601 as torchvision has it), whose sum is not quite 1.
_GRAY = (0.2989, 0.587, 0.114)
_MISALIGNED = (0, 1)
"""Since this version of sleap-nn crops of the training are shifted."""
# Measured through the training data of sleap-nn 0.3.5 with crops of 96 and 192 pixels.
_OFFSET, _STRETCH = 0.99, 1.66
_LISTED = 5


def make_network(
    config: ModelConfig,
    tensors: Mapping[str, Tensor],
    base: Mapping[str, Any],
    skeleton: Skeleton,
    source: Path,
    as_trained: bool = False,
) -> ImportedNetwork:
    """Make what a network here is made of.

    Args:
        config: of the model.
        tensors: its weights, under SLEAP-NN's names without ``model.``; of a Keras model in the layout of torch.
        base: sections of the spec beside ``model``: ``skeleton``, ``data`` ...
        skeleton: of the project, in which keypoints have the order of the head.
        source: of the weights, for messages.
        as_trained: predict as SLEAP-NN does, with the shift of the crops that the model was trained on.

    Raises:
        RunError: weights are missing, left over or of another shape than the configuration says.
    """
    return ImportedNetwork(
        {**base, **make_spec(config, skeleton, as_trained)}, _rename(config, tensors, source), source
    )


def make_spec(config: ModelConfig, skeleton: Skeleton, as_trained: bool = False) -> dict[str, Any]:
    """Make the sections ``model`` and ``inference`` of the spec."""
    inference: dict[str, Any] = {"threshold": THRESHOLD}
    if not config.classes and config.model_type != "single_instance":
        # SLEAP finds as many animals as there are peaks.
        inference["max_animals"] = None
    return {
        "model": {
            "method": METHODS[config.model_type],
            "preprocess": _make_preprocess(config, skeleton, as_trained),
            **our_parts(config.network),
            "heads": {
                "centroid" if config.finds_centres else _HEADS[name]: _make_head(config, name, settings)
                for name, settings in config.heads.items()
            },
        },
        "inference": inference,
    }


def find_centre(config: ModelConfig, keypoints: Sequence[str]) -> str:
    """Where the centre of an animal is: ``model.preprocess.centre``."""
    confmaps = config.heads["confmaps"]
    anchor, method = confmaps["anchor_part"], confmaps["centroid_method"]
    if anchor in keypoints and method in (None, "anchor"):
        return str(anchor)
    return "box" if method == "bbox_center" else "keypoints"


def shifts_crops(config: ModelConfig) -> bool:
    """Whether crops of the training lay beside their labels."""
    return config.sees_crops and not config.network.keras and config.version >= _MISALIGNED


def _make_preprocess(config: ModelConfig, skeleton: Skeleton, as_trained: bool) -> dict[str, Any]:
    scale = float(config.preprocessing["scale"])
    made: dict[str, Any] = {
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 1.0, 1.0],
        # Keypoints are resized without the half pixel that pixels are resized with.
        "half_pixel": scale == 1,
    }
    if config.sees_crops or config.finds_centres:
        made["centre"] = find_centre(config, skeleton.keypoints)
    if not config.sees_crops:
        return {**made, "scale": scale}
    extent = crop_side(config)
    multiple = config.network.coarsest
    # SLEAP pads the right and lower edge; here the crop grows on all sides and shows what is there.
    size = max(multiple, math.ceil(round(extent * scale) / multiple) * multiple)
    made |= {"scale": 1.0, "size": [size, size], "extent": size / scale, "min_box": 0.0, "margin": 0.0}
    if shifts_crops(config) and not as_trained:
        made |= {"label_offset": _OFFSET * scale, "label_zoom": 1 + _STRETCH / extent}
    return made


def _make_head(config: ModelConfig, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    if name == "class_vectors":
        return {
            "type": "heatmap/identity_vector",
            "feature": config.network.strides.index(config.network.coarsest),
            "pool": "max",
            "layers": settings["num_fc_layers"],
            "units": settings["num_fc_units"],
        }
    stride = int(settings["output_stride"])
    layer = {"deconv_layers": 0, "grid_offset": 0.0, "feature": config.network.strides.index(stride)}
    if name == "class_maps":
        return {
            "type": "heatmap/identity",
            **layer,
            "losses": {"identity": {"type": "heatmap/bce"}},
            "predictor": {"type": "heatmap/group_by_identity", "by_score": False},
        }
    if name == "pafs":
        width = math.sqrt(settings["sigma"]) if settings["sigma"] > 0 else 0.0
        return {
            "type": "paf/fields",
            **layer,
            "graph": [list(edge) for edge in find_edges(config)],
            "target_generator": {
                "type": "paf/fields",
                # Narrower strips fall between cells, and are refused.
                "width": max(width, 0.75 * stride),
                "profile": "quartic",
                "overlap": "sum",
                "missing": "absent",
            },
            "predictor": {
                "type": "paf/grouping",
                "sampling": "nearest",
                "min_affinity": 0.25,
                "length_penalty": 1.0,
                "max_animals": None,
                "min_keypoints": 1,
            },
        }
    return {
        "type": "heatmap/heatmap",
        **layer,
        "location_refinement": False,
        # Likewise: less than two thirds of a cell.
        "target_generator": {
            "type": "heatmap/gaussian",
            "sigma": max(settings["sigma"], 0.67) * stride,
            "missing": "absent",
        },
        "predictor": _make_predictor(config),
        **(
            {"losses": {"heatmap": {"type": "heatmap/bce"}}}
            if settings["use_sigmoid_activation"] and config.finds_centres
            else {}
        ),
    }


def _make_predictor(config: ModelConfig) -> dict[str, Any]:
    if config.model_type in ("single_instance", "centered_instance", "multi_class_topdown"):
        return {"type": "heatmap/subpixel", "fit": "integral"}
    peaks = {"type": "heatmap/peaks", "fit": "integral", "nms": 3, "threshold": THRESHOLD}
    return {**peaks, "candidates": 100} if config.finds_centres else peaks


def find_edges(config: ModelConfig) -> tuple[tuple[str, str], ...]:
    """The limbs of the fields, in their order.

    Raises:
        RunError: the file names none.
    """
    edges = config.heads["pafs"]["edges"]
    if not edges:
        edges = config.skeleton.edges if config.skeleton is not None else ()
    if not edges:
        raise config.whole.error(
            "names no edges, and there is no skeleton that has some",
            f"model_config.head_configs.{config.model_type}.pafs.edges",
        )
    return tuple((first, second) for first, second in edges)


def _rename(config: ModelConfig, tensors: Mapping[str, Tensor], source: Path) -> dict[str, Tensor]:
    """The weights under our names, the first kernel as it sees RGB."""
    names = list(config.heads)
    weights: dict[str, Tensor] = {}
    left: list[str] = []
    for theirs, tensor in tensors.items():
        try:
            ours = _find_name(config, our_name(theirs, config.network), names)
        except (ValueError, LookupError):
            left.append(theirs)
            continue
        if ours in weights:
            left.append(theirs)
        weights[ours] = tensor
    if left:
        more = f" and {len(left) - _LISTED} more" if len(left) > _LISTED else ""
        raise RunError(
            f"{source}: {len(left)} of its {len(tensors)} weights have no place in the network that the "
            f"configuration describes: {', '.join(left[:_LISTED])}{more}; is it the configuration of this model?"
        )
    first = next((name for name in FIRST_KERNELS if name in weights), None)
    if first is not None and weights[first].ndim == 4 and weights[first].shape[1] == 1:
        share = torch.tensor(_GRAY, dtype=weights[first].dtype) / sum(_GRAY)
        weights[first] = weights[first] * share[:, None, None]
    return weights


def _find_name(config: ModelConfig, name: str, heads: list[str]) -> str:
    """Our name of a weight; of a head by the name that it has here."""
    part, _, rest = name.partition(".")
    if part != "head":
        return name
    number, _, inner = rest.partition(".")
    head = heads[int(number)]
    if (head == "class_vectors") == inner.startswith("layer."):
        raise ValueError("a layer of another head")
    if inner.startswith("layer."):
        inner = f"{_LAYERS[head]}.final_conv.{inner.removeprefix('layer.')}"
    return f"heads.{'centroid' if config.finds_centres else _HEADS[head]}.{inner}"
