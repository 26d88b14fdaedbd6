"""DeepLabCut's DEKRHead (3.x, PyTorch engine) as ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pose_core.specs import Feature
from pose_deeplabcut.mapping import Arrange, Rename, refuse_unknown

_HEATMAP, _OFFSET = "heatmap", "offset"
_KNOWN = {
    *("type", "weight_init", "predictor", "target_generator", "criterion", "aggregator", "stride"),
    *("heatmap_config", "offset_config"),
}
_BRANCH = {"channels", "num_blocks", "dilation_rate", "final_conv_kernel", "num_offset_per_kpt"}
_PREDICTOR = {
    *("type", "num_animals", "detection_threshold", "apply_sigmoid", "clip_scores", "use_heatmap"),
    *("keypoint_score_type", "max_absorb_distance", "nms_threshold", "apply_pose_nms"),
}
_TARGETS = {"type", "num_joints", "pos_dist_thresh", "bg_weight", "label_keypoint_key"}
_CRITERIA = {_HEATMAP: "DEKRHeatmapLoss", _OFFSET: "DEKROffsetLoss"}

_NORM = "weight|bias|running_mean|running_var|num_batches_tracked"
_PLAIN = (
    (rf"heatmap_head\.transition_heatmap\.(0\.weight|1\.(?:{_NORM}))", r"heatmap_head.transition.\1"),
    (
        rf"heatmap_head\.head_heatmap\.0\.(\d+)\.(conv[12]\.weight|bn[12]\.(?:{_NORM}))",
        r"heatmap_head.blocks.\1.\2",
    ),
    (r"heatmap_head\.head_heatmap\.1\.(weight|bias)", r"heatmap_head.maps.\1"),
    (rf"offset_head\.transition_offset\.(0\.weight|1\.(?:{_NORM}))", r"offset_head.transition.\1"),
)
_LAYER = rf"(?:transform_matrix|translation)_conv\.(?:weight|bias)|adapt_conv\.weight|bn\.(?:{_NORM})"
_BY_KEYPOINT = (
    (rf"offset_head\.offset_feature_layers\.(\d+)\.(\d+)\.({_LAYER})", r"offset_head.blocks.\2.\3"),
    (r"offset_head\.offset_final_layer\.(\d+)()\.(weight|bias)", r"offset_head.maps.\3"),
)
_UNUSED = re.compile(r"offset_head\.offset_feature_layers\.\d+\.\d+\.regular_matrix")
_PLACE = re.compile(r"(.+)\[(\d+)\]")


def head(part: Mapping[str, Any], about: Mapping[str, Any]) -> tuple[dict[str, Any], Rename, Arrange]:
    """Map a ``DEKRHead`` to ``dekr/dekr``.

    The reference has a module for each keypoint where we have one for all, and one layer for keypoints and
    centre where we have two. So its tensors are renamed first (``name[k]`` for what belongs to keypoint k),
    then put together.

    It puts the centre of cell j at (j + 1/2) stride; ``grid_offset`` is set to say the same.

    Args:
        part: ``model.heads.bodypart``, of type ``DEKRHead``.
        about: ``slot``, ``features``, ``num_keypoints``, ``num_individuals``, ``as_trained``.

    Returns:
        the config of ``dekr/dekr``; a function from a key of the snapshot (without ``heads.bodypart.``) to a
        name, None for a key that is not used, which raises KeyError for one that the head does not have; and
        :func:`arrange`, from the tensors by these names to those of our head.

    Raises:
        ValueError: the section describes a head that ``dekr/dekr`` is not.
    """
    if about.get("slot", "bodypart") != "bodypart":
        raise ValueError(f"{about['slot']} heads cannot be imported as keypoints of animals")
    refuse_unknown(part, _KNOWN, "DEKRHead")
    if part.get("stride", 1) != 1:
        raise ValueError(f"stride: must be 1, not {part['stride']}")
    feature: Feature = about["features"][0]
    keypoints = about["num_keypoints"]
    heatmap, offset = (_branch(part, name, feature) for name in ("heatmap_config", "offset_config"))
    width = offset.get("num_offset_per_kpt", 15)
    if heatmap["channels"][2] != keypoints + 1 or list(offset["channels"][1:]) != [
        width * keypoints,
        keypoints,
    ]:
        raise ValueError(
            f"heatmap_config and offset_config: channels do not fit {keypoints} body parts; correct them"
        )
    stride = feature.stride
    config: dict[str, Any] = {
        "type": "dekr/dekr",
        "heatmap_channels": heatmap["channels"][1],
        "heatmap_blocks": heatmap["num_blocks"],
        "offset_channels": width,
        "offset_blocks": offset["num_blocks"],
        "grid_offset": stride / 2,
        "target_generator": _targets(part["target_generator"], stride),
        "predictor": _predictor(part["predictor"], stride, bool(about.get("as_trained"))),
        "losses": {_HEATMAP: {"type": "heatmap/mse"}},
    }
    for name, kind in _CRITERIA.items():
        given = part["criterion"][name]["type"]
        if given != kind:
            raise ValueError(f"criterion.{name}: {given} cannot be imported; {kind} can")
    blocks = (heatmap["num_blocks"], offset["num_blocks"])

    def rename(key: str) -> str | None:
        return _name(key, keypoints, *blocks)

    return config, rename, arrange


def arrange(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the reference under the names of ``rename`` -> those of our head.

    What belongs to the keypoints is joined along the first axis; the maps of keypoints and centre are parted.
    """
    result: dict[str, Tensor] = {}
    pieces: dict[str, dict[int, Tensor]] = {}
    for name, tensor in tensors.items():
        place = _PLACE.fullmatch(name)
        if place is not None:
            pieces.setdefault(place[1], {})[int(place[2])] = tensor
        elif (last := name.removeprefix("heatmap_head.maps.")) != name:
            result[f"heatmap_head.keypoint_maps.{last}"] = tensor[:-1]
            result[f"heatmap_head.center_map.{last}"] = tensor[-1:]
        else:
            result[name] = tensor
    for name, found in pieces.items():
        ordered = [found[k] for k in sorted(found)]
        # The counters of the batch norms are numbers without an axis, the same for all keypoints.
        result[name] = torch.cat(ordered) if ordered[0].dim() else ordered[0]
    return result


def _name(key: str, keypoints: int, heatmap_blocks: int, offset_blocks: int) -> str | None:
    if _UNUSED.fullmatch(key):
        return None
    for pattern, ours in _PLAIN:
        if (found := re.fullmatch(pattern, key)) is not None:
            if "head_heatmap.0" in key and int(found[1]) >= heatmap_blocks:
                raise KeyError(key)
            return found.expand(ours)
    for pattern, ours in _BY_KEYPOINT:
        if (found := re.fullmatch(pattern, key)) is not None:
            if int(found[1]) >= keypoints or (found[2] and int(found[2]) >= offset_blocks):
                raise KeyError(key)
            return f"{found.expand(ours)}[{found[1]}]"
    raise KeyError(key)


def _branch(part: Mapping[str, Any], name: str, feature: Feature) -> Mapping[str, Any]:
    branch: Mapping[str, Any] = part[name]
    refuse_unknown(branch, _BRANCH, "DEKRHead", f"{name}.")
    for setting in ("dilation_rate", "final_conv_kernel"):
        if branch.get(setting, 1) != 1:
            raise ValueError(f"{name}.{setting}: {branch[setting]} cannot be imported; 1 can")
    if branch["channels"][0] != feature.channels:
        raise ValueError(
            f"{name}.channels: {branch['channels'][0]} from a backbone with {feature.channels} channels"
        )
    return branch


def _targets(part: Mapping[str, Any], stride: float) -> dict[str, Any]:
    refuse_unknown(part, _TARGETS, part["type"], "target_generator.")
    if part["type"] != "DEKRGenerator":
        raise ValueError(f"target_generator: {part['type']} cannot be imported; DEKRGenerator can")
    distance = float(part["pos_dist_thresh"])
    return {
        "type": "dekr/dekr",
        # No finer than our cells can hold, which concerns training on only.
        "sigma": max(distance / 2, 0.5 * stride),
        "center_sigma": max(distance, 0.5 * stride),
        "offset_radius": max(distance, stride),
        "background": float(part.get("bg_weight", 0.1)),
    }


def _predictor(part: Mapping[str, Any], stride: float, as_trained: bool) -> dict[str, Any]:
    refuse_unknown(part, _PREDICTOR, part["type"], "predictor.")
    if part["type"] != "DEKRPredictor":
        raise ValueError(f"predictor: {part['type']} cannot be imported; DEKRPredictor can")
    animals = int(part["num_animals"])
    config: dict[str, Any] = {
        "type": "dekr/centers",
        "animals": animals,
        "keypoint_score": part.get("keypoint_score_type", "combined"),
        # Its distances are cells.
        "refine": part.get("max_absorb_distance", 75) * stride if part.get("use_heatmap", True) else None,
        "pose_nms": float(part.get("nms_threshold", 0.05)) if part.get("apply_pose_nms", True) else 0.0,
        "sigmoid": bool(part.get("apply_sigmoid", True)),
    }
    if as_trained:
        # Its number of keypoints that is enough is the same 0.05, which the first one exceeds.
        enough = int(part.get("nms_threshold", 0.05)) + 1
        config |= {
            "candidates": animals,
            "threshold": 0.0,
            "center_nms": 5,
            "pose_nms_joints": enough,
            "suppression": "at_once",
            "reading": "cells",
        }
    return config
