"""What each key of a configuration means, in the words of the spec or config that has it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter

from pose_core.catalog import get_catalog
from pose_core.errors import PoseError
from pose_core.specs.component_config import ComponentConfig
from pose_core.specs.field_types import find_class, find_inner
from pose_core.specs.named_component import NamedComponent


@dataclass(frozen=True)
class Key:
    """A key of a configuration.

    Attributes:
        loc: its path.
        value: what it holds, plain.
        meaning: a sentence or two; empty where nothing is known.
        component: full name of the component whose setting it is; empty outside of components.
        is_section: whether its value is keys with meanings of their own, which follow it.
        was_auto: whether it is ``auto`` by default and something else here.
    """

    loc: tuple[str, ...]
    value: Any
    meaning: str
    component: str
    is_section: bool
    was_auto: bool


def list_keys(content: Mapping[str, Any], kind: type[BaseModel]) -> Iterator[Key]:
    """List all keys of a configuration, sections before what they hold.

    Args:
        content: as :meth:`pydantic.BaseModel.model_dump` gives it in JSON mode.
        kind: the spec that it is of.
    """
    yield from _list_keys(content, kind, (), "")


def _list_keys(
    content: Mapping[str, Any], annotation: object, at: tuple[str, ...], component: str
) -> Iterator[Key]:
    owner = find_class(annotation, content)
    if owner is not None and issubclass(owner, ComponentConfig):
        component = str(content.get("type", component))
    meanings = _describe_fields(owner) if owner is not None else {}
    for name, value in content.items():
        inner = find_inner(annotation, name, content)
        parts = isinstance(value, Mapping) and bool(value)
        # Of several components or networks each has its own name, and no class stands for all of them.
        section = parts and (
            find_class(inner, value) is not None or all(isinstance(v, Mapping) for v in value.values())
        )
        meaning = meanings.get(name) or _describe_component(inner, value) or _describe_section(inner, value)
        was_auto = value != "auto" and owner is not None and _is_auto(owner, name)
        yield Key((*at, name), value, " ".join(meaning.split()), component, section, was_auto)
        if section:
            yield from _list_keys(value, inner, (*at, name), component)


def _describe_fields(owner: type[Any]) -> Mapping[str, str]:
    """Describe the fields of a config class or dataclass, by name."""
    if issubclass(owner, BaseModel):
        return {name: field.description or "" for name, field in owner.model_fields.items()}
    # pydantic reads the descriptions of a dataclass, too, but tells them in the schema alone.
    schema = TypeAdapter(owner).json_schema() if is_dataclass(owner) else {}
    return {name: part.get("description", "") for name, part in schema.get("properties", {}).items()}


def _is_auto(owner: type[Any], name: str) -> bool:
    fields = owner.model_fields if issubclass(owner, BaseModel) else {}
    return name in fields and fields[name].default == "auto"


def _describe_section(annotation: object, value: object) -> str:
    """Take the first paragraph of the docstring of a section's class."""
    owner = find_class(annotation, value)
    if owner is None or issubclass(owner, ComponentConfig):
        return ""
    return (inspect.getdoc(owner) or "").partition("\n\n")[0]


def _describe_component(annotation: object, value: object) -> str:
    """Take the summary of the component that a section describes."""
    mark = annotation[0] if isinstance(annotation, tuple) else None
    marks = [mark, *(inner for part in get_args(annotation) for inner in getattr(part, "__metadata__", ()))]
    marks += getattr(annotation, "__metadata__", ())
    named = next((m for m in marks if isinstance(m, NamedComponent)), None)
    if named is None or not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
        return ""
    try:
        return get_catalog().component(named.kind, value["type"]).definition.summary
    except PoseError:
        # Not installed, or no longer; the configuration can be explained all the same.
        return ""
