"""What is allowed where: the JSON Schema for editors, and the fields at a place for error messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel, Discriminator, Tag

from pose_core.catalog import get_catalog
from pose_core.errors import PoseError
from pose_core.specs.components import ComponentConfig, NamedComponent
from pose_core.specs.run import RunSpec


def json_schema() -> dict[str, Any]:
    """JSON Schema of a configuration file, with every component of the installed plugins.

    A user's file may leave out what the model's preset, the data or the command line provide, so nothing is
    required at the top levels.
    """
    schema = RunSpec.model_json_schema()
    for part in (schema, *(schema.get("$defs", {}).get(n, {}) for n in ("ModelSpec", "DataSpec"))):
        part.pop("required", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "pose_core configuration",
    }


def config_class_at(
    loc: tuple[int | str, ...], content: Any, kind: type[BaseModel] = RunSpec
) -> tuple[str, ...]:
    """Names of the fields allowed at a place of a configuration.

    Args:
        loc: path of keys of the mapping, (): the whole.
        content: the configuration, from which the types of components are read.
        kind: of the configuration.
    """
    annotation: Any = kind
    for part in loc:
        model = _model(annotation, content)
        if isinstance(model, type) and issubclass(model, ComponentConfig):
            content = model.onto_defaults(content)  # the type of a part that the user's file does not repeat
        annotation = _inner(annotation, part, content)
        content = content[part]
    found = _model(annotation, content)
    if found is None:
        return ()
    return tuple(f.name for f in fields(found)) if is_dataclass(found) else tuple(found.model_fields)


def _inner(annotation: Any, part: int | str, content: Any) -> Any:
    model = _model(annotation, content)
    if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
        field = model.model_fields[str(part)]
        named = next((m for m in field.metadata if isinstance(m, NamedComponent)), None)
        return (named, field.annotation) if named else field.annotation
    if isinstance(model, type) and is_dataclass(model):
        return None
    arguments = get_args(annotation)  # dict[str, X], list[X]
    return arguments[-1] if arguments else None


def _model(annotation: Any, content: Any) -> Any:
    """The config class that an annotation means for this content."""
    if isinstance(annotation, tuple):
        return _component(annotation[0], content)
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        return annotation
    if isinstance(get_origin(annotation), type) and issubclass(get_origin(annotation), Mapping | Sequence):
        return None  # of several components, each has its own
    arguments = get_args(annotation)
    for argument in arguments:
        if isinstance(argument, NamedComponent):
            return _component(argument, content)
        if isinstance(argument, Discriminator):
            return _tagged(arguments[0], argument, content)
    for argument in arguments:
        found = _model(argument, content)
        if found is not None:
            return found
    return None


def _tagged(union: Any, discriminator: Discriminator, content: Any) -> Any:
    """The member of a union that the content says it is."""
    choose = discriminator.discriminator
    tag = choose(content) if callable(choose) else content.get(choose)
    for member in get_args(union):
        chosen, *marks = get_args(member)
        if any(isinstance(mark, Tag) and mark.tag == tag for mark in marks):
            return chosen
    return None


def _component(named: NamedComponent, content: Any) -> type[ComponentConfig] | None:
    name = content.get("type") if isinstance(content, Mapping) else None
    if not isinstance(name, str):
        return None
    try:
        config: type[ComponentConfig] = get_catalog().component(named.kind, name).config_class()
    except PoseError:
        return named.base
    return config
