"""DeepLabCut's HeatmapHead (3.x, PyTorch engine) as ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from pose_core.specs import Feature
from pose_deeplabcut.mapping import Arrange, Converted, Rename, refuse_unknown

_KNOWN = {
    *("type", "weight_init", "predictor", "target_generator", "criterion", "aggregator"),
    *("heatmap_config", "locref_config"),
}
_PREDICTOR = {"type", "apply_sigmoid", "clip_scores", "location_refinement", "locref_std"}
_WEIGHT = re.compile(r"(heatmap_head|locref_head)\.(deconv_layers\.(\d+)|final_conv)\.(weight|bias)")


def head(
    part: Mapping[str, Any], about: Mapping[str, Any]
) -> Converted | tuple[dict[str, Any], Rename, Arrange]:
    """Map a ``HeatmapHead`` to ``heatmap/heatmap`` or ``heatmap/identity``.

    The reference puts the centre of cell j at (j + 1/2) stride and never at another place; ``grid_offset`` is
    set to say the same, so that the keypoints that come out are its own.

    Args:
        part: ``model.heads.bodypart``, ``model.heads.unique_bodypart`` or ``model.heads.identity``, of type
            ``HeatmapHead``.
        about: ``slot`` names the head, ``features`` are the feature maps that reach it.

    Returns:
        the config of ``heatmap/heatmap`` or, in the slot ``identity``, of ``heatmap/identity``, and a
        function from a key of the snapshot (without ``heads.<name>.``) to one of our head, which raises
        KeyError for a key that the head does not have.

    Raises:
        ValueError: the section describes a head that ours are not.
    """
    slot = about["slot"]
    if slot not in ("bodypart", "unique_bodypart", "identity"):
        raise ValueError(f"{slot} heads cannot be imported as heatmaps of keypoints")
    refuse_unknown(part, _KNOWN, "HeatmapHead")
    feature: Feature = about["features"][0]
    pointwise = _is_pointwise(part["heatmap_config"])
    layers, hidden, kernel = _layers(part["heatmap_config"], "heatmap_config")
    stride = feature.stride / 2**layers
    criterion = part["criterion"]
    loss = criterion if "type" in criterion else criterion["heatmap"]
    logits = loss["type"] == "WeightedBCECriterion"
    maps = {
        "deconv_layers": layers,
        "deconv_channels": hidden,
        "deconv_kernel": kernel,
        "deconv_padding": "valid",
        "grid_offset": stride / 2,
    }
    if slot == "identity":
        return maps | _identity(part, stride, logits), *_renaming(layers, False, pointwise)
    locref = part.get("locref_config")
    if locref is not None and pointwise:
        raise ValueError("locref_config: cannot be imported beside a single layer of kernel size 1")
    if locref is not None and _layers(locref, "locref_config") != (layers, hidden, kernel):
        raise ValueError(
            "locref_config: its layers differ from those of heatmap_config, which cannot be imported"
        )
    predictor = _predictor(part, "HeatmapPredictor", _PREDICTOR)
    if predictor.get("location_refinement", True) != (locref is not None):
        raise ValueError("predictor.location_refinement: must be true with locref_config and false without")
    config: dict[str, Any] = {
        "type": "heatmap/heatmap",
        "keypoints": "unique" if slot == "unique_bodypart" else "animal",
        **maps,
        "location_refinement": locref is not None,
        "locref_std": predictor.get("locref_std", 7.2801),
        "target_generator": _targets(part["target_generator"], stride),
        "predictor": {"type": "heatmap/argmax", "sigmoid": predictor.get("apply_sigmoid", True)},
        "losses": {"heatmap": {"type": "heatmap/bce" if logits else "heatmap/mse"}},
    }
    return config, *_renaming(layers, locref is not None, pointwise)


def _identity(part: Mapping[str, Any], stride: float, logits: bool) -> dict[str, Any]:
    """What is particular to an identity head: each map is learned against the background, by itself."""
    if part.get("locref_config") is not None:
        raise ValueError("locref_config: identity heads with location refinement cannot be imported")
    if not logits:
        raise ValueError("criterion: identity heads trained with WeightedBCECriterion can be imported only")
    targets = part["target_generator"]
    if targets["type"] != "HeatmapPlateauGenerator" or targets.get("heatmap_mode") != "INDIVIDUAL":
        raise ValueError("target_generator: must be a HeatmapPlateauGenerator with heatmap_mode INDIVIDUAL")
    if not _predictor(part, "IdentityPredictor", {"type", "apply_sigmoid"}).get("apply_sigmoid", True):
        raise ValueError("predictor.apply_sigmoid: must be true, as the maps of this criterion are logits")
    distance = targets.get("pos_dist_thresh", 17)
    return {
        "type": "heatmap/identity",
        "target_generator": {
            "type": "heatmap/identity",
            **({"radius": distance} if distance >= 0.75 * stride else {}),
        },
        "predictor": {"type": "heatmap/identity_at_keypoints", "sigmoid": True},
        "losses": {"identity": {"type": "heatmap/bce"}},
    }


def _predictor(part: Mapping[str, Any], wanted: str, known: set[str]) -> Mapping[str, Any]:
    """The section of the predictor, which must be of this type and have known settings only."""
    predictor: Mapping[str, Any] = part["predictor"]
    if predictor.get("type") != wanted:
        raise ValueError(f"predictor: {predictor.get('type')} cannot be imported; {wanted} can")
    refuse_unknown(predictor, known, wanted, "predictor.")
    return predictor


def _renaming(layers: int, locref: bool, pointwise: bool) -> tuple[Rename] | tuple[Rename, Arrange]:
    """Their names of the weights are ours; what the head does not have is a KeyError."""
    if pointwise:
        return _rename_pointwise, _turn_pointwise

    def rename(key: str) -> str | None:
        found = _WEIGHT.fullmatch(key)
        if found is None or (found[1] == "locref_head" and not locref):
            raise KeyError(key)
        # Every second layer is a ReLU, which has no weights.
        if (found[3] is None) != (layers == 0) or (
            found[3] is not None and int(found[3]) not in range(0, 2 * layers, 2)
        ):
            raise KeyError(key)
        return key

    return (rename,)


def _is_pointwise(config: Mapping[str, Any]) -> bool:
    """Whether its only layer is a transposed convolution of kernel size 1, which is an ordinary one."""
    alone = [1]
    return list(config["kernel_size"]) == alone == list(config["strides"]) and not config.get("final_conv")


def _rename_pointwise(key: str) -> str:
    found = re.fullmatch(r"(heatmap_head)\.deconv_layers\.0\.(weight|bias)", key)
    if found is None:
        raise KeyError(key)
    return f"{found[1]}.final_conv.{found[2]}"


def _turn_pointwise(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Transposed convolutions have their weights as (inputs, outputs), ordinary ones the other way round."""
    return {k: v.transpose(0, 1).contiguous() if v.dim() == 4 else v for k, v in weights.items()}


def _layers(config: Mapping[str, Any], where: str) -> tuple[int, int, int]:
    """Number of transposed convolutions, channels between them, and their kernel size."""
    channels, kernels, strides = (
        _list(config[k], f"{where}.{k}") for k in ("channels", "kernel_size", "strides")
    )
    final = config.get("final_conv")
    if _is_pointwise(config):
        return 0, 256, 3
    if not kernels:
        if not final or final.get("kernel_size") != 1:
            raise ValueError(
                f"{where}.final_conv: without strides, one of kernel size 1 can be imported only"
            )
        return 0, 256, 3
    if final:
        raise ValueError(f"{where}.final_conv: cannot be imported after transposed convolutions")
    if set(strides) != {2} or len(set(kernels)) != 1:
        raise ValueError(
            f"{where}: transposed convolutions of stride 2 and of one kernel size can be imported only"
        )
    hidden = set(channels[1:-1])
    if len(hidden) > 1:
        raise ValueError(
            f"{where}.channels: layers between the first and the last must have equally many channels"
        )
    return len(kernels), hidden.pop() if hidden else 256, kernels[0]


def _list(value: Any, where: str) -> list[int]:
    if not isinstance(value, Sequence) or not all(isinstance(v, int) for v in value):
        raise ValueError(f"{where}: must be a list of whole numbers, not {value!r}")
    return list(value)


def _targets(part: Mapping[str, Any], stride: float) -> dict[str, Any]:
    """The blobs that training used, where ours may be as small on cells of this size."""
    distance = part.get("pos_dist_thresh", 17)
    if part["type"] == "HeatmapPlateauGenerator":
        large_enough = distance >= 0.75 * stride
        return {"type": "heatmap/plateau", **({"radius": distance} if large_enough else {})}
    if part["type"] != "HeatmapGaussianGenerator":
        raise ValueError(f"target_generator: {part['type']} cannot be imported; Gaussians and plateaus can")
    sigma = 2 * distance / 3
    return {"type": "heatmap/gaussian", **({"sigma": sigma} if sigma >= 2 / 3 * stride else {})}
