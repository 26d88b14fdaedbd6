"""Read labelled DeepLabCut projects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pose_core.errors import DataError
from pose_core.interfaces import Reader
from pose_core.io.files import is_file
from pose_core.io.images import read_image_size
from pose_core.io.names import FileFinder, find_named, find_near_names
from pose_core.structures import ImageFile, Instances, LabelledDataset, LabelledImage, ProjectSplit
from pose_deeplabcut.column_checks import check_columns
from pose_deeplabcut.columns import UNIQUE
from pose_deeplabcut.config import ProjectReaderConfig
from pose_deeplabcut.label_files import FolderLabels, find_labels, read_labels, split_image_name
from pose_deeplabcut.project_config import ProjectConfig, looks_like_config, read_config
from pose_deeplabcut.shuffles import add_newer, find_shuffles, list_known, read_shuffle
from pose_deeplabcut.tables import LabelTable

CONFIG = "config.yaml"


class ProjectReader(Reader):
    """Read single- and multi-animal DeepLabCut projects; nothing in them is run or unpickled."""

    config: ProjectReaderConfig

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Test for a file with DeepLabCut's keys, or a folder that holds a config.yaml with them."""
        places = [path / name for name in find_near_names(path / CONFIG)] if path.is_dir() else [path]
        return any(looks_like_config(place) for place in places)

    def read(self, path: Path) -> LabelledDataset:
        """Read all labelled images of a project.

        Row i of the individuals is individual i of the skeleton and is recorded in ``Instances.identity``;
        ``Skeleton.identified`` is True if identities may be learned (``identity: true``). Paths are relative
        to the folder of config.yaml.

        Raises:
            DataError: labels or config.yaml cannot be used as they are; one line names file, row and what to
                do.
        """
        called: list[str] = []
        project = read_config(find_named(path / CONFIG, called) if path.is_dir() else path)
        root = project.path.parent
        notes = [*called, *project.notes]
        files = find_labels(root, self.config.scorer, project.scorer, notes)
        found: dict[str, LabelledImage] = {}
        empty: dict[str, None] = {}
        missing: list[Path] = []
        tables = [(folder, read_labels(folder, self.config.labels, notes)) for folder in files]
        check_columns([table for _, table in tables], project, notes)
        finder = FileFinder()
        for folder, table in tables:
            notes += table.notes
            _FolderReader(folder, table, project, notes, finder).read(found, empty, missing)
        notes += finder.notes()
        if missing:
            total = len(found) + len(missing)
            raise DataError(
                f"{project.path}: {len(missing)} of {total} labelled images are missing, the first is "
                f"{missing[0]}; "
                "restore the files beside their labels"
            )
        if not found:
            raise DataError(
                f"{project.path}: no labelled frames in {root / 'labeled-data'}; label some in DeepLabCut "
                "first"
            )
        if empty:
            notes.append(
                f"{_format_count(len(empty), 'image')} without any label left out, the first is "
                f"{next(iter(empty))}"
            )
        return LabelledDataset(
            skeleton=project.skeleton,
            images=tuple(found.values()),
            root=path,
            name=project.task or root.resolve().name,
            crop=project.crop,
            video_crops=project.video_crops,
            notes=tuple(dict.fromkeys(notes)),
            metadata={
                "deeplabcut.task": project.task,
                "deeplabcut.date": project.date,
                "deeplabcut.scorer": project.scorer,
                "deeplabcut.multianimal": str(project.multi).lower(),
                **({"aliases": json.dumps(project.aliases, ensure_ascii=False)} if project.aliases else {}),
            },
        )

    def find_splits(self, path: Path) -> tuple[str, ...]:
        """Find the shuffles of the project, the newest last."""
        return tuple(shuffle.name for shuffle in find_shuffles(_find_root(path)))

    def read_split(self, path: Path, name: str) -> ProjectSplit:
        """Read the training and test images of a shuffle; images labelled since are trained on.

        Raises:
            DataError: it cannot be read, or there is no such shuffle.
        """
        shuffles = {shuffle.name: shuffle for shuffle in find_shuffles(_find_root(path))}
        if name not in shuffles:
            raise DataError(f"{path}: has no shuffle {name}; make the training dataset in DeepLabCut")
        labelled = (image.name for image in self.read(path).images)
        return add_newer(read_shuffle(shuffles[name]), labelled, list_known(shuffles[name]))


def _find_root(path: Path) -> Path:
    return path if path.is_dir() else path.parent


class _FolderReader:
    """Read the labelled images of one folder."""

    def __init__(
        self,
        folder: FolderLabels,
        table: LabelTable,
        project: ProjectConfig,
        notes: list[str],
        finder: FileFinder,
    ) -> None:
        self._finder = finder
        self._folder = folder.path
        self._table = table
        self._skeleton = project.skeleton
        self._notes = notes

    def read(self, found: dict[str, LabelledImage], empty: dict[str, None], missing: list[Path]) -> None:
        """Add labelled images to ``found`` by name, names without labels to ``empty``, lost files to
        ``missing``."""
        table, skeleton = self._table, self._skeleton
        points = _read_points(table, skeleton.individuals, skeleton.keypoints)
        unique = _read_points(table, (UNIQUE,), skeleton.unique_keypoints)[:, 0]
        half = int((np.isnan(points).any(-1) & ~np.isnan(points).all(-1)).sum())
        half += int((np.isnan(unique).any(-1) & ~np.isnan(unique).all(-1)).sum())
        if half:
            self._notes.append(
                f"{table.path}: {_format_count(half, 'label')} with only one of x and y left out"
            )
        labelled = ~np.isnan(points).any(axis=-1)
        present = np.asarray(labelled.any(axis=-1))
        names = self._find_images()
        for row, (name, image) in enumerate(names):
            if name in found or name in empty:
                raise DataError(
                    f"{table.path}: {table.rows[row]}: {name} is labelled twice"
                    f"{self._describe_other_row(names, row)}; keep one of the two"
                )
            animals = np.flatnonzero(present[row])
            if not len(animals) and np.isnan(unique[row]).any(axis=-1).all():
                empty[name] = None
                continue
            if not is_file(image):
                missing.append(image)
                continue
            width, height = read_image_size(image)
            found[name] = LabelledImage.create(
                ImageFile(image),
                name,
                width,
                height,
                Instances.from_keypoints(points[row, animals], identity=animals),
                unique_keypoints=np.where(np.isnan(unique[row]).any(-1, keepdims=True), np.nan, unique[row]),
            )

    def _find_images(self) -> list[tuple[str, Path]]:
        """Find name and file of each row's image.

        A label file names the folder that its images were in when it was made; a copied or renamed folder
        still names the old one.
        """
        result: list[tuple[str, Path]] = []
        moved: dict[str, None] = {}
        for row, parts in enumerate(self._table.images):
            folder, file = split_image_name(parts)
            if not file:
                raise DataError(
                    f"{self._table.path}: {self._table.rows[row]}: has no image name; every row needs one"
                )
            # The images beside the labels are used, unless they exist only in the folder that the file names.
            name = f"labeled-data/{self._folder.name}/{file}"
            found = self._find_file(row, file, self._folder)
            if folder and folder != self._folder.name:
                there = self._folder.parent / folder
                if found is None and (other := self._find_file(row, file, there)) is not None:
                    result.append((f"labeled-data/{folder}/{file}", other))
                    continue
                moved[folder] = None
            result.append((name, found or self._folder / file))
        for folder in moved:
            self._notes.append(
                f"{self._table.path}: names {folder} as the folder of its images; its own folder is used"
            )
        return result

    def _find_file(self, row: int, file: str, folder: Path) -> Path | None:
        try:
            found = self._finder.find(file, [folder])
        except DataError as error:
            raise DataError(f"{self._table.path}: {self._table.rows[row]}: {error}") from None
        return found.path if found else None

    def _describe_other_row(self, names: Sequence[tuple[str, Path]], row: int) -> str:
        earlier = [i for i in range(row) if names[i][0] == names[row][0]]
        return f" ({self._table.rows[earlier[0]]})" if earlier else " (in another file, too)"


def _read_points(
    table: LabelTable, individuals: Sequence[str], parts: Sequence[str]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Read labels (R, I, K, 2), NaN where there is none or no such column."""
    places = table.columns.locate(individuals, parts, ("x", "y"))
    # Columns that the table lacks have index -1: the appended one.
    padded = np.concatenate([table.values, np.full((len(table.values), 1), np.nan)], axis=1)
    return padded[:, places]


def _format_count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
