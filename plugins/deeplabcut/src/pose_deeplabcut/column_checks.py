"""Compare the columns of label files with config.yaml.

A project grows: a body part, a unique body part or an individual that was added later has no columns in the
folders that were labelled before, and counts as not labelled there, with a note. A column of nearly that name
that config.yaml does not list is a mistake, and so is a body part that no folder has.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pose_core.errors import DataError, listed
from pose_core.structures import Skeleton
from pose_deeplabcut.columns import UNIQUE
from pose_deeplabcut.project_config import ProjectConfig
from pose_deeplabcut.tables import LabelTable


def check_columns(tables: Sequence[LabelTable], project: ProjectConfig, notes: list[str]) -> None:
    """Check the columns of all label files of a project.

    Args:
        tables: one for each folder.
        project: its config.yaml.
        notes: gets a line for each difference that does no harm.

    Raises:
        DataError: a difference looks like a mistake; names the file, or all body parts that no file has.
    """
    skeleton = project.skeleton
    seen: set[tuple[str, str]] = set()
    for table in tables:
        _check_kind(table, project)
        if table.columns.predicted:
            notes.append(f"{table.path}: its likelihood columns are left out")
        parts = table.columns.parts()
        if project.multi:
            _check_individuals(table, parts, skeleton, project.path, notes)
        lacking: dict[str, list[str]] = {}
        owners = [i for i in (skeleton.individuals if project.multi else ("",)) if i in parts]
        for owner in owners:
            for part in _check_parts(table, owner, parts[owner], skeleton.keypoints, project.path, notes):
                lacking.setdefault(part, []).append(owner)
            seen |= {("", part) for part in parts[owner]}
        for part, without in lacking.items():
            whose = "" if without == owners else f" of {', '.join(map(repr, without))}"
            notes.append(_make_note(table, f"{part!r}{whose}"))
        single = parts.get(UNIQUE, []) if project.multi else []
        seen |= {(UNIQUE, part) for part in single}
        for part in _check_parts(table, UNIQUE, single, skeleton.unique_keypoints, project.path, notes):
            notes.append(_make_note(table, f"{part!r} of {UNIQUE!r}"))
    wanted = [
        *(("", part) for part in skeleton.keypoints),
        *((UNIQUE, part) for part in skeleton.unique_keypoints),
    ]
    never = [part for owner, part in wanted if (owner, part) not in seen]
    if tables and never:
        several = len(never) > 1
        raise DataError(
            f"{project.path}: lists the body part{'s' * several} {listed([repr(part) for part in never], ', ')}, "
            "which no label file has columns for; label "
            f"{'them' if several else 'it'} in some images, or remove {'them' if several else 'it'}"
        )


def _make_note(table: LabelTable, what: str) -> str:
    folder = table.path.parent
    return (
        f"{folder.parent.name}/{folder.name}: has no columns for body part {what}, which counts as not labelled "
        "there"
    )


def _check_kind(table: LabelTable, project: ProjectConfig) -> None:
    path, columns = table.path, table.columns
    if columns.multi != project.multi:
        kinds = ("single-animal", "multi-animal")
        raise DataError(
            f"{path}: has the columns of a {kinds[columns.multi]} project, but {project.path.name} is of a "
            f"{kinds[project.multi]} one; convert the labels in DeepLabCut or correct multianimalproject"
        )
    if len(columns.scorers) > 1:
        raise DataError(
            f"{path}: mixes labels of {' and '.join(map(repr, columns.scorers))}; keep those of one scorer"
        )


def _check_individuals(
    table: LabelTable, parts: dict[str, list[str]], skeleton: Skeleton, config: Path, notes: list[str]
) -> None:
    known = (*skeleton.individuals, UNIQUE)
    if not set(parts) & set(skeleton.individuals):
        raise DataError(
            f"{table.path}: has columns for none of the individuals of {config.name}, but for "
            f"{', '.join(parts)}; "
            "correct one of the two"
        )
    for individual in skeleton.individuals:
        if individual not in parts:
            notes.append(
                f"{table.path}: has no columns for individual {individual!r}, which counts as not labelled "
                "there"
            )
    # Leaving out an unknown individual is harmless only if it has no labels.
    for individual in parts:
        if individual not in known:
            if _has_labels(table, individual, parts[individual]):
                raise DataError(
                    f"{table.path}: has labels of individual {individual!r}, which {config.name} does not "
                    "list"
                    f"{_suggest(individual, known)}; add it there or correct the file"
                )
            notes.append(
                f"{table.path}: individual {individual!r} is not in {config.name} and has no labels; left out"
            )


def _check_parts(
    table: LabelTable,
    individual: str,
    have: Sequence[str],
    want: Sequence[str],
    config: Path,
    notes: list[str],
) -> list[str]:
    """Check the body parts of one individual; return those that have no columns."""
    owner = f" of {individual!r}" if individual else ""
    places = table.columns.locate((individual,), want, ("x", "y"))[0]
    extra = [part for part in have if part not in want]
    lacking = []
    for part, (x, y) in zip(want, places, strict=True):
        if (x < 0) != (y < 0):
            raise DataError(
                f"{table.path}: body part {part!r}{owner} has a column for {'y' if x < 0 else 'x'} only; "
                "restore the other one"
            )
        if x >= 0:
            continue
        labelled = [other for other in extra if _has_labels(table, individual, (other,))]
        if near := _suggest(part, labelled):
            raise DataError(
                f"{table.path}: has no columns for body part {part!r}{owner}, which {config.name} lists"
                f"{near}; give it the same name in both"
            )
        lacking.append(part)
    if want and have and len(lacking) == len(want):
        raise DataError(
            f"{table.path}: has columns for none of the body parts{owner} of {config.name}, but for "
            f"{listed(list(have), ', ')}; correct one of the two"
        )
    if extra:
        notes.append(
            f"{table.path}: body parts{owner} that {config.name} does not list are left out: "
            f"{', '.join(extra)}"
        )
    return lacking


def _has_labels(table: LabelTable, individual: str, parts: Sequence[str]) -> bool:
    places = table.columns.locate((individual,), parts, ("x", "y"))
    return not np.isnan(table.values[:, places[places >= 0]]).all()


def _suggest(name: str, among: Iterable[str]) -> str:
    """Ask whether a similar name is meant; empty where there is none."""
    # Regardless of case: "Nose" for "nose" is the commonest difference of all.
    names = {other.casefold(): other for other in among}
    near = difflib.get_close_matches(name.casefold(), list(names), n=1, cutoff=0.6)
    return f" (is it {names[near[0]]!r}?)" if near else ""
