"""Candidate limbs -> animals. On the host, image by image, over a few hundred numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


_ROUNDS = 3
"""How often all keypoints may be exchanged."""

_STAY = 1e-3
"""Affinity that an exchange must gain for each keypoint: equal animals keep theirs."""


@dataclass(frozen=True, eq=False)
class Links:
    """Limbs that were found in an image, E of them, those of the highest affinity first.

    Attributes:
        limb: (E,) which of the graph's limbs.
        ends: (E, 2) which candidates of its two keypoints it joins.
        affinity: (E,) in (0, 1].
    """

    limb: IntArray
    ends: IntArray
    affinity: FloatArray


def assign(affinity: FloatArray, min_affinity: float) -> Links:
    """Assign the candidates of each limb optimally (Kuhn 1955, as Cao et al. 2017 use it).

    Args:
        affinity: (L, M, M); NaN where a candidate is missing.
        min_affinity: what is not above it is no limb.

    Returns:
        links in order of falling affinity; equal ones by limb and candidates.
    """
    # NaN compares as false, so pairs with a missing candidate are worth nothing.
    worth = np.where(affinity > min_affinity, affinity, 0.0).astype(np.float64)
    # Many limbs of a full graph have no candidates in an image, and each assignment costs a call.
    used = np.flatnonzero(worth.any(axis=(1, 2)))
    rows, columns = [], []
    for limb in used:
        row, column = linear_sum_assignment(worth[limb], maximize=True)
        rows.append(row)
        columns.append(column)
    each = [len(row) for row in rows]
    nothing = np.zeros(0, np.int64)
    links = np.stack(
        [np.repeat(used, each), np.concatenate([nothing, *rows]), np.concatenate([nothing, *columns])], axis=1
    )
    value = np.minimum(worth[links[:, 0], links[:, 1], links[:, 2]], 1.0)
    # An assignment is as large as can be; what it adds without worth is no limb.
    links, value = links[value > 0], value[value > 0]
    order = np.lexsort((links[:, 2], links[:, 1], links[:, 0], -value))
    return Links(links[order, 0], links[order, 1:], value[order].astype(np.float32))


def score_links(links: Links, limbs: Sequence[tuple[int, int]], shape: tuple[int, int]) -> FloatArray:
    """Score links by how well the links around them agree.

    A link of two keypoints of one animal is part of many triangles, for both are linked to the animal's other
    keypoints too; one that joins two animals that lie over each other is part of few. In a tree there are no
    triangles, and the affinity alone decides.

    Args:
        links: of the image.
        limbs: pairs of indices of keypoints.
        shape: K and M.

    Returns:
        (E,): the affinity plus the sum over all triangles of the product of its other two affinities.
    """
    table = np.zeros((shape[0] * shape[1],) * 2, np.float32)
    one, other = (np.array(limbs)[links.limb, end] * shape[1] + links.ends[:, end] for end in (0, 1))
    table[one, other] = table[other, one] = links.affinity
    # Over the third corner of every triangle at once. Rows of links only: the product of the table with itself is
    # larger, and waits for the threads of a library that are not needed here.
    around: FloatArray = links.affinity + np.einsum("ec,ec->e", table[one], table[other])
    return around


def join(
    links: Links, limbs: Sequence[tuple[int, int]], shape: tuple[int, int]
) -> tuple[IntArray, FloatArray]:
    """Merge limbs to animals.

    The best supported limb first; a limb joins what its two keypoints belong to, unless the two have a
    keypoint in common, which one animal cannot have twice.

    Args:
        links: of the image.
        limbs: pairs of indices of keypoints.
        shape: K and M.

    Returns:
        the candidate of each keypoint (N, K), -1 where an animal has none; and the mean affinity of its limbs
        (N,).
    """
    keypoints, candidates = shape
    order = np.argsort(-score_links(links, limbs, shape), kind="stable")
    one, other = (
        np.array(limbs)[links.limb[order], end] * candidates + links.ends[order, end] for end in (0, 1)
    )
    # Candidates of all keypoints are numbered through; a part of an animal is known by one of its candidates.
    part = list(range(keypoints * candidates))
    members = [[i] for i in part]
    # A bit for each keypoint: whether two parts share one is a single operation on integers.
    holds = [1 << (i // candidates) for i in part]
    total, count = [0.0] * len(part), [0] * len(part)
    for a, b, affinity in zip(one.tolist(), other.tolist(), links.affinity[order].tolist(), strict=True):
        home, guest = part[a], part[b]
        if home != guest:
            if holds[home] & holds[guest]:
                continue
            for candidate in members[guest]:
                part[candidate] = home
            members[home] += members[guest]
            members[guest] = []
            holds[home] |= holds[guest]
            total[home] += total[guest]
            count[home] += count[guest]
        total[home] += affinity
        count[home] += 1
    # A blob that no limb joined to another is no animal.
    kept = [home for home, own in enumerate(members) if len(own) > 1]
    chosen = np.full((len(kept), keypoints), -1, np.int64)
    for row, home in enumerate(kept):
        own = np.array(members[home])
        chosen[row, own // candidates] = own % candidates
    return chosen, np.array([total[home] / count[home] for home in kept], np.float32)


def exchange(chosen: IntArray, affinity: FloatArray, limbs: Sequence[tuple[int, int]]) -> IntArray:
    """Let animals exchange keypoints of a kind where that makes their limbs agree better.

    Merging decides a limb at a time, and where two animals creep along each other one limb may decide wrongly
    what all the others know. For one keypoint after the other, those of its candidates that animals have are
    assigned to these anew, by their affinity to everything else that each animal has, until nothing changes.

    Args:
        chosen: (N, K) candidates of the animals, -1: none.
        affinity: (L, M, M) of candidate limbs, NaN where a candidate is missing.
        limbs: pairs of indices of keypoints.

    Returns:
        (N, K).
    """
    animals, keypoints = chosen.shape
    if animals < 2:
        return chosen
    count = affinity.shape[1]
    table = np.zeros((keypoints, count, keypoints, count), np.float32)
    one, other = np.array(limbs).T
    values = np.nan_to_num(affinity)
    table[one, :, other, :], table[other, :, one, :] = values, values.transpose(0, 2, 1)
    every, known, result = np.arange(keypoints), chosen >= 0, chosen.copy()
    for _ in range(_ROUNDS):
        before = result.copy()
        for keypoint in every:
            rows = np.flatnonzero(known[:, keypoint])
            own = result[rows, keypoint]
            # (candidates, animals, keypoints) -> (animals, candidates)
            worth = (table[keypoint][own][:, every, result[rows]] * known[rows]).sum(-1).T
            to, which = linear_sum_assignment(worth + _STAY * np.eye(len(rows)), maximize=True)
            result[rows[to], keypoint] = own[which]
        if np.array_equal(result, before):
            break
    return result


def assemble(
    affinity: FloatArray,
    positions: FloatArray,
    scores: FloatArray,
    limbs: Sequence[tuple[int, int]],
    *,
    min_affinity: float,
    min_keypoints: int,
    limit: int | None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Assemble the animals of an image.

    Where there are more than ``limit``, the lesser ones are parts: each is added to the nearest of the others
    that lacks its keypoints, if it is no farther away than that one is large, and dropped otherwise.

    Args:
        affinity: (L, M, M) of candidate limbs, NaN where a candidate is missing.
        positions: (K, M, 2) of the candidates.
        scores: (K, M) in [0, 1].
        limbs: pairs of indices of keypoints.
        min_affinity: what is not above it is no limb.
        min_keypoints: animals with fewer are dropped.
        limit: maximum number of animals; None: any number.

    Returns:
        keypoints (N, K, 2), NaN where missing; their scores (N, K); scores of the animals (N,): the mean
        score of the keypoints that were found times the mean affinity of the limbs. The animal of the highest
        score first.
    """
    k, m = scores.shape
    chosen, trust = join(assign(affinity, min_affinity), limbs, (k, m))
    chosen = exchange(chosen, affinity, limbs)
    points, values = _pick(chosen, positions, scores)
    sums = values.sum(1)
    # By how much is known of them, then by the candidates, which makes the order unique.
    order = np.lexsort((*chosen.T[::-1], -sums))
    chosen, points, trusted = chosen[order], points[order], trust[order]
    if limit is not None and len(chosen) > limit:
        chosen = _take_in(chosen, points, limit)
        points, values = _pick(chosen, positions, scores)
        trusted = trusted[:limit]
    enough = (chosen >= 0).sum(1) >= min_keypoints
    points, values = _pick(chosen[enough], positions, scores)
    total = values.sum(1) / np.maximum((chosen[enough] >= 0).sum(1), 1) * trusted[enough]
    order = np.argsort(-total, kind="stable")
    return points[order], values[order], total[order].astype(np.float32)


def _pick(chosen: IntArray, positions: FloatArray, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Positions (N, K, 2) and scores (N, K) of chosen candidates (N, K); -1 is none."""
    every = np.arange(chosen.shape[1])
    known = chosen >= 0
    points = np.where(known[..., None], positions[every, chosen], np.nan).astype(np.float32)
    return points, np.where(known, scores[every, chosen], 0.0).astype(np.float32)


def _take_in(chosen: IntArray, points: FloatArray, limit: int) -> IntArray:
    """The first ``limit`` animals, with the keypoints of those parts among the others that they can take
    in."""
    kept, known = chosen[:limit].copy(), chosen >= 0
    # Finite, unlike infinity: differences of two missing keypoints must not become NaN.
    here = np.where(known[..., None], points, 1e9)
    low, high = here.min(1), np.where(known[..., None], points, -1e9).max(1)
    reach = np.sqrt(((high - low) ** 2).sum(-1))[:limit]
    for part in range(limit, len(chosen)):
        own = points[part][known[part]]
        free = ~((kept >= 0) & known[part]).any(1)
        gap = np.sqrt(((here[:limit, :, None] - own) ** 2).sum(-1)).min((1, 2))
        gap = np.where(free & (gap <= reach), gap, np.inf)
        nearest = int(gap.argmin())
        if np.isfinite(gap[nearest]):
            kept[nearest] = np.where(known[part], chosen[part], kept[nearest])
    return kept
