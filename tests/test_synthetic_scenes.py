"""Synthetic scenes: the ground truth is exact, and everything follows from the spec."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pose_core.synthetic.animal import KEYPOINTS, LIMBS, SYMMETRY, Animal
from pose_core.synthetic.drawing import contains, outline_band, outline_disc, outline_ellipse, rasterize
from pose_core.synthetic.motion import plan_route
from pose_core.synthetic.scenes import Scene, SceneSpec

SMALL = SceneSpec(seed=1, frames=40, size=(128, 144), length=48, clutter=0.3)


def centroid(weights: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


@given(
    centre=st.tuples(st.floats(12, 28), st.floats(12, 28)),
    radii=st.tuples(st.floats(1.0, 8.0), st.floats(1.0, 8.0)),
    angle=st.floats(0, 6.3),
)
def test_coverage_sits_on_its_outline(
    centre: tuple[float, float], radii: tuple[float, float], angle: float
) -> None:
    outline = outline_ellipse(centre, radii, (np.cos(angle), np.sin(angle)))
    coverage = rasterize(outline, (40, 40))
    assert coverage is not None
    picture = np.zeros((40, 40))
    picture[coverage.window] = coverage.mask
    # Thin ones have few pixels, whose coverage is rounded to sixteenths of a pixel.
    assert np.abs(centroid(picture) - centre).max() < 0.1
    assert picture.sum() == pytest.approx(np.pi * radii[0] * radii[1], abs=0.08 * 2 * np.pi * max(radii))


def test_outline_outside_the_image_covers_nothing() -> None:
    assert rasterize(outline_disc((-20, 5), 3), (40, 40)) is None
    assert rasterize(outline_disc((5, 60), 3), (40, 40)) is None


def test_outline_across_the_border_is_cut() -> None:
    coverage = rasterize(outline_disc((-0.5, 20), 6), (40, 40))
    assert coverage is not None
    assert coverage.x == 0
    assert coverage.mask.sum() == pytest.approx(np.pi * 36 / 2, rel=0.05)


def test_contains_agrees_with_distance() -> None:
    points = np.random.default_rng(0).uniform(0, 40, (400, 2))
    distance = np.hypot(*(points - (20.3, 18.7)).T)
    clear = np.abs(distance - 9) > 0.2
    assert (contains(outline_disc((20.3, 18.7), 9), points) == (distance < 9))[clear].all()


def test_nan_is_not_contained() -> None:
    assert not contains(outline_disc((0, 0), 5), np.array([[np.nan, 0.0]])).any()


def test_strip_has_the_area_of_a_band_with_round_ends() -> None:
    coverage = rasterize(outline_band(np.array([[10.0, 20.0], [20.0, 20.0], [30.0, 20.0]]), 3.0), (40, 40))
    assert coverage is not None
    assert coverage.mask.sum() == pytest.approx(20 * 6 + np.pi * 9, rel=0.04)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    t=st.integers(0, 39),
    animals=st.integers(1, 3),
    shape=st.sampled_from([(128, 144), (96, 200)]),
)
def test_markers_sit_on_the_ground_truth(seed: int, t: int, animals: int, shape: tuple[int, int]) -> None:
    """What is drawn at a keypoint is in the pixels within 0.1 px of its label, after light and noise."""
    spec = replace(SMALL, seed=seed, animals=animals, size=shape, ground=1)
    black = Scene(replace(spec, markers=(0, 0, 0))).frame(t)
    white = Scene(replace(spec, markers=(200, 200, 200))).frame(t)
    marked = (white.image.astype(float) - black.image).sum(axis=-1)
    points = white.instances.keypoints.reshape(-1, 2)
    points = points[~np.isnan(points).any(axis=1)]
    checked = 0
    for point in points:
        near = np.sort(np.abs(points - point).max(axis=1))
        x, y = np.rint(point).astype(int)
        # Keypoints just outside the image are not labelled, but their markers reach into it.
        inside = 9 <= x < shape[1] - 9 and 9 <= y < shape[0] - 9
        if inside and (len(near) == 1 or near[1] > 9):
            window = marked[y - 5 : y + 6, x - 5 : x + 6]
            assert np.abs(centroid(window) - (point - [x - 5, y - 5])).max() < 0.1
            checked += 1
    # Of an animal that is rolled up no marker stands free.
    assume(checked > 0)


def test_anatomy_sits_on_the_ground_truth() -> None:
    """The parts that show a keypoint are centred on it: ears, paws and nose."""
    animal = Scene(SMALL).animals[0]
    for t in range(0, 40, 7):
        pose = animal.pose(t)
        shown = [p for p in animal.parts(pose, SMALL.size) if len(p.keypoints) == 1]
        for part in shown:
            k = part.keypoints[0]
            if KEYPOINTS[k] == "tail_tip":
                assert contains(part.outline, pose.keypoints[k : k + 1]).all()
            else:
                assert np.abs(part.outline.mean(axis=0) - pose.keypoints[k]).max() < 0.02
        assert {KEYPOINTS[k] for p in shown for k in p.keypoints} == {*KEYPOINTS} - {
            "neck",
            "back",
            "tail_base",
        }


def test_same_spec_gives_the_same_pixels_in_any_order() -> None:
    forward = [Scene(SMALL).frame(t) for t in (3, 9)]
    scene = Scene(SMALL)
    for t, first in zip((9, 3), reversed(forward), strict=True):
        again = scene.frame(t)
        assert np.array_equal(again.image, first.image)
        assert np.array_equal(again.instances.keypoints, first.instances.keypoints, equal_nan=True)
        assert np.array_equal(again.occluded, first.occluded)


def test_iterating_gives_all_frames() -> None:
    scene = Scene(replace(SMALL, frames=4))
    frames = list(scene)
    assert len(frames) == len(scene) == 4
    assert np.array_equal(frames[2].image, scene.frame(2).image)
    assert frames[0].image.shape == (128, 144, 3)
    assert frames[0].image.dtype == np.uint8


def test_seeds_change_motion_and_look_and_the_ground_can_be_kept() -> None:
    a, b = Scene(SMALL).frame(0), Scene(replace(SMALL, seed=2)).frame(0)
    assert not np.allclose(a.instances.keypoints, b.instances.keypoints, equal_nan=True)
    plain = replace(SMALL, noise=0, illumination=0)
    kept, same = Scene(replace(plain, ground=7)).frame(0), Scene(replace(plain, ground=7, seed=2)).frame(0)
    assert (kept.image == same.image).mean() > 0.5
    assert (a.image == b.image).mean() < 0.2


def test_left_and_right_are_those_of_the_animal() -> None:
    """Seen along the body (y down), left keypoints have the trunk on their right."""
    scene = Scene(replace(SMALL, size=(512, 512)))
    for t in range(0, 40, 5):
        points = dict(zip(KEYPOINTS, scene.frame(t).instances.keypoints[0].astype(float), strict=True))
        for left, right in SYMMETRY:
            forward = points["neck"] - points["back"]
            across = points[right] - points[left]
            assert forward[0] * across[1] - forward[1] * across[0] > 0, (t, left)


def test_the_animal_keeps_its_proportions_and_moves_smoothly() -> None:
    scene = Scene(replace(SMALL, frames=60, size=(512, 512)))
    tracks = np.stack([f.instances.keypoints[0] for f in scene]).astype(float)
    at = {name: i for i, name in enumerate(KEYPOINTS)}
    trunk = np.hypot(*(tracks[:, at["neck"]] - tracks[:, at["tail_base"]]).T)
    assert trunk.min() > 0.5 * 0.64 * 48
    assert trunk.max() < 1.05 * 0.64 * 48
    steps = np.hypot(*np.moveaxis(np.diff(tracks, axis=0), -1, 0))
    assert steps.max() < 0.25 * 48
    assert steps[:, at["nose"]].mean() > 0.2


def test_standing_paws_keep_their_place() -> None:
    """A gait, not a glide: at any time most paws stand still while the body moves."""
    scene = Scene(replace(SMALL, frames=40, size=(512, 512), speed=0.05))
    poses = [scene.animals[0].pose(t).keypoints for t in range(40)]
    steps = np.hypot(*np.moveaxis(np.diff(np.stack(poses), axis=0), -1, 0))
    paws = [KEYPOINTS.index(limb.keypoint) for limb in LIMBS]
    moving = steps[:, KEYPOINTS.index("back")] > 1
    assert (steps[moving][:, paws] < 0.05).mean() > 0.4


@pytest.mark.long
def test_animals_hide_each_other_by_order() -> None:
    """A keypoint is flagged hidden exactly when other paint lies on it: compare with the animal drawn
    alone."""
    spec = replace(SMALL, frames=120, animals=2, noise=0, illumination=0, seed=5)
    scene = Scene(spec)
    below, top = scene.drawing_order
    hidden_of_top = hidden_of_below = 0
    for t in range(120):
        points = np.stack([a.pose(t).keypoints for a in scene.animals])
        alone = np.zeros((2, len(KEYPOINTS)), bool)
        for i in (0, 1):
            _hide(scene, i, t, points, alone)
        flags = np.zeros_like(alone)
        frame = scene.frame(t)
        flags[frame.instances.identity] = frame.occluded
        seen = np.zeros_like(alone)
        seen[frame.instances.identity] = ~np.isnan(frame.instances.keypoints).any(axis=-1)
        covers = [
            contains(p.outline, points[below])
            for p in scene.animals[top].parts(scene.animals[top].pose(t), spec.size)
            if p.opacity == 1.0
        ]
        assert np.array_equal(flags[top], alone[top] & seen[top])
        assert np.array_equal(flags[below], (alone[below] | np.any(covers, axis=0)) & seen[below])
        hidden_of_top += int(flags[top].sum())
        hidden_of_below += int((flags[below] & ~alone[below]).sum())
    assert hidden_of_below > 0


def _hide(scene: Scene, i: int, t: int, points: np.ndarray, hidden: np.ndarray) -> None:
    """Which keypoints animal ``i`` hides of itself, found part by part from the top."""
    parts = scene.animals[i].parts(scene.animals[i].pose(t), scene.spec.size)
    for k in range(len(KEYPOINTS)):
        own = max(n for n, part in enumerate(parts) if k in part.keypoints)
        above = [p for p in parts[own + 1 :] if p.opacity == 1.0]
        hidden[i, k] = any(contains(p.outline, points[i, k : k + 1])[0] for p in above)


def test_grass_hides_keypoints() -> None:
    bare = [f.occluded.sum() for f in Scene(replace(SMALL, frames=30, seed=4))]
    grown = [f.occluded.sum() for f in Scene(replace(SMALL, frames=30, seed=4, occluders=40))]
    assert sum(grown) > sum(bare)


def test_keypoints_outside_the_image_are_missing() -> None:
    frames = list(Scene(replace(SMALL, size=(64, 64), length=60, frames=60, animals=2)))
    points = np.concatenate([f.instances.keypoints.reshape(-1, 2) for f in frames])
    assert np.isnan(points).any()
    labelled = points[~np.isnan(points).any(axis=1)]
    assert labelled.min() >= 0
    assert labelled.max() <= 63
    assert all((~np.isnan(f.instances.keypoints).all(axis=(1, 2))).all() for f in frames)
    assert not any((f.occluded & np.isnan(f.instances.keypoints).any(axis=-1)).any() for f in frames)


def test_the_skeleton_names_the_individuals() -> None:
    assert Scene(SMALL).skeleton.individuals == ("animal",)
    assert Scene(replace(SMALL, animals=3)).skeleton.individuals == ("animal1", "animal2", "animal3")
    assert Scene(SMALL).skeleton.mirror_indices[1] == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("frames", 0), ("animals", 0), ("size", (8, 8)), ("length", 2.0), ("illumination", 1.0)],
)
def test_impossible_scenes_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        SceneSpec(**{field: value})  # type: ignore[arg-type]


def test_there_is_no_frame_after_the_last() -> None:
    with pytest.raises(IndexError, match="frame 40 of a scene of 40"):
        Scene(SMALL).frame(40)


def test_routes_are_reproducible_and_bend_gently() -> None:
    way = plan_route(np.random.default_rng(3), (200, 300), 50, 600)
    again = plan_route(np.random.default_rng(3), (200, 300), 50, 600)
    assert np.array_equal(way.points, again.points)
    assert np.abs(np.diff(way.heading)).max() <= 1 / 25 + 1e-9
    assert isinstance(Scene(SMALL).animals[0], Animal)
