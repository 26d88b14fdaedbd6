"""Find labels that are probably wrong, from the labels alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pose_core.structures import LabelledDataset, Skeleton, present_keypoints

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

ENOUGH = 20
"""Animals below which nothing is usual yet, and no label is called unusual."""

UNUSUAL = 6.0
"""Robust standard deviations of a keypoint's distances to the others from which on it is suspicious."""

EXCHANGED = 0.5
"""Share of the misfit that is left where exchanging left and right explains a pose."""

SAME = 1.0
"""Pixels within which two labels are at the same place."""

# Of the logarithm of distances: labels are never more exact than a few percent of the animal.
_LEAST_SPREAD = 0.05
_SAMPLE = 2000


@dataclass(frozen=True)
class Suspicion:
    """A label that is probably wrong.

    Attributes:
        kind: one of :data:`KINDS`.
        image: row of the image in the project.
        animal: row of the animal in the image; None for keypoints that exist once a frame.
        keypoints: their numbers in the skeleton.
        reason: for the user, without the name of the image.
        score: the larger, the more suspicious; comparable between kinds.
    """

    kind: str
    image: int
    animal: int | None
    keypoints: tuple[int, ...]
    reason: str
    score: float


KINDS = {
    "unusual": "lie far from where the other keypoints put them",
    "exchanged": "fit better with left and right exchanged",
    "duplicate": "are at the place of another label",
    "border": "lie on the border of their image",
}
"""What can be suspicious about labels, and how a summary says it."""


class _Poses:
    """All animals of a project as arrays.

    Attributes:
        points: (A, K, 2) float64, NaN where not labelled.
        image, row: (A,) rows of the image, and of the animal in it.
    """

    def __init__(self, dataset: LabelledDataset) -> None:
        counts = [len(image.instances) for image in dataset.images]
        k = dataset.skeleton.num_keypoints
        found = [image.instances.keypoints for image in dataset.images]
        self.points: Floats = np.concatenate(found).astype(np.float64) if found else np.zeros((0, k, 2))
        self.image = np.repeat(np.arange(len(counts)), counts)
        self.row = np.concatenate([np.arange(n) for n in counts]) if counts else np.zeros(0, np.int64)
        self.points[~present_keypoints(self.points)] = np.nan


def find_suspicions(dataset: LabelledDataset) -> list[Suspicion]:
    """Find unusual, exchanged and doubled labels and labels on the border, the most suspicious first.

    Args:
        dataset: the labelled project.
    """
    poses = _Poses(dataset)
    if not len(poses.points):
        return []
    found = [
        *_find_unusual(poses, dataset.skeleton),
        *_find_exchanged(poses, dataset.skeleton),
        *_find_same_place(poses, dataset.skeleton),
        *_find_twins(poses),
        *_find_repeated(poses, dataset),
        *_find_border(poses, dataset),
    ]
    # A pose with exchanged sides has unusual distances too; the more telling reason is kept.
    told = {(s.image, s.animal) for s in found if s.kind == "exchanged"}
    found = [s for s in found if s.kind != "unusual" or (s.image, s.animal) not in told]
    return sorted(found, key=lambda s: (-s.score, s.image))


def measure_unusualness(points: Floats) -> Floats:
    """Measure how far each keypoint's distances to the others are from the usual ones.

    Distances are compared in units of their animal's size, which is the median over its pairs of keypoints of
    distance by usual distance: one label that is far off does not change it. A keypoint's value is the median
    over its pairs, so that it is large for the keypoint that is off, not for those it is measured from.

    Args:
        points: (A, K, 2) pixels, NaN where not labelled.

    Returns:
        (A, K) robust standard deviations; NaN with fewer than two labelled others.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        # What is usual is told from a sample; all pairs of a large project would not fit into memory.
        sample = points[:: max(1, len(points) // _SAMPLE)]
        logs = _log_distances(sample)
        usual = _nanmedian(logs, 0)
        spread = np.maximum(1.4826 * _nanmedian(abs(_relative(logs, usual)), 0), _LEAST_SPREAD)
        parts = [
            _nanmedian(abs(_relative(_log_distances(part), usual)) / spread, -1)
            for part in np.array_split(points, max(1, len(points) // _SAMPLE))
        ]
    values = np.concatenate(parts)
    labelled = np.isfinite(points).all(axis=-1)
    values[~labelled | (labelled.sum(axis=1, keepdims=True) < 3)] = np.nan
    return values


def _log_distances(points: Floats) -> Floats:
    """(A, K, K); NaN on the diagonal and where one is not labelled. Labels in one place count as 0.1 px."""
    distances: Floats = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)
    distances[:, np.arange(points.shape[1]), np.arange(points.shape[1])] = np.nan
    logs: Floats = np.log(np.maximum(distances, 0.1))
    return logs


def _relative(logs: Floats, usual: Floats) -> Floats:
    difference = logs - usual
    return difference - _nanmedian(difference.reshape(len(difference), -1), 1)[:, None, None]


def _nanmedian(values: Floats, axis: int) -> Floats:
    """The median without NaN, and NaN without a warning where nothing is left."""
    empty = np.isnan(values).all(axis=axis)
    filled = np.where(np.expand_dims(empty, axis), 0.0, values)
    return np.where(empty, np.nan, np.nanmedian(filled, axis=axis))


def _find_unusual(poses: _Poses, skeleton: Skeleton) -> Iterator[Suspicion]:
    if len(poses.points) < ENOUGH or skeleton.num_keypoints < 3:
        return
    values = measure_unusualness(poses.points)
    for at, keypoint in np.argwhere(np.nan_to_num(values) > UNUSUAL):
        name = skeleton.keypoints[keypoint]
        yield Suspicion(
            "unusual", int(poses.image[at]), int(poses.row[at]), (int(keypoint),),
            f"{name} lies far from where the other keypoints put it", float(values[at, keypoint]),
        )  # fmt: skip


def _find_exchanged(poses: _Poses, skeleton: Skeleton) -> Iterator[Suspicion]:
    """Poses that fit the mean shape much better with the two names of a pair exchanged."""
    k = skeleton.num_keypoints
    index = {name: i for i, name in enumerate(skeleton.keypoints)}
    pairs = [(index[left], index[right]) for left, right in skeleton.symmetry]
    if len(poses.points) < ENOUGH or k < 3 or not pairs:
        return
    shapes = _centre(poses.points[..., 0] + 1j * poses.points[..., 1])
    mean = _mean_shape(shapes)
    own = _misfit(shapes, mean)
    typical = max(float(_nanmedian(own, 0)), 1e-6)
    candidates = [[pair] for pair in pairs] + ([pairs] if len(pairs) > 1 else [])
    fits = []
    for exchanged in candidates:
        order = np.arange(k)
        for left, right in exchanged:
            order[[left, right]] = right, left
        swapped = _misfit(_centre(shapes[:, order]), mean)
        # Exchanging labels that are not both there is another question.
        both = np.isfinite(shapes[:, [i for pair in exchanged for i in pair]]).all(axis=1)
        fits.append(np.where(both, swapped, np.inf))
    best = np.min(fits, axis=0)
    which = np.argmin(fits, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (best < EXCHANGED * own) & (own > 2 * typical)
    for at in np.flatnonzero(found):
        exchanged = candidates[which[at]]
        names = ", ".join(f"{skeleton.keypoints[a]}/{skeleton.keypoints[b]}" for a, b in exchanged[:3])
        more = f" and {len(exchanged) - 3} more" if len(exchanged) > 3 else ""
        yield Suspicion(
            "exchanged", int(poses.image[at]), int(poses.row[at]), tuple(i for pair in exchanged for i in pair),
            f"{names}{more} fit better when exchanged",
            # As many times the usual misfit as an unusual label is of its spread.
            UNUSUAL * float(np.sqrt(own[at] / (2 * typical))),
        )  # fmt: skip


def _centre(shapes: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    there = np.isfinite(shapes)
    count = np.maximum(there.sum(axis=1, keepdims=True), 1)
    centre = np.where(there, shapes, 0).sum(axis=1, keepdims=True) / count
    return np.where(there, shapes - centre, np.nan)


def _mean_shape(shapes: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """Procrustes mean of shapes with missing keypoints (Gower, 1975), robust: a median of aligned shapes."""
    there = np.isfinite(shapes)
    mean = np.where(there[np.argmax(there.sum(axis=1))], shapes[np.argmax(there.sum(axis=1))], 0)
    for _ in range(5):
        aligned = shapes / _fit(shapes, mean)[:, None]
        aligned = np.where(np.isfinite(aligned), aligned, np.nan)
        new = _nanmedian(aligned.real, 0) + 1j * _nanmedian(aligned.imag, 0)
        mean = np.nan_to_num(new)
        mean = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return mean


def _fit(shapes: npt.NDArray[np.complex128], mean: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """(A,) the factor (rotation and scale) that brings the mean shape onto each shape."""
    there = np.isfinite(shapes)
    target = np.where(there, shapes, 0)
    # The mean of the keypoints that are there, centred on them.
    model = np.where(there, mean, 0)
    model = np.where(
        there, model - model.sum(axis=1, keepdims=True) / np.maximum(there.sum(1), 1)[:, None], 0
    )
    power = (abs(model) ** 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor: npt.NDArray[np.complex128] = (np.conj(model) * target).sum(axis=1) / power
    return factor


def _misfit(shapes: npt.NDArray[np.complex128], mean: npt.NDArray[np.complex128]) -> Floats:
    """(A,) share of each shape's extent that the turned and scaled mean shape does not explain; NaN with
    fewer than three keypoints."""
    there = np.isfinite(shapes)
    target = np.where(there, shapes, 0)
    model = np.where(there, mean, 0)
    model = np.where(
        there, model - model.sum(axis=1, keepdims=True) / np.maximum(there.sum(1), 1)[:, None], 0
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        explained = abs((np.conj(model) * target).sum(axis=1)) ** 2 / (abs(model) ** 2).sum(axis=1)
        share: Floats = 1 - explained / (abs(target) ** 2).sum(axis=1)
    return np.where(there.sum(axis=1) >= 3, share, np.nan)


def _find_same_place(poses: _Poses, skeleton: Skeleton) -> Iterator[Suspicion]:
    """Two keypoints of an animal in one place that are apart in most animals."""
    if skeleton.num_keypoints < 2:
        return
    distances = np.exp(_log_distances(poses.points))
    apart = _nanmedian(distances, 0) > 4 * SAME
    first, second = np.triu_indices(skeleton.num_keypoints, 1)
    close = (distances < SAME / 2) & apart
    for at, pair in np.argwhere(close[:, first, second]):
        a, b = int(first[pair]), int(second[pair])
        yield Suspicion(
            "duplicate", int(poses.image[at]), int(poses.row[at]), (a, b),
            f"{skeleton.keypoints[a]} and {skeleton.keypoints[b]} are labelled at one place", 2 * UNUSUAL,
        )  # fmt: skip


def _find_twins(poses: _Poses) -> Iterator[Suspicion]:
    """Two animals of an image that are labelled on one animal."""
    starts = np.flatnonzero(np.diff(poses.image, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(poses.image)], strict=True):
        points = poses.points[start:stop]
        for a in range(len(points)):
            for b in range(a + 1, len(points)):
                distance = np.linalg.norm(points[a] - points[b], axis=-1)
                both = np.isfinite(distance)
                if both.sum() >= 2 and float(np.median(distance[both])) < SAME:
                    yield Suspicion(
                        "duplicate", int(poses.image[start]), b, tuple(np.flatnonzero(both).tolist()),
                        f"animals {a + 1} and {b + 1} are labelled at one place", 3 * UNUSUAL,
                    )  # fmt: skip


def _find_repeated(poses: _Poses, dataset: LabelledDataset) -> Iterator[Suspicion]:
    """One pose, number for number, in several images: labels that were copied on."""
    seen: dict[bytes, int] = {}
    for at, points in enumerate(poses.points):
        if np.isfinite(points).all(axis=-1).sum() < 2:
            continue
        first = seen.setdefault(np.nan_to_num(points, nan=-1.0).tobytes(), at)
        if poses.image[first] != poses.image[at]:
            name = dataset.images[poses.image[first]].name
            yield Suspicion(
                "duplicate", int(poses.image[at]), int(poses.row[at]), (),
                f"the labels are those of {name}, number for number", 2 * UNUSUAL,
            )  # fmt: skip


def _find_border(poses: _Poses, dataset: LabelledDataset) -> Iterator[Suspicion]:
    sizes = np.array([(image.width, image.height) for image in dataset.images], np.float64)[poses.image]
    with np.errstate(invalid="ignore"):
        beyond: Flags = (poses.points < 0.5) | (poses.points > sizes[:, None] - 1.5)
    on: Flags = np.any(beyond, axis=-1)
    for at in np.flatnonzero(on.any(axis=1)):
        keypoints = np.flatnonzero(on[at])
        names = ", ".join(dataset.skeleton.keypoints[i] for i in keypoints[:3])
        more = f" and {len(keypoints) - 3} more" if len(keypoints) > 3 else ""
        verb = "lies" if len(keypoints) == 1 else "lie"
        yield Suspicion(
            "border", int(poses.image[at]), int(poses.row[at]), tuple(keypoints.tolist()),
            f"{names}{more} {verb} on the border of the image", 1.0,
        )  # fmt: skip
