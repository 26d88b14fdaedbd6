"""The page of every setting of a configuration file, made of the specs. The settings of parts are not on
it."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

from docs_reference import markdown, rows
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_INTRO = """# Every setting

What a configuration file may say, with defaults. Where a part stands (a backbone, a head, a loss, a detector, a
reader), its own settings stand with it: `pose show unet` prints those of a model, `pose show heatmap/gaussian` those of
any part. How files, options and defaults are combined is said under [configuration](configuration.md). A dash means
that there is no default: the project or the model says it.
"""


def settings_page() -> str:
    """Make the page: a table for each section, and one for settings at the top."""
    from pose_core.specs import RunSpec

    return "\n".join([_INTRO, *_sections(RunSpec, "", {})]) + "\n"


def _sections(spec: type[BaseModel], at: str, seen: dict[Any, str]) -> Iterator[str]:
    """The table of a section, then those of the sections within it; one that stood before is pointed to."""
    table, inner = [], []
    for name, field in spec.model_fields.items():
        path = f"{at}.{name}".lstrip(".")
        part = _part(field)
        if part is None:
            meaning = (
                f"A {_kind(field)}. {field.description or ''}" if _kind(field) else field.description or ""
            )
            table.append((f"`{name}`", _default(field), markdown(meaning).strip()))
        else:
            inner.append((path, part))
            where = seen.get(part) or path
            table.append((f"`{name}`", _null(field), f"[Section `{where}`](#{where.replace('.', '')})"))
            seen.setdefault(part, path)
    if at:
        yield from (f"## {at}", "")
    yield from (rows(("key", "default", "meaning"), table), "")
    for path, part in inner:
        if seen[part] == path:
            yield from _sections(part, path, seen)


def _part(field: FieldInfo) -> type[BaseModel] | None:
    """The spec of a section; None for a value and for a part that a plugin offers."""
    from pose_core.specs.components import ComponentConfig

    kinds = (field.annotation, *typing.get_args(field.annotation))
    found = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return found[0] if found and not issubclass(found[0], ComponentConfig) else None


def _kind(field: FieldInfo) -> str:
    """``backbone`` where the value is a part of that kind; else nothing."""
    from pose_core.specs.components import ComponentConfig

    queue = [field.annotation]
    while queue:
        kind = queue.pop()
        if isinstance(kind, type) and issubclass(kind, ComponentConfig):
            return kind.__name__.removesuffix("Config").lower()
        queue += typing.get_args(kind)
    return ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "-"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        value = list(value)
    return f"`{'null' if value is None else str(value).lower() if isinstance(value, bool) else value}`"


def _null(field: FieldInfo) -> str:
    return (
        "`null`" if not field.is_required() and field.get_default(call_default_factory=True) is None else ""
    )
