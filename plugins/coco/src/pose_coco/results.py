"""Read COCO keypoint results: what a model found, as a list of objects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pose_coco.annotations import load_json
from pose_coco.entries import Entry, get_integer
from pose_core.errors import DataError
from pose_core.interfaces import PredictionsHeader, PredictionsStream
from pose_core.structures import Frame, Instances, Skeleton

_START = 1 << 16
"""Bytes of a file that tell whether it has results."""

_MOST = 10_000_000
"""Frames of a video; numbers beyond it are ids of images."""

_LARGEST_TRACK = 2**63 - 1
"""What the table of predictions can hold."""


def is_results(path: Path) -> bool:
    """Test for a list whose first objects have keypoints."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            start = stream.read(_START).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:
        return False
    return start.startswith(b"[") and b'"keypoints"' in start and b'"image_id"' in start


class CocoResults(PredictionsStream):
    """Results of one category, and perhaps of keypoints that exist once an image.

    Keypoints have no names in results: they are numbered. Images are those that have results, in the order of their
    ids; without names of images the id is the number of a frame, and frames without a result have no animals. The file
    is read whole.

    Args:
        path: of the file.
        unique_category: category of the keypoints that exist once an image.

    Raises:
        DataError: the file is damaged, or has results of several categories.
    """

    def __init__(self, path: Path, unique_category: int) -> None:
        self.path = path
        content = load_json(path)
        if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
            raise DataError(f"{path}: is not a list of COCO results")
        found = [_parse_result(path, number, entry) for number, entry in enumerate(content)]
        categories = sorted({result.category for result in found})
        unique = [result for result in found if result.category == unique_category]
        if len(categories) < 2 or unique_category not in categories:
            unique = []
        animals = [result for result in found if not unique or result.category != unique_category]
        counts = {len(result.points) for result in animals}
        if len({result.category for result in animals}) > 1 or len(counts) > 1:
            raise DataError(
                f"{path}: has results of the categories {', '.join(map(str, categories))} with "
                f"{', '.join(map(str, sorted(counts)))} keypoints; split it by category"
            )
        self._unique = {result.image: result for result in unique}
        if len(self._unique) < len(unique) or len({len(result.points) for result in unique}) > 1:
            raise DataError(
                f"{path}: has several results of category {unique_category} on an image; name another by the setting "
                "unique_category_id"
            )
        self._by_image: dict[int, list[_Result]] = {result.image: [] for result in found}
        for result in animals:
            self._by_image[result.image].append(result)
        self._images = sorted(self._by_image)
        self._named = any(result.name is not None for result in found)
        if not self._named and self._images and not 0 <= self._images[0] <= self._images[-1] < _MOST:
            wrong = self._images[0] if self._images[0] < 0 else self._images[-1]
            raise DataError(f"{path}: image_id {wrong} is no number of a frame, and file_name is missing")
        named = tuple(dict.fromkeys(result.individual for result in animals if result.individual))
        # COCO knows no individuals: as many as the fullest image has.
        most = max((len(results) for results in self._by_image.values()), default=1)
        individuals = named or tuple(f"animal{i + 1}" for i in range(max(most, 1)))
        skeleton = Skeleton(
            tuple(f"keypoint{i + 1}" for i in range(next(iter(counts), 0))),
            individuals=individuals,
            identified=bool(named),
            unique_keypoints=tuple(f"unique{i + 1}" for i in range(len(unique[0].points) if unique else 0)),
        )
        frames = len(self._images) if self._named else self._images[-1] + 1 if self._images else 0
        self.header = PredictionsHeader(
            skeleton, str(path), frames, 0, 0, 0.0, "", "", {"coco.category_id": str(categories[0])}
        )

    def __iter__(self) -> Iterator[Frame]:
        numbers = self._images if self._named else range(self.header.frames)
        for index, image in enumerate(numbers):
            yield self._make_frame(index, image)

    def _make_frame(self, index: int, image: int) -> Frame:
        skeleton = self.header.skeleton
        results, unique = self._by_image.get(image, []), self._unique.get(image)
        names = [result.name for result in (*results, *([unique] if unique else [])) if result.name]
        points = np.full((len(skeleton.unique_keypoints), 3), np.nan)
        if unique is not None:
            points = unique.points
        place = {name: number for number, name in enumerate(skeleton.individuals)}
        animals = (
            Instances.from_keypoints(
                np.stack([result.points[:, :2] for result in results]),
                keypoint_scores=np.stack([result.points[:, 2] for result in results]),
                scores=[result.score for result in results],
                boxes=[result.box for result in results],
                track=[result.track for result in results],
                identity=[place.get(result.individual or "", -1) for result in results],
                identity_scores=[result.individual_score for result in results],
            )
            if results
            else Instances.empty(len(skeleton.keypoints))
        )
        return Frame(
            index,
            animals,
            unique_keypoints=points[:, :2].astype(np.float32),
            unique_scores=np.nan_to_num(points[:, 2]).astype(np.float32),
            image=names[0] if names else None,
        )


@dataclass(frozen=True, eq=False)
class _Result:
    image: int
    category: int
    points: npt.NDArray[np.float64]
    """(K, 3) x, y and score; NaN, NaN and 0 where missing."""
    score: float
    box: Sequence[float]
    track: int
    individual: str | None
    individual_score: float
    name: str | None


def _parse_result(path: Path, number: int, entry: Entry) -> _Result:
    what = f"result {number}"
    points = _parse_numbers(path, what, entry, "keypoints")
    if not len(points) or len(points) % 3:
        raise DataError(f"{path}: {what} has {len(points)} numbers as keypoints, not three for each")
    points = points.reshape(-1, 3).copy()
    score = _parse_score(path, what, entry, "score", math.nan)
    if "keypoint_scores" in entry:
        scores = _parse_numbers(path, what, entry, "keypoint_scores")
        if len(scores) != len(points):
            raise DataError(f"{path}: {what} has {len(scores)} keypoint_scores for {len(points)} keypoints")
        missing = points[:, 2] == 0
    else:
        # COCO wants visibility there; most tools write scores.
        flags = bool(np.isin(points[:, 2], (0, 1, 2)).all())
        scores = np.where(points[:, 2] > 0, 1.0, 0.0) if flags else points[:, 2]
        missing = points[:, 2] <= 0
    points[:, 2] = np.clip(scores, 0, 1)
    points[missing] = np.nan, np.nan, 0
    if math.isnan(score):
        there = points[~missing, 2]
        score = float(there.mean()) if len(there) else 0.0
    box = [math.nan] * 4
    if entry.get("bbox") is not None:
        sides = _parse_numbers(path, what, entry, "bbox")
        if len(sides) != 4:
            raise DataError(f"{path}: {what} has {len(sides)} numbers as bbox, not x, y, width, height")
        # COCO measures boxes from the corner of the first pixel.
        x, y, width, height = (float(side) for side in sides)
        box = [x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5]
    return _Result(
        image=get_integer(path, what, entry, "image_id"),
        category=get_integer(path, what, entry, "category_id"),
        points=points,
        score=score,
        box=box,
        track=_parse_track(path, what, entry),
        individual=_parse_text(path, what, entry, "individual"),
        individual_score=_parse_score(path, what, entry, "individual_score", 0.0),
        name=_parse_text(path, what, entry, "file_name"),
    )


def _parse_track(path: Path, what: str, entry: Entry) -> int:
    if "track_id" not in entry:
        return -1
    track = get_integer(path, what, entry, "track_id")
    if track > _LARGEST_TRACK:
        raise DataError(f"{path}: {what} has track_id {track}, which is too large"[:400])
    return max(track, -1)


def _parse_numbers(path: Path, what: str, entry: Mapping[str, object], key: str) -> npt.NDArray[np.float64]:
    value = entry.get(key)
    if isinstance(value, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e30 for v in value
    ):
        return np.array(value, np.float64)
    raise DataError(f"{path}: {what} has {key} that are no list of numbers")


def _parse_score(path: Path, what: str, entry: Mapping[str, object], key: str, absent: float) -> float:
    value = entry.get(key)
    if value is None:
        return absent
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30:
        return min(max(float(value), 0.0), 1.0)
    raise DataError(f"{path}: {what} has {key} {value!r}, which is not a number"[:400])


def _parse_text(path: Path, what: str, entry: Mapping[str, object], key: str) -> str | None:
    value = entry.get(key)
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    raise DataError(f"{path}: {what} has {key} {value!r}, which is not a name"[:400])
