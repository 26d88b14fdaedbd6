"""Each transform does what it says, and what is at a keypoint stays at it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_effects.config import ElasticConfig
from pose_effects.elastic import Elastic

from pose_core.catalog import get_catalog
from pose_core.data.movements import check_movement, find_steepest, join_movements
from pose_core.errors import ConfigError
from pose_core.interfaces import FrameGeometry, LabelledView, PlacedLabels, TransformContext
from pose_core.specs import TransformConfig, parse_component
from pose_core.structures import Skeleton

SKELETON = Skeleton(("nose", "tail"))
HEIGHT, WIDTH = 80, 112
RED, GREEN, BLUE = (200, 60, 60), (60, 200, 60), (60, 60, 200)
PIXELS = ("equalize", "clahe", "gray", "hue_saturation", "gamma", "jpeg")


def make(name: str, crops: bool = False, **content: Any) -> Any:
    config = parse_component("transform", TransformConfig, {"type": name, **content})
    return get_catalog().component("transform", name).factory()(config, TransformContext(SKELETON, crops))


def draw_view(animals: Any, colour: tuple[int, int, int], other: Any = None) -> LabelledView:
    """A dark image with a soft dot at each keypoint, in the colour of the image; some texture behind."""
    keypoints = np.array(animals, np.float32).reshape(-1, 2, 2)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    dots = np.zeros((HEIGHT, WIDTH))
    for x, y in keypoints.reshape(-1, 2):
        if not np.isnan(x):
            dots = np.maximum(dots, np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18))
    image = 40 + dots[..., None] * (np.array(colour) - 40)
    count = len(keypoints)
    boxes = np.concatenate([keypoints.min(axis=1) - 4, keypoints.max(axis=1) + 4], axis=1)
    labels = PlacedLabels(
        keypoints=keypoints,
        occluded=np.zeros((count, 2), bool),
        boxes=boxes.astype(np.float32),
        areas=np.full(count, 50, np.float32),
        identity=np.arange(count),
        unique_keypoints=np.array([[2, 2]], np.float32),
    )
    return LabelledView(np.rint(image).astype(np.uint8), labels, lambda: other)


def find_dot(image: np.ndarray, near: tuple[float, float], reach: int = 7) -> np.ndarray:
    """Middle of what is brightest there, the upper fifth of the range."""
    x, y = round(near[0]), round(near[1])
    bright = image[y - reach : y + reach + 1, x - reach : x + reach + 1].astype(float).sum(axis=2)
    mass = (bright - bright.min() - 0.8 * np.ptp(bright)).clip(0)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.array([x + (mass * columns).sum() / mass.sum(), y + (mass * rows).sum() / mass.sum()])


places = st.tuples(st.floats(12, 40), st.floats(12, 66))


@pytest.mark.parametrize("name", PIXELS)
@settings(max_examples=20)
@given(first=places, second=places, seed=st.integers(0, 1000))
def test_changes_of_pixels_leave_what_is_at_a_keypoint_where_it_is(name, first, second, seed):
    points = [first, (second[0] + 56, second[1])]
    view = draw_view([points], RED)
    # Parts that are smaller than a dot would bend it.
    made = make(name, tiles=2) if name == "clahe" else make(name)
    changed = made.change_pixels(view.image.copy(), np.random.default_rng(seed))
    for point in points:
        assert np.hypot(*(find_dot(changed, point) - point)) < 1


@settings(max_examples=25)
@given(x=st.floats(20, 90), y=st.floats(20, 60), seed=st.integers(0, 1000), smooth=st.floats(6, 30))
def test_elastic_moves_keypoints_as_it_moves_pixels(x, y, seed, smooth):
    made = make("elastic", shift=smooth / 5, smoothness=smooth)
    movement = made.draw_movement(WIDTH, HEIGHT, np.random.default_rng(seed))
    placement = join_movements(FrameGeometry(np.eye(3), WIDTH, HEIGHT), [movement])
    to = placement.move_points([x, y])
    if not (9 < to[0] < WIDTH - 10 and 9 < to[1] < HEIGHT - 10):
        return
    # A small dot: a large one is bent, and its middle is not where its middle was.
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    dot = 40 + 200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4)
    moved = placement.move_pixels(np.rint(dot).astype(np.uint8)[..., None].repeat(3, axis=2))
    assert np.hypot(*(find_dot(moved, tuple(to)) - to)) < 1


@settings(max_examples=40)
@given(
    ratio=st.floats(4, 20),
    smooth=st.floats(0.5, 40),
    seed=st.integers(0, 1000),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
def test_elastic_never_folds(ratio, smooth, seed, size):
    config = ElasticConfig(type="effects/elastic", shift=smooth / ratio, smoothness=smooth)
    made = Elastic(config, TransformContext(SKELETON))
    movement = made.draw_movement(*size, np.random.default_rng(seed))
    assert check_movement(movement, *size, "elastic", mirrors=False) is movement
    assert find_steepest(movement.displacement) <= 0.81


def test_elastic_moves_as_far_and_as_smoothly_as_it_says():
    made = make("elastic", shift=2, smoothness=10)
    drawn = np.stack([made.draw_movement(200, 200, np.random.default_rng(s)).displacement for s in range(12)])
    inner = drawn[:, 30:-30, 30:-30]
    assert inner.std() == pytest.approx(2, rel=0.15)
    assert abs(inner.mean()) < 0.4
    # Ten pixels apart the correlation is exp(-1/4).
    assert (inner[:, 10:] * inner[:, :-10]).mean() / inner.var() == pytest.approx(np.exp(-0.25), abs=0.08)


def test_equalisation_spreads_values():
    rng = np.random.default_rng(0)
    image = rng.integers((100, 60, 90), (140, 80, 100), (HEIGHT, WIDTH, 3)).astype(np.uint8)
    light = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).std()
    whole = make("equalize").change_pixels(image.copy(), rng)
    assert cv2.cvtColor(whole, cv2.COLOR_RGB2GRAY).std() > 3 * light
    each = make("equalize", by_channel=True).change_pixels(image.copy(), rng)
    assert [(each[..., c].min(), each[..., c].max()) for c in range(3)] == [(0, 255)] * 3
    # Colours stay where brightness alone is changed: red above blue, everywhere where there is room.
    middle = (whole > 5).all(axis=2) & (whole < 250).all(axis=2)
    assert middle.any()
    assert whole[middle][:, 0].mean() > whole[middle][:, 1].mean()


def test_clahe_raises_contrast_where_it_is_low():
    rng = np.random.default_rng(0)
    image = np.full((80, 160, 3), 30, np.uint8)
    image[:, :80] += rng.integers(0, 10, (80, 80, 1), np.uint8)
    image[:, 80:] = rng.integers(0, 256, (80, 80, 1), np.uint8)
    changed = make("clahe", clip=[4, 4]).change_pixels(image.copy(), rng).astype(float)
    assert changed[:, :70].std() > 2 * image[:, :70].std()
    assert changed[:, 90:].std() < 1.3 * image[:, 90:].std()
    stronger = make("clahe", clip=[8, 8]).change_pixels(image.copy(), rng).astype(float)
    assert stronger[:, :70].std() > changed[:, :70].std()


def test_gray_takes_its_share_of_colour():
    image = np.full((4, 4, 3), RED, np.uint8)
    gray = make("gray").change_pixels(image.copy(), np.random.default_rng(0))
    assert np.ptp(gray, axis=2).max() == 0
    half = make("gray", strength=[0.5, 0.5]).change_pixels(image.copy(), np.random.default_rng(0))
    np.testing.assert_allclose(half, (gray.astype(float) + image) / 2, atol=1)


def test_hue_turns_and_saturation_scales():
    image = np.full((4, 4, 3), RED, np.uint8)
    same = make("hue_saturation", hue=0, saturation=0).change_pixels(image.copy(), np.random.default_rng(0))
    np.testing.assert_allclose(same.astype(int), image, atol=2)
    made = make("hue_saturation", hue=30, saturation=0)
    seen = [made.change_pixels(image.copy(), np.random.default_rng(s))[0, 0].astype(int) for s in range(40)]
    # Turned by 30 degrees either way, red leans to yellow or to magenta, and is red still.
    assert any(c[1] > 100 and c[2] < 70 for c in seen)
    assert any(c[2] > 100 and c[1] < 70 for c in seen)
    assert all(abs(c[0] - 200) <= 2 for c in seen)
    paler = make("hue_saturation", hue=0, saturation=1)
    spread = [np.ptp(paler.change_pixels(image.copy(), np.random.default_rng(s))[0, 0]) for s in range(40)]
    assert min(spread) < 60 < 140 < max(spread)
    gray = np.full((4, 4, 3), 120, np.uint8)
    np.testing.assert_array_equal(made.change_pixels(gray.copy(), np.random.default_rng(1)), gray)


def test_gamma_bends_middle_tones_and_keeps_black_and_white():
    image = np.array([[[0, 51, 255]]], np.uint8)
    changed = make("gamma", gamma=[2, 2]).change_pixels(image.copy(), np.random.default_rng(0))
    np.testing.assert_array_equal(changed, [[[0, round(255 * 0.04), 255]]])
    made = make("gamma", gamma=[0.5, 2])
    drawn = [made.change_pixels(image.copy(), np.random.default_rng(s))[0, 0, 1] for s in range(60)]
    assert 0.3 < np.mean(np.array(drawn) > 51) < 0.7


def test_jpeg_loses_more_at_low_quality_and_keeps_colours():
    # Gray, as colours lose more than brightness at any quality.
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 1), np.uint8).repeat(3, axis=2)
    lost = [
        abs(
            make("jpeg", quality=[q, q]).change_pixels(image.copy(), np.random.default_rng(0))
            - image.astype(int)
        )
        for q in (10, 95)
    ]
    assert lost[0].mean() > 2 * lost[1].mean() > 0
    flat = np.full((16, 16, 3), RED, np.uint8)
    made = make("jpeg").change_pixels(flat.copy(), np.random.default_rng(0))
    np.testing.assert_allclose(made.astype(int), flat, atol=6)


TWO = [[(30, 20), (40, 30)], [(80, 50), (90, 60)]]


@pytest.mark.parametrize("crops", [False, True])
def test_isolate_leaves_the_boxes_of_animals_and_in_a_crop_that_of_the_first(crops):
    view = draw_view(TWO, RED)
    made = make("isolate", crops, margin=0.25)
    changed = made.change_view(replace(view, image=view.image.copy()), np.random.default_rng(0))
    seen = np.zeros((HEIGHT, WIDTH), bool)
    # Boxes are 18 pixels long: 4 around the keypoints on each side, and 4.5 around that.
    seen[12:39, 22:49] = True
    if not crops:
        seen[42:69, 72:99] = True
    edge = cv2.dilate(seen.astype(np.uint8), np.ones((3, 3))) != cv2.erode(
        seen.astype(np.uint8), np.ones((3, 3))
    )
    np.testing.assert_array_equal(changed.image[seen & ~edge], view.image[seen & ~edge])
    assert not changed.image[~seen & ~edge].any()
    assert np.isfinite(changed.labels.keypoints[0]).all()
    assert np.isnan(changed.labels.keypoints[1]).all() == crops
    # The corner that exists once an image is behind the black as well.
    assert np.isnan(changed.labels.unique_keypoints).all()


def test_isolate_leaves_an_image_without_animals_alone():
    view = draw_view(np.zeros((0, 2, 2)), RED)
    image = view.image.copy()
    changed = make("isolate").change_view(view, np.random.default_rng(0))
    np.testing.assert_array_equal(changed.image, image)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), crops=st.booleans(), most=st.integers(1, 3))
def test_animals_that_are_put_in_bring_their_keypoints_and_boxes(seed, crops, most):
    view, other = draw_view(TWO, RED), draw_view([[(40, 30), (52, 38)]], BLUE)
    made = make("copy_paste", crops, most=most, margin=0.2)
    changed = made.change_view(replace(view, draw_other=lambda: other), np.random.default_rng(seed))
    labels = changed.labels
    assert 2 < len(labels.keypoints) <= 2 + most
    np.testing.assert_array_equal(labels.keypoints[:2], view.labels.keypoints)
    np.testing.assert_array_equal(labels.boxes[:2], view.labels.boxes)
    assert (labels.identity[2:] == -1).all()
    for row in range(2, len(labels.keypoints)):
        keypoints, box = labels.keypoints[row], labels.boxes[row]
        np.testing.assert_allclose(keypoints[1] - keypoints[0], [12, 8])
        np.testing.assert_allclose(box, [*(keypoints[0] - 4), *(keypoints[1] + 4)])
        if row == len(labels.keypoints) - 1:  # no later one may lie on it
            for x, y in np.rint(keypoints).astype(int):
                np.testing.assert_array_equal(changed.image[y, x], BLUE)


@pytest.mark.parametrize("covered", ["keep", "occlude", "remove"])
def test_what_an_animal_covers_is_as_the_setting_says(covered):
    other = draw_view([[(40, 30), (52, 38)]], BLUE)
    made = make("copy_paste", covered=covered, overlap=1)
    behind = 0
    for seed in range(60):
        view = draw_view(TWO, RED, other)
        before, image = view.labels.keypoints.copy(), view.image.copy()
        changed = made.change_view(view, np.random.default_rng(seed))
        x, y = np.rint(before[:2].reshape(-1, 2)).astype(int).T
        # Clear of the margin, over which the animal fades out.
        hidden = (abs(changed.image[y, x].astype(int) - image[y, x]).sum(axis=1) > 150).reshape(2, 2)
        behind += hidden.sum()
        assert np.isnan(changed.labels.keypoints[:2, :, 0])[hidden].all() == (
            covered == "remove" or not hidden.any()
        )
        assert changed.labels.occluded[:2][hidden].all() == (covered == "occlude" or not hidden.any())
    assert behind >= 10


def test_no_animal_is_covered_by_more_than_it_may():
    other = draw_view([[(40, 30), (60, 48)]], BLUE)
    none = make("copy_paste", overlap=0)
    for seed in range(60):
        view = draw_view(TWO, RED, other)
        changed = none.change_view(view, np.random.default_rng(seed))
        assert len(changed.labels.keypoints) in (2, 3)
        for x, y in np.array(TWO).reshape(-1, 2):
            np.testing.assert_array_equal(changed.image[y, x], RED)
        assert not changed.labels.occluded.any()


def test_nothing_is_put_in_from_an_image_without_animals_or_where_there_is_no_room():
    empty, large = draw_view(np.zeros((0, 2, 2)), BLUE), draw_view([[(5, 5), (105, 75)]], BLUE)
    for other, overlap in ((empty, 1.0), (large, 0.0)):
        view = draw_view(TWO, RED, other)
        changed = make("copy_paste", overlap=overlap).change_view(view, np.random.default_rng(0))
        assert len(changed.labels.keypoints) == 2


def test_what_else_is_in_the_rectangle_comes_along_and_the_rest_does_not():
    nan = np.nan
    other = draw_view([[(40, 30), (60, 50)], [(50, 40), (100, 70)], [(nan, nan), (nan, nan)]], BLUE)
    view = draw_view([[(8, 8), (10, 10)]], RED)
    made = make("copy_paste", overlap=1)
    sizes = set()
    for seed in range(40):
        changed = made.change_view(replace(view, draw_other=lambda: other), np.random.default_rng(seed))
        added = changed.labels.keypoints[1:]
        sizes.add(len(added))
        if np.isfinite(added[0]).all() and abs(added[0, 1] - added[0, 0] - 20).max() < 1e-3:
            # The second animal has one keypoint in the rectangle of the first.
            np.testing.assert_array_equal(np.isnan(added[1, :, 0]), [False, True])
    assert sizes == {2}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"type": "elastic", "shift": 4, "smoothness": 12}, "smoothness must be at least 16"),
        ({"type": "gamma", "gamma": [1.5, 0.7]}, r"gamma must be \[least, largest\]"),
        ({"type": "gamma", "gamma": [0, 1]}, "gamma must be above 0"),
        ({"type": "jpeg", "quality": [50, 101]}, "quality must be at most 100"),
        ({"type": "gray", "strength": [0.5, 2]}, "strength must be at most 1"),
        ({"type": "clahe", "clip": [-1, 2]}, r"clip must be \[least, largest\]"),
        ({"type": "copy_paste", "covered": "hide"}, "covered"),
        ({"type": "gray", "p": -0.1}, "p: must be at least 0"),
    ],
)
def test_wrong_settings_are_one_line(content, said):
    with pytest.raises(ConfigError, match=said):
        parse_component("transform", TransformConfig, content)
