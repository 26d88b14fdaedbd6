"""Transfer weights between networks: other keypoints, other heads, wrappers around the backbone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from pose_core.errors import ConfigError, PluginError, WeightsError
from pose_core.interfaces import Backbone, Head, KeypointAxis, Neck
from pose_core.model.aliases import Aliases, WeightSource, match_keypoints, merge_aliases
from pose_core.model.assemble import PoseModel
from pose_core.model.layers import Axes, TakenLayers, take_layers
from pose_core.model.network import FoundWeights, match_part, refuse_aliases
from pose_core.specs import ModelSpec
from pose_core.structures import Skeleton


@dataclass(frozen=True)
class Transfer:
    """Weights that were taken over, keypoint by keypoint.

    Attributes:
        sources: of the own keypoints in order, unique ones last.
        dropped: keypoints of the source that no own one corresponds to.
        lines: for the user.
    """

    sources: Mapping[str, WeightSource]
    dropped: tuple[str, ...]
    lines: tuple[str, ...]


def take_over(
    model: PoseModel, found: FoundWeights, metadata: Mapping[str, str], aliases: Mapping[str, str]
) -> list[str]:
    """Load the weights that a training starts from, see :meth:`pose_core.model.network.Network.take_over`."""
    part, state = (found.part, found.state) if found.part else match_part(model.parts(), found)
    if part == "backbone":
        refuse_aliases(aliases, f"{found.origin} are of a backbone and have no keypoints")
        # Under the names that they have in the model, which may have a wrapper around the backbone.
        prefix = "backbone." * _count_backbones(model)
        layers = _take(
            model, {prefix + name: tensor for name, tensor in state.items()}, None, {}, found.origin
        )
        return [line.replace(prefix, "") if line.startswith("not used") else line for line in layers.lines]
    names = merge_aliases(metadata, aliases, model.skeleton, found.skeleton)
    if found.skeleton is None:
        return list(_take(model, state, None, {}, found.origin).lines)
    try:
        source = network_of(found.spec or model.spec, found.skeleton)
    except ConfigError as error:
        raise ConfigError(f"{found.origin}: its keypoints do not suit the model ({error})") from None
    return list(transfer(model, state, source, names, found.origin).lines)


def transfer(
    model: PoseModel,
    state: Mapping[str, Tensor],
    source: PoseModel,
    aliases: Aliases | None = None,
    origin: str = "the weights",
) -> Transfer:
    """Load what fits of the weights of another network, for other keypoints or with other parts.

    Every layer that both have under the same name and in the same shape is taken over: of the backbone (a
    wrapper that one of the two has around it aside), of the neck, and of each head, from the head of its name
    or, where there is none, from the one among those that the model lacks with which it shares most. Along
    every :class:`KeypointAxis` the entries of a keypoint (or of a limb) are those of the source's keypoints
    of these names (aliases first, then the same name, then regardless of case), and the others keep their
    initial values. Individuals correspond where their names are equal.

    Args:
        model: gets the weights.
        state: weights by name.
        source: the network that they were trained in, see :func:`network_of`; its own weights do not matter.
        aliases: for one's own keypoints, their names elsewhere.
        origin: what messages call the weights.

    Raises:
        WeightsError: no layer of the backbone fits, without which nothing else is worth taking.
        ConfigError: a name fits several of the source's keypoints.
        PluginError: a part says that it has a keypoint axis where it has none.
    """
    return _take(model, state, source, aliases or {}, origin)


def _take(
    model: PoseModel, state: Mapping[str, Tensor], source: PoseModel | None, aliases: Aliases, origin: str
) -> Transfer:
    own, fresh, axes = model.skeleton, model.state_dict(), keypoint_axes(model)
    theirs = own if source is None else source.skeleton
    found = match_keypoints(own.keypoints, theirs.keypoints, aliases, origin)
    found |= match_keypoints(own.unique_keypoints, theirs.unique_keypoints, aliases, origin)
    their_axes = {} if source is None else keypoint_axes(source)
    rows = {name: s.keypoint for name, s in found.items()}
    wrappers = _count_backbones(model), _count_backbones(model if source is None else source)

    def take(heads: Mapping[str, str]) -> TakenLayers:
        return take_layers(
            fresh, state, lambda name: _rename(name, wrappers, heads), axes, their_axes, rows, origin
        )

    layers = take(_pair_heads(fresh, state, take))
    of_backbone = {name for name in fresh if name.startswith("backbone.")}
    # A network without parameters in its backbone has nothing to miss.
    if of_backbone and not of_backbone & layers.taken:
        raise WeightsError(
            f"{origin}: fits nothing of the model's backbone ({model.spec.backbone.type}): it holds "
            f"{', '.join(list(state)[:2])} ..., the model has {', '.join(list(fresh)[:2])} ...; take weights "
            "of the same backbone"
        )
    model.load_state_dict(dict(layers.tensors))
    used = {s.keypoint for s in found.values()}
    dropped = tuple(n for n in (*theirs.keypoints, *theirs.unique_keypoints) if n not in used)
    lines = _describe_keypoints(
        own,
        theirs,
        found,
        dropped,
        layers,
        axes,
        named=source is not None,
        has_heads=bool(_list_heads(state)),
    )
    return Transfer(found, dropped, (*lines, *layers.describe(state)))


def _count_backbones(model: PoseModel) -> int:
    """Count the backbones within one another: 1 without a wrapper."""
    count, part = 1, model.backbone
    while isinstance(within := getattr(part, "backbone", None), Backbone):
        count, part = count + 1, within
    return count


def _rename(name: str, wrappers: tuple[int, int], heads: Mapping[str, str]) -> str:
    """Give the name that a tensor of the model has in the source."""
    mine, theirs = wrappers
    inner = "backbone." * mine
    if name.startswith(inner):
        return "backbone." * theirs + name.removeprefix(inner)
    if name.startswith("backbone."):
        # Of a wrapper, which the source has only where it is wrapped as often.
        return name if mine == theirs else ""
    head = _parse_head(name)
    if head is None:
        return name
    return f"heads.{heads[head]}{name.removeprefix(f'heads.{head}')}" if head in heads else ""


def _pair_heads(
    fresh: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    take: Callable[[Mapping[str, str]], TakenLayers],
) -> dict[str, str]:
    """Give for each head of the model the one of the source that it takes layers from."""
    mine, theirs = _list_heads(fresh), _list_heads(state)
    pairs = {head: head for head in mine if head in theirs}
    for head in [head for head in mine if head not in theirs]:
        shared = {
            other: sum(_parse_head(name) == head for name in take({head: other}).taken)
            for other in theirs
            if other not in pairs.values()
        }
        # The first of equals, so that the order of a file decides and not chance.
        if shared and shared[best := max(shared, key=lambda other: shared[other])]:
            pairs[head] = best
    return pairs


def network_of(spec: ModelSpec, skeleton: Skeleton) -> PoseModel:
    """Build a network without memory for its weights."""
    # Only its shapes and keypoint axes are of use, and those exist on the meta device.
    with torch.device("meta"):
        return PoseModel(spec, skeleton)


def keypoint_axes(model: PoseModel) -> dict[str, Sequence[KeypointAxis]]:
    """Collect the keypoint axes of a network by names of its ``state_dict``.

    Raises:
        PluginError: a part says that it has one where it has none.
    """
    parts: dict[str, Backbone | Neck | Head] = {"backbone.": model.backbone}
    parts |= {f"heads.{name}.": cast(Head, head) for name, head in model.heads.items()}
    if model.neck is not None:
        parts["neck."] = model.neck
    keypoints = {*model.skeleton.keypoints, *model.skeleton.unique_keypoints}
    fresh = model.state_dict()
    found: dict[str, Sequence[KeypointAxis]] = {}
    for prefix, part in parts.items():
        for name, axes in part.keypoint_axes().items():
            shape = tuple(fresh[prefix + name].shape) if prefix + name in fresh else ()
            for axis in axes:
                length = len(axis.entries)
                if not 0 <= axis.axis < len(shape) or shape[axis.axis] != length:
                    raise PluginError(
                        f"{type(part).__name__} says that axis {axis.axis} of {prefix}{name} has {length} "
                        f"entries, but its shape is {shape}; its plugin is broken"
                    )
                known = set(model.skeleton.individuals) if axis.individuals else keypoints
                if unknown := sorted({n for entry in axis.entries for n in entry} - known):
                    raise PluginError(
                        f"{type(part).__name__} says that {prefix}{name} has entries of "
                        f"{', '.join(unknown)}, which the skeleton does not name; its plugin is broken"
                    )
            found[prefix + name] = axes
    return found


def _parse_head(name: str) -> str | None:
    """Name the head that a tensor belongs to."""
    parts = name.split(".", 2)
    return parts[1] if parts[0] == "heads" and len(parts) == 3 else None


def _list_heads(state: Mapping[str, Tensor]) -> list[str]:
    return list(dict.fromkeys(head for name in state if (head := _parse_head(name)) is not None))


def _describe_keypoints(
    own: Skeleton,
    source: Skeleton,
    found: Mapping[str, WeightSource],
    dropped: Sequence[str],
    layers: TakenLayers,
    axes: Axes,
    *,
    named: bool,
    has_heads: bool,
) -> list[str]:
    """Say what became of the keypoints.

    Args:
        named: whether the weights name their keypoints.
        has_heads: whether they hold heads.
    """
    of_keypoints = {name for name, each in axes.items() if any(not axis.individuals for axis in each)}
    taken = of_keypoints & layers.taken
    if not named:
        # Weights of a backbone alone have none to speak of.
        if not has_heads:
            return []
        if taken == of_keypoints:
            return [f"all {len(found)} keypoints in the order of the file, which does not name them"]
        return ["keypoints: new where their number differs; the file does not name them (a run folder does)"]
    if not taken:
        return ["keypoints: all new"]
    same_sets = (own.keypoints, own.unique_keypoints) == (source.keypoints, source.unique_keypoints)
    if same_sets and all(s.keypoint == name for name, s in found.items()):
        return [f"all {len(found)} keypoints <- the same names"]
    lines = [s.line(name) for name, s in found.items()]
    return lines + ([f"not used: {', '.join(dropped)}"] if dropped else [])
