"""Painted blobs and offsets, against the formula in every cell."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pose_core.interfaces import Grid
from pose_core.maps import KeypointWindows, paint_maximum, paint_nearest_offsets

grids = st.builds(
    Grid, stride=st.sampled_from([1.0, 2.0, 4.0, 7.5]), offset=st.sampled_from([-0.5, 0.0, 1.5, 4.0])
)
sizes = st.tuples(st.integers(1, 14), st.integers(1, 14))


def random_points(seed: int, size: tuple[int, int], grid: Grid, missing: float = 0.2) -> Tensor:
    """(2, 3, 4, 2) pixels: two images, three keypoints, four animals; some outside, some far outside, some
    missing."""
    generator = torch.Generator().manual_seed(seed)
    extent = torch.tensor([size[1], size[0]]) * grid.stride
    points = (torch.rand(2, 3, 4, 2, generator=generator) * 1.6 - 0.3) * extent
    points[0, 0, 0] = 1e30
    points[1, 2, 3] = -1e30
    points[torch.rand(2, 3, 4, generator=generator) < missing] = math.nan
    return points


def squared_distances(points: Tensor, grid: Grid, size: tuple[int, int]) -> Tensor:
    """(..., h, w), of each cell's centre to each point; infinite where there is none."""
    x, y = grid.centres(size[1]), grid.centres(size[0])
    squared = (x - points[..., 0, None]).square()[..., None, :] + (y - points[..., 1, None]).square()[
        ..., None
    ]
    return squared.nan_to_num(math.inf)


@given(seed=st.integers(0, 10**6), grid=grids, size=sizes, sigma=st.floats(0.7, 3.0))
def test_gaussians_are_the_formula(seed: int, grid: Grid, size: tuple[int, int], sigma: float) -> None:
    points, sigma = random_points(seed, size, grid), sigma * grid.stride
    windows = KeypointWindows.around(points, grid, size, 4 * sigma)
    painted = paint_maximum(windows.index().flatten(2), windows.gaussian(sigma).flatten(2), size)
    expected = torch.exp(squared_distances(points, grid, size) * (-0.5 / sigma**2)).amax(2)
    torch.testing.assert_close(painted, expected, atol=4e-4, rtol=0)


@given(seed=st.integers(0, 10**6), grid=grids, size=sizes, radius=st.floats(0.3, 5.0))
def test_a_window_holds_every_cell_within_its_radius(
    seed: int, grid: Grid, size: tuple[int, int], radius: float
) -> None:
    points, radius = random_points(seed, size, grid), radius * grid.stride
    windows = KeypointWindows.around(points, grid, size, radius)
    within = (windows.squared_distance() <= radius**2) & windows.inside()
    painted = paint_maximum(windows.index().flatten(2), within.float().flatten(2), size)
    expected = (squared_distances(points, grid, size) <= radius**2).any(2)
    assert torch.equal(painted.bool(), expected)
    square = paint_maximum(windows.index().flatten(2), windows.within(radius).float().flatten(2), size).bool()
    x, y = grid.centres(size[1]), grid.centres(size[0])
    near_x, near_y = (x - points[..., 0, None]).abs() <= radius, (y - points[..., 1, None]).abs() <= radius
    assert torch.equal(square, (near_x[..., None, :] & near_y[..., None]).any(2))


def test_painting_goes_into_given_maps() -> None:
    out = torch.full((1, 1, 6), 0.5)
    painted = paint_maximum(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0.2, 0.7, 0.9]]]), (2, 3), out=out)
    assert out.flatten().tolist() == pytest.approx([0.5, 0.9, 0.5, 0.5, 0.5, 0.5])
    assert painted.shape == (1, 1, 2, 3)
    assert painted.data_ptr() == out.data_ptr()


@given(seed=st.integers(0, 10**6), grid=grids, size=sizes, radius=st.floats(0.8, 3.0))
def test_offsets_lead_to_the_nearest_point(
    seed: int, grid: Grid, size: tuple[int, int], radius: float
) -> None:
    points, radius = random_points(seed, size, grid), radius * grid.stride
    windows = KeypointWindows.around(points, grid, size, radius)
    squared = windows.squared_distance()
    within = (squared <= radius**2) & windows.inside()
    closeness = torch.where(within, 2 - squared / radius**2, 0.0).flatten(2)
    painted = paint_maximum(windows.index().flatten(2), closeness, size)
    value, weight = paint_nearest_offsets(windows, closeness, within.flatten(2), painted)
    assert value.shape == weight.shape == (2, 6, *size)
    distances = squared_distances(points, grid, size)
    expected = (distances <= radius**2).any(2)
    for axis in (0, 1):
        assert torch.equal(weight[:, axis::2].bool(), expected)
    # Who follows an offset arrives at a point that is as near as any.
    arrived = value.view(2, 3, 2, *size).square().sum(2).sqrt()
    nearest = distances.amin(2).sqrt()
    torch.testing.assert_close(arrived[expected], nearest[expected], atol=1e-3 * grid.stride, rtol=0)
    assert (value[weight == 0] == 0).all()
