"""Reading labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pose_core.errors import DataError
from pose_core.interfaces import Reader
from pose_core.io.images import read_image_size
from pose_core.structures import ImageFile, Instances, LabelledDataset, LabelledImage, Skeleton

from {{ cookiecutter.__package }}.config import ReaderSettings
from {{ cookiecutter.__package }}.lines import (
    LABELS,
    looks_like,
    read_lines,
    skeleton_from_json,
    to_array,
)


class LinesReader(Reader):
    """Reads a file of labels, an image a line::

        {"format": "{{ cookiecutter.namespace }} labels", "skeleton": {"keypoints": ["nose", "tail"]}}
        {"image": "images/0.png", "animals": [[[12.5, 30], null]]}

    An animal has a place for each keypoint, in order: x and y in pixels (the centre of the top-left pixel is 0, 0),
    or null where it is not labelled. An image without animals shows none.
    """

    config: ReaderSettings

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """A .jsonl file whose first line names the format."""
        return looks_like(path, LABELS)

    def read(self, path: Path) -> LabelledDataset:
        """Read the labels.

        Raises:
            DataError: the file cannot be used; the message names file and line.
        """
        lines = read_lines(path)
        number, header = next(lines, (1, {}))
        folder = path.parent if self.config.images is None else path.parent / self.config.images
        try:
            if header.get("format") != LABELS:
                raise ValueError(f'its first line must hold "format": "{LABELS}"')
            skeleton = skeleton_from_json(header.get("skeleton", {}))
        except ValueError as error:
            raise DataError(f"{path}: line {number}: {error}") from None
        images: list[LabelledImage] = []
        for number, content in lines:
            try:
                images.append(_image(content, folder, skeleton))
            except ValueError as error:
                raise DataError(f"{path}: line {number}: {error}") from None
        if not images:
            raise DataError(f"{path}: holds no images; add a line for each")
        return LabelledDataset(skeleton=skeleton, images=tuple(images), root=path, name=path.stem)


def _image(content: dict[str, Any], folder: Path, skeleton: Skeleton) -> LabelledImage:
    if unknown := sorted(set(content) - {"image", "animals"}):
        raise ValueError(f"unknown key {unknown[0]!r}; the keys are image and animals")
    name = content.get("image")
    if not isinstance(name, str) or not (folder / name).is_file():
        raise ValueError(f"image {name!r} is not a file in {folder}")
    animals = content.get("animals", [])
    if not isinstance(animals, list) or len(animals) > skeleton.num_individuals:
        raise ValueError(f"animals must be a list of at most {skeleton.num_individuals}, one an individual")
    missing = [None, None]
    try:
        filled = [[point or missing for point in animal] for animal in animals]
    except TypeError:
        raise ValueError("an animal must be a list with [x, y] or null for each keypoint") from None
    points = to_array(filled, -1, skeleton.num_keypoints, 2)
    width, height = read_image_size(folder / name)
    unique = np.full((len(skeleton.unique_keypoints), 2), np.nan, np.float32)
    instances = Instances.from_keypoints(points)
    return LabelledImage.create(ImageFile(folder / name), name, width, height, instances, unique_keypoints=unique)
