"""Name the animals of a frame, all at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from pose_core.interfaces import Predictions


def assign_names(found: Predictions, threshold: float | None = None) -> Predictions:
    """Name animals by ``identity_scores``, no two of a frame alike.

    Names are given so that the expected number of right ones is largest: the sum of their probabilities, each
    weighted with the mean score of the animal's keypoints, so that a doubtful animal takes no name from one
    that is certain (assignment: Kuhn 1955). Without a name (-1) stay animals beyond the number of
    individuals, and those for which the best name left is improbable.

    An animal of which no head knows anything (all its scores are 0) keeps the identity that it has, and that
    name is given to no other of its frame.

    Args:
        found: of all stages, in host memory; (B, N) animals.
        threshold: an animal whose name is less probable gets none; None: half of what a guess would be right,
            1 / (2 I).

    Returns:
        ``found`` with identities (B, N) int64.
    """
    chances = found.identity_scores.detach().double().numpy()
    batch, animals, individuals = chances.shape
    if not batch or not animals or not chances.any():
        return found
    least = 1 / (2 * individuals) if threshold is None else threshold
    benefit = chances * found.mean_keypoint_scores().detach().double().numpy()[..., None]
    identity = found.identity.numpy().copy()
    # What a stage dropped (score 0) takes no name either.
    known = chances.any(axis=-1) & (found.scores.numpy() > 0)
    for names, chance, worth, asked in zip(identity, chances, benefit, known, strict=True):
        names[asked] = -1
        # Names that stages gave without a head's scores are taken.
        free = np.setdiff1d(np.arange(individuals), names)
        # Rows without any benefit only pad the frame, and would take names from animals.
        rows = np.flatnonzero(asked & worth.any(axis=-1))
        at, to = linear_sum_assignment(worth[np.ix_(rows, free)], maximize=True)
        at, to = rows[at], free[to]
        sure = (chance[at, to] >= least) & (chance[at, to] > 0)
        names[at[sure]] = to[sure]
    return replace(found, identity=torch.from_numpy(identity))
