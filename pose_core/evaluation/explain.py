"""Explain a low average precision from the data at hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pose_core.evaluation.bootstrap import Floats
from pose_core.evaluation.pixel import KeypointErrors

LOW = 0.5
"""AP50 below this gets an explanation."""


def half_radius(sigma: float, area: float) -> float:
    """Compute the distance in pixels at which a keypoint's similarity is 0.5.

    OKS is exp(-d^2 / (2 area (2 sigma)^2)), so d = 2 sigma sqrt(2 ln 2 area).

    Args:
        sigma: OKS sigma of the keypoint.
        area: of the animal in square pixels.
    """
    return 2 * sigma * math.sqrt(2 * math.log(2) * area)


def why_ap_is_low(
    ap50: float, *, predictions: int, areas: Floats, sigmas: Sequence[float], errors: KeypointErrors
) -> str | None:
    """Say in one sentence what keeps AP50 low; None where it is not low.

    Args:
        ap50: average precision at OKS 0.5.
        predictions: number of predicted animals.
        areas: of the labelled animals, square pixels.
        sigmas: of the keypoints.
        errors: of the labelled keypoints.
    """
    if ap50 >= LOW:
        return None
    # From the plainest cause to the subtlest: each test below relies on those above.
    if not predictions:
        return "the model predicted no animal in any image"
    missing = float(1 - errors.predicted.mean())
    if missing > 0.5:
        return f"{missing:.0%} of the labelled keypoints have no prediction, and each counts as wrong"
    sigma, area = float(np.median(sigmas)), float(np.median(areas))
    radius, distance = half_radius(sigma, area), errors.distance[errors.predicted]
    mean, median = float(distance.mean()), float(np.median(distance))
    scale = f"{radius:.3g} px, where OKS falls to 0.5 (sigma {sigma:g}, median animal area {area:.4g} px²)"
    if median > radius:
        return (
            f"predictions are on average {mean:.3g} px from the labels (median {median:.3g}): beyond {scale}"
        )
    crowd = predictions / len(areas)
    if crowd > 1.5:
        return (
            f"{predictions} animals were predicted where {len(areas)} are labelled: most are false positives"
        )
    if mean > radius:
        return (
            f"some predictions are far off: the mean error is {mean:.3g} px, the median {median:.3g} px; "
            f"an animal counts as found within about {scale}"
        )
    if missing > 0.1:
        return f"{missing:.0%} of the labelled keypoints have no prediction, and each counts as wrong"
    return (
        f"errors (mean {mean:.3g} px) are near the {scale}, and wrong animals score as high as right ones: "
        "look at the worst images"
    )
