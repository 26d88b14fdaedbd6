"""Level 1: filters."""

from __future__ import annotations

import copy

import numpy as np

from pose_core.interfaces.filter import Filter, FilterContext, Series
from pose_core.interfaces.tracker import Floats
from pose_core.structures import Skeleton
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.targets import ComponentSubject

_CONTEXT = FilterContext(Skeleton(("a", "b", "c")), fps=30.0)

_NEAR = 0.05
"""Pixels that what lies beyond a filter's reach may move a keypoint: some filters forget, but never wholly."""


def _build_filter(subject: ComponentSubject) -> Filter:
    made: Filter = subject.component.factory()(subject.config, _CONTEXT)
    return made


def _make_series(points: Floats, seed: int = 1) -> Series:
    there = np.isfinite(points).all(axis=-1)
    scores = np.random.default_rng(seed).uniform(0.1, 1, there.shape)
    return Series(points, np.where(there, scores, 0.0), np.zeros(there.shape, bool))


def _walk(frames: int, animals: int = 2, seed: int = 0) -> Series:
    """Animals that wander, with noise; keypoints and whole animals are missing for some frames now and then."""
    rng = np.random.default_rng(seed)
    speed = np.zeros((animals, 1, 2))
    place = rng.uniform(50, 350, (animals, 1, 2))
    points = np.zeros((frames, animals, 3, 2))
    for frame in range(frames):
        speed = 0.9 * speed + rng.normal(0, 1, speed.shape)
        place = place + speed
        points[frame] = place + np.arange(3)[:, None] * 8 + rng.normal(0, 0.5, (animals, 3, 2))
    points[rng.random(points.shape[:3]) < 0.1] = np.nan
    points[rng.random(points.shape[:2]) < 0.05] = np.nan
    return _make_series(points)


@check(1, "filter")
def check_filter_gives_keypoints(subject: ComponentSubject) -> None:
    """It gives float64 of the same shape, both coordinates or none, and changes nothing that it is given."""
    series = _walk(60)
    before = copy.deepcopy(series)
    made = _build_filter(subject).apply(series)
    for name in ("points", "scores", "filled"):
        same = np.array_equal(getattr(series, name), getattr(before, name), equal_nan=True)
        demand(same, f"it changes the {name} that it is given")
    is_array = isinstance(made, np.ndarray) and made.dtype == np.float64
    demand(is_array, f"apply() gives {getattr(made, 'dtype', type(made).__name__)}, not an array of float64")
    demand(made.shape == series.points.shape, f"apply() gives {made.shape} for {series.points.shape}")
    missing = np.isnan(made)
    demand(not np.isinf(made).any(), "a keypoint is infinite")
    demand(bool((missing[..., 0] == missing[..., 1]).all()), "a keypoint has one coordinate")


@check(1, "filter")
def check_filter_stays_in_its_reach(subject: ComponentSubject) -> None:
    """What becomes of a frame is decided by at most `reach` frames before and after it."""
    made = _build_filter(subject)
    reach = made.reach
    demand(isinstance(reach, int) and reach >= 0, f"reach is {reach!r}, not a number of frames")
    series = _walk(2 * reach + 60)
    whole = made.apply(series)
    # Windows of different lengths, with what is around them and nothing more.
    for start, end in ((0, 7), (20, 50), (reach + 3, reach + 4)):
        low, high = max(start - reach, 0), min(end + reach, len(whole))
        part = Series(series.points[low:high], series.scores[low:high], series.filled[low:high])
        found = _build_filter(subject).apply(part)[start - low : end - low]
        same = bool((np.isnan(found) == np.isnan(whole[start:end])).all())
        demand(same, f"with {reach} frames around it, other keypoints are there than in the whole video")
        apart = np.nan_to_num(np.abs(found - whole[start:end])).max()
        demand(
            apart <= _NEAR, f"with {reach} frames around it, a keypoint is {apart:.2g} px from where it was"
        )


@check(1, "filter")
def check_filter_leaves_what_stands_still(subject: ComponentSubject) -> None:
    """Keypoints that do not move stay where they are."""
    points = np.broadcast_to(np.array([[[10.0, 20], [300, 7], [55, 1000]]]), (40, 1, 3, 2)).copy()
    apart = np.abs(_build_filter(subject).apply(_make_series(points)) - points).max()
    demand(not apart > 1e-3, f"one moves by {apart:.2g} px")


@check(1, "filter")
def check_filter_keeps_animals_apart(subject: ComponentSubject) -> None:
    """An animal becomes the same alone, beside others, and in whichever order they stand."""
    series = _walk(60, animals=3)
    whole = _build_filter(subject).apply(series)
    for chosen in ([0], [2], [2, 0]):
        some = Series(series.points[:, chosen], series.scores[:, chosen], series.filled[:, chosen])
        found = _build_filter(subject).apply(some)
        same = np.allclose(found, whole[:, chosen], rtol=0, atol=1e-9, equal_nan=True)
        demand(same, "beside other animals, one is elsewhere")


@check(1, "filter")
def check_filter_takes_whatever_is_stored(subject: ComponentSubject) -> None:
    """No animal, one frame, a keypoint that is never found, and no score are no reason to fail."""
    usual = _walk(30)
    never, unscored, filled = (copy.deepcopy(usual) for _ in range(3))
    never.points[:, 0] = np.nan
    never.scores[:, 0] = 0
    unscored.scores[:] = 0
    filled.scores[:] = 0
    filled.filled[:] = np.isfinite(filled.points).all(axis=-1)
    nobody = Series(usual.points[:, :0], usual.scores[:, :0], usual.filled[:, :0])
    one = Series(usual.points[:1], usual.scores[:1], usual.filled[:1])
    for name, series in (
        ("no animal", nobody),
        ("one frame", one),
        ("a keypoint that is never found", never),
        ("no scores", unscored),
        ("nothing but filled keypoints", filled),
    ):
        made = _build_filter(subject).apply(series)
        demand(made.shape == series.points.shape, f"{name}: apply() gives {made.shape}")
        if series is never:
            demand(bool(np.isnan(made[:, 0]).all()), "a keypoint that is never found has a place")


CHECKS = (
    check_filter_gives_keypoints,
    check_filter_stays_in_its_reach,
    check_filter_leaves_what_stands_still,
    check_filter_keeps_animals_apart,
    check_filter_takes_whatever_is_stored,
)
