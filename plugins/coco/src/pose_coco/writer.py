"""Write COCO keypoint results, and read them back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from pose_coco.annotations import load_json, parse_images
from pose_coco.config import CocoWriterConfig
from pose_coco.reader import HALF
from pose_coco.results import CocoResults, is_results
from pose_core.errors import DataError
from pose_core.interfaces import PredictionsHeader, PredictionsStream, Writer
from pose_core.io.names import NameIndex
from pose_core.structures import FloatArray, Frame, Instances

_DECIMALS = 4


class CocoWriter(Writer):
    """Write a list of results for ``pycocotools.coco.COCO.loadRes``.

    Each animal has one, with ``image_id``, ``category_id``, ``keypoints`` (x, y and 2 where found, three
    zeros where not), ``score`` and ``bbox`` (x, y, width, height); beyond these ``keypoint_scores``,
    ``file_name`` for images, ``track_id`` where animals are tracked and ``individual``, the name of an
    identified animal. Frames without animals, and frames that could not be decoded, have no result.
    """

    config: CocoWriterConfig
    extension = ".json"
    takes_selected = True
    complete = False

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Test for a list of keypoint results."""
        return is_results(path)

    def read(self, path: Path) -> PredictionsStream:
        """Open results, ours or those of another tool."""
        return CocoResults(path, self.config.unique_category_id)

    def write(self, path: Path, header: PredictionsHeader, frames: Iterable[Frame]) -> None:
        """Write the results of all frames, one after the other.

        Raises:
            DataError: the annotations with the ids of images cannot be read, or lack an image.
        """
        category = self.config.category_id
        if category is None:
            category = int(header.metadata.get("coco.category_id", "1"))
        if header.skeleton.unique_keypoints and category == self.config.unique_category_id:
            raise DataError(f"category_id and unique_category_id are both {category}; they must differ")
        ids = self._load_ids(Path(header.source))
        with path.open("w", encoding="utf-8") as stream:
            # Written by hand: json.dump would need the results of all frames in memory.
            separator = "[\n"
            for frame in frames:
                for result in self._make_results(frame, category, ids, header.skeleton.individuals):
                    stream.write(separator + json.dumps(result, allow_nan=False, ensure_ascii=False))
                    separator = ",\n"
            stream.write("[]\n" if separator == "[\n" else "\n]\n")

    def _make_results(
        self, frame: Frame, category: int, ids: _ImageIds | None, individuals: Sequence[str]
    ) -> Iterator[dict[str, object]]:
        if frame.missing is not None:
            return
        image: dict[str, object] = {"image_id": frame.index if ids is None else ids.find(frame)}
        if frame.image is not None:
            image["file_name"] = PurePosixPath(frame.image).name
        yield from _make_animal_results(frame.instances, image, category, individuals)
        if len(frame.unique_keypoints):
            # loadRes takes one list of keypoints a category:
            # unique keypoints are an animal of another category.
            unique = Instances.from_keypoints(
                frame.unique_keypoints[None], keypoint_scores=frame.unique_scores[None]
            )
            yield from _make_animal_results(unique, image, self.config.unique_category_id)

    def _load_ids(self, source: Path) -> _ImageIds | None:
        return None if self.config.annotations is None else _ImageIds(Path(self.config.annotations), source)


class _ImageIds:
    """The ids of images in a COCO file.

    An image is found by its path below the folder of predicted images, else by its file name where that is
    unique.
    """

    def __init__(self, annotations: Path, source: Path) -> None:
        self._path = annotations
        self._source = source
        entries = parse_images(annotations, load_json(annotations))
        self._by_path = {entry.file_name: entry.id for entry in entries}
        self._by_name: dict[str, list[int]] = {}
        for entry in entries:
            self._by_name.setdefault(PurePosixPath(entry.file_name).name, []).append(entry.id)

        self._names = NameIndex(self._by_name)

    def find(self, frame: Frame) -> int:
        """Return the id of a frame's image."""
        if frame.image is None:
            raise DataError(
                f"{self._path}: lists image files, but frames of a video were predicted; leave out "
                "annotations"
            )
        image = Path(frame.image)
        below = image.relative_to(self._source) if image.is_relative_to(self._source) else image
        for name in (below.as_posix(), image.as_posix()):
            if name in self._by_path:
                return self._by_path[name]
        # The annotations may be of a computer that writes names in another letter case or form of accents.
        same = [number for name in self._names.match(image.name) for number in self._by_name[name]]
        if len(same) != 1:
            problem = "does not list" if not same else f"lists {len(same)} images called"
            raise DataError(f"{self._path}: {problem} {image.name}; predict images of these annotations only")
        return same[0]


def _make_animal_results(
    animals: Instances, image: dict[str, object], category: int, individuals: Sequence[str] = ()
) -> Iterator[dict[str, object]]:
    boxes = _to_coco_boxes(animals)
    found = np.asarray(~np.isnan(animals.keypoints).any(axis=-1))
    flags = np.where(found, 2, 0).tolist()
    # JSON has no NaN; COCO writes a missing keypoint as three zeros.
    points = _round(np.where(found[..., None], animals.keypoints, 0.0)).tolist()
    scores = _round(animals.keypoint_scores).tolist()
    animal_scores, named = _round(animals.scores).tolist(), _round(animals.identity_scores).tolist()
    for row in np.flatnonzero(np.isfinite(boxes[:, 0])):
        result: dict[str, object] = {
            **image,
            "category_id": category,
            "keypoints": [
                v for (x, y), flag in zip(points[row], flags[row], strict=True) for v in (x, y, flag)
            ],
            "score": animal_scores[row],
            "bbox": _round(boxes[row]).tolist(),
            "keypoint_scores": scores[row],
        }
        if animals.track[row] >= 0:
            result["track_id"] = int(animals.track[row])
        if animals.identity[row] >= 0:
            result["individual"] = individuals[animals.identity[row]]
            result["individual_score"] = named[row]
        yield result


def _to_coco_boxes(animals: Instances) -> FloatArray:
    """Convert boxes to x, y, width, height (N, 4), from pixel corners.

    An animal without a box gets that of its keypoints; NaN where it has none either.
    """
    boxes = animals.animal_boxes()
    low = boxes[:, :2] + np.float32(HALF)
    return np.concatenate([low, boxes[:, 2:] - boxes[:, :2]], axis=1).astype(np.float32)


def _round(values: FloatArray) -> npt.NDArray[np.float64]:
    """Round to four decimals."""
    # In float64: float32 has no 0.1, and JSON would print all the digits that it has instead.
    return np.asarray(np.round(values.astype(np.float64), _DECIMALS), np.float64)
