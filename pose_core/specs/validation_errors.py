"""Describe what a configuration has wrong: one line, in the words of whoever wrote it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from pose_core.definitions import Content
from pose_core.errors import ConfigError
from pose_core.specs.base import Spec

Loc = tuple[int | str, ...]

_PHRASES = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    **dict.fromkeys(("float_parsing", "float_type"), "must be a number"),
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "must be true or false"),
    **dict.fromkeys(("model_type", "dict_type", "dataclass_type"), "must hold keys and values"),
    **dict.fromkeys(("list_type", "tuple_type"), "must be a list"),
    "string_type": "must be a text",
    "finite_number": "must be a finite number",
    "missing": "is required",
}
"""By pydantic's type of error; its own sentences speak of inputs and of parsing."""


class OptionName(str):
    """The option or argument that set a key, as the caller writes it; messages name it in the place of the
    key."""

    __slots__ = ()


def describe_errors(
    error: ValidationError, content: Content, origin: Mapping[Loc, str], source: str, kind: type[Spec]
) -> str:
    """Describe what a spec refuses in a mapping, on one line.

    Args:
        error: of pydantic.
        content: the mapping.
        origin: for paths of keys, where they were written.
        source: file to name first; may be empty.
        kind: the spec.
    """
    # What a union refuses it refuses once for each of its members: one sentence for all of them.
    places: dict[Loc, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        places.setdefault(_locate(detail["loc"], content), []).append(detail)
    described = (
        _describe_place(loc, _join_reasons(_describe_reason(loc, d, content, kind) for d in details), origin)
        for loc, details in places.items()
    )
    # One option may set a key of several networks, and is wrong once.
    parts = list(dict.fromkeys(described))
    if len(parts) > 3:
        # One line must remain readable; the others are found when these are corrected.
        parts[3:] = [f"and {len(parts) - 3} more"]
    return (f"{source}: " if source else "") + "; ".join(parts)


def validate_option(name: str, value: object, kind: Any) -> Any:
    """Convert the value of an option that is no key of a configuration.

    Args:
        name: as the caller writes it.
        value: given to it.
        kind: type that pydantic validates by.

    Raises:
        ConfigError: the value is none of that type.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        reasons = (_add_value(_phrase(detail), detail) for detail in error.errors(include_url=False))
        raise ConfigError(f"{name}: {_join_reasons(reasons)}") from None


Reason = tuple[str, str]
"""What is wrong, and the value that is meant, with its comma; or empty."""


def _describe_reason(loc: Loc, detail: ErrorDetails, content: Content, kind: type[Spec]) -> Reason:
    if detail["type"] == "extra_forbidden":
        return f"unknown key; {_suggest_keys(loc, content, kind)}", ""
    return _add_value(_phrase(detail), detail)


def _phrase(detail: ErrorDetails) -> str:
    # Of a list that is too short pydantic says which entry is missing.
    if detail["type"] == "missing" and detail["loc"] and isinstance(detail["loc"][-1], int):
        return "has too few entries"
    if detail["type"] in _PHRASES:
        return _PHRASES[detail["type"]].format(**detail.get("ctx", {}))
    # pydantic's own prefixes, which mean nothing to a user.
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"must {message.removeprefix('should ')}" if message.startswith("should ") else message


def _add_value(message: str, detail: ErrorDetails) -> Reason:
    given = detail.get("input")
    # A suggestion names the value; a whole section would not fit on a line.
    named = message.endswith("?") or detail["type"] == "missing"
    named = named or (isinstance(given, str) and repr(given) in message)
    shown = not named and isinstance(given, (str, int, float, bool))
    return message, f", not {given!r}" if shown else ""


def _join_reasons(reasons: Iterable[Reason]) -> str:
    """Join what the members of a union say: ``must be greater than 0 or 'auto', not 0``."""
    joined: dict[str, list[str]] = {}
    for message, value in reasons:
        joined.setdefault(value, []).append(message)
    return " or ".join(f"{_join_alternatives(messages)}{value}" for value, messages in joined.items())


def _join_alternatives(messages: list[str]) -> str:
    first, *others = dict.fromkeys(messages)
    # Said once where all of them begin so.
    common = "must be " if all(message.startswith("must be ") for message in (first, *others)) else ""
    return " or ".join((first, *(message.removeprefix(common) for message in others)))


def _describe_place(loc: Loc, reason: str, origin: Mapping[Loc, str]) -> str:
    """The path of the key, what is wrong, and where it was written."""
    reason = " ".join(reason.split())
    at = origin.get(loc)
    if isinstance(at, OptionName):
        return f"{at}: {reason}"
    # A check of a whole section names the key in its message: the place of that key is the better one.
    inside = [place for at, place in origin.items() if at[:-1] == loc and str(at[-1]) in reason]
    around = [origin[loc[:n]] for n in range(len(loc), 0, -1) if loc[:n] in origin]
    where = (inside + around)[:1]
    path = ".".join(map(str, loc)) or "the configuration"
    return f"{path}: {reason}" + (f" ({where[0]})" if where else "")


def _locate(loc: Loc, content: Any) -> Loc:
    """The part of an error's location that stands in the file (pydantic adds the tags of unions)."""
    kept: list[int | str] = []
    for at, part in enumerate(loc):
        last = at == len(loc) - 1
        inside = isinstance(content, Mapping) and part in content
        inside = inside or (
            isinstance(content, (list, tuple)) and isinstance(part, int) and part < len(content)
        )
        if inside:
            content = content[part]
            kept.append(part)
        elif last and isinstance(content, Mapping):
            kept.append(part)
    return tuple(kept)


def _suggest_keys(loc: Loc, content: Content, kind: type[Spec]) -> str:
    known = sorted(_list_keys(loc[:-1], content, kind))
    near = difflib.get_close_matches(str(loc[-1]), known, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"known keys are {', '.join(known)}"


def _list_keys(loc: Loc, content: Content, kind: type[Spec]) -> set[str]:
    """The keys that are allowed at a place, found by walking the config classes beside the content."""
    # Here, because schema needs the spec of a run, and only errors need the schema.
    from pose_core.specs.schema import list_fields_at

    found = list_fields_at(loc, content, kind)
    return set(found) if found else set()
