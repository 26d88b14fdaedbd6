"""One partial configuration on top of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pose_core.definitions import Content

ContentDict = dict[str, Any]
"""The same (:data:`pose_core.definitions.Content`), made here and free to be changed."""


def merge(base: Content, over: Content) -> ContentDict:
    """``over`` on top of ``base``; neither is changed.

    Mappings are merged key by key; a component whose ``type`` changes is replaced as a whole, because the
    keys of one component mean nothing to another.
    """
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        # Lists are replaced, not joined: a user could not shorten them otherwise.
        if isinstance(value, Mapping) and isinstance(below, Mapping) and not _changes_type(below, value):
            merged[key] = merge(below, value)
        else:
            merged[key] = value
    return merged


def _changes_type(below: Content, value: Content) -> bool:
    if "type" not in value or "type" not in below:
        return False
    mine, theirs = str(value["type"]), str(below["type"])
    # A bare name and a full one with the same ending mean one component, as a file that says unet over a
    # preset that says unet/unet.
    if "/" in mine and "/" in theirs:
        return mine != theirs
    return mine.rpartition("/")[2] != theirs.rpartition("/")[2]
