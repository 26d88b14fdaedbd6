"""Configs and names of DeepLabCut 3's TokenPose (``animaltokenpose_base``) -> ours.

What its ``pytorch_config.yaml`` leaves out has the defaults of version 3.0.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pose_deeplabcut.mapping import Converted, refuse_unknown

_HEATMAP = "heatmap"
_BLOCKS = 3
_LAYER = {
    "0.fn.norm.weight": "attention_norm.weight",
    "0.fn.norm.bias": "attention_norm.bias",
    "0.fn.fn.to_qkv.weight": "qkv.weight",
    "0.fn.fn.to_out.0.weight": "projection.weight",
    "0.fn.fn.to_out.0.bias": "projection.bias",
    "1.fn.norm.weight": "mlp_norm.weight",
    "1.fn.norm.bias": "mlp_norm.bias",
    "1.fn.fn.net.0.weight": "expand.weight",
    "1.fn.fn.net.0.bias": "expand.bias",
    "1.fn.fn.net.3.weight": "contract.weight",
    "1.fn.fn.net.3.bias": "contract.bias",
}
_NECK = {
    name: name
    for name in ("keypoint_token", "pos_embedding", "patch_to_embedding.weight", "patch_to_embedding.bias")
}
_HEAD = {
    "mlp_head.0.weight": "norm.weight",
    "mlp_head.0.bias": "norm.bias",
    "mlp_head.1.weight": "to_heatmap.weight",
    "mlp_head.1.bias": "to_heatmap.bias",
}
# With "sine-full", the reference leaves out the first of its blocks.
_POSITIONS = {"sine-full": "later_blocks", "sine": "first_layer"}
_LOSSES = {"WeightedBCECriterion": "heatmap/bce", "WeightedMSECriterion": "heatmap/mse"}

_NECK_SETTINGS = {
    *(
        "type",
        "feature_size",
        "patch_size",
        "num_keypoints",
        "dim",
        "depth",
        "heads",
        "mlp_dim",
        "apply_init",
    ),
    *("heatmap_size", "channels", "dropout", "emb_dropout", "pos_embedding_type"),
}
_HEAD_SETTINGS = {
    *("type", "weight_init", "predictor", "target_generator", "criterion", "dim", "hidden_heatmap_dim"),
    *("heatmap_dim", "apply_multi", "heatmap_size", "apply_init", "head_stride"),
}


def neck(part: Mapping[str, Any], about: Mapping[str, Any]) -> Converted:
    """Map the neck ``Transformer`` to ``tokenpose/transformer``.

    Args:
        part: section ``model.neck``.
        about: ``num_keypoints`` and ``input_size``.

    Returns:
        our config, and the name in our neck of a tensor of the reference's, its prefix ``neck.`` removed.

    Raises:
        ValueError: it cannot be represented; one line.
    """
    refuse_unknown(part, _NECK_SETTINGS, "Transformer")
    _cell_size("feature_size", part["feature_size"], about)
    if part["num_keypoints"] != about["num_keypoints"]:
        raise ValueError(
            f"num_keypoints: {part['num_keypoints']} for {about['num_keypoints']} body parts; correct it"
        )
    positions = part.get("pos_embedding_type", "sine-full")
    if positions not in _POSITIONS:
        raise ValueError(
            f"pos_embedding_type: {positions} cannot be imported; {' and '.join(_POSITIONS)} can"
        )
    config = {
        "type": "tokenpose/transformer",
        "patch_size": list(part["patch_size"]),
        "dim": part["dim"],
        "blocks": _BLOCKS,
        "depth": part["depth"],
        "heads": part["heads"],
        # What is called a dimension here is meant as a ratio in the paper, whose 3 it kept.
        "mlp_width": part.get("mlp_dim", 3),
        "positions": _POSITIONS[positions],
        "dropout": part.get("dropout", 0.0),
        "embedding_dropout": part.get("emb_dropout", 0.0),
    }
    names = dict(_NECK)
    for block in range(_BLOCKS):
        for layer in range(part["depth"]):
            for theirs, ours in _LAYER.items():
                names[f"transformer{block + 1}.layers.{layer}.{theirs}"] = f"blocks.{block}.{layer}.{ours}"
    return config, names.__getitem__


def head(part: Mapping[str, Any], about: Mapping[str, Any]) -> Converted:
    """Map a ``TransformerHead`` to ``tokenpose/token_heatmap``.

    Args:
        part: section ``model.heads.bodypart``.
        about: ``input_size``.

    Returns:
        our config, and the name in our head of a tensor of the reference's, its prefix ``heads.bodypart.``
        removed.

    Raises:
        ValueError: it cannot be represented; one line.
    """
    refuse_unknown(part, _HEAD_SETTINGS, "TransformerHead")
    stride = _cell_size("heatmap_size", part["heatmap_size"], about)
    if part["apply_multi"] and 2 * _BLOCKS * part["dim"] <= part["hidden_heatmap_dim"]:
        raise ValueError(
            f"hidden_heatmap_dim: {part['hidden_heatmap_dim']} cannot be imported, it makes a hidden layer; "
            f"less than {2 * _BLOCKS * part['dim']} can"
        )
    predictor = part["predictor"]
    if predictor["type"] != "HeatmapPredictor":
        raise ValueError(f"predictor: {predictor['type']} cannot be imported; HeatmapPredictor can")
    if predictor.get("location_refinement", True):
        raise ValueError("predictor.location_refinement: cannot be imported, this head has no offset maps")
    criterion = part["criterion"] if "type" in part["criterion"] else part["criterion"][_HEATMAP]
    if criterion["type"] not in _LOSSES:
        raise ValueError(f"criterion: {criterion['type']} cannot be imported; {' and '.join(_LOSSES)} can")
    config = {
        "type": "tokenpose/token_heatmap",
        "stride": stride,
        # Its cells stand for (i + 1/2) stride, both where targets are made and where they are decoded.
        "grid_offset": stride / 2,
        "target_generator": _targets(part["target_generator"]),
        "predictor": {"type": "heatmap/argmax", "sigmoid": bool(predictor.get("apply_sigmoid", True))},
        "losses": {
            _HEATMAP: {"type": _LOSSES[criterion["type"]], "weight": float(criterion.get("weight", 1.0))}
        },
    }
    return config, _HEAD.__getitem__


def _cell_size(field: str, size: Any, about: Mapping[str, Any]) -> int:
    """Pixels of the network's input a cell of a map of this size."""
    given = about["input_size"]
    if given is None:
        raise ValueError(
            f"{field}: cannot be imported without a fixed input size (data.inference.top_down_crop)"
        )
    stride = int(given[0] // size[0])
    if (size[0] * stride, size[1] * stride) != tuple(given):
        raise ValueError(
            f"{field}: {size[0]} x {size[1]} cells do not divide an input of {given[0]} x {given[1]}; "
            "correct one"
        )
    return stride


def _targets(part: Mapping[str, Any]) -> dict[str, Any]:
    distance = float(part["pos_dist_thresh"])
    if part["type"] == "HeatmapPlateauGenerator":
        return {"type": "heatmap/plateau", "radius": distance}
    if part["type"] == "HeatmapGaussianGenerator":
        return {"type": "heatmap/gaussian", "sigma": 2 * distance / 3}
    raise ValueError(
        f"target_generator: {part['type']} cannot be imported; HeatmapPlateauGenerator and "
        "HeatmapGaussianGenerator can"
    )
