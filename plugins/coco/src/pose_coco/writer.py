"""Writing COCO keypoint results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pose_coco.annotations import image_entries, load_json
from pose_coco.config import CocoWriterConfig
from pose_coco.reader import HALF
from pose_core.errors import DataError
from pose_core.interfaces import PredictionsHeader, Writer
from pose_core.structures import FloatArray, Frame, Instances

_DECIMALS = 4


class CocoWriter(Writer):
    """A list of results, one for each animal, as ``pycocotools.coco.COCO.loadRes`` takes it.

    Each holds ``image_id``, ``category_id``, ``keypoints`` (x, y and 2 where found, three zeros where not), ``score``
    and ``bbox`` (x, y, width, height); beyond these ``keypoint_scores``, ``file_name`` for images, ``track_id`` where
    animals are tracked and ``individual``, the name of an animal that was told from the others. Frames without
    animals, and frames that could not be decoded, have no result.
    """

    config: CocoWriterConfig
    extension = ".json"

    def write(self, path: Path, header: PredictionsHeader, frames: Iterable[Frame]) -> None:
        """Write the results of all frames as they come.

        Raises:
            DataError: the annotations that give images their ids cannot be read, or lack an image.
        """
        category = self.config.category_id
        if category is None:
            category = int(header.metadata.get("coco.category_id", "1"))
        if header.skeleton.unique_keypoints and category == self.config.unique_category_id:
            raise DataError(f"category_id and unique_category_id are both {category}; they must differ")
        ids = self._ids(Path(header.source))
        with path.open("w", encoding="utf-8") as stream:
            separator = "[\n"
            for frame in frames:
                for result in self._results(frame, category, ids, header.skeleton.individuals):
                    stream.write(separator + json.dumps(result, allow_nan=False, ensure_ascii=False))
                    separator = ",\n"
            stream.write("[]\n" if separator == "[\n" else "\n]\n")

    def _results(
        self, frame: Frame, category: int, ids: _ImageIds | None, individuals: Sequence[str]
    ) -> Iterator[dict[str, Any]]:
        if frame.missing is not None:
            return
        image: dict[str, Any] = {"image_id": frame.index if ids is None else ids.of(frame)}
        if frame.image is not None:
            image["file_name"] = PurePosixPath(frame.image).name
        yield from _animals(frame.instances, image, category, individuals)
        if len(frame.unique_keypoints):
            unique = Instances.from_keypoints(frame.unique_keypoints[None], keypoint_scores=frame.unique_scores[None])
            yield from _animals(unique, image, self.config.unique_category_id)

    def _ids(self, source: Path) -> _ImageIds | None:
        return None if self.config.annotations is None else _ImageIds(Path(self.config.annotations), source)


class _ImageIds:
    """The ids that a COCO file gives to images.

    An image is found by its path below the folder of predicted images, else by its file name where that is unique.
    """

    def __init__(self, annotations: Path, source: Path) -> None:
        self._path = annotations
        self._source = source
        entries = image_entries(annotations, load_json(annotations))
        self._by_path = {entry.file_name: entry.id for entry in entries}
        self._by_name: dict[str, list[int]] = {}
        for entry in entries:
            self._by_name.setdefault(PurePosixPath(entry.file_name).name, []).append(entry.id)

    def of(self, frame: Frame) -> int:
        if frame.image is None:
            raise DataError(f"{self._path}: gives ids to image files, but frames of a video were predicted")
        image = Path(frame.image)
        below = image.relative_to(self._source) if image.is_relative_to(self._source) else image
        for name in (below.as_posix(), image.as_posix()):
            if name in self._by_path:
                return self._by_path[name]
        same = self._by_name.get(image.name, [])
        if len(same) != 1:
            problem = "does not list" if not same else f"lists {len(same)} images called"
            raise DataError(f"{self._path}: {problem} {image.name}; predict images of these annotations only")
        return same[0]


def _animals(
    animals: Instances, image: dict[str, Any], category: int, individuals: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    boxes = _boxes(animals)
    found = np.asarray(~np.isnan(animals.keypoints).any(axis=-1))
    flags = np.where(found, 2, 0).tolist()
    points = _rounded(np.where(found[..., None], animals.keypoints, 0.0))
    scores = _rounded(animals.keypoint_scores)
    whole = _rounded(animals.scores)
    for row in np.flatnonzero(np.isfinite(boxes[:, 0])):
        result = {
            **image,
            "category_id": category,
            "keypoints": [v for (x, y), flag in zip(points[row], flags[row], strict=True) for v in (x, y, flag)],
            "score": whole[row],
            "bbox": _rounded(boxes[row]),
            "keypoint_scores": scores[row],
        }
        if animals.track[row] >= 0:
            result["track_id"] = int(animals.track[row])
        if animals.identity[row] >= 0:
            result["individual"] = individuals[animals.identity[row]]
        yield result


def _boxes(animals: Instances) -> FloatArray:
    """(N, 4) x, y, width, height from pixel corners; of animals without a box that of their keypoints, else NaN."""
    boxes = animals.animal_boxes()
    low = boxes[:, :2] + np.float32(HALF)
    return np.concatenate([low, boxes[:, 2:] - boxes[:, :2]], axis=1).astype(np.float32)


def _rounded(values: FloatArray) -> Any:
    """Lists of numbers with four decimals."""
    return np.round(values.astype(np.float64), _DECIMALS).tolist()
