"""One partial configuration on top of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` on top of ``base``; neither is changed.

    Mappings are merged key by key; a component whose ``type`` changes is replaced as a whole, because the
    keys of one component mean nothing to another.
    """
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping) and not _other_type(below, value):
            merged[key] = merge(below, value)
        else:
            merged[key] = value
    return merged


def _other_type(below: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    if "type" not in value or "type" not in below:
        return False
    mine, theirs = str(value["type"]), str(below["type"])
    if "/" in mine and "/" in theirs:
        return mine != theirs
    return mine.rpartition("/")[2] != theirs.rpartition("/")[2]
