"""Assign channels of a head's layers to keypoints."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from pose_core.interfaces import KeypointAxis

Entries = Sequence[tuple[str, ...]]
"""For each channel the names that it belongs to: one for a heatmap, two for a limb, none for a feature."""


def repeat_names(names: Sequence[str], values: int = 1) -> Entries:
    """Entries of channels that hold ``values`` maps for each name, side by side (2 for x and y)."""
    return [(name,) for name in names for _ in range(values)]


def stack_axes(
    name: str, stack: nn.Module, outputs: Entries, inputs: Entries | None = None, *, individuals: bool = False
) -> dict[str, tuple[KeypointAxis, ...]]:
    """Keypoint axes of a stack of convolutions, or of a single one, for ``Head.keypoint_axes``.

    Args:
        name: of the stack in the ``state_dict``.
        stack: holds its convolutions and transposed convolutions in the order in which they work.
        outputs: what the channels belong to that the last one puts out.
        inputs: what the channels belong to that the first one takes; None: they belong to no keypoint.
        individuals: whether the names are those of individuals.

    Returns:
        the axes by the name of the parameter.
    """
    kinds = nn.Conv2d, nn.ConvTranspose2d
    layers = [(n, m) for n, m in stack.named_modules() if isinstance(m, kinds)]
    axes: dict[str, tuple[KeypointAxis, ...]] = {}
    for i, (layer, module) in enumerate(layers):
        where = f"{name}.{layer}" if layer else name
        # The weight of a transposed convolution has its inputs first.
        into = int(isinstance(module, nn.Conv2d))
        found = [KeypointAxis(into, tuple(inputs), individuals)] if i == 0 and inputs is not None else []
        if i == len(layers) - 1:
            found.append(KeypointAxis(1 - into, tuple(outputs), individuals))
            axes[f"{where}.bias"] = (KeypointAxis(0, tuple(outputs), individuals),)
        if found:
            axes[f"{where}.weight"] = tuple(found)
    return axes
