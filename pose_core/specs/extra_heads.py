"""Heads that a named model gets because the project calls for them, and heads that the user leaves out.

A recipe or preset knows nothing of the project. Where the skeleton has what only some projects have
(:data:`pose_core.hooks.NEEDS`) and no head of the model learns it, the model gets the head that a plugin
offers (:class:`pose_core.hooks.ExtraHead`). Null in the place of any head leaves it out:
``model.heads.identity: null``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pose_core.catalog import Model, get_catalog
from pose_core.catalog.merge import ContentDict, merge
from pose_core.definitions import Content
from pose_core.errors import ConfigError, setting
from pose_core.hooks import NEEDS, ExtraHead
from pose_core.specs.components import HeadConfig
from pose_core.specs.parse_component import parse_component
from pose_core.specs.run import RunSpec
from pose_core.structures import Skeleton


def find_needs(skeleton: Skeleton) -> set[str]:
    """List those of :data:`pose_core.hooks.NEEDS` that a project has."""
    return _list_needs(skeleton.unique_keypoints, skeleton.identified, skeleton.individuals)


def refuse_unsuited(model: Model, content: Content) -> None:
    """Refuse a model whose heads learn what the project does not have.

    Args:
        model: what was named.
        content: everything merged, not validated yet.

    Raises:
        ConfigError: names the model and says what it needs.
    """
    need = model.skeleton_needs
    if not need or need in _list_skeleton_needs(_read_section(content, "skeleton")):
        return
    fields = {
        "unique_keypoints": "unique_keypoints names none",
        "identity": "its individuals are not marked as the same animals in every frame (identified: true)",
    }
    raise ConfigError(
        f"model {model.name!r} is for projects where {NEEDS[need]}; in this one {fields[need]}, so take "
        "another model"
    )


def extra_heads(content: Content, user: Sequence[Content]) -> dict[str, ExtraHead]:
    """The heads to be added, by name.

    None where the user describes a whole network, as the config.yaml of a run does: that is trained as it
    stands.

    Args:
        content: everything merged, not validated yet.
        user: what of it the user wrote, in layers.
    """
    model = _read_section(content, "model")
    # A run must predict what it was trained for, whatever heads plugins offer by now.
    if any(_whole_network(_read_section(layer, "model")) for layer in user):
        return {}
    heads = _read_section(model, "heads")
    needs = _list_skeleton_needs(_read_section(content, "skeleton"))
    # A head of the preset or the user that learns it already is enough.
    needs -= {need for head in heads.values() for need in _find_learned(head)}
    offered = get_catalog().extra_heads(str(model.get("method")))
    wanted = {extra.name: extra for need, extra in offered.items() if need in needs}
    # Of a head that is added by itself the user may write some settings; with a type, it is the user's own.
    return {
        n: e
        for n, e in wanted.items()
        if n not in heads or (_is_mapping(heads[n]) and "type" not in heads[n])
    }


def with_heads(
    content: Content,
    extra: Mapping[str, ExtraHead],
    layers: Sequence[Content],
    origin: Mapping[tuple[int | str, ...], str],
) -> ContentDict:
    """Add the extra heads to the content, after and below what is there, and drop those in whose place
    stands null.

    Args:
        content: everything merged, not validated yet.
        extra: of :func:`extra_heads`.
        layers: what was merged, for finding a null that leaves nothing out.
        origin: where keys were written, for the message.

    Raises:
        ConfigError: null stands in the place of a head that does not exist.
    """
    model = _read_section(content, "model")
    heads = _read_section(model, "heads")
    if not heads:
        return dict(content)
    offered = get_catalog().extra_heads(str(model.get("method")))
    known = {extra.name for extra in offered.values()}
    # A head that a preset brings and a file leaves out is null in the merged content; only the layers still
    # show that it was there.
    for layer in layers:
        known |= {
            name
            for name, head in _read_section(_read_section(layer, "model"), "heads").items()
            if head is not None
        }
    for name in (n for n, head in heads.items() if head is None and n not in known):
        there = ", ".join(n for n, head in heads.items() if head is not None)
        where = f" ({origin[at]})" if (at := ("model", "heads", name)) in origin else ""
        raise ConfigError(
            f"model.heads.{name}: no head of this name can be left out; the model has {there}{where}"
        )
    # A model that uses one of several feature maps shares it with its extra heads.
    shared = next(
        ({"feature": h["feature"]} for h in heads.values() if _is_mapping(h) and "feature" in h), {}
    )
    made = {name: {**shared, **head.head} for name, head in extra.items()}
    # Own heads first: an identity head names the animals that a head before it found.
    own = {name: head for name, head in heads.items() if name not in extra and head is not None}
    return {
        **content,
        "model": {**model, "heads": {**own, **merge(made, {n: heads[n] for n in made if n in heads})}},
    }


def make_note(spec: RunSpec, head: ExtraHead) -> str:
    """Word the note on a head that was added."""
    names = spec.skeleton.unique_keypoints if head.needs == "unique_keypoints" else spec.skeleton.individuals
    component = spec.model.heads[head.name].type
    return (
        f"{spec.model.name} gets a head '{head.name}' ({component}) for {', '.join(names)}; leave it out "
        "with "
        f"{setting(f'model.heads.{head.name}=null')}"
    )


def _list_skeleton_needs(skeleton: Content) -> set[str]:
    return _list_needs(
        skeleton.get("unique_keypoints") or (), skeleton.get("identified"), skeleton.get("individuals") or ()
    )


def _list_needs(unique_keypoints: Sequence[str], identified: object, individuals: Sequence[str]) -> set[str]:
    has = {
        "unique_keypoints": bool(unique_keypoints),
        "identity": identified is True and len(individuals) > 1,
    }
    return {need for need in NEEDS if has[need]}


def _find_learned(head: Any) -> set[str]:
    """Find the needs that a head, as YAML has it, serves; none where it is not valid."""
    try:
        config = parse_component("head", HeadConfig, head)
    # Validation follows, and names the key with the line of the file.
    except ConfigError:
        return set()
    serves = {"unique_keypoints": config.predicts_unique(), "identity": config.predicts_identity()}
    return {need for need in NEEDS if serves[need]}


def _whole_network(model: Content) -> bool:
    heads = _read_section(model, "heads")
    return "type" in _read_section(model, "backbone") and any(
        "type" in _read_section(heads, name) for name in heads
    )


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _read_section(content: Content, key: str) -> Content:
    """A section; empty where there is none or something else stands, which validation will say."""
    section = content.get(key)
    return section if isinstance(section, Mapping) else {}
