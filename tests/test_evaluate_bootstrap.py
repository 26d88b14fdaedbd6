"""Intervals: every resampled metric equals the metric of the images drawn, and coverage is what it claims."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_core.evaluation import bootstrap as module
from pose_core.evaluation.bootstrap import Bootstrap, interval


def drawn_values(counts, values, image):
    """The list that a resampling stands for."""
    return np.repeat(values, counts[image].astype(int))


@given(st.integers(2, 8), st.integers(0, 30), st.integers(0, 2**32 - 1), st.sampled_from([1, 7, 4_000_000]))
def test_resampled_figures_are_those_of_the_drawn_images(images, keypoints, seed, chunk):
    rng = np.random.default_rng(seed)
    values, image = rng.exponential(5, keypoints).round(1), rng.integers(0, images, keypoints)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        bootstrap = Bootstrap(images, 9, seed)
        medians = bootstrap.percentile(values, image, 50)
        largest = bootstrap.percentile(values, image, 95)
        means = bootstrap.ratio(np.bincount(image, values, images), np.bincount(image, minlength=images))
    assert (bootstrap.counts.sum(axis=1) == images).all()
    for counts, median, p95, mean in zip(bootstrap.counts, medians, largest, means, strict=True):
        drawn = drawn_values(counts, values, image)
        if not len(drawn):
            assert np.isnan(median)
            assert np.isnan(mean)
        else:
            assert median == pytest.approx(np.median(drawn))
            assert p95 == pytest.approx(np.percentile(drawn, 95))
            assert mean == pytest.approx(np.mean(drawn))


def test_ratios_of_several_columns_at_once():
    bootstrap = Bootstrap(3, 5, 0)
    numerator, denominator = np.arange(6.0).reshape(3, 2), np.array([1.0, 2, 3])
    both = bootstrap.ratio(numerator, denominator)
    assert both.shape == (5, 2)
    for column in range(2):
        np.testing.assert_allclose(both[:, column], bootstrap.ratio(numerator[:, column], denominator))


def test_the_same_seed_gives_the_same_interval_and_another_one_does_not():
    one, same, other = (Bootstrap(20, 200, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.counts, same.counts)
    assert (one.counts != other.counts).any()


def test_intervals_hold_the_true_mean_about_as_often_as_they_claim():
    # 40 images with 4 correlated keypoints each: resampling keypoints instead of images would cover far less.
    rng = np.random.default_rng(0)
    image, hits = np.repeat(np.arange(40), 4), 0
    for trial in range(200):
        values = (rng.exponential(3, 40)[:, None] + rng.normal(0, 0.1, (40, 4))).ravel()
        bootstrap = Bootstrap(40, 300, trial)
        resampled = bootstrap.ratio(np.bincount(image, values), np.bincount(image))
        low, high = interval(resampled)
        assert low < values.mean() < high
        hits += low <= 3 <= high
    assert 0.87 <= hits / 200 <= 0.98


def test_nothing_to_resample():
    assert interval(np.array([np.nan, np.nan])) is None
    assert Bootstrap(1, 10, 0).undefined == "an interval needs at least two images"
    assert Bootstrap(5, 0, 0).undefined == "no interval: evaluation.bootstrap is 0"
    assert Bootstrap(5, 10, 0).undefined is None
