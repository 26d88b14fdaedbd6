"""Which limbs are worth having: candidate graphs chosen by the data (after Lauer et al. 2022).

Pure functions: measure :func:`limb_affinities` on labelled images with a trained head of many limbs, see with
:func:`separability` how well each limb tells one animal's keypoints from two animals', get
:func:`candidate_graphs`, and keep the one that assembles the validation images best (as ``predictor.limbs``,
or as ``graph`` of a new training).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from torch import Tensor

from pose_core.interfaces import Grid
from pose_paf.affinity import score_limbs
from pose_paf.graph import Pairs, is_connected

FloatArray = npt.NDArray[np.float64]


def limb_affinities(
    paf: Tensor, keypoints: Tensor, limbs: Pairs, grid: Grid, *, samples: int = 10
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Measure affinities between labelled keypoints.

    Args:
        paf: (B, 2 L, h, w) that the network put out.
        keypoints: (B, N, K, 2) labels, pixels of the network's input; NaN where unlabelled.
        limbs: pairs of indices of keypoints.
        grid: of the fields.
        samples: points at which the field is read.

    Returns:
        for each limb the affinities of pairs within one animal, and of pairs of two animals of an image.
    """
    points = keypoints.transpose(1, 2)
    first, second = zip(*limbs, strict=True)
    every = score_limbs(paf.float(), points[:, list(first)], points[:, list(second)], grid, samples=samples)
    table = every.double().cpu().numpy()
    same = np.eye(table.shape[-1], dtype=bool)
    known = np.isfinite(table)
    within = [table[:, limb][known[:, limb] & same] for limb in range(len(limbs))]
    between = [table[:, limb][known[:, limb] & ~same] for limb in range(len(limbs))]
    return within, between


def separability(
    within: Sequence[npt.ArrayLike],
    between: Sequence[npt.ArrayLike],
    *,
    max_values: int = 100_000,
    seed: int = 0,
) -> FloatArray:
    """Measure how often the affinity within an animal is above that between two (the area under the ROC
    curve).

    Args:
        within: for each limb the affinities within animals.
        between: for each limb those between two animals.
        max_values: of more values a limb, so many are drawn.
        seed: of that draw.

    Returns:
        (L,) in [0, 1]; 1: the limb always tells; 1/2: by chance, and where there is nothing to compare.
    """
    rng = np.random.default_rng(seed)

    def values(given: npt.ArrayLike) -> FloatArray:
        array = np.asarray(given, np.float64).ravel()
        array = array[np.isfinite(array)]
        return array if len(array) <= max_values else rng.choice(array, max_values, replace=False)

    found = np.full(len(within), 0.5)
    for limb, (own, other) in enumerate(zip(within, between, strict=True)):
        inside, outside = values(own), values(other)
        if not len(inside) or not len(outside):
            continue
        # The rank sum of Mann and Whitney (1947); ties count one half.
        ranks = rankdata(np.concatenate([inside, outside]))[: len(inside)].sum()
        found[limb] = (ranks / len(inside) - (len(inside) + 1) / 2) / len(outside)
    return found


def spanning_tree(worth: npt.ArrayLike, limbs: Pairs, keypoints: int) -> tuple[int, ...]:
    """The limbs of the tree that connects all keypoints and is worth most (Kruskal 1956).

    Args:
        worth: (L,) of each limb; of equal ones the first is taken.
        limbs: pairs of indices of keypoints.
        keypoints: K.

    Returns:
        K - 1 numbers of limbs, rising.

    Raises:
        ValueError: the limbs do not connect all keypoints.
    """
    if not is_connected(limbs, keypoints):
        raise ValueError("the limbs do not connect all keypoints")
    part = list(range(keypoints))
    chosen: list[int] = []
    for limb in _best_first(worth):
        a, b = (part[end] for end in limbs[limb])
        if a != b:
            chosen.append(limb)
            part = [a if p == b else p for p in part]
    return tuple(sorted(chosen))


def candidate_graphs(
    worth: npt.ArrayLike, limbs: Pairs, keypoints: int, *, max_graphs: int = 10
) -> tuple[tuple[int, ...], ...]:
    """Graphs that connect all keypoints, each holding the one before it.

    The first is the best spanning tree; then come the best of the other limbs in about equal steps, up to
    all.

    Args:
        worth: (L,) of each limb, for example its :func:`separability`.
        limbs: pairs of indices of keypoints.
        keypoints: K.
        max_graphs: maximum number of graphs, at least 1 (which is the tree).

    Returns:
        numbers of limbs, rising, of each graph; smallest first.

    Raises:
        ValueError: the limbs do not connect all keypoints, or ``max_graphs`` is below 1.
    """
    if max_graphs < 1:
        raise ValueError(f"max_graphs must be at least 1, not {max_graphs}")
    tree = spanning_tree(worth, limbs, keypoints)
    others = [limb for limb in _best_first(worth) if limb not in tree]
    steps = np.unique(np.linspace(0, len(others), min(max_graphs, len(others) + 1)).round().astype(int))
    return tuple(tuple(sorted((*tree, *others[:step]))) for step in steps)


def _best_first(worth: npt.ArrayLike) -> list[int]:
    order: list[int] = np.argsort(-np.asarray(worth, np.float64), kind="stable").tolist()
    return order
