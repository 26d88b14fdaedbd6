"""Inputs to prove an export with: images of the run as its network sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from pose_core.data.boxes import CropRule
from pose_core.data.geometry import crop_view, frame_view, invert, keypoint_matrix, transform_points, warp
from pose_core.data.images import read_image
from pose_core.data.samples import detector_view, find_cropped
from pose_core.errors import PoseError
from pose_core.interfaces import FrameGeometry, Matrix
from pose_core.model.exported import ExportedNetwork
from pose_core.runs.run_folder import Run
from pose_core.runs.split_images import SplitImages, split_images
from pose_core.specs import AnyRunSpec, DetectorRunSpec
from pose_core.structures import ByteArray, FloatArray

SPLIT = "validation"
DRAWN = 4
"""Pictures that are drawn where a run has no images."""
_DRAWN_SIZE = 240, 320


@dataclass(frozen=True, eq=False)
class SeenView:
    """What the network sees of an image once.

    Attributes:
        name: of the image.
        frame: (H, W, 3) uint8 RGB, the image.
        box: (4,) that the crop was cut around; None of a whole frame.
        picture: (h, w, 3) uint8 RGB, the input of the network.
        to_frame: (3, 3), pixels of the picture as keypoints have them -> pixels of the image.
        initial: (1, K, 2) poses to refine, pixels of the picture, NaN where missing.
    """

    name: str
    frame: ByteArray
    box: FloatArray | None
    picture: ByteArray
    to_frame: Matrix
    initial: FloatArray

    def tensors(self, network: ExportedNetwork) -> tuple[Tensor, ...]:
        """Make the inputs of the network, of one image."""
        image = torch.from_numpy(self.picture)[None]
        if len(network.inputs) == 1:
            return (image,)
        initial = torch.from_numpy(self.initial)[None]
        return image, initial, torch.isfinite(initial).all(-1).float()


@dataclass(frozen=True)
class ViewSource:
    """Where views come from.

    Attributes:
        images: of the run; None: pictures are drawn.
        count: images that are looked at.
        of: images that there are.
        why: why pictures are drawn; empty where they are not.
    """

    images: SplitImages | None
    count: int
    of: int
    why: str = ""


def find_images(run: Run[AnyRunSpec], data: Path | None, most: int) -> ViewSource:
    """Find the validation images of a run, evenly chosen where there are more than ``most``.

    Where the run knows none, or its project is gone, pictures are drawn instead; not where ``data`` names the
    project.

    Raises:
        PoseError: the project that ``data`` names cannot be used.
    """
    try:
        found = split_images(run, SPLIT, data)
    except PoseError as error:
        if data is not None:
            raise
        return ViewSource(None, DRAWN, DRAWN, str(error))
    chosen = np.unique(np.linspace(0, len(found.rows) - 1, min(most, len(found.rows))).round().astype(int))
    rows = tuple(found.rows[i] for i in chosen)
    return ViewSource(SplitImages(found.dataset, rows, found.notes), len(rows), len(found.rows))


def make_views(run: Run, source: ViewSource, multiple: int) -> Iterator[SeenView]:
    """Show images to the network as prediction does: whole frames, or a crop around each labelled animal.

    Args:
        run: of the network.
        source: of the images.
        multiple: the network's ``size_multiple``.

    Raises:
        DataError: an image cannot be read.
    """
    if source.images is None:
        for number in range(source.count):
            frame, boxes, poses = _draw(number, run.spec.finds.num_keypoints)
            yield from _show(run, f"drawn {number}", frame, boxes, poses, multiple)
        return
    dataset = source.images.dataset
    preprocess = run.spec.model.decided_preprocess()
    rule = CropRule(dataset.skeleton, preprocess.min_box, preprocess.centre)
    for row in source.images.rows:
        record = dataset.images[row]
        animals = find_cropped(record, dataset.skeleton)
        boxes = (
            rule.around_labels(record)[animals]
            if preprocess.view == "animal"
            else np.zeros((0, 4), np.float32)
        )
        poses = record.instances.keypoints[animals]
        yield from _show(run, record.name, read_image(record.image), boxes, poses, multiple)


def make_frames(run: Run[DetectorRunSpec], source: ViewSource, multiple: int) -> Iterator[SeenView]:
    """Show whole images to a detector as prediction does.

    Args:
        run: of the detector.
        source: of the images.
        multiple: its ``size_multiple``.

    Raises:
        DataError: an image cannot be read.
    """
    preprocess = detector_view(run.spec.network)
    if source.images is None:
        frames = ((f"drawn {number}", _draw(number, 1)[0]) for number in range(source.count))
    else:
        records = (source.images.dataset.images[row] for row in source.images.rows)
        frames = ((record.name, read_image(record.image)) for record in records)
    for name, frame in frames:
        geometry = frame_view(frame.shape[1], frame.shape[0], preprocess, multiple)
        to_frame = invert(keypoint_matrix(geometry.matrix, preprocess))
        yield SeenView(name, frame, None, warp(frame, geometry), to_frame, np.zeros((1, 0, 2), np.float32))


def _show(
    run: Run, name: str, frame: ByteArray, boxes: FloatArray, poses: FloatArray, multiple: int
) -> Iterator[SeenView]:
    preprocess = run.spec.model.decided_preprocess()
    if preprocess.view == "animal":
        geometries: Sequence[FrameGeometry] = [crop_view(box, preprocess) for box in boxes]
    else:
        geometries = [frame_view(frame.shape[1], frame.shape[0], preprocess, multiple)]
    unknown = np.full((1, run.spec.finds.num_keypoints, 2), np.nan, np.float32)
    for number, geometry in enumerate(geometries):
        to_view = keypoint_matrix(geometry.matrix, preprocess)
        initial = transform_points(poses[number], to_view)[None] if number < len(poses) else unknown
        box = boxes[number] if preprocess.view == "animal" else None
        yield SeenView(name, frame, box, warp(frame, geometry), invert(to_view), initial)


def _draw(number: int, keypoints: int) -> tuple[ByteArray, FloatArray, FloatArray]:
    """Draw a picture of blurred noise, with a box and a pose in it: something for every filter to answer to."""
    random = np.random.default_rng(number)
    height, width = _DRAWN_SIZE
    noise = random.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    frame = np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    corner, size = random.uniform(10, 80, 2), random.uniform(60, 120, 2)
    box = np.concatenate([corner, corner + size]).astype(np.float32)
    poses = (corner + random.uniform(0, 1, (1, keypoints, 2)) * size).astype(np.float32)
    return frame, box[None], poses
