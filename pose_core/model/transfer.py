"""Transfer weights between networks for different keypoints."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from pose_core.errors import ConfigError, PluginError, WeightsError, listed
from pose_core.interfaces import Backbone, Head, KeypointAxis, Neck
from pose_core.interfaces.hub import misfits
from pose_core.model.assemble import PoseModel
from pose_core.model.network import FoundWeights, load_exactly, match_part, refuse_aliases
from pose_core.specs import ModelSpec
from pose_core.structures import Skeleton

Aliases = Mapping[str, Sequence[str]]
"""Own keypoint -> the names that it may have elsewhere, best first."""

METADATA_ALIASES = "aliases"
"""Key of ``LabelledDataset.metadata`` under which a reader leaves the project's table of names: a JSON
object, own keypoint -> list of the names that it has elsewhere."""


@dataclass(frozen=True)
class WeightSource:
    """Source of the weights of one own keypoint.

    Attributes:
        keypoint: of the source; None: nowhere, the fresh initial values stay.
        alias: whether the name came from the aliases.
    """

    keypoint: str | None
    alias: bool = False

    def line(self, own: str) -> str:
        """``nose <- nose``, ``tailbase <- tail_base (alias)``, ``left_ear: new``."""
        return (
            f"{own}: new" if self.keypoint is None else f"{own} <- {self.keypoint}{' (alias)' * self.alias}"
        )


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
    parts = model.parts()
    part, state = (found.part, found.state) if found.part else match_part(parts, found)
    if part == "backbone":
        refuse_aliases(aliases, f"{found.origin} are of a backbone and have no keypoints")
        return _load_backbone(parts[part], state, found.origin)
    names = merge_aliases(metadata, aliases, model.skeleton, found.skeleton)
    if found.skeleton is not None:
        try:
            source = network_of(found.spec or model.spec, found.skeleton)
        except ConfigError as error:
            raise ConfigError(f"{found.origin}: its keypoints do not suit the model ({error})") from None
        return list(transfer(model, state, source, names, found.origin).lines)
    load_exactly(model, state, f"{found.origin} (it names no keypoints; a run folder does)")
    return [
        f"all {model.skeleton.num_keypoints} keypoints in the order of the file, which does not name them"
    ]


def _load_backbone(backbone: nn.Module, state: Mapping[str, Tensor], origin: str) -> list[str]:
    """Load the weights of a backbone."""
    own = backbone.state_dict()
    # A published file often holds more than the backbone uses: a classifier, later stages.
    beyond = [name for name in state if name not in own]
    taken = {name: tensor for name, tensor in state.items() if name in own}
    if problems := misfits(own, taken):
        raise WeightsError(f"{origin}: does not fit the backbone: {listed(problems, most=5)}")
    backbone.load_state_dict(taken)
    lines = [f"backbone: {len(taken)} tensors; the rest of the network is new"]
    return [*lines, *([f"not used: {', '.join(beyond[:5])}{' ...' * (len(beyond) > 5)}"] if beyond else [])]


def transfer(
    model: PoseModel,
    state: Mapping[str, Tensor],
    source: PoseModel,
    aliases: Aliases | None = None,
    origin: str = "the weights",
) -> Transfer:
    """Load weights that were trained on other keypoints.

    Along every :class:`KeypointAxis` of the network the entries of a keypoint (or of a limb) are those of the
    source's keypoints of these names (aliases first, then the same name, then regardless of case); what has
    no counterpart keeps its initial values, and what the source has beyond is dropped. Individuals correspond
    where their names are equal. Everything else is copied and must agree in name and shape. A whole head that
    only one of the two has (for unique keypoints, identities ...) stays as it is, or is dropped, as long as
    they share another one.

    Args:
        model: gets the weights.
        state: weights by name.
        source: the network that they were trained in, see :func:`network_of`; its own weights do not matter.
        aliases: for one's own keypoints, their names elsewhere.
        origin: what messages call the weights.

    Raises:
        WeightsError: something that is no keypoint axis differs; the message lists it.
        ConfigError: a name fits several of the source's keypoints.
        PluginError: a part says that it has a keypoint axis where it has none.
    """
    aliases = aliases or {}
    own, theirs = model.skeleton, source.skeleton
    found = match_keypoints(own.keypoints, theirs.keypoints, aliases, origin)
    found |= match_keypoints(own.unique_keypoints, theirs.unique_keypoints, aliases, origin)
    fresh = model.state_dict()
    axes, their_axes = keypoint_axes(model), keypoint_axes(source)
    new, extra = _compare_heads(state, fresh)
    # Heads that the weights lack are filled in, so that what is still missing at the end is an error.
    mapped = {name: tensor for name, tensor in fresh.items() if _parse_head(name) in new}
    problems: list[str] = []
    for name, tensor in state.items():
        if _parse_head(name) in extra:
            continue
        mapped[name] = tensor
        if name not in axes or name not in their_axes:
            continue
        expected = _compute_shape(fresh[name], their_axes[name])
        if tuple(tensor.shape) != expected:
            count = len(theirs.keypoints) + len(theirs.unique_keypoints)
            problems.append(f"{name} is {tuple(tensor.shape)}, for {count} keypoints it would be {expected}")
            # One report for it is enough: with its own shape it is no misfit below.
            mapped[name] = fresh[name]
            continue
        mapped[name] = _place_entries(fresh[name], tensor, axes[name], their_axes[name], found)
    if problems := misfits(fresh, mapped) + problems:
        raise WeightsError(f"{origin}: does not fit the model: {listed(problems, most=5)}")
    model.load_state_dict(mapped)
    used = {s.keypoint for s in found.values()}
    dropped = tuple(n for n in (*theirs.keypoints, *theirs.unique_keypoints) if n not in used)
    notes = [f"head {name}: new" for name in sorted(new)] + [
        f"head {name}: not used" for name in sorted(extra)
    ]
    return Transfer(found, dropped, (*_describe_sources(own, theirs, found, dropped), *notes))


def network_of(spec: ModelSpec, skeleton: Skeleton) -> PoseModel:
    """Build a network without memory for its weights."""
    # Only its shapes and keypoint axes are of use, and those exist on the meta device.
    with torch.device("meta"):
        return PoseModel(spec, skeleton)


def match_keypoints(
    own: Sequence[str], source: Sequence[str], aliases: Aliases, origin: str
) -> dict[str, WeightSource]:
    """Match each own keypoint with one of the source; see :func:`transfer`.

    Raises:
        ConfigError: a name fits several of the source's, which differ in case only.
    """
    folded: dict[str, list[str]] = {}
    for name in source:
        folded.setdefault(name.casefold(), []).append(name)

    def lookup(name: str) -> str | None:
        same = folded.get(name.casefold(), [])
        if name in same or len(same) < 2:
            return name if name in same else next(iter(same), None)
        raise ConfigError(
            f"{origin}: keypoint {name!r} may be {' or '.join(map(repr, same))} there; say which in "
            "train.aliases"
        )

    result: dict[str, WeightSource] = {}
    for name in own:
        others = [found for alias in aliases.get(name, ()) if (found := lookup(alias)) is not None]
        # An alias that differs from the own name in case only would be found without the table.
        if others and others[0].casefold() != name.casefold():
            result[name] = WeightSource(others[0], alias=True)
        else:
            result[name] = WeightSource(others[0] if others else lookup(name))
    return result


def merge_aliases(
    metadata: Mapping[str, str], given: Mapping[str, str], own: Skeleton, source: Skeleton | None
) -> Aliases:
    """Merge the aliases of a project with those that the user gave.

    Those of the user come first. For the table of a project see :data:`METADATA_ALIASES`.

    Raises:
        ConfigError: the user's name a keypoint that does not exist here or there, or the project's are no
            such table.
    """
    mine = {*own.keypoints, *own.unique_keypoints}
    merged: dict[str, list[str]] = {}
    try:
        table = json.loads(metadata.get(METADATA_ALIASES, "{}"))
        for name, others in table.items():
            merged[str(name)] = [str(other) for other in others]
    # JSON of another form has no items() (AttributeError) or holds what cannot be iterated (TypeError).
    except (ValueError, AttributeError, TypeError):
        raise ConfigError(
            f"metadata.{METADATA_ALIASES}: must be a JSON object of lists, as the reader of the project "
            "wrote it"
        ) from None
    theirs = (
        {n.casefold() for n in (*source.keypoints, *source.unique_keypoints)} if source is not None else None
    )
    for name, other in given.items():
        if name not in mine:
            raise ConfigError(
                f"train.aliases: the project has no keypoint {name!r}; it has {', '.join(sorted(mine))}"
            )
        if theirs is not None and other.casefold() not in theirs:
            assert source is not None
            there = ", ".join((*source.keypoints, *source.unique_keypoints))
            raise ConfigError(
                f"train.aliases.{name}: the weights have no keypoint {other!r}; they have {there}"
            )
        merged[name] = [other, *merged.get(name, [])]
    return merged


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


def _compare_heads(state: Mapping[str, Tensor], fresh: Mapping[str, Tensor]) -> tuple[set[str], set[str]]:
    """Give the heads that only the model has, and those that only the weights have."""
    theirs, mine = _list_heads(state), _list_heads(fresh)
    # Networks that share no head are different models: then every difference is to be reported.
    return (mine - theirs, theirs - mine) if theirs & mine else (set(), set())


def _parse_head(name: str) -> str | None:
    parts = name.split(".", 2)
    return parts[1] if parts[0] == "heads" and len(parts) == 3 else None


def _list_heads(state: Mapping[str, Tensor]) -> set[str]:
    return {head for name in state if (head := _parse_head(name)) is not None}


def _compute_shape(fresh: Tensor, axes: Sequence[KeypointAxis]) -> tuple[int, ...]:
    """Compute the shape that a parameter has with these axes."""
    shape = list(fresh.shape)
    for axis in axes:
        shape[axis.axis] = len(axis.entries)
    return tuple(shape)


def _place_entries(
    fresh: Tensor,
    tensor: Tensor,
    axes: Sequence[KeypointAxis],
    theirs: Sequence[KeypointAxis],
    found: Mapping[str, WeightSource],
) -> Tensor:
    """Put the entries of the source into the fresh values."""
    into = [torch.arange(length) for length in fresh.shape]
    out_of = [torch.arange(length) for length in tensor.shape]
    their_entries = {axis.axis: axis.entries for axis in theirs}
    for axis in axes:
        at = {key: i for i, key in enumerate(_number_entries(their_entries[axis.axis]))}
        names = (
            axis.entries if axis.individuals else [tuple(found[n].keypoint for n in e) for e in axis.entries]
        )
        pairs = [(i, at[key]) for i, key in enumerate(_number_entries(names)) if key in at]
        if not pairs:
            return fresh
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


def _describe_sources(
    own: Skeleton, source: Skeleton, found: Mapping[str, WeightSource], dropped: Sequence[str]
) -> list[str]:
    same_sets = (own.keypoints, own.unique_keypoints) == (source.keypoints, source.unique_keypoints)
    if same_sets and all(s.keypoint == name for name, s in found.items()):
        return [f"all {len(found)} keypoints <- the same names"]
    lines = [s.line(name) for name, s in found.items()]
    return lines + ([f"not used: {', '.join(dropped)}"] if dropped else [])
