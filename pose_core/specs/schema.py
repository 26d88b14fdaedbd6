"""JSON Schema for editors, and allowed fields for error messages."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel

from pose_core.catalog.merge import ContentDict
from pose_core.specs.component_config import ComponentConfig
from pose_core.specs.field_types import find_class, find_inner
from pose_core.specs.run import RunSpec


def json_schema() -> ContentDict:
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


def list_fields_at(
    loc: tuple[int | str, ...], content: Any, kind: type[BaseModel] = RunSpec
) -> tuple[str, ...]:
    """Names of the fields allowed at a place of a configuration.

    Args:
        loc: path of keys of the mapping, (): the whole.
        content: the configuration, from which the types of components are read.
        kind: of the configuration.
    """
    annotation: object = kind
    for part in loc:
        model = find_class(annotation, content)
        if isinstance(model, type) and issubclass(model, ComponentConfig):
            # The file need not repeat the type of a nested part; the default says it.
            content = model.onto_defaults(content)
        annotation = find_inner(annotation, part, content)
        content = content[part]
    found = find_class(annotation, content)
    if found is None:
        return ()
    return tuple(f.name for f in fields(found)) if is_dataclass(found) else tuple(found.model_fields)
