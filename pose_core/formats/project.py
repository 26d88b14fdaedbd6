"""Read labelled projects in the core's own format.

A project is a folder with ``project.yaml``, ``labels.csv`` and the images.

``project.yaml`` describes the skeleton: ``keypoints`` (required), and ``name``, ``edges``, ``symmetry``,
``individuals``, ``identified``, ``unique_keypoints``, ``landmarks``. Without ``symmetry``, left and right are
told from the names; ``symmetry: []`` says that there are none. Without ``landmarks``, training tells them from
the labels. ``labels.csv`` has one row for each labelled keypoint::

    image,individual,keypoint,x,y,occluded
    images/clip0/0007.png,animal,nose,120.5,63.25,0
    images/clip0/0007.png,,corner,4,4,0
    images/clip0/0012.png,,,,,

``image`` is relative to the folder. In a table with the column ``frame`` it may also be a video; ``frame`` is
then the number of the frame that is labelled, from 0 in the order in which they are shown, and empty for
image files::

    image,frame,individual,keypoint,x,y,occluded
    videos/clip0.mp4,17,animal,nose,120.5,63.25,0

``x`` and ``y`` are pixels (the centre of the top-left pixel is 0, 0), ``occluded`` is 1 for a keypoint that
is labelled but hidden. Unique keypoints have no individual; with a single individual its name may be left
out. A row with only the image marks it as labelled and without animals. An image without a row is not
labelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_core.errors import ConfigError, DataError, VideoError
from pose_core.formats.label_table import LabelTable, nearest_name, place_name, read_label_table
from pose_core.interfaces.reader import Reader
from pose_core.io.images import read_image_size
from pose_core.io.names import FileFinder, find_named, find_near_names, fold_name, is_absolute, split_name
from pose_core.io.video import VIDEO_EXTENSIONS, open_video
from pose_core.specs.yaml_file import read_yaml
from pose_core.structures import (
    FloatArray,
    ImageFile,
    ImageReference,
    Instances,
    LabelledDataset,
    LabelledImage,
    Skeleton,
    VideoFrame,
)
from pose_core.symmetry import symmetry_from_names

PROJECT_FILE = "project.yaml"
LABEL_FILE = "labels.csv"
IMAGE_FOLDER = "images"

_NAME_LISTS = ("keypoints", "individuals", "unique_keypoints", "landmarks")
_PAIR_LISTS = ("edges", "symmetry")
_KEYS = ("name", *_NAME_LISTS, *_PAIR_LISTS, "identified")


class ProjectReader(Reader):
    """Read the core's own projects, strictly: anything unknown is an error with file and line."""

    strict = True

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Test for a folder with a ``project.yaml``, or for that file."""
        if path.is_dir():
            return bool(find_near_names(path / PROJECT_FILE))
        return fold_name(path.name) == fold_name(PROJECT_FILE) and path.is_file()

    def read(self, path: Path) -> LabelledDataset:
        """Read the project in this folder, or the one this ``project.yaml`` belongs to.

        Images are in the order of their first label. Areas are unknown (NaN).

        Raises:
            DataError: one line with file and line number: unknown keys or names (with the nearest known one),
                duplicate labels, cells that are not numbers, images that do not exist.
        """
        folder = path if path.is_dir() else path.parent
        called: list[str] = []
        name, skeleton, notes = _read_project_file(
            find_named(folder / PROJECT_FILE, called) if path.is_dir() else path
        )
        table = read_label_table(find_named(folder / LABEL_FILE, called), skeleton)
        finder = FileFinder(inside=True)
        images = _read_images(folder, table, skeleton, finder)
        return LabelledDataset(
            skeleton=skeleton,
            images=images,
            root=path,
            name=name or folder.resolve().name,
            notes=(*called, *notes, *finder.notes(), *_find_notes(folder, images)),
        )


def _read_project_file(file: Path) -> tuple[str, Skeleton, tuple[str, ...]]:
    """Read name, skeleton and notes."""
    try:
        content, lines = read_yaml(file)
    except ConfigError as error:
        raise DataError(str(error)) from None

    def wrong(key: str, message: str) -> DataError:
        return DataError(f"{file}: line {lines[(key,)]}: {message}")

    for key in content:
        if key not in _KEYS:
            raise wrong(key, f"unknown key {key!r}; {nearest_name(str(key), _KEYS)}")
    if "keypoints" not in content:
        raise DataError(f"{file}: needs 'keypoints', the list of keypoint names")
    fields: dict[str, Any] = {}
    for key in (k for k in _KEYS if k in content):
        value = content[key]
        if key in _NAME_LISTS:
            if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                raise wrong(key, f"{key} must be a list of names (text)")
            fields[key] = tuple(value)
        elif key in _PAIR_LISTS:
            if not isinstance(value, list) or not all(
                isinstance(pair, list) and len(pair) == 2 and all(isinstance(v, str) for v in pair)
                for pair in value
            ):
                raise wrong(key, f"{key} must be a list of pairs of keypoint names, such as [[nose, neck]]")
            for point in (n for pair in value for n in pair):
                if point not in fields["keypoints"]:
                    raise wrong(
                        key,
                        f"{key} name an unknown keypoint {point!r}; "
                        f"{nearest_name(point, fields['keypoints'])}",
                    )
            fields[key] = tuple((a, b) for a, b in value)
        elif key == "identified" and not isinstance(value, bool):
            raise wrong(key, "identified must be true or false")
        elif key == "name" and not isinstance(value, str):
            raise wrong(key, "name must be text")
    name = str(content.get("name", ""))
    notes = []
    # An empty list is an answer, a missing key is none: mirrored images would otherwise get wrong names.
    if "symmetry" not in content:
        fields["symmetry"] = symmetry_from_names(fields["keypoints"])
        if fields["symmetry"]:
            pairs = ", ".join(f"{left}/{right}" for left, right in fields["symmetry"])
            notes.append(f"left/right pairs, told from the names: {pairs}")
    try:
        skeleton = Skeleton(**fields, identified=content.get("identified", False))
        return name, skeleton, tuple(notes)
    except ValueError as error:
        raise DataError(f"{file}: {error}") from None


def _read_images(
    folder: Path, table: LabelTable, skeleton: Skeleton, finder: FileFinder
) -> tuple[LabelledImage, ...]:
    order = np.argsort(table.image, kind="stable")
    bounds = np.searchsorted(table.image[order], np.arange(len(table.places) + 1))
    found = []
    for i, (name, frame) in enumerate(table.places):
        where = (
            f"{folder / LABEL_FILE}: line {table.lines[i]}: {'image' if frame is None else 'video'} {name!r}"
        )
        # A project can be copied to another machine, and reads no file outside its folder.
        if ".." in split_name(name):
            raise DataError(f"{where} must be named relative to the project's folder and lie in it")
        try:
            found_file = finder.find(name, [folder])
        except DataError as error:
            raise DataError(f"{folder / LABEL_FILE}: line {table.lines[i]}: {error}") from None
        file = found_file.path if found_file else None
        if file is None and is_absolute(name):
            raise DataError(
                f"{where} is not in the project's folder; put it there, and name it relative to the folder"
            )
        if file is None:
            absent = sum(finder.find(other, [folder]) is None for other, _ in table.places)
            raise DataError(f"{where} does not exist ({absent} of {len(table.places)} images are missing)")
        image, width, height = _find_image(file, frame, where)
        instances, occluded, unique = _collect_labels(table, order[bounds[i] : bounds[i + 1]], skeleton)
        found.append(
            LabelledImage.create(
                image,
                place_name(name, frame),
                width,
                height,
                instances,
                occluded=occluded,
                unique_keypoints=unique,
            )
        )
    return tuple(found)


def _find_image(file: Path, frame: int | None, where: str) -> tuple[ImageReference, int, int]:
    """Find the image of a row, with its width and height."""
    if frame is None:
        if file.suffix.lower() in VIDEO_EXTENSIONS:
            raise DataError(
                f"{where} is a video; write the number of the labelled frame into a column 'frame'"
            )
        return ImageFile(file), *read_image_size(file)
    try:
        video = open_video(file)
        count = video.timeline.frames
    except VideoError as error:
        raise DataError(f"{where}, frame {frame}: {error}") from None
    if frame >= count:
        raise DataError(f"{where} has no frame {frame}: it has {count}, and the first is 0")
    return VideoFrame(file, frame), video.width, video.height


def _collect_labels(
    table: LabelTable, rows: npt.NDArray[np.int64], skeleton: Skeleton
) -> tuple[Instances, npt.NDArray[np.bool_], FloatArray]:
    """Collect animals, occluded flags (N, K) and unique keypoints from an image's rows."""
    individual, keypoint, xy = table.individual[rows], table.keypoint[rows], table.xy[rows]
    animal = individual >= 0
    present, number = np.unique(individual[animal], return_inverse=True)
    points: FloatArray = np.full((len(present), skeleton.num_keypoints, 2), np.nan, np.float32)
    points[number, keypoint[animal]] = xy[animal]
    occluded = np.zeros(points.shape[:2], bool)
    occluded[number, keypoint[animal]] = table.occluded[rows][animal]
    unique: FloatArray = np.full((len(skeleton.unique_keypoints), 2), np.nan, np.float32)
    unique[keypoint[~animal] - skeleton.num_keypoints] = xy[~animal]
    return Instances.from_keypoints(points, identity=present), occluded, unique


def _find_notes(folder: Path, images: Sequence[LabelledImage]) -> tuple[str, ...]:
    files = {f.relative_to(folder).as_posix() for f in (folder / IMAGE_FOLDER).rglob("*") if f.is_file()}
    # By the files that were found, not by their names in the labels.
    labelled = {image.image.path for image in images}
    without = sorted(files - {path.relative_to(folder).as_posix() for path in labelled})
    if not without:
        return ()
    count = f"{len(without)} files in {IMAGE_FOLDER}/ have" if len(without) > 1 else f"{without[0]} has"
    return (f"{count} no row in {LABEL_FILE} and {'are' if len(without) > 1 else 'is'} left out",)
