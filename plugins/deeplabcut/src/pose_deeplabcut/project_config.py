"""Read DeepLabCut's config.yaml of a project."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from pose_core.errors import DataError
from pose_core.io.text import read_start, read_text
from pose_core.specs import parse_yaml
from pose_core.structures import Region, Skeleton
from pose_core.symmetry import symmetry_from_names
from pose_deeplabcut.columns import UNIQUE
from pose_deeplabcut.crop_settings import read_crops

_PARTS_OF_MULTI = "MULTI!"
_CONVERSION_TABLES = "SuperAnimalConversionTables"
_MARKS = [
    re.compile(rf"^{key}[ \t]*:", re.MULTILINE)
    for key in ("Task", "scorer", "(?:bodyparts|multianimalbodyparts)")
]
# Spellings of YAML 1.1, which DeepLabCut writes; the file is read as text only.
_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0", "", "null", "none", "~")


@dataclass(frozen=True)
class ProjectConfig:
    """The parts of config.yaml that describe the labels.

    Attributes:
        path: of the file.
        task, scorer, date: text of these keys.
        multi: True for a multi-animal project.
        skeleton: body parts, limbs, individuals, unique body parts.
        aliases: names that pretrained models have for each body part, from the conversion tables, in their
            order.
        crop: the part of videos that the project analyses (``cropping``); None: all.
        video_crops: the same for single videos, by the names of their files.
        notes: remarks about what was left out.
    """

    path: Path
    task: str
    scorer: str
    date: str
    multi: bool
    skeleton: Skeleton
    aliases: dict[str, tuple[str, ...]]
    crop: Region | None
    video_crops: dict[str, Region]
    notes: tuple[str, ...]


def looks_like_config(path: Path) -> bool:
    """Test for a DeepLabCut config.yaml by its keys. Never raises."""
    text = read_start(path).removeprefix("\ufeff")
    return all(mark.search(text) for mark in _MARKS)


def read_config(path: Path) -> ProjectConfig:
    """Read a config.yaml.

    Names are read, and what is cropped. ``project_path`` and the folders in ``video_sets`` are those of the
    computer where the project was made and are ignored.

    Raises:
        DataError: it cannot be read, or lacks body parts or names them twice.
    """
    content = _load(path)
    notes: list[str] = []
    # Where the flag is missing, the mark that stands for body parts in a multi-animal project decides.
    multi = _get_flag(path, content, "multianimalproject")
    if not multi and content.get("bodyparts") == _PARTS_OF_MULTI:
        multi = True
        notes.append(
            f"{path.name}: bodyparts is {_PARTS_OF_MULTI}, so this is read as a multi-animal project"
        )
    key = "multianimalbodyparts" if multi else "bodyparts"
    keypoints = _get_names(path, content, key)
    unique = _get_names(path, content, "uniquebodyparts") if multi else ()
    individuals = _get_names(path, content, "individuals") if multi else ("animal",)
    if not keypoints:
        raise DataError(f"{path}: {key} is empty; list the body parts that are labelled")
    if not individuals:
        raise DataError(f"{path}: individuals is empty; list the animals of this multi-animal project")
    for what, names in (("body part", (*keypoints, *unique)), ("individual", individuals)):
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise DataError(
                f"{path}: {what} {twice[0]!r} is listed twice; every {what} needs a name of its own"
            )
    if UNIQUE in individuals and (unique or len(individuals) > 1):
        raise DataError(f"{path}: no individual can be called {UNIQUE!r}, which stands for unique body parts")
    symmetry = symmetry_from_names(keypoints)
    if symmetry:
        pairs = ", ".join(f"{left}/{right}" for left, right in symmetry)
        notes.append(f"left/right pairs, told from the names: {pairs}")
    skeleton = Skeleton(
        keypoints=keypoints,
        edges=_parse_edges(path, content.get("skeleton"), keypoints, notes),
        symmetry=symmetry,
        individuals=individuals,
        identified=multi and _get_flag(path, content, "identity"),
        unique_keypoints=unique,
    )
    task, scorer, date = (_get_text(path, content, key) for key in ("Task", "scorer", "date"))
    aliases = _collect_aliases(path, content.get(_CONVERSION_TABLES), (*keypoints, *unique), notes)
    crop, video_crops = read_crops(path, content) if _get_flag(path, content, "cropping") else (None, {})
    return ProjectConfig(path, task, scorer, date, multi, skeleton, aliases, crop, video_crops, tuple(notes))


def _load(path: Path) -> dict[str, object]:
    """Load the file with every scalar as text.

    The base loader makes lists, mappings and text only. A body part named ``1`` or ``no`` keeps its name,
    which it also has in the label files.
    """
    try:
        content = parse_yaml(read_text(path), yaml.BaseLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise DataError(f"{path}: {line}is not valid YAML ({problem})") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: is not a DeepLabCut config.yaml (it holds no keys)")
    return content


def _get_text(path: Path, content: dict[str, object], key: str) -> str:
    value = content.get(key, "")
    if not isinstance(value, str):
        raise DataError(f"{path}: {key} must be text, not {value!r}")
    return value.strip()


def _get_flag(path: Path, content: dict[str, object], key: str) -> bool:
    value = content.get(key, "")
    text = value.strip().lower() if isinstance(value, str) else None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise DataError(f"{path}: {key} must be true or false, not {value!r}")


def _get_names(path: Path, content: dict[str, object], key: str) -> tuple[str, ...]:
    value = content.get(key)
    if value is None or (isinstance(value, str) and value.strip().lower() in _FALSE):
        return ()
    if not isinstance(value, list) or not all(isinstance(name, str) and name.strip() for name in value):
        raise DataError(f"{path}: {key} must be a list of names")
    return tuple(name.strip() for name in value)


def _collect_aliases(
    path: Path, tables: object, keypoints: tuple[str, ...], notes: list[str]
) -> dict[str, tuple[str, ...]]:
    """Collect the aliases of each body part from tables ``{model: {own body part: the model's}}``.

    The right table is chosen when weights are loaded, by the names that these know.
    """
    if tables is None or (isinstance(tables, str) and tables.strip().lower() in _FALSE):
        return {}
    if not isinstance(tables, dict):
        raise DataError(
            f"{path}: {_CONVERSION_TABLES} must hold a table for each pretrained model, not {tables!r}"
        )
    found: dict[str, dict[str, None]] = {}
    unknown: dict[str, None] = {}
    for model, table in tables.items():
        if isinstance(table, str) and table.strip().lower() in _FALSE:
            continue
        if not isinstance(table, dict):
            raise DataError(
                f"{path}: {_CONVERSION_TABLES}.{model} must hold 'own body part: theirs', not {table!r}"
            )
        for own, theirs in table.items():
            if not isinstance(theirs, str):
                raise DataError(
                    f"{path}: {_CONVERSION_TABLES}.{model}.{own} must be a body part, not {theirs!r}"
                )
            if theirs.strip().lower() in ("", "null", "none", "~"):
                continue
            if own.strip() not in keypoints:
                unknown[own.strip()] = None
                continue
            found.setdefault(own.strip(), {})[theirs.strip()] = None
    if unknown:
        notes.append(
            f"{path.name}: {_CONVERSION_TABLES} names body parts that the project lacks: {', '.join(unknown)}"
        )
    return {own: tuple(names) for own, names in found.items()}


def _parse_edges(
    path: Path, value: object, keypoints: tuple[str, ...], notes: list[str]
) -> tuple[tuple[str, str], ...]:
    """Parse the limbs; leave out those that do not join two body parts."""
    # A new config.yaml comes with an example of limbs between body parts that do not exist.
    edges: dict[frozenset[str], tuple[str, str]] = {}
    left_out = []
    for link in _find_links(value):
        if len(link) == 2 and link[0] != link[1] and set(link) <= set(keypoints):
            edges.setdefault(frozenset(link), (link[0], link[1]))
        else:
            left_out.append("-".join(link))
    if left_out:
        notes.append(
            f"{path.name}: left out of the skeleton, as they do not join two body parts of every animal: "
            + ", ".join(left_out)
        )
    return tuple(edges.values())


def _find_links(value: object) -> list[list[str]]:
    """Find the innermost lists of names, at any depth."""
    if not isinstance(value, list):
        return []
    if value and all(isinstance(item, str) for item in value):
        return [value]
    return [link for item in value for link in _find_links(item)]
