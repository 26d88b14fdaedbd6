"""Read COCO keypoint annotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pose_coco.annotations import Annotations, ImageEntry, looks_like_coco, read_annotations
from pose_coco.config import CocoReaderConfig
from pose_coco.image_files import ImageFiles
from pose_core.errors import DataError, listed, setting
from pose_core.interfaces import Reader
from pose_core.io.images import read_image_size
from pose_core.io.names import SameFileError, find_named
from pose_core.structures import (
    ImageFile,
    Instances,
    LabelledDataset,
    LabelledImage,
    ProjectSplit,
    Skeleton,
)
from pose_core.symmetry import symmetry_from_names

_FOLDER = "annotations"
_PARTS = ("train.json", "val.json", "test.json")

HALF = 0.5
"""COCO measures boxes from the corner of the top-left pixel, pose_core from its centre. Keypoints are not
shifted: COCO's own annotations, pycocotools and DeepLabCut's exports treat them as pixel positions counted
from 0."""


class CocoReader(Reader):
    """Read a COCO JSON file, or a folder with ``annotations/train.json``.

    ``val.json`` and ``test.json`` in that folder are read with it.
    """

    config: CocoReaderConfig

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Test for a JSON file with images, annotations, categories and keypoints or boxes, or such a folder."""
        try:
            return looks_like_coco(_find_part(path, _PARTS[0], []) if path.is_dir() else path)
        # Two files are called so but for letter case: reading says which.
        except DataError:
            return True

    def read(self, path: Path) -> LabelledDataset:
        """Read all images with an animal that has a labelled keypoint or a box.

        An animal with only a labelled box has NaN for keypoints: a detector learns it, a pose network does
        not, and the evaluation of poses does not count it, as COCO's own. Regions with many animals (crowds)
        become ``ignore`` regions. Identities are unknown (-1). Visibility 1 is ``occluded``, 0 is NaN.

        Raises:
            DataError: the annotations cannot be used; one line names file and id.
        """
        called: list[str] = []
        files = [_find_part(path, part, called) for part in _PARTS] if path.is_dir() else [path]
        parts = [read_annotations(file, self.config) for file in files if file.is_file()]
        if not parts:
            names = " or ".join(str(file) for file in files)
            raise DataError(f"{path}: holds no COCO annotations; there is no {names}")
        categories = parts[0].categories
        for part in parts[1:]:
            if part.names != parts[0].names:
                raise DataError(f"{part.path}: its keypoints differ from those of {parts[0].path.name}")
        notes = list(dict.fromkeys([*called, *(note for part in parts for note in part.notes)]))
        found: list[LabelledImage] = []
        for part in parts:
            found += self._read_images(part, path, notes)
        if not found:
            names = " and ".join(part.path.name for part in parts)
            raise DataError(
                f"{path}: no image of {names} has a labelled keypoint or a box of {categories[0].name!r}"
            )
        if len(parts) > 1:
            notes.append(
                "read together: " + ", ".join(f"{part.path.name} {len(part.images)} images" for part in parts)
            )
        animals = max(len(image.instances) for image in found)
        skeleton = _make_skeleton(parts[0], animals, notes)
        return LabelledDataset(
            skeleton=skeleton,
            images=tuple(found),
            root=path,
            name=path.resolve().name if path.is_dir() else path.stem,
            notes=tuple(notes),
            metadata={"coco.category_id": str(categories[0].id), "coco.category": categories[0].name},
        )

    def find_splits(self, path: Path) -> tuple[str, ...]:
        """Find the split that ``train.json`` makes with ``val.json`` or ``test.json`` beside it."""
        if not path.is_dir() or not _find_part(path, _PARTS[0], []).is_file():
            return ()
        return (_FOLDER,) * any(_find_part(path, part, []).is_file() for part in _PARTS[1:])

    def read_split(self, path: Path, name: str) -> ProjectSplit:
        """Read the names of the images in each of the files.

        Raises:
            DataError: as :meth:`read`, or there is no such split.
        """
        if name not in self.find_splits(path):
            raise DataError(
                f"{path}: has no split {name!r}; it needs {_PARTS[0]} and {_PARTS[1]} or {_PARTS[2]}"
            )
        names: list[tuple[str, ...]] = []
        for file in (_find_part(path, part, []) for part in _PARTS):
            part = read_annotations(file, self.config) if file.is_file() else None
            found = self._read_images(part, path, []) if part is not None else []
            names.append(tuple(image.name for image in found))
        train, validation, test = names
        return ProjectSplit(train, test, validation)

    def _read_images(self, part: Annotations, path: Path, notes: list[str]) -> list[LabelledImage]:
        files = ImageFiles(part.path, path, self.config.images)
        visible = part.keypoints[..., 2] > 0
        labelled = np.asarray(visible.any(axis=1))
        points = np.where(visible[..., None], part.keypoints[..., :2], np.nan)
        boxes = _to_corners(part.boxes)
        kept = np.asarray((labelled | np.isfinite(boxes).all(axis=1)) & ~part.crowd)
        # Grouped by image once; stable, so that animals of an image keep the order of the file.
        order = np.argsort(part.image, kind="stable")
        bounds = np.searchsorted(part.image[order], np.arange(len(part.images) + 1))
        found: list[LabelledImage] = []
        empty: list[str] = []
        missing: list[str] = []
        resized: list[str] = []
        for row, entry in enumerate(part.images):
            rows = order[bounds[row] : bounds[row + 1]]
            animals, crowds = rows[kept[rows]], rows[part.crowd[rows]]
            if not len(animals):
                empty.append(entry.file_name)
                continue
            if (place := _find_file(files, part, entry)) is None:
                missing.append(entry.file_name)
                continue
            file, name = place
            size = read_image_size(file)
            if entry.width and entry.height and size != (entry.width, entry.height):
                resized.append(_describe_sizes(entry, file, size))
                continue
            instances = Instances.from_keypoints(points[animals])
            # A labelled box is wider than that of the keypoints, which need not reach the animal's outline.
            instances.boxes[:] = np.where(np.isnan(boxes[animals]), instances.boxes, boxes[animals])
            ignore = boxes[crowds]
            found.append(
                LabelledImage.create(
                    ImageFile(file),
                    name,
                    *size,
                    instances,
                    occluded=part.keypoints[animals, :, 2] == 1,
                    areas=part.areas[animals],
                    ignore=ignore[~np.isnan(ignore).any(axis=1)],
                )
            )
        # Where the image was resized after labelling, or labelled without its EXIF orientation.
        if resized:
            raise DataError(
                f"{part.path}: {listed(resized)}; labels do not fit images of another size, restore the "
                "original ones"
            )
        if missing:
            total = len(found) + len(missing)
            raise DataError(
                f"{part.path}: {len(missing)} of {total} labelled images are missing, the first is "
                f"{missing[0]}, looked for in {files.describe_places()}; restore the files or name their folder: "
                f"{setting('data.reader.type=coco', 'data.reader.images=FOLDER')}"
            )
        notes += files.finder.notes()
        _add_count_notes(part, labelled, kept, empty, notes)
        return found


def _describe_sizes(entry: ImageEntry, file: Path, size: tuple[int, int]) -> str:
    return (
        f"image {entry.id} is listed with {entry.width} x {entry.height} pixels, but {file} has "
        f"{size[0]} x {size[1]} (after its EXIF orientation)"
    )


def _find_file(files: ImageFiles, part: Annotations, entry: ImageEntry) -> tuple[Path, str] | None:
    try:
        return files.find(entry.file_name)
    except SameFileError as error:
        ids = [other.id for other in part.images if other.file_name in error.names]
        raise DataError(f"{part.path}: images {' and '.join(map(str, ids))}: {error}") from None
    except DataError as error:
        raise DataError(f"{part.path}: image {entry.id}: {error}") from None


def _find_part(path: Path, part: str, notes: list[str]) -> Path:
    return find_named(find_named(path / _FOLDER, notes) / part, notes)


def _to_corners(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Convert x, y, width, height from pixel corners to x1, y1, x2, y2 from pixel centres."""
    low = boxes[:, :2] - HALF
    return np.concatenate([low, low + boxes[:, 2:]], axis=1).astype(np.float32)


def _make_skeleton(part: Annotations, animals: int, notes: list[str]) -> Skeleton:
    symmetry = symmetry_from_names(part.names)
    if symmetry:
        notes.append("left/right pairs, told from the names: " + ", ".join(f"{a}/{b}" for a, b in symmetry))
    return Skeleton(
        keypoints=part.names,
        edges=part.limbs,
        symmetry=(*symmetry, *part.pairs),
        individuals=("animal",) if animals == 1 else tuple(f"animal{i + 1}" for i in range(animals)),
    )


def _add_count_notes(
    part: Annotations,
    labelled: npt.NDArray[np.bool_],
    kept: npt.NDArray[np.bool_],
    empty: list[str],
    notes: list[str],
) -> None:
    if crowds := int(part.crowd.sum()):
        notes.append(f"{part.path}: {crowds} crowd regions are left out of training and evaluation")
    if nowhere := int((part.crowd & np.isnan(part.boxes).any(axis=1)).sum()):
        notes.append(f"{part.path}: {nowhere} crowd regions have no bbox and cannot be told from background")
    if boxed := int((kept & ~labelled).sum()):
        notes.append(
            f"{part.path}: {boxed} animals have a box and no labelled keypoint; detectors and centroid models "
            "learn them"
        )
    if blank := int((~kept & ~part.crowd).sum()):
        notes.append(f"{part.path}: {blank} animals with neither box nor labelled keypoint are left out")
    if empty:
        notes.append(f"{part.path}: {len(empty)} images without any label left out, the first is {empty[0]}")
