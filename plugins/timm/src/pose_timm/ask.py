"""Ask timm about its networks. Imports torch."""

from __future__ import annotations

import difflib
import warnings
from functools import cache
from typing import Any

import timm
import torch


def make(name: str) -> Any:
    """Make a network of timm without weights and classifier, for images of any size.

    Args:
        name: without the tag of its weights.
    """
    with warnings.catch_warnings():
        # timm's remarks on its old names are for those who type them.
        warnings.simplefilter("ignore")
        try:
            # What windows are cut from is padded then; only networks with windows know the argument.
            return timm.create_model(name, pretrained=False, num_classes=0, strict_img_size=False)
        except TypeError:
            return timm.create_model(name, pretrained=False, num_classes=0)


@cache
def ask_maps(name: str) -> tuple[tuple[int, int], ...]:
    """Ask for channels and stride of the feature maps of a network, from fine to coarse.

    Raises:
        ValueError: there is no such network, or it gives no maps of several strides for images of any size.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 3)
        hint = f"; did you mean {', '.join(near)}?" if near else "; timm.list_models() lists its networks"
        raise ValueError(f"name: timm {timm.__version__} has no network {name!r}{hint}")
    # Without memory for its weights: only shapes are asked for.
    with torch.device("meta"), torch.no_grad():
        model = make(name).eval()
        maps = _list_maps(model)
        if not maps or not hasattr(model, "forward_intermediates"):
            raise ValueError(f"name: {name} gives no feature maps; choose a network that does")
        strides = [stride for _, stride in maps]
        if len(set(strides)) < 2 or strides != sorted(set(strides)):
            raise ValueError(
                f"name: {name} gives token maps of stride {strides[0]} only; choose a convolutional or "
                "hierarchical network, or one with a plugin of its own"
            )
        side = max(strides)
        try:
            found = run(model, torch.zeros(1, 3, 2 * side, 3 * side), range(len(maps)))
        # Code of timm, for whatever reason a network cannot take images of that size.
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ValueError(f"name: {name} cannot take images of any size ({reason})") from None
    wanted = [(channels, 2 * side // stride, 3 * side // stride) for channels, stride in maps]
    if [tuple(x.shape[1:]) for x in found] != wanted:
        raise ValueError(f"name: {name} gives other feature maps than timm says; choose another network")
    return maps


def run(model: Any, images: torch.Tensor, indices: Any) -> list[torch.Tensor]:
    """Compute feature maps (B, C, h, w) of a network of timm, from fine to coarse."""
    maps: list[torch.Tensor] = model.forward_intermediates(
        images, indices=list(indices), intermediates_only=True, output_fmt="NCHW"
    )
    return maps


def _list_maps(model: Any) -> tuple[tuple[int, int], ...]:
    info = getattr(model, "feature_info", None) or ()
    return tuple((int(f["num_chs"]), int(f["reduction"])) for f in getattr(info, "info", info))
