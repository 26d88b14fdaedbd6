"""Take over a network's layers from weights that may be those of another network.

A layer (what shares the name up to its last dot: weight, bias, statistics) is taken whole or not at all: a bias
without its convolution would be worth nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pose_core.errors import WeightsError, listed
from pose_core.interfaces import KeypointAxis
from pose_core.interfaces.hub import storage_problem

Axes = Mapping[str, Sequence[KeypointAxis]]
"""Axes over keypoints by the names of parameters."""

# Counts the batches that statistics were made of; older files lack it, and nothing is computed from it.
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class TakenLayers:
    """Layers that were found in other weights.

    Attributes:
        tensors: all of the network, by name: those that were taken, and the fresh ones.
        taken: names of the network's tensors that were taken, rows of keypoints at least.
        used: names there of these.
    """

    tensors: Mapping[str, Tensor]
    taken: frozenset[str]
    used: frozenset[str]

    def describe(self, state: Mapping[str, Tensor]) -> list[str]:
        """Say which parts were taken, which are new, and what of the source is not used.

        Args:
            state: the source.

        Returns:
            up to three lines; none where all of both was taken.
        """
        taken, new = [], []
        for part, names in _group_by_part(self.tensors).items():
            count = sum(name in self.taken for name in names)
            if not count:
                new.append(part)
                continue
            taken.append(part if count == len(names) else f"{part} ({count} of {len(names)} tensors)")
            new += _list_new_modules(part, names, self.taken)
        lines = [f"taken: {', '.join(taken)}", f"new: {listed(new, most=5)}"] if new else []
        left = [n for n in state if n not in self.used and not n.endswith(_COUNTER)]
        parts = {part: names for part, names in _group_by_part(state).items() if set(names) <= set(left)}
        of_parts = {name for names in parts.values() for name in names}
        unused = [*parts, *(name for name in left if name not in of_parts)]
        return lines + ([f"not used: {listed(unused, most=5)}"] if unused else [])


def take_layers(
    fresh: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    their_name: Callable[[str], str],
    axes: Axes,
    their_axes: Axes,
    sources: Mapping[str, str | None],
    origin: str,
) -> TakenLayers:
    """Take every layer that the weights have under its name and in its shape.

    Along axes over keypoints the shape may differ, and entries are taken by the names of the keypoints.

    Args:
        fresh: the network's own weights, complete.
        state: weights to take.
        their_name: from a name of the network to that of its counterpart.
        axes, their_axes: over keypoints, of the network and of the one that the weights are of.
        sources: own keypoint -> keypoint there; None: none.
        origin: what messages call the weights.

    Raises:
        WeightsError: a tensor is stored in a way in which it cannot be copied.
    """
    tensors, taken, used = dict(fresh), set(), set()
    for names in _group_by_layer(fresh):
        found: dict[str, Tensor] = {}
        for name in names:
            theirs = their_name(name)
            if theirs not in state:
                if name.endswith(_COUNTER):
                    found[name] = fresh[name]
                    continue
                break
            tensor = state[theirs]
            if problem := storage_problem(tensor):
                raise WeightsError(f"{origin}: {theirs} is {problem}; save plain tensors of numbers")
            placed = _place(fresh[name], tensor, axes.get(name, ()), their_axes.get(theirs, ()), sources)
            if placed is None:
                break
            found[name] = placed
        else:
            tensors |= found
            taken |= set(found)
            used |= {their_name(name) for name in names}
    return TakenLayers(tensors, frozenset(taken), frozenset(used))


def describe_part(name: str) -> str:
    """Name the part that a tensor belongs to: ``backbone``, ``neck``, ``head keypoints``."""
    first, _, rest = name.partition(".")
    if first in ("heads", "inputs"):
        return f"{first[:-1]} {rest.partition('.')[0]}"
    return first if first in ("backbone", "neck") else name


def _place(
    fresh: Tensor,
    tensor: Tensor,
    axes: Sequence[KeypointAxis],
    theirs: Sequence[KeypointAxis],
    sources: Mapping[str, str | None],
) -> Tensor | None:
    """Give the fresh values with what of the other tensor fits; None where nothing does."""
    if not axes and not theirs:
        return tensor.to(fresh) if tensor.shape == fresh.shape else None
    if [(a.axis, a.individuals) for a in axes] != [(a.axis, a.individuals) for a in theirs]:
        # Axes of the source are unknown where its keypoints are; equal numbers of them are then in the order
        # of the file.
        return tensor.to(fresh) if not theirs and tensor.shape == fresh.shape else None
    expected = list(fresh.shape)
    for axis in theirs:
        expected[axis.axis] = len(axis.entries)
    return _place_entries(fresh, tensor, axes, theirs, sources) if list(tensor.shape) == expected else None


def _place_entries(
    fresh: Tensor,
    tensor: Tensor,
    axes: Sequence[KeypointAxis],
    theirs: Sequence[KeypointAxis],
    sources: Mapping[str, str | None],
) -> Tensor | None:
    """Put the entries of the source into the fresh values; None where no entry has a counterpart."""
    into = [torch.arange(length) for length in fresh.shape]
    out_of = [torch.arange(length) for length in tensor.shape]
    their_entries = {axis.axis: axis.entries for axis in theirs}
    for axis in axes:
        at = {key: i for i, key in enumerate(_number_entries(their_entries[axis.axis]))}
        names = axis.entries if axis.individuals else [tuple(sources.get(n) for n in e) for e in axis.entries]
        pairs = [(i, at[key]) for i, key in enumerate(_number_entries(names)) if key in at]
        if not pairs:
            return None
        into[axis.axis], out_of[axis.axis] = (torch.tensor(rows) for rows in zip(*pairs, strict=True))
    # A parameter may have several such axes, so that rows are chosen along all of them at once.
    result = fresh.clone()
    result[torch.meshgrid(*into, indexing="ij")] = tensor[torch.meshgrid(*out_of, indexing="ij")].to(fresh)
    return result


def _number_entries(entries: Sequence[tuple[str | None, ...]]) -> list[tuple[tuple[str | None, ...], int]]:
    """Number equal entries in their order."""
    # Entries of the same keypoint (x and y of an offset) correspond in their order.
    seen: Counter[tuple[str | None, ...]] = Counter()
    result = []
    for entry in entries:
        result.append((entry, seen[entry]))
        seen[entry] += 1
    return result


def _group_by_layer(state: Mapping[str, Tensor]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for name in state:
        groups.setdefault(name.rpartition(".")[0], []).append(name)
    return list(groups.values())


def _group_by_part(state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in state:
        groups.setdefault(describe_part(name), []).append(name)
    return groups


def _list_new_modules(part: str, names: Sequence[str], taken: frozenset[str]) -> list[str]:
    """Name what of a part is new, by the first component within the part of which nothing was taken, else by
    the layer."""
    depth = 1 if part in ("backbone", "neck") else 2
    touched = {name.split(".")[depth] for name in names if name in taken}
    modules: dict[str, None] = {}
    for name in names:
        if name not in taken:
            module = name.split(".")[depth]
            modules[f"{part}: {name.rpartition('.')[0] if module in touched else module}"] = None
    return list(modules)
