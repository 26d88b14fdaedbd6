"""Level 1: transforms of training images."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import fields, replace

import cv2
import numpy as np

from pose_core.data.movements import check_movement, join_movements
from pose_core.data.transform_law import check_image, check_view, copy_labels
from pose_core.data.transform_list import make_transform, watch_random_state
from pose_core.interfaces import (
    FrameGeometry,
    GeometricTransform,
    LabelledView,
    LabelTransform,
    Movement,
    PixelTransform,
    PlacedLabels,
    Transform,
    TransformContext,
)
from pose_core.structures import ByteArray, FloatArray, Skeleton
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.targets import ComponentSubject

_SKELETON = Skeleton(("left", "right", "nose", "tail"), symmetry=(("left", "right"),))
_HEIGHT, _WIDTH = 144, 192
_DRAWS = 12
# Of two animals; each keypoint has a neighbourhood of its own.
_PLACES = np.array(
    [[[38, 36], [74, 38], [56, 70], [60, 104]], [[118, 44], [154, 48], [136, 80], [132, 112]]], np.float32
)
_PIXEL = 1.0
_SIGMA, _REACH = 2.5, 9
_HALF, _FAR = 12, 6
_ALIKE = 0.7
"""Correlation from which a keypoint's neighbourhood counts as found again; others are covered."""


def _make_view(seed: int, keypoints: FloatArray = _PLACES) -> LabelledView:
    """An image of random cells of five pixels, each neighbourhood of its own kind, with labels."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(40, 216, (_HEIGHT // 5 + 2, _WIDTH // 5 + 2, 3), np.uint8)
    image = cv2.resize(cells, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_LINEAR)
    boxes = np.concatenate([keypoints.min(axis=1) - 8, keypoints.max(axis=1) + 8], axis=1)
    count = len(keypoints)
    labels = PlacedLabels(
        keypoints=keypoints.copy(),
        occluded=np.zeros(keypoints.shape[:2], bool),
        boxes=boxes.astype(np.float32),
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1).astype(np.float32),
        identity=np.arange(count),
        unique_keypoints=np.array([[20, 120]], np.float32),
    )
    return LabelledView(np.ascontiguousarray(image, np.uint8), labels, lambda: _make_view(seed + 1000))


def _build(subject: ComponentSubject) -> Iterator[Transform]:
    """The transform as in whole frames, and as in crops."""
    for crops in (False, True):
        yield make_transform(subject.config, TransformContext(_SKELETON, crops))


def _move(made: GeometricTransform, seed: int) -> Movement:
    drawn = made.draw_movement(_WIDTH, _HEIGHT, np.random.default_rng(seed))
    return check_movement(drawn, _WIDTH, _HEIGHT, type(made).__name__, made.mirrors)


def _change(made: Transform, view: LabelledView, seed: int) -> LabelledView:
    """Of a transform that moves nothing; its law is held only where a check asks for it."""
    rng = np.random.default_rng(seed)
    if isinstance(made, PixelTransform):
        return replace(view, image=made.change_pixels(view.image, rng))
    if isinstance(made, LabelTransform):
        return made.change_view(view, rng)
    raise TypeError(type(made).__name__)


def _read(made: Transform, seed: int) -> list[np.ndarray]:
    """All that comes out of one draw, as arrays."""
    if isinstance(made, GeometricTransform):
        movement = made.draw_movement(_WIDTH, _HEIGHT, np.random.default_rng(seed))
        return [np.asarray(movement.matrix), np.asarray(movement.displacement, float)]
    view = _change(made, _make_view(seed), seed)
    return [view.image, *(np.asarray(getattr(view.labels, f.name), float) for f in fields(view.labels))]


@check(1, "transform")
def check_transform_moves_labels_with_pixels(subject: ComponentSubject) -> None:
    """What is painted at a keypoint is found at the keypoint afterwards, within a pixel, or is covered."""
    for made in _build(subject):
        looked_at = sum(
            _find_moved(made, seed) if isinstance(made, GeometricTransform) else _find_kept(made, seed)
            for seed in range(_DRAWS)
        )
        demand(looked_at, f"of {_DRAWS} images none shows a keypoint where it says")


def _find_moved(made: GeometricTransform, seed: int) -> int:
    """Paint a dot at each keypoint, move both, and compare; how many were found in the image."""
    placement = join_movements(FrameGeometry(np.eye(3), _WIDTH, _HEIGHT), [_move(made, seed)])
    points = _PLACES.reshape(-1, 2)
    rows, columns = np.mgrid[:_HEIGHT, :_WIDTH]
    limit = np.array([_WIDTH, _HEIGHT]) - 1 - _REACH
    found = 0
    for point, (x, y) in zip(points, placement.move_points(points), strict=True):
        if not (_REACH <= x <= limit[0] and _REACH <= y <= limit[1]):
            continue
        dot = 250 * np.exp(-((columns - point[0]) ** 2 + (rows - point[1]) ** 2) / (2 * _SIGMA**2))
        moved = placement.move_pixels(np.rint(dot).astype(np.uint8)[..., None].repeat(3, axis=2))
        mass = moved[..., 0].astype(np.float64)
        demand(mass.sum(), "a dot that is painted at a keypoint is lost")
        at = np.array([(mass * columns).sum(), (mass * rows).sum()]) / mass.sum()
        off = float(np.hypot(*(at - (x, y))))
        demand(off <= _PIXEL, f"a dot that is painted at a keypoint is {off:.1f} px beside it afterwards")
        found += 1
    return found


def _find_kept(made: Transform, seed: int) -> int:
    """Look for the neighbourhood of each keypoint near where it was; how many were found."""
    view = _make_view(seed)
    before = cv2.cvtColor(view.image, cv2.COLOR_RGB2GRAY)
    changed = _change(made, view, seed)
    after = cv2.cvtColor(np.asarray(changed.image).astype(np.uint8), cv2.COLOR_RGB2GRAY)
    found, beside, farthest = 0, 0, 0.0
    for point in changed.labels.keypoints[: len(_PLACES)].reshape(-1, 2):
        if np.isnan(point[0]):
            continue
        x, y = np.rint(point).astype(int)
        near = before[y - _HALF : y + _HALF + 1, x - _HALF : x + _HALF + 1]
        reach = _HALF + _FAR
        around = cv2.copyMakeBorder(after, _FAR, _FAR, _FAR, _FAR, cv2.BORDER_REFLECT)
        window = around[y + _FAR - reach : y + _FAR + reach + 1, x + _FAR - reach : x + _FAR + reach + 1]
        # Without regard to the sign: a transform may invert brightness.
        alike = np.abs(np.nan_to_num(cv2.matchTemplate(window, near, cv2.TM_CCOEFF_NORMED)))
        if alike.max() < _ALIKE or not np.isfinite(alike).all():
            continue
        place = np.array(np.unravel_index(int(alike.argmax()), alike.shape)) - _FAR
        off = float(np.hypot(*place))
        found, beside, farthest = found + 1, beside + (off > 1.5 * _PIXEL), max(farthest, off)
    # What is half covered may look most like a place beside itself.
    demand(beside <= 0.2 * found, f"what was at a keypoint is {farthest:.0f} px beside it afterwards")
    return found


@check(1, "transform")
def check_transform_keeps_labels(subject: ComponentSubject) -> None:
    """Animals and keypoints keep number, order, type and place; covered ones may become NaN or occluded."""
    for made in _build(subject):
        for seed in range(_DRAWS):
            if isinstance(made, GeometricTransform):
                _move(made, seed)
            elif isinstance(made, LabelTransform):
                view = _make_view(seed)
                before, shape = copy_labels(view.labels), view.image.shape
                changed = _change(made, view, seed)
                changed = replace(changed, image=np.zeros(shape, np.uint8))
                check_view(changed, before, shape, type(made).__name__, made.adds_animals)


@check(1, "transform")
def check_transform_keeps_the_form_of_images(subject: ComponentSubject) -> None:
    """An image remains (H, W, 3) and uint8, of the size that it had."""
    for made in _build(subject):
        if isinstance(made, GeometricTransform):
            continue  # the core moves the pixels
        for seed in range(_DRAWS):
            view = _make_view(seed)
            check_image(_change(made, view, seed).image, (_HEIGHT, _WIDTH, 3), type(made).__name__)


@check(1, "transform")
def check_transform_takes_any_image(subject: ComponentSubject) -> None:
    """It takes images without animals, animals without keypoints and boxes, and images of a few pixels."""
    nothing: FloatArray = np.full_like(_PLACES, np.nan)
    for made in _build(subject):
        for seed in range(4):
            if isinstance(made, GeometricTransform):
                drawn = made.draw_movement(5, 3, np.random.default_rng(seed))
                check_movement(drawn, 5, 3, type(made).__name__, made.mirrors)
                continue
            for view in (_make_view(seed, _PLACES[:0]), _make_view(seed, nothing)):
                small: ByteArray = view.image[:3, :5].copy()
                for image in (view.image, small):
                    _change(made, replace(view, image=image, labels=copy_labels(view.labels)), seed)


@check(1, "transform")
def check_transform_says_whether_it_mirrors(subject: ComponentSubject) -> None:
    """Only a transform that says mirrors = True mirrors, since left and right must be known for it."""
    for made in _build(subject):
        if not isinstance(made, GeometricTransform):
            continue
        for seed in range(4 * _DRAWS):
            matrix = np.asarray(made.draw_movement(_WIDTH, _HEIGHT, np.random.default_rng(seed)).matrix)
            mirrored = float(np.linalg.det(matrix[:2, :2])) < 0
            demand(not mirrored or made.mirrors, "it mirrors the image without mirrors = True")


@check(1, "transform")
def check_transform_repeats(subject: ComponentSubject) -> None:
    """The same generator gives the same, whatever was changed before, in a copy in another process too."""
    for made in _build(subject):
        copied = pickle.loads(pickle.dumps(made))
        first = [_read(made, seed) for seed in range(4)]
        again = [_read(made, seed) for seed in reversed(range(4))][::-1]
        other = [_read(copied, seed) for seed in range(4)]
        for one, two, three in zip(first, again, other, strict=True):
            demand(_are_equal(one, two), "a second time, the same generator gives something else")
            demand(_are_equal(one, three), "in a copy of it, the same generator gives something else")


def _are_equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True))


@check(1, "transform")
def check_transform_draws_from_its_generator(subject: ComponentSubject) -> None:
    """All that is random comes from the generator that it is given, and none of torch, numpy or random."""
    for made in _build(subject):
        with watch_random_state(type(made).__name__):
            _read(made, 0)


CHECKS = (
    check_transform_moves_labels_with_pixels,
    check_transform_keeps_labels,
    check_transform_keeps_the_form_of_images,
    check_transform_takes_any_image,
    check_transform_says_whether_it_mirrors,
    check_transform_repeats,
    check_transform_draws_from_its_generator,
)
