"""From what a network found to frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pose_core.errors import PluginError
from pose_core.pipeline.results import hide_doubtful_points


def test_points_below_the_threshold_and_missing_ones_are_nan_with_score_0() -> None:
    points = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [math.nan, 5.0]]])
    xy, scores = hide_doubtful_points(points, torch.tensor([[0.9, 0.1, 0.8]]), np.array([0.5], np.float32))
    np.testing.assert_array_equal(xy, [[[1, 2], [np.nan, np.nan], [np.nan, np.nan]]])
    np.testing.assert_allclose(scores, [[0.9, 0, 0]])


def test_a_score_that_is_no_number_is_not_written() -> None:
    with pytest.raises(PluginError, match=r"with score NaN: .* run 'pose check' on its plugin"):
        hide_doubtful_points(torch.zeros(1, 2, 2), torch.tensor([[0.5, math.nan]]), np.zeros(1, np.float32))
