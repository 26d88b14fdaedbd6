"""A model of an exported folder: images in, keypoints out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_run.contract import Contract, read_contract
from pose_run.detector import Detector, check_sides, load_detector
from pose_run.engines import open_network
from pose_run.errors import ExportError
from pose_run.geometry import Floats, Image, Place, find_way_back, move, place_crop, place_frame, show
from pose_run.pictures import as_rgb, read_frames

Boxes = npt.ArrayLike
"""(A, 4) ``x1, y1, x2, y2`` in pixels of an image, or (A, 5) with a score."""

_CROPS = 32
"""Crops that the network gets at once."""


@dataclass(frozen=True, eq=False)
class Found:
    """What was found in an image.

    Attributes:
        index: number of the frame in the video, from 0; 0 for an image.
        keypoints: (N, K, 2) float32, pixels of the image; NaN where missing.
        keypoint_scores: (N, K) float32 from 0 to 1; 0 where missing.
        scores: (N,) float32, of the animals.
        boxes: (N,) int64, number of the box that each animal was found in; -1 where none was given.
        unique_keypoints: (U, 2) float32, those that exist once an image; NaN where missing.
        unique_scores: (U,) float32.
        identity_scores: (N, I) float32, probability of each individual; (N, 0) where the model does not know.
    """

    index: int
    keypoints: Floats
    keypoint_scores: Floats
    scores: Floats
    boxes: npt.NDArray[np.int64]
    unique_keypoints: Floats
    unique_scores: Floats
    identity_scores: Floats


class Model:
    """An exported model, ready to predict; made by :func:`load`.

    Args:
        contract: of its folder.
        threads: of the runtime; None: as many as there are cores.

    Attributes:
        contract: what the folder says.
        keypoints, unique_keypoints: their names, in the order of the arrays.
        sees_crops: whether it looks at crops around boxes.
        needs_boxes: whether it must be given the boxes.
        detector: finds boxes for it; None: the folder has none.
    """

    def __init__(self, contract: Contract, threads: int | None = None) -> None:
        self.contract = contract
        self.keypoints = contract.keypoints
        self.unique_keypoints = contract.unique_keypoints
        self.sees_crops = contract.view.sees == "animal"
        self.detector: Detector | None = None
        if self.sees_crops and contract.detector is not None:
            self.detector = load_detector(contract.detector, threads)
        self.needs_boxes = self.sees_crops and self.detector is None
        self._network = open_network(contract, threads)

    def predict(self, image: Image | Path | str, boxes: Boxes | None = None) -> Found:
        """Find the animals of an image.

        Args:
            image: (H, W, 3) RGB or (H, W) gray uint8, or the path of an image file of 8 bits.
            boxes: of the animals, for a model that looks at crops, and only for one; None: those that its detector
                finds.

        Raises:
            ExportError: the image or the boxes cannot be used.
        """
        return next(self._predict([as_rgb(image)], None if boxes is None else [boxes], 0, "image"))

    def predict_video(
        self, path: Path | str, boxes: Iterable[Boxes] | None = None, batch_size: int = 8
    ) -> Iterator[Found]:
        """Find the animals of a video, frame by frame while it is decoded.

        Args:
            path: of the video.
            boxes: those of each frame in order, as many as there are frames; for a model that looks at crops. None:
                those that its detector finds.
            batch_size: frames that go through the network together.

        Raises:
            ExportError: the video or the boxes cannot be used.
        """
        if batch_size < 1:
            raise ExportError(f"batch_size {batch_size}: must be at least 1")
        given = None if boxes is None else iter(boxes)
        # Not within the generator: that would be refused only when the first frame is asked for.
        self._check_boxes(given is not None, str(path))
        frames = read_frames(path)

        def results() -> Iterator[Found]:
            first = 0
            while images := list(islice(frames, batch_size)):
                its = None if given is None else list(islice(given, len(images)))
                if its is not None and len(its) < len(images):
                    raise ExportError(f"{path}: has more frames than there are boxes ({first + len(its)})")
                yield from self._predict(images, its, first, str(path))
                first += len(images)
            # An iterator may be endless, a list that is too long is of another video.
            if isinstance(boxes, Sequence) and len(boxes) > first:
                raise ExportError(f"{path}: has {first} frames, and there are boxes of {len(boxes)}")

        return results()

    def _check_boxes(self, given: bool, name: str) -> None:
        if self.needs_boxes and not given:
            raise ExportError(f"{name}: the model looks at crops; give the boxes of the animals (boxes)")
        if given and not self.sees_crops:
            raise ExportError(f"{name}: the model looks at whole images; leave out the boxes")

    def _predict(
        self, images: Sequence[Image], boxes: Sequence[Boxes] | None, first: int, name: str
    ) -> Iterator[Found]:
        self._check_boxes(boxes is not None, name)
        if boxes is None and not self.sees_crops:
            yield from self._predict_frames(images, first)
            return
        if boxes is None:
            assert self.detector is not None
            # Crops of a fixed extent are cut around centres, which clipping would move.
            clip, most = self.contract.view.extent is None, self.contract.max_animals
            boxes = [found[:most] for found in self.detector.find(images, clip=clip)]
        for number, (image, its) in enumerate(zip(images, boxes, strict=True)):
            where = name if name == "image" else f"{name} frame {first + number}"
            yield self._predict_crops(image, _check_array(its, where), first + number)

    def _predict_frames(self, images: Sequence[Image], first: int) -> Iterator[Found]:
        view = self.contract.view
        places = [place_frame(image.shape[1], image.shape[0], view) for image in images]
        done: dict[int, Found] = {}
        for shape in {(place.height, place.width) for place in places}:
            rows = [i for i, place in enumerate(places) if (place.height, place.width) == shape]
            outputs = self._compute([images[i] for i in rows], [places[i] for i in rows])
            for row, i in enumerate(rows):
                its = {key: value[row] for key, value in outputs.items()}
                done[i] = self._make_found(_keep_best(its, self.contract.max_animals), first + i)
        yield from (done[i] for i in range(len(images)))

    def _predict_crops(self, image: Image, boxes: Floats, index: int) -> Found:
        places = [place_crop(box[:4], self.contract.view) for box in boxes]
        parts = [
            self._compute([image] * len(places[start : start + _CROPS]), places[start : start + _CROPS])
            for start in range(0, len(places), _CROPS)
        ]
        if not parts:
            return self._make_found(self._nothing(), index)
        outputs = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        # One animal a crop; of keypoints that exist once, the crop that is most certain of each.
        its = {key: outputs[key][:, 0] for key in outputs if not key.startswith("unique_")}
        its["scores"] = its["scores"] * boxes[:, 4]
        its["boxes"] = np.arange(len(boxes))
        if "unique_scores" in outputs:
            best = outputs["unique_scores"].argmax(0)
            for key in ("unique_keypoints", "unique_scores"):
                its[key] = outputs[key][best, np.arange(len(best))]
        return self._make_found(its, index)

    def _compute(self, images: Sequence[Image], places: Sequence[Place]) -> dict[str, npt.NDArray[Any]]:
        """Run the network; keypoints come back in pixels of the images."""
        contract = self.contract
        check_sides(contract, places[0])
        pictures = np.stack([show(image, place) for image, place in zip(images, places, strict=True)])
        outputs = dict(zip(contract.outputs, self._network(pictures), strict=True))
        back = [find_way_back(place, contract.view) for place in places]
        for key in ("keypoints", "unique_keypoints"):
            if key in outputs:
                outputs[key] = np.stack([move(one, way) for one, way in zip(outputs[key], back, strict=True)])
        return outputs

    def _nothing(self) -> dict[str, npt.NDArray[Any]]:
        k = len(self.keypoints)
        return {
            "keypoints": np.zeros((0, k, 2), np.float32),
            "keypoint_scores": np.zeros((0, k), np.float32),
            "scores": np.zeros(0, np.float32),
        }

    def _make_found(self, its: dict[str, npt.NDArray[Any]], index: int) -> Found:
        """Hide what lies below the thresholds, and leave out rows without an animal."""
        thresholds, n, u = self.contract.thresholds, len(its["scores"]), len(self.unique_keypoints)
        points, scores = _hide(
            its["keypoints"], its["keypoint_scores"], [thresholds[k] for k in self.keypoints]
        )
        there = (its["scores"] > 0) & np.isfinite(points).all(-1).any(-1)
        unique = its.get("unique_keypoints", np.full((u, 2), np.nan, np.float32))
        unique_scores = its.get("unique_scores", np.zeros(u, np.float32))
        unique, unique_scores = _hide(unique, unique_scores, [thresholds[k] for k in self.unique_keypoints])
        return Found(
            index,
            points[there],
            scores[there],
            its["scores"][there].astype(np.float32),
            its.get("boxes", np.full(n, -1))[there].astype(np.int64),
            unique,
            unique_scores,
            its.get("identity_scores", np.zeros((n, 0), np.float32))[there],
        )


def load(folder: Path | str, threads: int | None = None) -> Model:
    """Open an exported folder.

    Args:
        folder: that ``pose export --to onnx`` or ``--to openvino`` made.
        threads: of the runtime; None: as many as there are cores.

    Raises:
        ExportError: the folder is none, is damaged, of a newer version, or holds a model that needs pose_core.
    """
    if threads is not None and threads < 1:
        raise ExportError(f"threads {threads}: must be at least 1")
    return Model(read_contract(folder), threads)


def _check_array(boxes: Boxes, name: str) -> Floats:
    """Boxes as (A, 5); a box without a score has 1."""
    try:
        array = np.asarray(boxes, np.float32)
    except (TypeError, ValueError):
        raise ExportError(f"{name}: boxes must be an array of numbers (A, 4): x1, y1, x2, y2") from None
    if array.size == 0:
        return np.zeros((0, 5), np.float32)
    if array.ndim != 2 or array.shape[1] not in (4, 5):
        raise ExportError(f"{name}: boxes must be an array (A, 4): x1, y1, x2, y2; this one is {array.shape}")
    if not np.isfinite(array).all() or (array[:, 2:4] < array[:, :2]).any():
        raise ExportError(f"{name}: boxes must be finite, with x1 <= x2 and y1 <= y2")
    return array if array.shape[1] == 5 else np.pad(array, ((0, 0), (0, 1)), constant_values=1.0)


def _keep_best(its: dict[str, npt.NDArray[Any]], most: int | None) -> dict[str, npt.NDArray[Any]]:
    """Keep the animals with the highest scores, in the order that they have."""
    if most is None or len(its["scores"]) <= most:
        return its
    kept = np.sort(np.argsort(-its["scores"], kind="stable")[:most])
    return {key: value if key.startswith("unique_") else value[kept] for key, value in its.items()}


def _hide(
    points: npt.NDArray[Any], scores: npt.NDArray[Any], thresholds: Sequence[float]
) -> tuple[Floats, Floats]:
    missing = np.isnan(points).any(-1) | (scores < np.asarray(thresholds, np.float32))
    return (
        np.where(missing[..., None], np.float32(np.nan), points),
        np.where(missing, np.float32(0.0), scores),
    )
