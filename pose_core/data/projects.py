"""Read labelled projects: find the reader, check what it read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from pose_core.catalog import Component, get_catalog
from pose_core.errors import DataError, PluginError, setting
from pose_core.escapes import escape_text
from pose_core.interfaces import Reader
from pose_core.io.files import is_file
from pose_core.specs import ReaderConfig
from pose_core.structures import LabelledDataset, LabelledImage

TOLERANCE = 1.0
"""Pixels by which a label may lie beyond the edge of its image; such a label is moved onto the edge.
Labelling tools that count pixel corners instead of centres put labels on the edge up to half a pixel
outside."""


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
    if not path.exists():
        raise DataError(f"{path} does not exist")
    if reader is None:
        component, notes = _find(path)
        reader = _default_config(component, path)
    else:
        component, notes = get_catalog().component("reader", reader.type), ()
    made: Reader = component.factory()(reader)
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
    return check_project(whole, component.full_name), component.full_name


def _find(path: Path) -> tuple[Component, tuple[str, ...]]:
    """The one reader that accepts the path, and notes about readers that could not be asked."""
    components = get_catalog().components("reader")
    accepting: list[Component] = []
    notes: list[str] = []
    for component in components:
        # A broken reader must not keep the others from reading their own projects.
        try:
            accepts = component.factory().accepts(path)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            notes.append(f"reader {component.full_name} could not look at {path}: {reason}")
            continue
        if accepts:
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
    looked_for = "; ".join([f"{c.full_name} ({c.definition.summary})" for c in components] + notes)
    raise DataError(
        f"{path} is no labelled project that an installed reader recognises; installed: {looked_for}"
        f"{get_catalog().not_installed('reader')}"
    )


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


def check_project(dataset: LabelledDataset, reader: str) -> LabelledDataset:
    """Check what every format must fulfil, so that readers need not.

    Labels up to 1 pixel beyond the edge of their image are moved onto the edge (with a note).

    Args:
        dataset: as the reader made it.
        reader: name of the reader, for messages.

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
    labels = _Labels(dataset)
    if not len(labels.points):
        raise DataError(
            f"{dataset.root}: no keypoint is labelled in any of {len(dataset.images)} images; label some "
            "first"
        )
    _check_files(dataset)
    return _check_positions(dataset, labels)


class _Labels:
    """All labelled keypoints of a project in one array, so that checks need no loop.

    Attributes:
        points: (L, 2) float32.
        image: (L,) row of the image.
        slot: (L,) index of the keypoint among ``names``.
        names: keypoints, then unique keypoints.
    """

    def __init__(self, dataset: LabelledDataset) -> None:
        skeleton, images = dataset.skeleton, dataset.images
        self.names = (*skeleton.keypoints, *skeleton.unique_keypoints)
        k, u = skeleton.num_keypoints, len(skeleton.unique_keypoints)
        counts = [len(i.instances) for i in images]
        points = np.concatenate(
            [i.instances.keypoints.reshape(-1, 2) for i in images] + [i.unique_keypoints for i in images]
        )
        rows = np.arange(len(images))
        image = np.concatenate([np.repeat(rows, np.multiply(counts, k)), np.repeat(rows, u)])
        slot = np.concatenate([np.tile(np.arange(k), sum(counts)), np.tile(np.arange(u) + k, len(images))])
        labelled = ~np.isnan(points).any(axis=1)
        self.points, self.image, self.slot = points[labelled], image[labelled], slot[labelled]

    def describe(self, label: int, images: Sequence[LabelledImage]) -> str:
        """One label for a message."""
        x, y = (f"{float(v):g}" for v in self.points[label])
        return f"image {images[self.image[label]].name!r}: keypoint {self.names[self.slot[label]]!r} at ({x}, {y})"


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


def _check_positions(dataset: LabelledDataset, labels: _Labels) -> LabelledDataset:
    """Refuse infinite and outside labels, move those just beyond the edge onto it."""
    infinite = np.flatnonzero(np.isinf(labels.points).any(axis=1))
    if len(infinite):
        raise DataError(
            f"{dataset.root}: {labels.describe(infinite[0], dataset.images)} is infinite "
            f"({len(infinite)} such labels); correct or delete it"
        )
    sizes = np.array([(image.width, image.height) for image in dataset.images], np.float64)
    limit = sizes[labels.image] - 0.5
    beyond = np.maximum(labels.points - limit, -0.5 - labels.points).max(axis=1)
    outside = np.flatnonzero(beyond > TOLERANCE)
    if len(outside):
        first = outside[0]
        width, height = sizes[labels.image[first]].astype(int)
        raise DataError(
            f"{dataset.root}: {labels.describe(first, dataset.images)} is outside the {width} x {height} "
            "image "
            f"({len(outside)} such labels); correct or delete it"
        )
    near = np.flatnonzero(beyond > 0)
    if not len(near):
        return dataset
    images = list(dataset.images)
    for row in np.unique(labels.image[near]):
        images[row] = _clipped(images[row])
    note = f"{len(near)} labels up to {TOLERANCE:g} px outside their image were moved onto its edge"
    return replace(dataset, images=tuple(images), notes=(*dataset.notes, note))


def _clipped(image: LabelledImage) -> LabelledImage:
    low, high = np.float32(-0.5), np.array([image.width, image.height], np.float32) - np.float32(0.5)
    keypoints = image.instances.keypoints.clip(low, high)
    return replace(
        image,
        instances=replace(image.instances, keypoints=keypoints),
        unique_keypoints=image.unique_keypoints.clip(low, high),
    )
