"""DeepLabCut's DLCRNet and DLCRNetHead (3.x, PyTorch engine) as ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pose_core.specs import Feature
from pose_deeplabcut.mapping import Converted, freeze_bn, refuse_unknown, weight_names

_BACKBONE = {
    *("type", "model_name", "pretrained", "output_stride", "drop_path_rate", "drop_block_rate"),
    *("freeze_bn_stats", "freeze_bn_weights"),
}
_HEAD = {
    *("type", "weight_init", "predictor", "target_generator", "criterion", "aggregator"),
    *("heatmap_config", "locref_config", "paf_config", "num_stages", "features_dim"),
}
_IGNORED = {"num_uniquebodyparts", "clip_scores", "return_preds", "add_discarded", "force_fusion", "device"}
_PREDICTOR = {
    *("type", "num_animals", "num_multibodyparts", "nms_radius", "sigma", "locref_stdev", "min_affinity"),
    *("graph", "edges_to_keep", "apply_sigmoid"),
    *_IGNORED,
}
_MAPS = re.compile(r"(heatmap_head|locref_head|paf_head)\.deconv_layers\.(\d+)\.(weight|bias)")
_STAGED = re.compile(r"(convt[1-4]|(hm_ref_layers|paf_ref_layers)\.(\d+))\.(weight|bias)")


def backbone(part: Mapping[str, Any], about: Mapping[str, Any]) -> Converted:
    """Map a ``DLCRNet`` to ``paf/dlcrnet``.

    Args:
        part: that section of ``pytorch_config.yaml``.
        about: what else is known of the model; nothing of it matters here.

    Returns:
        the config of ``paf/dlcrnet``, and a function from a key of the snapshot (without ``backbone.``) to
        one of our network, which raises KeyError for a key that the network does not have.

    Raises:
        ValueError: the section describes a network that ``paf/dlcrnet`` is not.
    """
    refuse_unknown(part, _BACKBONE, "DLCRNet")
    if part.get("model_name", "resnet50") != "resnet50":
        raise ValueError(f"model_name: {part['model_name']} cannot be imported; resnet50 can")
    stride = part.get("output_stride", 32)
    if stride not in (16, 32):
        raise ValueError(f"output_stride: {stride} cannot be imported; 16 and 32 can")
    for key in ("drop_path_rate", "drop_block_rate"):
        if part.get(key):
            raise ValueError(
                f"{key}: {part[key]} cannot be imported; set it to 0, it has no effect on predictions"
            )
    config = {
        "type": "paf/dlcrnet",
        "backbone": {"type": "resnet/resnet", "depth": 50, "output_stride": stride, "pretrained": False},
        "alignment": "resized",
        "freeze_bn": freeze_bn(part),
    }
    names = weight_names(config)

    def rename(key: str) -> str | None:
        # The names of the ResNet are timm's in both.
        ours = key if key.startswith("conv_block") else f"backbone.{key}"
        if ours not in names:
            raise KeyError(key)
        return ours

    return config, rename


def head(part: Mapping[str, Any], about: Mapping[str, Any]) -> Converted:
    """Map a ``DLCRNetHead`` to ``paf/paf``.

    The reference puts the centre of cell j at ``j * stride + stride // 2``; ``grid_offset`` is set to say the
    same.

    Args:
        part: that section of ``pytorch_config.yaml``.
        about: ``num_keypoints``, ``num_individuals`` and ``features``, the feature maps that reach the head.

    Returns:
        the config of ``paf/paf``, and a function from a key of the snapshot (without ``heads.bodypart.``) to
        one of our head, which raises KeyError for a key that the head does not have.

    Raises:
        ValueError: the section describes a head that ``paf/paf`` is not.
    """
    if about.get("slot", "bodypart") != "bodypart":
        raise ValueError(f"{about['slot']} heads cannot be imported as part affinity fields")
    refuse_unknown(part, _HEAD, "DLCRNetHead")
    predictor = part["predictor"]
    if predictor.get("type") != "PartAffinityFieldPredictor":
        raise ValueError(
            f"predictor: {predictor.get('type')} cannot be imported; PartAffinityFieldPredictor can"
        )
    refuse_unknown(predictor, _PREDICTOR, "PartAffinityFieldPredictor", "predictor.")
    stages = part.get("num_stages", 5)
    if not isinstance(stages, int) or stages < 1:
        raise ValueError(f"num_stages: {stages} cannot be imported; 1 and more can")
    shapes = {name: _layers(part[name], name) for name in ("heatmap_config", "locref_config", "paf_config")}
    if len(set(shapes.values())) > 1:
        raise ValueError(
            "paf_config: heatmap_config, locref_config and paf_config must have layers of the same kind"
        )
    layers, hidden, kernel = shapes["heatmap_config"]
    feature: Feature = about["features"][0]
    stride = feature.stride / 2 ** (layers + 1)
    graph = _graph(predictor["graph"], about["num_keypoints"])
    keep = predictor.get("edges_to_keep")
    loss = part["criterion"]["heatmap"]["type"]
    config: dict[str, Any] = {
        "type": "paf/paf",
        "graph": graph,
        "deconv_layers": layers + 1,
        "deconv_channels": hidden,
        "deconv_kernel": kernel,
        "deconv_padding": "valid",
        "stages": stages,
        "stage_features": part.get("features_dim", 128),
        "stage_channels": None,
        "stage_activation": False,
        "locref_std": predictor.get("locref_stdev", 7.2801),
        "grid_offset": stride // 2,
        "target_generator": _targets(part["target_generator"], stride),
        "predictor": {
            "type": "paf/assembly",
            "sigmoid": predictor.get("apply_sigmoid", True),
            "blur": predictor.get("sigma", 1.0),
            "nms": predictor.get("nms_radius", 5),
            "threshold": 0.01,
            "window": 1,
            "sampling": "nearest",
            "min_affinity": predictor.get("min_affinity", 0.05),
            "limbs": None if keep is None or sorted(keep) == list(range(len(graph))) else sorted(keep),
            "max_animals": predictor.get("num_animals", about["num_individuals"]),
            "min_keypoints": min(3, about["num_keypoints"]),
        },
        "losses": {"heatmap": {"type": "heatmap/bce" if loss == "WeightedBCECriterion" else "heatmap/mse"}},
    }

    def rename(key: str) -> str | None:
        maps, staged = _MAPS.fullmatch(key), _STAGED.fullmatch(key)
        # Every second layer is a ReLU, which has no weights.
        if maps is not None and int(maps[2]) in range(0, 2 * layers, 2):
            return key
        if staged is not None and int(staged[3] or 0) < stages:
            return f"staged.{key}"
        raise KeyError(key)

    return config, rename


def _graph(given: Any, keypoints: int) -> list[list[int]]:
    if not isinstance(given, Sequence) or not given:
        raise ValueError(f"predictor.graph: must be a list of pairs of keypoints, not {given!r}")
    pairs = [[int(a), int(b)] for a, b in given]
    if wrong := [pair for pair in pairs if not all(0 <= end < keypoints for end in pair)]:
        raise ValueError(f"predictor.graph: {wrong[0]} names a keypoint that does not exist")
    return pairs


def _layers(config: Mapping[str, Any], where: str) -> tuple[int, int, int]:
    """Number of transposed convolutions, channels between them, and their kernel size."""
    channels, kernels, strides = config["channels"], config["kernel_size"], config["strides"]
    if config.get("final_conv") or not kernels:
        raise ValueError(f"{where}: transposed convolutions alone can be imported")
    if set(strides) != {2} or len(set(kernels)) != 1:
        raise ValueError(
            f"{where}: transposed convolutions of stride 2 and of one kernel size can be imported only"
        )
    hidden = set(channels[1:-1])
    if len(hidden) > 1:
        raise ValueError(
            f"{where}.channels: layers between the first and the last must have equally many channels"
        )
    return len(kernels), hidden.pop() if hidden else 128, kernels[0]


def _targets(part: Mapping[str, Any], stride: float) -> dict[str, Any]:
    """The targets that training used, where ours may be as small on cells of this size."""
    if part["type"] != "SequentialGenerator" or len(part["generators"]) != 2:
        raise ValueError(
            "target_generator: must be a SequentialGenerator of heatmaps and part affinity fields"
        )
    maps, fields = part["generators"]
    kinds = {"HeatmapPlateauGenerator": ("heatmap/plateau", "radius", 1.0, 0.75)}
    kinds["HeatmapGaussianGenerator"] = ("heatmap/gaussian", "sigma", 2 / 3, 2 / 3)
    if maps["type"] not in kinds or fields["type"] != "PartAffinityFieldGenerator":
        raise ValueError(f"target_generator: {maps['type']} and {fields['type']} cannot be imported")
    name, field, scale, least = kinds[maps["type"]]
    size, width = scale * maps.get("pos_dist_thresh", 17), fields.get("width", 20.0)
    return {
        "type": "paf/paf",
        "maps": {"type": name, **({field: size} if size >= least * stride else {})},
        **({"width": width} if width >= 0.75 * stride else {}),
    }
