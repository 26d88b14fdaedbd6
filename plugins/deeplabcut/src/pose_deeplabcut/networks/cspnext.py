"""DeepLabCut's CSPNeXt (3.x, PyTorch engine) as ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pose_deeplabcut.mapping import Converted, freeze_bn, refuse_unknown, weight_names

_STAGES = (1, 2, 3, 4)
_KNOWN = {
    *(
        "type",
        "model_name",
        "pretrained",
        "backbone_weight_folder",
        "repo_id",
        "deepen_factor",
        "widen_factor",
    ),
    *("arch", "expand_ratio", "channel_attention", "activation_fn", "norm_layer", "out_indices"),
    *("freeze_bn_stats", "freeze_bn_weights"),
}
_FIXED = {"arch": "P5", "expand_ratio": 0.5, "channel_attention": True, "activation_fn": "SiLU"}


def backbone(part: Mapping[str, Any], about: Mapping[str, Any]) -> Converted:
    """Map a ``CSPNeXt`` to ``cspnext/cspnext``.

    Args:
        part: ``model.backbone``, of type ``CSPNeXt``.
        about: what else is known of the model; nothing of it matters here.

    Returns:
        the config of ``cspnext/cspnext``, and a function from a key of the snapshot (without ``backbone.``)
        to one of our network, None for those of stages behind the last one that is put out; it raises
        KeyError for a key that a CSPNeXt does not have.

    Raises:
        ValueError: the section describes a network that ``cspnext/cspnext`` is not.
    """
    refuse_unknown(part, _KNOWN, "CSPNeXt")
    for key, value in _FIXED.items():
        if part.get(key, value) != value:
            raise ValueError(f"{key}: {part[key]} cannot be imported; {value} can")
    config: dict[str, Any] = {
        "type": "cspnext/cspnext",
        "deepen": part.get("deepen_factor", 0.67),
        "widen": part.get("widen_factor", 0.75),
        "out_features": _out_features(part.get("out_indices", -1)),
        "freeze_bn": _freeze_bn(part),
    }
    # The names are the same in both.
    everything, ours = weight_names({**config, "out_features": _STAGES}), weight_names(config)

    def rename(key: str) -> str | None:
        if key not in everything:
            raise KeyError(key)
        return key if key in ours else None

    return config, rename


def _out_features(indices: Any) -> tuple[int, ...]:
    """Our ``out_features``. In the reference 0 is the stem, 1 to 4 are the stages and -1 is the last
    stage."""
    listed = (
        tuple(indices) if isinstance(indices, list | tuple) else (_STAGES[-1] if indices == -1 else indices,)
    )
    if not listed or any(i not in _STAGES for i in listed) or list(listed) != sorted(set(listed)):
        raise ValueError(f"out_indices: {indices} cannot be imported; stages from 1 to 4 in rising order can")
    return listed


def _freeze_bn(part: Mapping[str, Any]) -> str | bool:
    """Read ``freeze_bn``, which some kinds of norm do without."""
    norm = part.get("norm_layer", "SyncBN")
    if norm not in ("SyncBN", "BN"):
        raise ValueError(f"norm_layer: {norm} cannot be imported; SyncBN and BN can")
    if norm == "SyncBN":
        # The reference freezes BatchNorm2d layers only, so its settings have had no effect.
        return False
    return freeze_bn(part)
