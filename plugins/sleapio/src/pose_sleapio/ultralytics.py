"""Read pose data sets of Ultralytics (YOLO): data.yaml, folders of images, and a text file for each image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from pose_core.errors import DataError, setting
from pose_core.io.files import is_file, natural_order
from pose_core.io.images import read_image_size
from pose_core.io.text import read_start, read_text
from pose_core.specs import parse_yaml
from pose_sleapio.base import SleapIOReader
from pose_sleapio.config import UltralyticsConfig

_YAML = "data.yaml"
_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"))


class UltralyticsReader(SleapIOReader):
    """Read a data set of Ultralytics, all splits of it.

    sleap-io parses the text files; where they lie follows Ultralytics: ``labels`` for the last ``images`` in
    the path of an image. An image whose file is empty or missing shows no animal.
    """

    config: UltralyticsConfig
    format: ClassVar[str] = "a pose data set of Ultralytics"
    keeps_empty: ClassVar[bool] = True

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Test for a YAML file with ``kpt_shape``, or a folder with such a data.yaml."""
        file = path / _YAML if path.is_dir() else path
        if file.suffix.lower() not in (".yaml", ".yml") or not is_file(file):
            return False
        try:
            return re.search(r"^kpt_shape\s*:", read_start(file), re.MULTILINE) is not None
        except DataError:
            return False

    def load(self, path: Path, notes: list[str]) -> Any:
        """Load the splits that data.yaml has, one after the other."""
        from sleap_io import LabeledFrame, Labels, Video
        from sleap_io.io.ultralytics import create_skeleton_from_config, parse_label_file

        file = path / _YAML if path.is_dir() else path
        content = parse_yaml(read_text(file))
        if not isinstance(content, dict) or "kpt_shape" not in content:
            raise ValueError("it has no kpt_shape, and so is of no poses")
        skeleton = create_skeleton_from_config(_name_keypoints(content, notes))
        _add_pairs(skeleton, content)
        frames, counts = [], {"empty": 0, "boxes": 0}
        for image in self._list_images(file, content, notes):
            animals: list[Any] = []
            labels = _find_labels(image)
            if is_file(labels):
                width, height = read_image_size(image)
                animals, _, boxes = parse_label_file(labels, skeleton, (height, width))
                counts["boxes"] += len(boxes)
            counts["empty"] += not animals
            frames.append(LabeledFrame(Video(str(image), open_backend=False), 0, animals))
        if counts["empty"]:
            notes.append(
                f"{counts['empty']} images without poses in their text files are read as without animals"
            )
        if counts["boxes"]:
            notes.append(f"{counts['boxes']} boxes without keypoints left out")
        return Labels(frames, skeletons=[skeleton])

    def _list_images(self, file: Path, content: dict[str, Any], notes: list[str]) -> Iterator[Path]:
        root = file.parent
        # Where the data set was made; it may have moved.
        if content.get("path") and (given := Path(root, str(content["path"]))).is_dir():
            root = given
        kept = [split for split in self.config.splits if content.get(split)]
        if not kept:
            wanted = setting("data.reader.type=ultralytics", "data.reader.splits=[NAME]")
            raise DataError(
                f"{file}: has none of the splits {', '.join(self.config.splits)}; name one: {wanted}"
            )
        notes.append(f"all its splits are read: {', '.join(kept)}")
        seen: set[Path] = set()
        for split in kept:
            value = content[split]
            for name in value if isinstance(value, list) else [value]:
                # Exports of some tools count from a folder that is not there.
                places = [
                    root / str(name),
                    file.parent / str(name),
                    file.parent / str(name).removeprefix("../"),
                ]
                folder = next((place for place in places if place.is_dir()), None)
                if folder is None:
                    raise DataError(f"{file}: {split} is {name}, and there is no folder {root / str(name)}")
                images = [image for image in folder.iterdir() if image.suffix.lower() in _SUFFIXES]
                for image in sorted(images, key=lambda image: natural_order(image.name)):
                    if image not in seen:
                        seen.add(image)
                        yield image


def _find_labels(image: Path) -> Path:
    """Find the text file of an image: ``labels`` for the last ``images`` of its path."""
    parts = list(image.with_suffix(".txt").parts)
    at = max((i for i, part in enumerate(parts[:-1]) if part == "images"), default=None)
    if at is not None:
        parts[at] = "labels"
    return Path(*parts)


def _name_keypoints(content: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Give sleap-io the names of keypoints under the key that it knows."""
    names = content.get("node_names")
    if not names and isinstance(found := content.get("kpt_names"), dict):
        # For each class; the keypoints are the same.
        names = next(iter(found.values()), None)
    if not names:
        notes.append(f"keypoints have no names in {_YAML}; they are called point_0, point_1 ...")
        return content
    return {**content, "node_names": [str(name) for name in names]}


def _add_pairs(skeleton: Any, content: dict[str, Any]) -> None:
    """Add the symmetric pairs: ``flip_idx`` has for each keypoint the one whose place it takes."""
    from sleap_io import Symmetry

    flips = content.get("flip_idx") or []
    if flips and sorted(flips) != list(range(len(skeleton.nodes))):
        raise ValueError(f"flip_idx {flips} is no order of its {len(skeleton.nodes)} keypoints")
    for i, other in enumerate(flips):
        if i < other:
            skeleton.symmetries.append(Symmetry([skeleton.nodes[i], skeleton.nodes[other]]))
