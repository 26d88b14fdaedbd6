"""DeepLabCut's RTMCCHead (3.x, PyTorch engine) as ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pose_deeplabcut.mapping import Converted, refuse_unknown

_KEYS = frozenset(
    [
        "final_layer.weight",
        "final_layer.bias",
        "mlp.0.g",
        "mlp.1.weight",
        "gau.ln.g",
        "gau.uv.weight",
        "gau.gamma",
        "gau.beta",
        "gau.o.weight",
        "gau.res_scale.scale",
        "cls_x.weight",
        "cls_y.weight",
    ]
)
"""All keys of its state dict; our head has the same."""

_MISSING = object()

# The settings of each section and what DeepLabCut takes where the file says nothing.
_HEAD: Mapping[str, Any] = {
    "type": _MISSING,
    "weight_init": None,
    "input_size": _MISSING,
    "in_channels": _MISSING,
    "out_channels": _MISSING,
    "in_featuremap_size": _MISSING,
    "simcc_split_ratio": _MISSING,
    "final_layer_kernel_size": _MISSING,
    "gau_cfg": _MISSING,
    "target_generator": _MISSING,
    "predictor": _MISSING,
    "criterion": _MISSING,
}
_ATTENTION: Mapping[str, Any] = {
    "hidden_dims": _MISSING,
    "s": 128,
    "expansion_factor": 2,
    "dropout_rate": 0.0,
    "drop_path": 0.0,
    "act_fn": "SiLU",
    "use_rel_bias": True,
    "pos_enc": False,
}
_TARGET: Mapping[str, Any] = {
    "type": _MISSING,
    "input_size": _MISSING,
    "smoothing_type": "gaussian",
    "sigma": 6.0,
    "simcc_split_ratio": 2.0,
    "label_smooth_weight": 0.0,
    "normalize": True,
}
_PREDICTOR: Mapping[str, Any] = {
    "type": _MISSING,
    "simcc_split_ratio": 2.0,
    "apply_softmax": True,
    "normalize_outputs": False,
    "sigma": 6.0,
    "decode_beta": 150.0,
}
_LOSS: Mapping[str, Any] = {
    "type": _MISSING,
    "weight": 1.0,
    "beta": 1.0,
    "label_beta": 10.0,
    "label_softmax": False,
    "use_target_weight": True,
    "mask": None,
    "mask_weight": 1.0,
}


def head(part: Mapping[str, Any], about: Mapping[str, Any]) -> Converted:
    """Map an ``RTMCCHead`` to ``rtmpose/simcc``.

    Args:
        part: ``model.heads.bodypart`` of ``pytorch_config.yaml``, of type ``RTMCCHead``.
        about: of the whole model: ``input_size``, the (height, width) of crops or None, and ``as_trained``,
            whether to decode and score as DeepLabCut does.

    Returns:
        the config of ``rtmpose/simcc``, and a function from DeepLabCut's key to ours; they are the same, and
        it raises KeyError for a key that an RTMCCHead does not have.

    Raises:
        ValueError: the section describes a head that ``rtmpose/simcc`` is not; names the setting.
    """
    settings = _settings("", part, _HEAD)
    attention = _settings("gau_cfg.", settings["gau_cfg"], _ATTENTION)
    target = _settings("target_generator.", settings["target_generator"], _TARGET)
    predictor = _settings("predictor.", settings["predictor"], _PREDICTOR)
    ratio = _whole("simcc_split_ratio", settings["simcc_split_ratio"])
    width, height = _pair("input_size", settings["input_size"])
    if about["input_size"] is not None and tuple(about["input_size"]) != (height, width):
        raise ValueError(
            f"input_size: the head is made for crops {width:g} wide and {height:g} high, but crops are "
            f"{about['input_size'][1]} wide and {about['input_size'][0]} high; correct "
            "data.inference.top_down_crop"
        )
    _only(
        "gau_cfg.", attention, dropout_rate=0, drop_path=0, act_fn="SiLU", use_rel_bias=False, pos_enc=False
    )
    _only(
        "target_generator.",
        target,
        type="SimCCGenerator",
        simcc_split_ratio=ratio,
        smoothing_type="gaussian",
        label_smooth_weight=0,
        normalize=False,
    )
    _only(
        "predictor.",
        predictor,
        type="SimCCPredictor",
        simcc_split_ratio=ratio,
        apply_softmax=True,
        normalize_outputs=False,
    )
    config: dict[str, Any] = {
        "type": "rtmpose/simcc",
        "kernel": _whole("final_layer_kernel_size", settings["final_layer_kernel_size"]),
        "hidden": _whole("gau_cfg.hidden_dims", attention["hidden_dims"]),
        "attention": _whole("gau_cfg.s", attention["s"]),
        "expansion": _whole("gau_cfg.expansion_factor", attention["expansion_factor"]),
        "split_ratio": ratio,
        # Bin b was trained on keypoints at b / ratio, rounded, with 0 at the centre of the top-left pixel.
        "grid_offset": 0.0,
        "target_generator": {
            "type": "rtmpose/simcc",
            "sigma": _pair("target_generator.sigma", target["sigma"]),
        },
        "predictor": {"type": "rtmpose/simcc"},
        "losses": {axis: _loss(f"criterion.{axis}.", loss) for axis, loss in settings["criterion"].items()},
    }
    if about["as_trained"]:
        config["target_generator"]["rounded"] = True
        factor = float(predictor["decode_beta"])
        beta = tuple(sigma * factor for sigma in _pair("predictor.sigma", predictor["sigma"]))
        config["predictor"].update(decode="argmax", score="peak", beta=beta)
    return config, rename


def rename(key: str) -> str:
    """Our name of a weight of the head.

    Raises:
        KeyError: an RTMCCHead has no such weight.
    """
    if key not in _KEYS:
        raise KeyError(key)
    return key


def _settings(prefix: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A section with its defaults filled in."""
    refuse_unknown(given, set(defaults), "RTMCCHead", prefix)
    settings = {**defaults, **given}
    if missing := [name for name, value in settings.items() if value is _MISSING]:
        raise ValueError(f"{prefix}{missing[0]}: is missing")
    return settings


def _only(prefix: str, settings: Mapping[str, Any], **supported: Any) -> None:
    for name, value in supported.items():
        if settings[name] != value:
            raise ValueError(f"{prefix}{name}: {settings[name]} cannot be imported; {value} can")


def _loss(prefix: str, given: Mapping[str, Any]) -> dict[str, Any]:
    settings = _settings(prefix, given, _LOSS)
    beta = float(settings["beta"])
    _only(
        prefix,
        settings,
        type="KLDiscreteLoss",
        label_softmax=True,
        label_beta=beta,
        use_target_weight=True,
        mask=None,
    )
    return {"type": "rtmpose/kl", "beta": beta, "weight": float(settings["weight"])}


def _whole(name: str, value: Any) -> int:
    if float(value) != int(value):
        raise ValueError(f"{name}: {value} cannot be imported; whole numbers can")
    return int(value)


def _pair(name: str, value: Any) -> tuple[float, float]:
    """x and y of one number or two."""
    numbers = list(value) if isinstance(value, Sequence) else [value, value]
    if len(numbers) != 2:
        raise ValueError(f"{name}: {value} cannot be imported; one number or two can")
    return float(numbers[0]), float(numbers[1])
