"""Whether a definition that a plugin's hook returned has the fields that its dataclass promises.

A dataclass takes any value for any field; here every plugin's are looked at before anybody else meets them, so that
what is wrong is said of the plugin and not where it is used.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

from pose_core import hooks

_DEPTH = 30
_LONG_TEXTS = ("citations",)


class MalformedError(Exception):
    """A hook returned something that is not what its page says."""


def check_fields(definition: Any, what: str) -> None:
    """Hold each field against its annotation: text, words, or what a YAML mapping can hold.

    Args:
        definition: an instance of one of the dataclasses of :mod:`pose_core.hooks`.
        what: how messages call it.

    Raises:
        MalformedError: one line that names the field.
    """
    for name, kind in _kinds(_class_of(definition)).items():
        value = getattr(definition, name)
        place = f"{name} of {what}"
        if kind is str:
            _check_text(value, place, long=name in _LONG_TEXTS)
        elif kind is tuple:
            if not isinstance(value, (tuple, list)):
                raise MalformedError(f"{place} must be a tuple of texts, not {type(value).__name__}")
            for each in value:
                _check_text(each, place, long=name in _LONG_TEXTS)
        else:
            if not isinstance(value, Mapping):
                raise MalformedError(f"{place} must be a mapping, not {type(value).__name__}")
            _check_plain(value, place, 0)


def _class_of(definition: object) -> type:
    return next(kind for kind in hooks.HOOKS.values() if isinstance(definition, kind))


@cache
def _kinds(of: type) -> dict[str, type]:
    """str, tuple or Mapping for each field."""
    hints = typing.get_type_hints(of)
    return {f.name: typing.get_origin(hints[f.name]) or hints[f.name] for f in dataclasses.fields(of)}


def _check_text(value: object, place: str, *, long: bool) -> None:
    if not isinstance(value, str):
        raise MalformedError(f"{place} must be text, not {type(value).__name__}")
    line = " ".join(value.split()) if long else value
    if not line.isprintable():
        raise MalformedError(f"{place} must be one line of printable text, not {value[:60]!r}")


def _check_plain(value: object, place: str, depth: int) -> None:
    """Refuse what a YAML file could not say."""
    if depth > _DEPTH:
        raise MalformedError(f"{place} is nested too deeply")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise MalformedError(f"{place} has the key {key!r:.60}, which is no text")
            _check_plain(inner, f"{key!r:.60} in {place}" if depth < 1 else place, depth + 1)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check_plain(inner, place, depth + 1)
    elif value is not None and not isinstance(value, (str, int, float)):
        raise MalformedError(f"{place} is a {type(value).__name__}, which no YAML file could hold")
