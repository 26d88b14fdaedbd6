"""Weights by name, as other programs leave them: names with the prefixes of wrappers, values that are no
numbers.

Wrappers of torch (DataParallel, ``torch.compile``, averaged and sharded models) and classes around a network
put a component in front of, or into, the names of its weights; saved with it, the weights fit no network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

_WITHIN = frozenset(
    {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module", "_fpw_module"}
)
"""Components that only wrappers of torch use, in any place."""
_PARALLEL = "module"
# Of torch.optim.swa_utils.AveragedModel: how many states it averaged.
_COUNTERS = frozenset({"n_averaged"})


def unwrap(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take what torch's own wrappers put into the names of weights out of them.

    ``module.``, ``_orig_mod.`` and their like go, nested and in front of parts as well; ``module`` stays where
    it has a sibling, for then it is a name of the network.
    """
    state = {_leave_out(name, _WITHIN): tensor for name, tensor in tensors.items()}
    names = [name for name in state if name not in _COUNTERS]
    wrapping = _find_wrapping(names)
    if not wrapping:
        return state if len(state) == len(tensors) else dict(tensors)
    result = {_leave_out_at(name, wrapping): state[name] for name in names}
    # Two weights of one name would mean that a component was no wrapper after all.
    return result if len(result) == len(names) and len(state) == len(tensors) else dict(tensors)


def without_common_prefix(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Yield the weights under shorter and shorter names, while all of them begin with the same component.

    A class around a network (``model.``, ``net.``) is told from a part of it by what fits only.
    """
    state = dict(tensors)
    while state and len({name.partition(".")[0] for name in state}) == 1 and all("." in n for n in state):
        state = {name.partition(".")[2]: tensor for name, tensor in state.items()}
        yield state


def _stored_values(tensor: Tensor) -> Tensor:
    # An expanded tensor repeats its memory, and a copy of it might need terabytes.
    if tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes():
        return tensor
    return torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage())


def find_non_finite(tensors: Mapping[str, Tensor]) -> str:
    """Find the first tensor with NaN or infinite values.

    Returns:
        its name; empty where all values are numbers.
    """
    for name, tensor in tensors.items():
        # Sparse, quantized and meta tensors are refused elsewhere, and do not take this question.
        plain = not tensor.is_meta and not tensor.is_quantized and tensor.layout is torch.strided
        if (
            plain
            and tensor.is_floating_point()
            and not bool(torch.isfinite(_stored_values(tensor).float()).all())
        ):
            return name
    return ""


def describe_non_finite(name: str) -> str:
    """What is wrong with a file in which :func:`find_non_finite` found a tensor, and what to do."""
    return (
        f"weight {name} holds values that are NaN or infinite, so its training diverged or the file is "
        "damaged; use an earlier snapshot or another copy"
    )


def _leave_out(name: str, components: Iterable[str]) -> str:
    return ".".join(part for part in name.split(".") if part not in components)


def _find_wrapping(names: Iterable[str]) -> set[tuple[str, ...]]:
    """Find the paths to ``module`` under which it stands alone: those of wrappers."""
    siblings: dict[tuple[str, ...], set[str]] = {}
    for name in names:
        parts = name.split(".")
        for depth, part in enumerate(parts):
            siblings.setdefault(tuple(parts[:depth]), set()).add(part)
    return {
        (*path, _PARALLEL)
        for path, found in siblings.items()
        # A leaf called so is a weight.
        if found == {_PARALLEL} and (*path, _PARALLEL) in siblings
    }


def _leave_out_at(name: str, paths: set[tuple[str, ...]]) -> str:
    parts = name.split(".")
    return ".".join(part for depth, part in enumerate(parts) if tuple(parts[: depth + 1]) not in paths)
