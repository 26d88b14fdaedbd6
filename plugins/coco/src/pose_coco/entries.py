"""Read the entries of a COCO file's lists: images, annotations, categories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pose_core.errors import DataError, listed

Entry = dict[str, object]
"""An entry of one of the file's lists; nothing about its values is known yet."""


def check_object(path: Path, content: object) -> Mapping[str, object]:
    """Check that the file holds an object.

    Raises:
        DataError: it does not.
    """
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: is not a COCO file (it has no 'images')")
    return content


def get_list(path: Path, content: Mapping[str, object], key: str) -> list[Entry]:
    """Get a list of objects.

    Raises:
        DataError: it is missing or something else.
    """
    value = content.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise DataError(f"{path}: {key!r} must be a list of objects, as in COCO annotations")
    return value


def get_integer(path: Path, what: str, item: Entry, key: str) -> int:
    """Get an integer, also one that is written as text.

    Raises:
        DataError: it is missing or something else.
    """
    value = item.get(key)
    # A bool is an int in Python.
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    # Some tools write ids as text; longer ones than 29 digits are none of these, and slow to convert.
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 30:
        return int(value)
    text = f"{path}: {what} {item.get('id', '')} has {key} {value!r}, which is not an integer"
    raise DataError(text.replace("  ", " "))


def check_unique(path: Path, what: str, entries: Iterable[tuple[int, str]]) -> None:
    """Check that every entry has an id of its own.

    Args:
        path: of the file.
        what: they are.
        entries: id of each, and what it is called beside its id; empty where it has no name.

    Raises:
        DataError: an id is used twice; names ten and a count.
    """
    seen: dict[int, str] = {}
    twice = []
    for number, name in entries:
        if number in seen:
            names = f" ({seen[number]}, {name})" if name else ""
            twice.append(f"{number} is used twice{names}")
        seen.setdefault(number, name)
    if twice:
        raise DataError(f"{path}: {what} id {listed(twice, ', ')}; every {what} needs an id of its own")


def call(annotation: Entry) -> str:
    """Name an annotation for messages."""
    return f"annotation {annotation['id']}" if "id" in annotation else "an annotation without id"
