"""Read labelled projects: find the reader, check what it read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy.typing as npt
from pydantic import ValidationError

from pose_core.catalog import Component, get_catalog
from pose_core.data.positions import check_positions
from pose_core.errors import DataError, PluginError, listed, setting
from pose_core.escapes import escape_text
from pose_core.interfaces import Reader
from pose_core.io.files import is_file
from pose_core.io.images import describe_many, read_image_header
from pose_core.specs import ReaderConfig
from pose_core.structures import ImageFile, ImageReference, LabelledDataset, VideoRange

_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".mp4", ".avi", ".mov", ".mkv"})
_LOOKED_AT = 1000
"""Files and folders at most that are looked at where a folder is no project itself."""

_SEVERAL = (".tif", ".tiff", ".png", ".apng", ".webp", ".gif", ".avif")
"""Endings of image files that may hold several images."""


def read_project(path: Path, reader: ReaderConfig | None = None) -> LabelledDataset:
    """The project that :func:`read_with` reads."""
    return read_with(path, reader)[0]


def read_with(path: Path, reader: ReaderConfig | None = None) -> tuple[LabelledDataset, str]:
    """Read a labelled project with the reader that recognises it, and check it.

    Args:
        path: folder or file of the project.
        reader: use this reader instead of looking for one.

    Returns:
        the project, whose ``notes`` tell what was repaired, and the full name of the reader.

    Raises:
        DataError: the path does not exist, no reader or several recognise it, or the project cannot be used
            as it is: nothing labelled, images missing, labels outside their images.
        PluginError: the reader is broken.
    """
    path = Path(path)
    component, made, notes = _make_reader(path, reader)
    dataset = made.read(path)
    if not isinstance(dataset, LabelledDataset):
        raise PluginError(
            f"reader {component.full_name!r} returned {type(dataset).__name__}, not a LabelledDataset"
        )
    # A JSON file may name an image with half of a letter (\ud800), which no other file can hold.
    images = tuple(
        image if (name := escape_text(image.name)) == image.name else replace(image, name=name)
        for image in dataset.images
    )
    whole = replace(dataset, images=images, notes=(*notes, *dataset.notes))
    return check_project(whole, component.full_name, made.strict), component.full_name


def is_project(path: Path) -> bool:
    """Whether an installed reader recognises a path as a labelled project."""
    return any(_ask(component, path) is True for component in get_catalog().components("reader"))


def find_suggested(path: Path) -> tuple[ImageReference, ...]:
    """Find the images that a project asks to be labelled next.

    Raises:
        DataError: as :func:`read_with`.
    """
    return _make_reader(path, None)[1].find_suggested(path)


def find_frames(path: Path, ranges: Sequence[VideoRange]) -> tuple[ImageReference, ...]:
    """Find ranges of frames of a project's videos.

    Raises:
        DataError: as :func:`read_with`; or there are no such frames.
    """
    return _make_reader(path, None)[1].find_frames(path, ranges)


def _make_reader(path: Path, reader: ReaderConfig | None) -> tuple[Component, Reader, tuple[str, ...]]:
    """Make the reader of a project, by its config or the one that recognises the path; with notes."""
    if not path.exists():
        raise DataError(f"{path} does not exist")
    if reader is None:
        component, notes = _find(path)
        reader = _default_config(component, path)
    else:
        component, notes = get_catalog().component("reader", reader.type), ()
    made: Reader = component.factory()(reader)
    return component, made, notes


def _find(path: Path) -> tuple[Component, tuple[str, ...]]:
    """The one reader that accepts the path, and notes about readers that could not be asked."""
    components = get_catalog().components("reader")
    accepting: list[Component] = []
    notes: list[str] = []
    for component in components:
        answer = _ask(component, path)
        if isinstance(answer, str):
            notes.append(f"reader {component.full_name} could not look at {path}: {answer}")
        elif answer:
            accepting.append(component)
    if len(accepting) == 1:
        return accepting[0], tuple(notes)
    if accepting:
        names = [c.full_name for c in accepting]
        raise DataError(
            f"{path} can be read by {' and by '.join(names)}; choose one with "
            f"{setting(f'data.reader={names[0]}')}"
        )
    if not components:
        others = get_catalog().not_installed("reader")
        raise DataError(
            f"{path} cannot be read: no installed plugin offers a reader of labelled projects{others}"
        )
    if near := _look_around(path, components):
        raise DataError(
            f"{path} is no labelled project itself; name {'this one' if len(near) == 1 else 'one of these'}: "
            f"{listed(near, ', ')}"
        )
    looked_for = "; ".join([f"{c.full_name} ({c.definition.summary})" for c in components] + notes)
    raise DataError(
        f"{path} is no labelled project that an installed reader recognises; installed: {looked_for}"
        f"{get_catalog().not_installed('reader')}"
    )


def _ask(component: Component, path: Path) -> bool | str:
    """Ask whether a reader accepts a path; text says why it could not answer."""
    # A broken reader must not keep the others from reading their own projects.
    try:
        return bool(component.factory().accepts(path))
    except Exception as error:
        return " ".join(str(error).split()) or type(error).__name__


def _look_around(path: Path, components: Sequence[Component]) -> list[str]:
    """List what a reader takes in a folder, in the folders in it, or above it."""
    inside: list[Path] = []
    if path.is_dir():
        # A folder of images may hold a hundred thousand files, and every reader is asked about each.
        there = (p for pattern in ("*", "*/*") for p in path.glob(pattern))
        inside = sorted(islice((p for p in there if p.suffix.lower() not in _IMAGES), _LOOKED_AT))
    taken = [
        candidate
        for candidate in (*inside, path.resolve().parent)
        if any(_ask(component, candidate) is True for component in components)
    ]
    # A folder and the file in it that makes it a project are the same project.
    return [str(candidate) for candidate in taken if candidate.parent not in taken]


def _default_config(component: Component, path: Path) -> ReaderConfig:
    try:
        config: ReaderConfig = component.config_class()(type=component.full_name)
    except ValidationError as error:
        missing = ", ".join(".".join(map(str, e["loc"])) for e in error.errors())
        raise DataError(
            f"{path} is read by {component.full_name}, which needs to be told {missing}: write them under "
            "data.reader"
        ) from None
    return config


def check_project(dataset: LabelledDataset, reader: str, strict: bool = False) -> LabelledDataset:
    """Check what every format must fulfil, so that readers need not.

    Labels outside their images are refused, left out or moved onto the edge, see
    :mod:`pose_core.data.positions`.

    Args:
        dataset: as the reader made it.
        reader: name of the reader, for messages.
        strict: refuse every label outside its image, as ``Reader.strict`` says.

    Returns:
        the project, usable.

    Raises:
        DataError: nothing is labelled; a name appears twice; images are missing; labels are infinite or
            outside.
        PluginError: arrays do not fit the skeleton.
    """
    _check_shapes(dataset, reader)
    if not dataset.images:
        raise DataError(f"{dataset.root} holds no labelled images; label some frames first")
    if twice := [name for name, count in Counter(i.name for i in dataset.images).items() if count > 1]:
        more = f" (and {len(twice) - 1} more)" if len(twice) > 1 else ""
        raise DataError(f"{dataset.root}: image {twice[0]!r} is listed twice{more}; keep one entry")
    _check_files(dataset)
    return check_positions(dataset, strict)


def _check_shapes(dataset: LabelledDataset, reader: str) -> None:
    skeleton = dataset.skeleton
    for image in dataset.images:
        n = len(image.instances)
        wanted: dict[str, tuple[npt.NDArray[Any], tuple[int, ...]]] = {
            "keypoints": (image.instances.keypoints, (n, skeleton.num_keypoints, 2)),
            "occluded": (image.occluded, (n, skeleton.num_keypoints)),
            "areas": (image.areas, (n,)),
            "unique_keypoints": (image.unique_keypoints, (len(skeleton.unique_keypoints), 2)),
        }
        for name, (array, shape) in wanted.items():
            if array.shape != shape:
                raise PluginError(
                    f"reader {reader!r}: {name} of {image.name!r} have shape {array.shape}, not {shape}"
                )
        if image.width < 1 or image.height < 1:
            raise PluginError(f"reader {reader!r}: {image.name!r} has size {image.width} x {image.height}")
        labelled = int(image.instances.has_keypoint.sum())
        if labelled > skeleton.num_individuals:
            raise DataError(
                f"{dataset.root}: image {image.name!r} has {labelled} labelled animals, "
                f"but the project knows {skeleton.num_individuals}; add individuals or correct the labels"
            )


def _check_files(dataset: LabelledDataset) -> None:
    there = {path: is_file(path) for path in {image.image.path for image in dataset.images}}
    missing = [image for image in dataset.images if not there[image.image.path]]
    if missing:
        raise DataError(
            f"{dataset.root}: {len(missing)} of {len(dataset.images)} labelled images are missing, "
            f"the first is {missing[0].image}; restore the files or remove their labels"
        )
    for path in {image.image.path for image in dataset.images if isinstance(image.image, ImageFile)}:
        # Other formats hold one image, and opening 100,000 files takes seconds.
        if path.suffix.lower() in _SEVERAL and (header := read_image_header(path)) and header.images > 1:
            raise DataError(f"{dataset.root}: {describe_many(path, header)}")
