"""Requirements and licences of installed distributions, by their metadata."""

from __future__ import annotations

import importlib.metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

UNKNOWN = "unknown: see its metadata"
_LONGEST = 80
"""Some put the whole text of the licence where its name belongs."""


def required_by(distribution: str) -> list[str]:
    """Names of what a distribution requires here, without its extras, sorted; nothing where it is not
    installed."""
    try:
        lines = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found: set[str] = set()
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            # pip refuses such metadata, so it is of no distribution that was installed by it.
            continue
        # Extras are no requirement of the distribution itself, and other platforms' markers do not apply
        # here.
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found.add(canonicalize_name(requirement.name))
    return sorted(found)


def name_and_version(distribution: str) -> str:
    """``timm 1.0.31``; the name alone where it is not installed."""
    try:
        return f"{distribution} {importlib.metadata.version(distribution)}"
    except importlib.metadata.PackageNotFoundError:
        return distribution


def license_of(distribution: str) -> str:
    """The licence that a distribution states: SPDX expression, name, or what its classifiers say, in one
    line."""
    try:
        metadata = importlib.metadata.metadata(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown: it is not installed"
    for field in ("License-Expression", "License"):
        # Some metadata lack the field, some say UNKNOWN, which was the default of old build tools.
        text = str(metadata[field] or "").strip() if field in metadata else ""
        if (
            text
            and "\n" not in text
            and len(text) <= (_LONGEST if field == "License" else 500)
            and text != "UNKNOWN"
        ):
            return text
    # Older distributions state the licence by classifiers only.
    classifiers = [c for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    named = [c.rpartition(" :: ")[2] for c in classifiers if c != "License :: OSI Approved"]
    return ", ".join(named) or UNKNOWN
