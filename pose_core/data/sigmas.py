"""Resolve the sigmas of keypoints: how far off one may be and still count, for its object keypoint similarity."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import numpy as np

from pose_core.errors import ConfigError, argument
from pose_core.structures import Skeleton


def resolve_sigmas(sigmas: float | Mapping[str, float], skeleton: Skeleton) -> dict[str, float]:
    """Resolve the sigma of each of the K keypoints.

    Args:
        sigmas: one number for all, or one for each keypoint name.
        skeleton: of the project.

    Raises:
        ConfigError: a name is unknown or misses, or a sigma is negative or not a number.
    """
    if isinstance(sigmas, Mapping):
        for name in sigmas:
            if name in skeleton.unique_keypoints:
                raise ConfigError(
                    f"evaluation.sigmas.{name}: a keypoint that exists once an image has no OKS; remove it"
                )
            if name not in skeleton.keypoints:
                near = difflib.get_close_matches(name, skeleton.keypoints, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(skeleton.keypoints)}"
                raise ConfigError(f"evaluation.sigmas.{name}: there is no keypoint of this name; {hint}")
        if missing := [name for name in skeleton.keypoints if name not in sigmas]:
            raise ConfigError(
                f"evaluation.sigmas: no sigma for {', '.join(missing)}; add them, or give one number for all"
            )
        by_name = {name: float(sigmas[name]) for name in skeleton.keypoints}
    else:
        by_name = dict.fromkeys(skeleton.keypoints, float(sigmas))
    for name, sigma in by_name.items():
        if not (np.isfinite(sigma) and sigma >= 0):
            raise ConfigError(
                f"evaluation.sigmas: the sigma of {name} must be a number above 0, not {sigma:g}"
            )
    return by_name


def override_sigmas(
    sigmas: float | Mapping[str, float], options: Sequence[str], skeleton: Skeleton
) -> float | Mapping[str, float]:
    """Override sigmas by those of the command line.

    Args:
        sigmas: of the run.
        options: ``"0.05"`` for all keypoints, ``"nose=0.03"`` for one; later ones win.
        skeleton: of the project.

    Raises:
        ConfigError: an option is neither, or names no keypoint.
    """
    for option in options:
        name, equals, number = option.rpartition("=")
        try:
            sigma = float(number)
        except ValueError:
            raise ConfigError(
                f"{argument('sigma', option)}: write a number such as 0.05, or KEYPOINT=0.05"
            ) from None
        sigmas = {**resolve_sigmas(sigmas, skeleton), name: sigma} if equals else sigma
        resolve_sigmas(sigmas, skeleton)
    return sigmas
