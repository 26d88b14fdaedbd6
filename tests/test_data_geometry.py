"""Content sits where the matrix says: resizing, padding, cropping and the warp itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pose_core.data.geometry import (
    FrameGeometry,
    compute_crop_geometry,
    frame_input,
    frame_view,
    invert,
    resize_matrix,
    transform_points,
    translation_matrix,
    warp,
)
from pose_core.specs import Preprocess
from pose_core.specs.sides import padded_length

LAW = 0.1


def blob(width: int, height: int, x: float, y: float, sigma: float = 2.5) -> np.ndarray:
    """A Gaussian spot of brightness, drawn analytically around a sub-pixel position."""
    rows, columns = np.mgrid[:height, :width]
    spot = 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat(np.rint(spot).astype(np.uint8)[..., None], 3, axis=2)


def centroid(image: np.ndarray) -> np.ndarray:
    brightness = image[..., 0].astype(np.float64)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(brightness * columns).sum(), (brightness * rows).sum()]) / brightness.sum()


def assert_on_keypoint(image: np.ndarray, geometry: FrameGeometry, x: float, y: float) -> None:
    output = warp(image, geometry)
    assert output.shape == (geometry.height, geometry.width, 3)
    assert output.dtype == np.uint8
    expected = transform_points([x, y], geometry.matrix)
    assert np.hypot(*(centroid(output) - expected)) < LAW


place = st.tuples(st.floats(40, 110), st.floats(40, 80))


@settings(max_examples=80)
@given(place, st.floats(-math.pi, math.pi), st.floats(0.35, 2.5), st.booleans(), st.floats(-4, 4))
def test_blob_stays_on_its_keypoint_under_any_matrix(at, angle, zoom, mirror, shift):
    x, y = at
    cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
    turn = np.array([[-cos if mirror else cos, -sin, 0], [-sin if mirror else sin, cos, 0], [0, 0, 1.0]])
    matrix = translation_matrix(60 + shift, 50 - shift) @ turn @ translation_matrix(-x - 0.3 * shift, -y)
    assert_on_keypoint(blob(150, 121, x, y), FrameGeometry(matrix, 121, 103), x, y)


@settings(max_examples=60)
@given(place, st.integers(121, 160), st.integers(91, 130), st.floats(0.2, 3.0), st.sampled_from([1, 8, 32]))
def test_blob_stays_on_its_keypoint_in_a_resized_and_padded_frame(at, width, height, scale, multiple):
    x, y = at
    geometry = frame_input(width, height, scale, multiple)
    assert geometry.width % multiple == 0
    assert geometry.height % multiple == 0
    assert 0 <= geometry.width - width * scale < multiple + 1
    assert_on_keypoint(blob(width, height, x, y, sigma=3.0), geometry, x, y)


@settings(max_examples=60)
@given(place, st.floats(0.3, 1.6), st.floats(0.3, 1.6))
def test_blob_stays_on_its_keypoint_when_the_sides_shrink_differently(at, scale_x, scale_y):
    x, y = at
    geometry = FrameGeometry(
        resize_matrix((scale_x, scale_y)), math.ceil(150 * scale_x), math.ceil(121 * scale_y)
    )
    assert_on_keypoint(blob(150, 121, x, y), geometry, x, y)


@settings(max_examples=60)
@given(place, st.floats(20, 60), st.floats(20, 60), st.floats(0, 0.5))
def test_blob_stays_on_its_keypoint_in_a_crop(at, wide, high, margin):
    x, y = at
    box = np.array([x - wide / 2 - 3, y - high / 2 + 2, x + wide / 2 - 3, y + high / 2 + 2])
    geometry = compute_crop_geometry(box, (64, 96), margin)
    assume(margin * max(wide, high) + min(wide, high) / 2 > 13)
    assert_on_keypoint(blob(150, 121, x, y, sigma=2.0), geometry, x, y)


@given(
    st.integers(1, 2000),
    st.integers(1, 2000),
    st.floats(0.05, 8),
    st.sampled_from([1, 16, 32]),
    st.floats(0, 1),
)
def test_inverse_of_the_frame_matrix_returns_the_original_coordinates(width, height, scale, multiple, share):
    geometry = frame_input(width, height, scale, multiple)
    points = np.array(
        [[0, 0], [width - 1, height - 1], [share * (width - 1), 0.5], [np.nan, np.nan]], np.float32
    )
    inside = transform_points(points, geometry.matrix)
    assert inside.dtype == np.float32
    assert (inside[:3] > -0.51).all()
    assert (inside[:3] < [geometry.width - 0.49, geometry.height - 0.49]).all()
    assert np.isnan(inside[3]).all()
    back = transform_points(inside, invert(geometry.matrix))
    np.testing.assert_allclose(back, points, atol=2e-3 / min(scale, 1) * (1 + max(width, height) / 500))


def test_the_matrix_follows_the_convention_of_pixel_centres():
    np.testing.assert_allclose(
        transform_points([[0, 0], [9.5, 3]], resize_matrix(2.0)), [[0.5, 0.5], [19.5, 6.5]]
    )
    np.testing.assert_allclose(transform_points([[0.5, 0.5]], resize_matrix(0.5)), [[0, 0]])


def test_an_unscaled_frame_is_copied_exactly_and_padded_with_zeros():
    image = np.random.default_rng(0).integers(1, 256, (50, 70, 3), np.uint8)
    output = warp(image, frame_input(70, 50, 1.0, 32))
    assert output.shape == (64, 96, 3)
    np.testing.assert_array_equal(output[:50, :70], image)
    assert output[50:].max() == 0
    assert output[:, 70:].max() == 0


def test_halving_averages_whole_blocks():
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    means = image.reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))
    assert abs(warp(image, frame_input(64, 48, 0.5, 1)) - means).max() <= 0.5


@pytest.mark.parametrize("scale", [0.22, 0.25, 0.31, 0.5, 0.6])
def test_shrinking_does_not_alias(scale):
    """Stripes that are finer than the output's pixels become gray instead of new, broader stripes."""
    image = np.zeros((200, 200, 3), np.uint8)
    image[:, ::2] = 255
    inner = warp(image, frame_input(200, 200, scale, 1))[4:-4, 4:-4].astype(float)
    # A block of three holds one or two bright stripes, 42.5 off gray; sampling without averaging is 127.5
    # off.
    assert abs(inner - 127.5).max() < 43


def test_rounding_errors_do_not_add_a_column():
    assert padded_length(640 * 0.1, 1) == 64
    assert padded_length(3 * 1.1, 1) == 4
    assert padded_length(1, 32) == 32


def test_box_without_extent_is_shown_at_scale_one():
    geometry = compute_crop_geometry([30, 20, 30, 20], (64, 96), 0.25)
    np.testing.assert_allclose(geometry.matrix, translation_matrix(47.5 - 30, 31.5 - 20))


def test_box_input_refuses_an_unknown_box():
    with pytest.raises(ValueError, match="finite box"):
        compute_crop_geometry([np.nan] * 4, (64, 64), 0.25)


def test_a_box_keeps_its_aspect_ratio_and_its_margin():
    geometry = compute_crop_geometry([10, 20, 50, 40], (100, 100), 0.25)
    np.testing.assert_allclose(geometry.matrix[0, 0], 100 / 60)
    np.testing.assert_allclose(geometry.matrix[1, 1], 100 / 60)
    np.testing.assert_allclose(transform_points([30, 30], geometry.matrix), [49.5, 49.5], atol=1e-4)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (480, 640), (100, 30), (256, 256)])
def test_a_fixed_size_shows_the_whole_frame(width, height):
    geometry = frame_view(width, height, Preprocess(size=(192, 256)), 32)
    assert (geometry.height, geometry.width) == (192, 256)
    corners = transform_points([[-0.5, -0.5], [width - 0.5, height - 0.5]], geometry.matrix)
    np.testing.assert_allclose(corners[0], -0.5)
    assert (corners[1] <= np.array([255.5, 191.5]) + 1e-3).all()
    assert np.isclose(corners[1], [255.5, 191.5]).any()


def test_frame_view_resizes_by_the_scale_and_pads():
    geometry = frame_view(640, 480, Preprocess(scale=0.5), 32)
    assert (geometry.width, geometry.height) == (320, 256)
