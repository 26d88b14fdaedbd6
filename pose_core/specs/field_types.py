"""Walk through the types of a configuration beside its content: which class describes which section.

Annotations alone do not say it: of a component the content names the class, and of a union its tag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel, Discriminator, Tag

from pose_core.catalog import get_catalog
from pose_core.errors import PoseError
from pose_core.specs.component_config import ComponentConfig
from pose_core.specs.named_component import NamedComponent


def find_inner(annotation: object, part: int | str, content: object) -> object:
    """Find what a part of a value is annotated with: of a config class the field, of a mapping or list what it
    holds; None where that is not known."""
    model = find_class(annotation, content)
    if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
        field = model.model_fields[str(part)]
        named = next((m for m in field.metadata if isinstance(m, NamedComponent)), None)
        # pydantic moves the metadata of Annotated from the annotation to the field.
        return (named, field.annotation) if named else field.annotation
    if isinstance(model, type) and is_dataclass(model):
        return None
    # The last argument is what dict[str, X], list[X] and tuple[X, ...] hold.
    arguments = [argument for argument in get_args(annotation) if argument is not Ellipsis]
    return arguments[-1] if arguments else None


def find_class(annotation: object, content: object) -> type[Any] | None:
    """Find the config class that an annotation means for this content; None where it means none, or several."""
    if isinstance(annotation, tuple):
        return _find_component(annotation[0], content)
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        return annotation
    origin = get_origin(annotation)
    # Of several components each has its own class, and none stands for all of them.
    if isinstance(origin, type) and issubclass(origin, Mapping | Sequence):
        return None
    arguments = get_args(annotation)
    for argument in arguments:
        if isinstance(argument, NamedComponent):
            return _find_component(argument, content)
        if isinstance(argument, Discriminator):
            return _choose_tagged(arguments[0], argument, content)
    for argument in arguments:
        # Annotated and optional types: the one member that is a class.
        found = find_class(argument, content)
        if found is not None:
            return found
    return None


def _choose_tagged(union: object, discriminator: Discriminator, content: Any) -> type[Any] | None:
    """The member of a union that the content says it is."""
    choose = discriminator.discriminator
    # pydantic allows a function or the name of a field.
    tag = choose(content) if callable(choose) else content.get(choose)
    for member in get_args(union):
        chosen: type[Any]
        chosen, *marks = get_args(member)
        if any(isinstance(mark, Tag) and mark.tag == tag for mark in marks):
            return chosen
    return None


def _find_component(named: NamedComponent, content: object) -> type[ComponentConfig] | None:
    name = content.get("type") if isinstance(content, Mapping) else None
    if not isinstance(name, str):
        return None
    try:
        config: type[ComponentConfig] = get_catalog().component(named.kind, name).config_class()
    except PoseError:
        # An unknown name: the keys that all components of the kind have are better than none.
        return named.base
    return config
