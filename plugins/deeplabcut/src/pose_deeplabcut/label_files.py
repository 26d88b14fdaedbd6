"""Find the label files of a project, and choose between HDF5 and CSV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose_core.errors import DataError, setting
from pose_core.io.names import find_named
from pose_deeplabcut.csv_table import read_csv
from pose_deeplabcut.hdf_frame import read_h5
from pose_deeplabcut.tables import LabelTable

_PREFIX = "CollectedData_"
_SAME = 1e-3
"""Pixels by which HDF5 and CSV may differ and still count as the same labels (CSV files may be rounded)."""


@dataclass(frozen=True)
class FolderLabels:
    """The label files of one scorer in one folder.

    Attributes:
        path: of the folder.
        h5, csv: files; None if there is none.
    """

    path: Path
    h5: Path | None
    csv: Path | None


def find_labels(root: Path, wanted: str | None, usual: str, notes: list[str]) -> list[FolderLabels]:
    """Find the label files of all folders in ``labeled-data``, sorted by folder.

    Args:
        root: folder of config.yaml.
        wanted: scorer chosen by the user, if any.
        usual: scorer in config.yaml.
        notes: gets a line for each folder where another scorer's labels are used.

    Raises:
        DataError: there is no such folder; or a folder has labels of several other scorers.
    """
    folder = find_named(root / "labeled-data", notes)
    if not folder.is_dir():
        raise DataError(
            f"{root / 'config.yaml'}: has no folder {folder}; label some frames in DeepLabCut first"
        )
    found, without, nearly = [], [], []
    for video in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        scorers: dict[str, dict[str, Path]] = {}
        for file in sorted(video.iterdir()):
            if file.name.startswith(_PREFIX) and file.suffix in (".h5", ".csv") and file.is_file():
                scorers.setdefault(file.stem.removeprefix(_PREFIX), {})[file.suffix] = file
        scorer = wanted or usual
        if scorer not in scorers:
            # DeepLabCut draws labels into <video>_labeled; such a folder is not a video of the project.
            if not scorers or wanted:
                if not video.name.endswith("_labeled"):
                    without.append(video.name)
                    nearly += _describe_near_files(video)
                continue
            names = ", ".join(scorers)
            if len(scorers) > 1:
                raise DataError(
                    f"{video}: holds labels of several scorers ({names}) and none of {usual!r}; "
                    f"choose one with {setting('data.reader.type=deeplabcut', 'data.reader.scorer=NAME')}"
                )
            notes.append(f"{video}: labels are by {names}, not by {usual!r} as in config.yaml; they are used")
            scorer = names
        found.append(FolderLabels(video, scorers[scorer].get(".h5"), scorers[scorer].get(".csv")))
    if wanted and without and not found:
        raise DataError(f"{folder}: no folder in it has labels by {wanted!r} ({_PREFIX}{wanted}.h5 or .csv)")
    if without and found:
        scorer = f" by {wanted}" if wanted else ""
        notes.append(f"folders without labels{scorer}: {', '.join(without)}")
    if not found and nearly:
        raise DataError(f"{folder}: no folder in it has labels; {nearly[0]}")
    notes += nearly
    return found


def _describe_near_files(video: Path) -> list[str]:
    """Name the files of a folder without labels that look as if they were meant to hold some."""
    lines = []
    for file in sorted(video.iterdir()):
        name = file.name.lower()
        if file.suffix.lower() not in (".h5", ".csv") or file.name.startswith("."):
            continue
        if file.name.startswith(_PREFIX) and file.suffix in (".h5", ".csv"):
            # Labels of another scorer than the wanted one.
            continue
        near = name.startswith(_PREFIX.lower())
        why = "letter case" if near else f"its name does not begin with {_PREFIX}"
        lines.append(f"{video.name}: {file.name} is not taken for labels ({why})")
    return lines


def read_labels(folder: FolderLabels, which: str, notes: list[str]) -> LabelTable:
    """Read the labels of one folder.

    Args:
        folder: its files.
        which: ``h5``, ``csv``, or ``auto`` (HDF5 if it can be used, compared with the CSV).
        notes: gets a line if the two differ, or if the HDF5 file cannot be used.

    Raises:
        DataError: the file cannot be read, or there is none of this kind.
    """
    if which == "csv" or (which == "auto" and folder.h5 is None):
        if folder.csv is None:
            raise DataError(f"{folder.path}: has no CSV file of labels; read the HDF5 file with labels: h5")
        return read_csv(folder.csv)
    if folder.h5 is None:
        raise DataError(f"{folder.path}: has no HDF5 file of labels; read the CSV file with labels: csv")
    if which == "h5" or folder.csv is None:
        return read_h5(folder.h5)
    try:
        table = read_h5(folder.h5)
    except DataError as error:
        notes.append(f"{error}; used {folder.csv.name} instead")
        return read_csv(folder.csv)
    try:
        difference = _describe_difference(table, read_csv(folder.csv))
    except DataError as error:
        notes.append(f"{error}; used {folder.h5.name}")
        return table
    if difference:
        notes.append(
            f"{folder.h5} and {folder.csv.name} differ ({difference}); used {folder.h5.name}, "
            "as DeepLabCut does (data.reader.labels: csv takes the other)"
        )
    return table


def split_image_name(parts: tuple[str, ...]) -> tuple[str, str]:
    """Split the name of a row into folder and file name of the image.

    Args:
        parts: ``("labeled-data", "video", "img.png")``, or one path with slashes or backslashes, absolute or
            not.

    Returns:
        folder (empty if the row does not name it) and file.
    """
    # Projects are labelled on Windows and trained on Linux: both slashes separate.
    names = [
        name for part in parts for name in part.strip().replace("\\", "/").split("/") if name not in ("", ".")
    ]
    return (names[-2] if len(names) > 1 else "", names[-1] if names else "")


def _describe_difference(first: LabelTable, second: LabelTable) -> str:
    """Describe how two tables differ; empty if they hold the same labels."""
    # Rows and columns may be in another order without a difference in the labels.
    columns = [column[1:] for column in first.columns.tuples]
    others = {column[1:]: i for i, column in enumerate(second.columns.tuples)}
    if set(columns) != set(others):
        odd = sorted(set(columns) ^ set(others))[0]
        return f"column {' '.join(odd)} is in one of them only"
    rows = {split_image_name(parts): i for i, parts in enumerate(second.images)}
    names = [split_image_name(parts) for parts in first.images]
    if set(names) != set(rows):
        odd = sorted(set(names) ^ set(rows))[0]
        return f"{odd[1]} is in one of them only"
    if len(names) != len(second.images):
        return f"{len(names)} and {len(second.images)} rows"
    theirs = second.values[[rows[name] for name in names]][:, [others[column] for column in columns]]
    same = np.isclose(first.values, theirs, rtol=0.0, atol=_SAME, equal_nan=True)
    if same.all():
        return ""
    row, column = np.argwhere(~same)[0]
    values = f"{first.values[row, column]:g} and {theirs[row, column]:g}"
    return f"{int((~same).sum())} values, the first {names[row][1]} {' '.join(columns[column])}: {values}"
