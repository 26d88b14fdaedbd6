"""Choose the labels of a .slp file: which instances count, and in what images they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError, setting
from pose_core.structures import FloatArray, IntArray
from pose_sleap.slp_file import PREDICTED, USER, SlpFile, Table, join_places, split_places
from pose_sleap.slp_skeleton import SlpSkeleton


@dataclass(frozen=True)
class Labels:
    """The labels of a file, M images with N animals of K keypoints in all.

    Attributes:
        skeleton: of the animals.
        places: (M, 2) int64, video and number of the frame of each image; sorted, each once.
        bounds: (M + 1,) int64: the animals of image i are rows ``bounds[i]`` to ``bounds[i + 1]``.
        points: (N, K, 2) float32, NaN where missing.
        scores: (N, K) float32 in [0, 1].
        track: (N,) int64 index of the track; -1: none.
        negative: number of images that are marked as empty and have no animals.
        notes: what was left out.
    """

    skeleton: SlpSkeleton
    places: IntArray
    bounds: IntArray
    points: FloatArray
    scores: FloatArray
    track: IntArray
    negative: int
    notes: list[str]


def choose_labels(slp: SlpFile, labels: str, skeleton: str | None, same_video: IntArray) -> Labels:
    """Choose the instances that are labels, and the images that they are in.

    Args:
        slp: the file.
        labels: ``user`` or ``all``, as in the reader's settings.
        skeleton: name of the one that is read; None: the only one that is used.
        same_video: (V,) for each video of the file the first that is the same one.

    Raises:
        DataError: instances have several skeletons, or none is called so.
        Anything that :func:`~pose_core.io.hdf5.hdf5_errors` explains: the tables are spoilt.
    """
    frames, instances = slp.read_frames(), slp.read_instances()
    frame_of, rows = frames.list_instances(np.arange(len(frames.frame)))
    chosen = instances[rows]
    notes: list[str] = []
    counted = _choose_counted(chosen, frame_of, labels, notes)
    number = _choose_skeleton(slp, chosen["skeleton"][counted], skeleton, notes)
    counted &= chosen["skeleton"] == number
    chosen, frame_of = chosen[counted], frame_of[counted]
    points, scores, hidden = slp.read_points(chosen, len(slp.skeletons[number].nodes))
    if hidden:
        notes.append(
            f"{_count(hidden, 'point')} marked as not visible left out: SLEAP takes them for missing, too"
        )
    # x and y are missing together.
    labelled = np.isfinite(points[..., 0]).any(axis=-1)
    if blank := int((~labelled).sum()):
        notes.append(f"{_count(blank, 'instance')} without any point left out")
    points, scores, frame_of = points[labelled], scores[labelled], frame_of[labelled]
    track = chosen["track"].astype(np.int64)[labelled]
    where = join_places(same_video[frames.video], frames.frame)
    marked = slp.read_negative_frames()
    empty = join_places(same_video[marked[:, 0]], marked[:, 1])
    used = where[frame_of]
    places = np.unique(np.concatenate([used, empty]))
    order = np.argsort(used, kind="stable")
    bounds = np.append(np.searchsorted(used[order], places), len(used)).astype(np.int64)
    if labels == "user" and (unlabelled := len(np.setdiff1d(where, places))):
        notes.append(
            f"{_count(unlabelled, 'frame')} with nothing that a user placed left out; marked as negative they "
            "would be read as empty"
        )
    return Labels(
        skeleton=slp.skeletons[number],
        places=split_places(places),
        bounds=bounds,
        points=points[order],
        scores=scores[order],
        track=track[order],
        negative=int((np.diff(bounds) == 0).sum()),
        notes=notes,
    )


def _choose_counted(
    instances: Table, frame_of: IntArray, labels: str, notes: list[str]
) -> npt.NDArray[np.bool_]:
    """Mark the instances that are labels, (N,) bool."""
    user = instances["instance_type"] == USER
    if labels == "user":
        left = int((~user)[np.isin(frame_of, frame_of[user])].sum())
        corrected = int(find_corrected(instances, frame_of).sum())
        if left > corrected:
            notes.append(
                f"{_count(left - corrected, 'predicted instance')} beside those of users left out: "
                f"{setting('data.reader.type=sleap', 'data.reader.labels=all')} reads predictions as labels"
            )
        return np.asarray(user)
    corrected_rows = find_corrected(instances, frame_of)
    predicted = ~user & ~corrected_rows
    if predicted.any():
        notes.append(f"{_count(int(predicted.sum()), 'predicted instance')} read as labels")
    return np.asarray(user | predicted)


def find_corrected(instances: Table, frame_of: IntArray) -> npt.NDArray[np.bool_]:
    """Mark predictions that a user instance of their frame was made from, or has the track of, (N,) bool."""
    user = instances["instance_type"] == USER
    predicted = instances["instance_type"] == PREDICTED
    corrected = np.zeros(len(instances), bool)
    if not (user.any() and predicted.any()):
        return corrected
    for own, named in (("from_predicted", "instance_id"), ("track", "track")):
        here, there = instances[named].astype(np.int64), instances[own].astype(np.int64)
        rows = user & (there >= 0)
        wanted = join_places(frame_of[rows], there[rows])
        corrected |= predicted & (here >= 0) & np.isin(join_places(frame_of, here), wanted)
    return corrected


def _choose_skeleton(slp: SlpFile, used: Table, wanted: str | None, notes: list[str]) -> int:
    names = [skeleton.name or f"skeleton {i}" for i, skeleton in enumerate(slp.skeletons)]
    counts = Counter(used.tolist())
    described = ", ".join(f"{names[i]} ({_count(counts[i], 'instance')})" for i in range(len(names)))
    if wanted is not None:
        if names.count(wanted) != 1:
            raise DataError(
                f"{slp.path}: {names.count(wanted)} skeletons are called {wanted!r}; there are {described}"
            )
        return names.index(wanted)
    if len(counts) > 1:
        raise DataError(
            f"{slp.path}: has instances of several skeletons: {described}; choose one with "
            f"{setting('data.reader.type=sleap', 'data.reader.skeleton=NAME')}"
        )
    chosen = next(iter(counts), 0)
    if len(names) > 1:
        notes.append(f"of {len(names)} skeletons {names[chosen]} is read, the only one that has instances")
    return int(chosen)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
