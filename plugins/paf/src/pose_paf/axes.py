"""Which channels of a head's layers belong to which keypoints."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from pose_core.interfaces import KeypointAxis

Entries = Sequence[tuple[str, ...]]
"""For each channel the keypoints that it belongs to."""


def stack_axes(
    name: str, stack: nn.Module, outputs: Entries, inputs: Entries | None = None
) -> dict[str, tuple[KeypointAxis, ...]]:
    """Axes of a stack of convolutions (or of one).

    Args:
        name: of the stack in the ``state_dict``.
        stack: its convolutions are in the order of work.
        outputs: of its last one.
        inputs: of its first one; None: they belong to no keypoints.
    """
    kinds = nn.Conv2d, nn.ConvTranspose2d
    layers = [(n, m) for n, m in stack.named_modules() if isinstance(m, kinds)]
    axes: dict[str, tuple[KeypointAxis, ...]] = {}
    for i, (layer, module) in enumerate(layers):
        where = f"{name}.{layer}" if layer else name
        # A transposed convolution has its inputs first.
        into = int(isinstance(module, nn.Conv2d))
        found = [KeypointAxis(into, tuple(inputs))] if i == 0 and inputs is not None else []
        if i == len(layers) - 1:
            found.append(KeypointAxis(1 - into, tuple(outputs)))
            axes[f"{where}.bias"] = (KeypointAxis(0, tuple(outputs)),)
        if found:
            axes[f"{where}.weight"] = tuple(found)
    return axes
