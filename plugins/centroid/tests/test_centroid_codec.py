"""Heatmap -> centres: places between cells, order, twins, limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pose_centroid.config import CentresPredictorConfig
from pose_centroid.predictor import CentresPredictor, keep_distant

from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, Grid, Predictions
from pose_core.structures import Skeleton

ONE = Skeleton(("centroid",), individuals=tuple("abcd"))
GRID = Grid.cells(4)


def heatmap(points: Any, heights: Any, size: tuple[int, int] = (40, 60), sigma: float = 6.0) -> torch.Tensor:
    rows, columns = (4 * np.arange(n) + 1.5 for n in size)
    maps = [
        h * np.exp(-((columns - x) ** 2 + (rows[:, None] - y) ** 2) / (2 * sigma**2))
        for (x, y), h in zip(points, heights, strict=True)
    ]
    highest = np.max([np.zeros(size), *maps], axis=0)
    return torch.tensor(highest, dtype=torch.float32)[None, None]


def find(maps: torch.Tensor, skeleton: Skeleton = ONE, **settings: Any) -> Predictions:
    config = CentresPredictorConfig(type="centroid/centres", sigmoid=False, **settings)
    predictor = CentresPredictor(config, BuildContext(skeleton), GRID)
    return predictor({"heatmap": maps}, Predictions.none(len(maps), skeleton))


@given(st.floats(20, 70), st.floats(20, 140), st.floats(0, 30))
def test_centres_lie_between_cells_and_the_highest_comes_first(x: float, y: float, apart: float) -> None:
    points, heights = [(x, y), (x + 60 + apart, y), (x + 150, 150 - y)], [0.6, 0.9, 0.4]
    found = find(heatmap(points, heights))
    assert found.scores[0].tolist() == sorted(found.scores[0].tolist(), reverse=True)
    assert int((found.scores > 0).sum()) == 3
    for row, at in enumerate((1, 0, 2)):
        np.testing.assert_allclose(found.keypoints[0, row, 0], points[at], atol=0.05)
        # Between cells the peak itself is not seen: half a cell of 4 pixels along both axes at most.
        assert heights[at] * 0.89 <= float(found.scores[0, row]) <= heights[at] + 1e-6


def test_at_most_as_many_as_there_may_be_and_none_below_the_threshold() -> None:
    points, heights = [(20 + 40 * i, 30) for i in range(5)], [0.5, 0.9, 0.7, 0.15, 0.3]
    maps = heatmap(points, heights, size=(20, 60))
    assert int((find(maps).scores > 0).sum()) == 4
    assert int((find(maps, max_animals=2).scores > 0).sum()) == 2
    assert int((find(maps, max_animals=None, threshold=0.05).scores > 0).sum()) == 5
    nothing = find(torch.zeros(2, 1, 20, 60))
    assert not nothing.scores.any()
    assert torch.isnan(nothing.keypoints).all()


def test_of_two_near_centres_the_higher_one_is_kept() -> None:
    maps = heatmap([(60, 60), (88, 60), (160, 60)], [0.9, 0.8, 0.7], sigma=5.0)
    assert int((find(maps).scores > 0).sum()) == 3
    kept = find(maps, distance=30.0)
    assert int((kept.scores > 0).sum()) == 2
    np.testing.assert_allclose(kept.keypoints[0, :2, 0, 0], [60, 160], atol=0.1)
    # Twins do not take the place of animals that are looked for.
    assert int((find(maps, distance=30.0, max_animals=2).scores > 0).sum()) == 2


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0, 60)), min_size=1, max_size=12), st.floats(1, 30))
def test_what_is_kept_is_apart_and_what_is_dropped_was_near(points: Any, distance: float) -> None:
    places = torch.tensor(points, dtype=torch.float32)[None]
    scores = torch.linspace(0.9, 0.1, len(points))[None]
    kept, heights = keep_distant(places, scores, distance)
    there = heights[0] > 0
    count = int(there.sum())
    assert there[:count].all()
    assert torch.isnan(kept[0, count:]).all()
    apart = torch.linalg.vector_norm(kept[0, :count, None] - kept[0, None, :count], dim=-1)
    assert (apart[~torch.eye(count, dtype=torch.bool)] >= distance).all()
    # Every place is kept, or near one that is.
    nearest = torch.linalg.vector_norm(places[0, :, None] - kept[0, None, :count], dim=-1).amin(1)
    assert (nearest < distance).all()
    again = keep_distant(kept, heights, distance)
    assert torch.equal(again[1], heights)


def test_a_model_that_learns_keypoints_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"learns 3 keypoints; use model\.method: centroid"):
        find(torch.zeros(1, 3, 8, 8), Skeleton(("a", "b", "c")))
