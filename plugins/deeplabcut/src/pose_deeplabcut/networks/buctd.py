"""DeepLabCut's conditional backbones (3.x, PyTorch engine) as ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from pose_deeplabcut.mapping import Arrange, Converted, Rename, freeze_bn, keep_names, refuse_unknown

_CONDITIONS = "conditions"
_SAMPLING = {
    "jitter_prob": "jitter",
    "swap_prob": "swap",
    "inv_prob": "inversion",
    "miss_prob": "miss",
    "keypoint_sigmas": "sigma",
}
"""Of ``data.gen_sampling``, and what ``errors`` calls it."""
_ENCODINGS = {"StackedKeypointEncoder": "stacked", "ColoredKeypointEncoder": "coloured"}
_WITHIN = "backbone."
_PRENET = {"rgb_preNet.": ("image.", 4), "cond_preNet.": ("conditions.", 2)}
_NORM = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
_PRENET_KNOWN = {
    "type",
    "backbone",
    "kpt_encoder",
    "img_size",
    "pretrained",
    "freeze_bn_stats",
    "freeze_bn_weights",
}
_COAM_KNOWN = {
    *(
        "type",
        "base_model_name",
        "pretrained",
        "coam_modules",
        "selfatt_coam_modules",
        "channel_att_only",
        "att_heads",
    ),
    *("img_size", "kpt_encoder", "freeze_bn_stats", "freeze_bn_weights", "stride", "interpolate_branches"),
    "increased_channel_count",
}
_ENCODER_KNOWN = {"type", "num_joints", "kernel_size", "img_size", "colors"}
_WHAT = "conditional networks"
_COAM_KEY = re.compile(
    r"coam_stages\.(\d)\.att_layers\.(\d)\.(position|channel)_attention_module\.(cnn|cnn_cond|pa\.fc_[qkvo])\.(weight|bias)"
)
_COAM_LAYERS = {
    "cnn": "feature_conv",
    "cnn_cond": "condition_conv",
    "pa.fc_q": "query",
    "pa.fc_k": "key",
    "pa.fc_v": "value",
    "pa.fc_o": "out",
}


def prenet(part: Mapping[str, Any], about: Mapping[str, Any]) -> tuple[dict[str, Any], Rename, Arrange]:
    """Map a ``CondPreNet`` to ``buctd/prenet``.

    Args:
        part: ``model.backbone`` of pytorch_config.yaml.
        about: ``part`` in it maps the backbone within.

    Returns:
        the config of ``buctd/prenet``; a function from a key of the snapshot (without ``backbone.``) to one
        of our network, which raises KeyError for a key that it does not have; and one that arranges the
        weights of the backbone within as its plugin says.

    Raises:
        ValueError: the section describes a network that ``buctd/prenet`` is not.
    """
    refuse_unknown(part, _PRENET_KNOWN, _WHAT)
    inner, rename_inner, arrange_inner = about["part"]("backbone", "backbone")
    config = {"type": "buctd/prenet", "encoding": _encoding(part), "backbone": inner}

    def rename(key: str) -> str | None:
        if key.startswith(_WITHIN):
            ours = rename_inner(key.removeprefix(_WITHIN))
            return None if ours is None else _WITHIN + ours
        for theirs, (ours, count) in _PRENET.items():
            index, _, name = key.removeprefix(theirs).partition(".")
            norms = index in {str(i) for i in range(1, count, 2)}
            convolutions = index in {str(i) for i in range(0, count, 2)}
            if key.startswith(theirs) and (
                (norms and name in _NORM) or (convolutions and name in ("weight", "bias"))
            ):
                return f"{ours}{index}.{name}"
        raise KeyError(key)

    def arrange(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        within = {k.removeprefix(_WITHIN): v for k, v in weights.items() if k.startswith(_WITHIN)}
        try:
            arranged = arrange_inner(within) if arrange_inner is not None else within
        except KeyError as error:
            raise KeyError(f"{_WITHIN}{error.args[0]}") from None
        rest = {k: v for k, v in weights.items() if not k.startswith(_WITHIN)}
        return rest | {_WITHIN + k: v for k, v in arranged.items()}

    return config, rename, arrange


def coam(part: Mapping[str, Any], about: Mapping[str, Any]) -> Converted:
    """Map an ``HRNetCoAM`` to ``buctd/coam``.

    Args:
        part: ``model.backbone`` of pytorch_config.yaml.
        about: ``input_size`` in it is that of the crops, ``part`` checks the HRNet.

    Returns:
        the config of ``buctd/coam``, and a function from a key of the snapshot (without ``backbone.``) to one
        of our network, which raises KeyError for a key that it does not have.

    Raises:
        ValueError: the section describes a network that ``buctd/coam`` is not.
    """
    refuse_unknown(part, _COAM_KNOWN, _WHAT)
    name = str(part.get("base_model_name", "hrnet_w32"))
    if name not in ("hrnet_w18", "hrnet_w32", "hrnet_w48"):
        raise ValueError(
            f"base_model_name: {name} cannot be imported; hrnet_w18, hrnet_w32 and hrnet_w48 can"
        )
    for key in ("selfatt_coam_modules", "interpolate_branches", "increased_channel_count"):
        if part.get(key):
            raise ValueError(f"{key}: {part[key]} cannot be imported; networks without it can")
    size = tuple(part.get("img_size", (256, 256)))
    if about["input_size"] is not None and size != tuple(about["input_size"]):
        raise ValueError(f"img_size: {list(size)} differs from the crops of {list(about['input_size'])}")
    stages = tuple(part.get("coam_modules", (2,)))
    if not set(stages) <= {1, 2, 3}:
        raise ValueError(f"coam_modules: {list(stages)} cannot be imported; 1, 2 and 3 can")
    hrnet = {
        "type": "hrnet/hrnet",
        "width": int(name.removeprefix("hrnet_w")),
        "pretrained": False,
        # Of all norms in it; the attention has none.
        "freeze_bn": freeze_bn(part),
    }
    config = {
        "type": "buctd/coam",
        "backbone": hrnet,
        "at": tuple(f"transition{stage}" for stage in stages),
        "attention": "channel" if part.get("channel_att_only", False) else "dual",
        "heads": int(part.get("att_heads", 1)),
        "encoding": _encoding(part),
        "transposed": size[0] != size[1],
    }
    within = keep_names(hrnet)

    def rename(key: str) -> str | None:
        if key.startswith("model."):
            return f"backbone.{within(key)}"
        match = _COAM_KEY.fullmatch(key)
        if match is None:
            raise KeyError(key)
        stage, branch, kind, layer, tensor = match.groups()
        return f"attention.transition{int(stage) + 1}.{branch}.{kind}.{_COAM_LAYERS[layer]}.{tensor}"

    return config, rename


def conditions(part: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Map the conditions of a conditional backbone to ``buctd/conditions``.

    Args:
        part: ``model.backbone`` of pytorch_config.yaml.
        about: what else is known of the model: ``sampling`` is section ``data.gen_sampling``, by which a training
            makes conditions of labels.

    Raises:
        ValueError: its conditions are of a kind that ``buctd/conditions`` is not.
    """
    encoder = part["kpt_encoder"]
    refuse_unknown(encoder, _ENCODER_KNOWN, _WHAT, "kpt_encoder.")
    kernel = encoder.get("kernel_size", (15, 15))
    if kernel[0] != kernel[1] or kernel[0] % 2 == 0 or kernel[0] < 9:
        raise ValueError(
            f"kpt_encoder.kernel_size: {list(kernel)} cannot be imported; odd squares of 9 or more can"
        )
    radius = (kernel[0] - 1) // 2
    config = {
        "type": "buctd/conditions",
        "encoding": _encoding(part),
        "rendering": "deeplabcut",
        # OpenCV's choice for a filter of this size.
        "sigma": round(0.3 * (radius - 1) + 0.8, 6),
        "radius": radius,
        "peak": 255.0,
    }
    if encoder.get("colors") is not None:
        config["colours"] = [[value / 255 for value in colour] for colour in encoder["colors"]]
    if sampling := about.get("sampling"):
        config["errors"] = {ours: sampling[key] for key, ours in _SAMPLING.items() if key in sampling}
        sigmas = config["errors"].get("sigma")
        if isinstance(sigmas, Sequence):
            # DeepLabCut writes those of 17 keypoints of people for any project; the importer says it.
            if len(sigmas) == len(about["keypoints"]):
                config["errors"]["sigma"] = dict(zip(about["keypoints"], sigmas, strict=True))
            else:
                del config["errors"]["sigma"]
    return {_CONDITIONS: config}


def _encoding(part: Mapping[str, Any]) -> str:
    name = part["kpt_encoder"]["type"]
    if name not in _ENCODINGS:
        raise ValueError(f"kpt_encoder.type: {name} cannot be imported; {' and '.join(_ENCODINGS)} can")
    return _ENCODINGS[name]
