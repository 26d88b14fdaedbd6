"""What filters make of keypoints, against laws and textbooks."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pose_smoothing.config import InterpolateConfig, KalmanConfig, MedianConfig, SavgolConfig
from pose_smoothing.interpolate import Interpolate
from pose_smoothing.kalman import Kalman
from pose_smoothing.median import Median
from pose_smoothing.savgol import Savgol
from scipy.signal import savgol_filter

from pose_core.interfaces import FilterContext, Series
from pose_core.structures import Skeleton

CONTEXT = FilterContext(Skeleton(("nose",)), 30.0)
SMOOTHERS = (
    Median(MedianConfig(), CONTEXT),
    Savgol(SavgolConfig(), CONTEXT),
    Kalman(KalmanConfig(), CONTEXT),
)
ALL = (*SMOOTHERS, Interpolate(InterpolateConfig(), CONTEXT))

gaps = arrays(bool, st.integers(1, 40))
numbers = st.floats(-500, 500)


def series(x: Any, scores: Any = 1.0, filled: Any = False) -> Series:
    """One keypoint that moves along x (T,), NaN where missing; y is -x."""
    x = np.asarray(x, float)
    points = np.stack([x, -x], axis=-1)[:, None, None]
    there = np.isfinite(points).all(axis=-1)
    given = np.broadcast_to(np.asarray(scores, float).reshape(-1, 1, 1), there.shape)
    marked = np.broadcast_to(np.asarray(filled, bool).reshape(-1, 1, 1), there.shape)
    return Series(points, np.where(there & ~marked, given, 0.0), marked & there)


def run(one: Any, x: Any, **options: Any) -> np.ndarray[Any, Any]:
    made = one.apply(series(x, **options))
    assert np.array_equal(made[..., 0], -made[..., 1], equal_nan=True)
    return np.asarray(made[:, 0, 0, 0])


@pytest.mark.parametrize("one", ALL)
@settings(max_examples=30, deadline=None)
@given(missing=gaps, place=numbers)
def test_what_stands_stays(one: Any, missing: Any, place: float) -> None:
    x = np.where(missing, np.nan, place)
    made = run(one, x)
    assert np.allclose(made[~missing], place, rtol=0, atol=1e-6)
    assert np.isnan(made[missing]).all() or isinstance(one, Interpolate)


@pytest.mark.parametrize("order", [1, 2, 3])
@settings(max_examples=30, deadline=None)
@given(missing=gaps, slope=st.floats(-20, 20), offset=numbers)
def test_a_line_stays_under_polynomials_and_between_gaps(
    order: int, missing: Any, slope: float, offset: float
) -> None:
    line = offset + slope * np.arange(len(missing))
    x = np.where(missing, np.nan, line)
    for one in (
        Savgol(SavgolConfig(order=order), CONTEXT),
        Interpolate(InterpolateConfig(), CONTEXT),
        SMOOTHERS[0],
    ):
        made = run(one, x)
        # The median of a line is the middle, where as many are before as after.
        whole = np.isfinite(made) if not isinstance(one, Median) else np.zeros(len(x), bool)
        assert np.allclose(made[whole], line[whole], rtol=0, atol=1e-6)
    # A Kalman smoother of constant velocity is sure of nothing before the first measurement, and nearly so after.
    made = run(SMOOTHERS[2], x)
    assert np.allclose(made[~missing], line[~missing], rtol=0, atol=1e-2)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 29), st.floats(50, 1000))
def test_the_median_removes_single_spikes(at: int, height: float) -> None:
    x = np.full(30, 7.0)
    x[at] += height
    assert np.array_equal(run(Median(MedianConfig(window=3), CONTEXT), x)[1:-1], np.full(28, 7.0))
    assert np.array_equal(run(SMOOTHERS[0], x), np.full(30, 7.0))


@settings(max_examples=30, deadline=None)
@given(arrays(float, st.integers(5, 40), elements=numbers), st.data())
def test_medians_are_those_of_what_is_there(x: Any, data: Any) -> None:
    x[data.draw(arrays(bool, len(x)))] = np.nan
    made = run(SMOOTHERS[0], x)
    for t in range(len(x)):
        around = x[max(t - 2, 0) : t + 3]
        expected = np.nan if np.isnan(x[t]) else np.nanmedian(around)
        assert made[t] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(("window", "order"), [(5, 2), (7, 3), (9, 1)])
def test_polynomials_are_those_of_scipy_away_from_gaps(window: int, order: int) -> None:
    x = np.random.default_rng(0).normal(0, 5, 60).cumsum()
    made = run(Savgol(SavgolConfig(window=window, order=order), CONTEXT), x)
    half = window // 2
    assert np.allclose(made[half:-half], savgol_filter(x, window, order)[half:-half])


def test_a_keypoint_with_too_few_neighbours_stays() -> None:
    x = np.full(20, np.nan)
    x[[4, 5, 15]] = [3.0, 9.0, 100.0]
    made = run(Savgol(SavgolConfig(window=5, order=2), CONTEXT), x)
    assert np.array_equal(made, x, equal_nan=True)


@settings(max_examples=30, deadline=None)
@given(gaps, st.integers(1, 8))
def test_gaps_are_filled_up_to_their_longest_and_no_farther(missing: Any, longest: int) -> None:
    x = np.where(missing, np.nan, np.arange(len(missing)) ** 2.0)
    made = run(Interpolate(InterpolateConfig(max_gap=longest), CONTEXT), x)
    assert np.array_equal(made[~missing], x[~missing])
    known = np.flatnonzero(~missing)
    for one, other in itertools.pairwise(known):
        inside = made[one + 1 : other]
        if other - one - 1 > longest:
            assert np.isnan(inside).all()
        else:
            assert np.allclose(inside, np.linspace(x[one], x[other], other - one + 1)[1:-1])
    # Nothing is guessed beyond the ends.
    outside = missing.copy()
    if len(known):
        outside[known[0] : known[-1]] = False
    assert np.isnan(made[outside]).all()


def test_the_smoother_is_the_most_likely_way() -> None:
    """Against least squares of all measurements and all changes of velocity at once."""
    rng, length, config = np.random.default_rng(0), 40, KalmanConfig(acceleration_noise=0.3)
    x = rng.normal(0, 1, length).cumsum() * 3
    scores = rng.uniform(0.1, 1, length)
    x[[7, 8, 9, 30]] = np.nan
    x[10] = 0.5
    filled = np.arange(length) == 10
    measured = np.flatnonzero(np.isfinite(x) & ~filled)
    # Unknowns: place and velocity of each frame; place + velocity is the next place.
    rows, right = [], []
    for t in measured:
        row = np.zeros(2 * length)
        row[2 * t] = scores[t]
        rows.append(row)
        right.append(scores[t] * x[t])
    for t in range(length - 1):
        row = np.zeros(2 * length)
        row[[2 * t + 1, 2 * t + 3]] = [-1 / config.acceleration_noise, 1 / config.acceleration_noise]
        rows.append(row)
        right.append(0)
        row = np.zeros(2 * length)
        row[[2 * t, 2 * t + 1, 2 * t + 2]] = [-1e5, -1e5, 1e5]
        rows.append(row)
        right.append(0)
    expected = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0][::2]
    made = run(Kalman(config, CONTEXT), x, scores=scores, filled=filled)
    there = np.isfinite(x)
    assert np.allclose(made[there], expected[there], rtol=0, atol=1e-3)
    assert np.isnan(made[~there]).all()


def test_low_scores_are_moved_more_and_a_smaller_noise_is_smoother() -> None:
    x = np.zeros(60)
    x[30] = 10.0
    low = run(SMOOTHERS[2], x, scores=np.where(np.arange(60) == 30, 0.2, 1.0))[30]
    high = run(SMOOTHERS[2], x)[30]
    assert 0 < low < 0.3 * high
    smoother = run(Kalman(KalmanConfig(acceleration_noise=0.05), CONTEXT), x)[30]
    assert 0 < smoother < 0.8 * high
    # No score is below the least, so that a poor keypoint still counts for something.
    floor = Kalman(KalmanConfig(min_score=0.9), CONTEXT)
    assert run(floor, x, scores=np.full(60, 0.1))[30] == pytest.approx(high, rel=0.2)


@pytest.mark.parametrize(
    ("config", "values", "line"),
    [
        (MedianConfig, {"window": 4}, "window must be odd"),
        (SavgolConfig, {"window": 6}, "window must be odd"),
        (SavgolConfig, {"window": 5, "order": 5}, "order must be below the window"),
        (InterpolateConfig, {"max_gap": 0}, "greater than or equal to 1"),
        (KalmanConfig, {"acceleration_noise": 0}, "greater than or equal to 0.001"),
    ],
)
def test_impossible_settings_are_refused(config: Any, values: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        config(**values)
