"""Write labelled images as a project in the core's own format."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from pose_core.errors import DataError
from pose_core.formats.label_table import COLUMNS, place_name
from pose_core.formats.project import IMAGE_FOLDER, LABEL_FILE, PROJECT_FILE
from pose_core.structures import ByteArray, FloatArray, Instances, Skeleton

Row = tuple[str, str, str, str, str, str, str]


@dataclass(frozen=True, eq=False)
class Example:
    """A labelled image in memory, or a labelled frame of a video.

    Attributes:
        name: of the image file below ``images/``, with forward slashes: ``clip0/0007.png``; or of a video in
            the project's folder, relative to that: ``videos/clip0.mp4``.
        image: (H, W, 3) uint8 RGB; None for a frame of a video.
        instances: the animals; ``identity`` is the row of each one's individual. Those with -1 get the free
            names in order.
        occluded: (N, K) bool, labelled but hidden; None: nothing is.
        unique_keypoints: (U, 2) in the order of the skeleton, NaN where missing; None: all are missing.
        frame: number of the frame of a video; None for an image in memory.
    """

    name: str
    image: ByteArray | None
    instances: Instances
    occluded: npt.NDArray[np.bool_] | None = None
    unique_keypoints: FloatArray | None = None
    frame: int | None = None


def write_project(folder: Path, skeleton: Skeleton, examples: Iterable[Example], *, name: str) -> None:
    """Write a project that ``ProjectReader`` reads back unchanged.

    Images are stored as PNG, one after the other as they come. Animals without any keypoint cannot be told
    from absent ones and are not written. ``project.yaml`` comes last: a folder without it is unfinished.

    Raises:
        DataError: the folder holds a project already, an image name is used twice or does not end in
            ``.png``, a video is not in the folder, or the animals of an image do not fit the skeleton's
            individuals.
        OSError: the disk is full, or the folder cannot be written.
    """
    if (folder / PROJECT_FILE).exists():
        raise DataError(f"{folder} holds a project already; choose another folder")
    rows: list[Row] = []
    seen: set[tuple[str, int | None]] = set()
    for example in examples:
        if (example.name, example.frame) in seen or not (
            example.image is None or example.name.endswith(".png")
        ):
            raise DataError(
                f"image name {place_name(example.name, example.frame)!r} must end with .png and be used once"
            )
        seen.add((example.name, example.frame))
        if example.image is None:
            _check_frame(folder, example)
            rows += _make_rows(example.name, example, skeleton)
        else:
            _write_image(folder / IMAGE_FOLDER / example.name, example.image)
            rows += _make_rows(f"{IMAGE_FOLDER}/{example.name}", example, skeleton)
    # The folder is still missing where there are no examples.
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LABEL_FILE).open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        if any(frame is not None for _, frame in seen):
            table.writerow(COLUMNS)
            table.writerows(rows)
        else:
            table.writerow(name for name in COLUMNS if name != "frame")
            table.writerows((image, *labels) for image, _, *labels in rows)
    content = {
        "name": name,
        "keypoints": list(skeleton.keypoints),
        "edges": [list(pair) for pair in skeleton.edges],
        "symmetry": [list(pair) for pair in skeleton.symmetry],
        "individuals": list(skeleton.individuals),
        "identified": skeleton.identified,
        "unique_keypoints": list(skeleton.unique_keypoints),
        **({} if skeleton.landmarks is None else {"landmarks": list(skeleton.landmarks)}),
    }
    # Last: a folder without it is unfinished.
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    (folder / PROJECT_FILE).write_text(text, encoding="utf-8")


def _write_image(file: Path, image: ByteArray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # OpenCV's channels are blue, green, red.
    file.write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())


def _check_frame(folder: Path, example: Example) -> None:
    if example.frame is None or not (folder / example.name).is_file():
        raise DataError(
            f"{example.name}: an example without an image is a frame of a video in {folder}; write the video "
            "first"
        )


def _make_rows(image: str, example: Example, skeleton: Skeleton) -> list[Row]:
    instances = example.instances
    taken = [int(i) for i in instances.identity if i >= 0]
    free = [i for i in range(skeleton.num_individuals) if i not in taken]
    if (
        len(instances) > skeleton.num_individuals
        or len(set(taken)) != len(taken)
        or max(taken, default=0) >= skeleton.num_individuals
    ):
        raise DataError(
            f"{image}: each of its {len(instances)} animals must be another one of the skeleton's "
            f"{skeleton.num_individuals} individuals"
        )
    rows: list[Row] = []
    place = image, "" if example.frame is None else str(example.frame)
    for n in range(len(instances)):
        identity = int(instances.identity[n])
        individual = skeleton.individuals[identity if identity >= 0 else free.pop(0)]
        for k in np.flatnonzero(~np.isnan(instances.keypoints[n]).any(axis=-1)):
            hidden = example.occluded is not None and bool(example.occluded[n, k])
            rows.append(
                (
                    *place,
                    individual,
                    skeleton.keypoints[k],
                    *_format_point(instances.keypoints[n, k]),
                    str(int(hidden)),
                )
            )
    if example.unique_keypoints is not None:
        for u in np.flatnonzero(~np.isnan(example.unique_keypoints).any(axis=-1)):
            rows.append(
                (*place, "", skeleton.unique_keypoints[u], *_format_point(example.unique_keypoints[u]), "0")
            )
    # A row without a keypoint: without it the image would not be labelled, instead of showing no animal.
    return rows or [(*place, "", "", "", "", "")]


def _format_point(point: FloatArray) -> tuple[str, str]:
    """Format a point with the shortest decimals that give the same float32."""
    # str() of a Python float would print the digits of the double, 63.2000007629.
    return str(np.float32(point[0])), str(np.float32(point[1]))
