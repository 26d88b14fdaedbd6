"""Rotation, mirroring and zoom as the labels call for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_core.data.auto_augmentation import auto_views
from pose_core.data.pose_statistics import measure_poses
from pose_core.structures import ImageFile, Instances, LabelledDataset, LabelledImage, Skeleton
from pose_core.synthetic.scenes import Scene, SceneSpec

# A mouse from above, nose up: its left and right mirror each other.
ABOVE = np.array([[0.0, -20], [-8, -9], [8, -9], [-6, 6], [6, 6], [0, 20]])
NAMES = ("nose", "left_ear", "right_ear", "left_hip", "right_hip", "tail")
PAIRS = (("left_ear", "right_ear"), ("left_hip", "right_hip"))
# An animal from the side, looking to the right: nothing of it mirrors.
ASIDE = np.array([[30.0, -10], [22, -18], [10, -8], [12, 15], [-18, 14], [-25, -6]])


def draw(
    shape: np.ndarray, count: int, turn: float, seed: int = 0, noise: float = 1.0, zoom: float = 1.0
) -> np.ndarray:
    """Poses (N, K, 2) anywhere in the frame, turned by up to ``turn`` degrees either way."""
    rng = np.random.default_rng(seed)
    angles = np.radians(rng.uniform(-turn, turn, count))
    turns = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]]).transpose(2, 0, 1)
    sizes = np.exp(rng.uniform(-np.log(zoom), np.log(zoom), count))[:, None, None]
    poses = (shape + rng.normal(0, noise, (count, *shape.shape))) @ turns.transpose(0, 2, 1) * sizes
    return poses + rng.uniform(100, 300, (count, 1, 2))


def project(
    poses: np.ndarray, names: tuple[str, ...] = NAMES, pairs: tuple[tuple[str, str], ...] = PAIRS
) -> LabelledDataset:
    images = tuple(
        LabelledImage.create(ImageFile(Path(f"{i}.png")), f"{i}.png", 400, 400, Instances.from_keypoints([p]))
        for i, p in enumerate(poses)
    )
    return LabelledDataset(Skeleton(names, symmetry=pairs, landmarks=()), images, Path("p"), "p")


def decide(data: LabelledDataset, **options: bool) -> tuple[float, float, tuple[float, float]]:
    views = auto_views(data, range(len(data.images)), **options)
    return views.rotation, views.flip, views.scale


def test_animals_that_turn_freely_are_turned_by_any_angle_and_mirrored() -> None:
    assert decide(project(draw(ABOVE, 60, 180))) == (180, 0.5, (0.8, 1.25))


@pytest.mark.parametrize("turn", [0, 5, 20])
def test_animals_that_keep_their_direction_are_turned_a_little_further(turn: float) -> None:
    data = project(draw(ASIDE, 60, turn))
    rotation, flip, _ = decide(data)
    assert turn + 10 < rotation < turn + 30
    assert flip == 0
    views = auto_views(data, range(60))
    assert f"poses keep their direction within {rotation - 20:.0f} degrees" in views.why
    assert "not mirrored" in views.why


def test_an_upright_animal_that_mirrors_is_mirrored_and_turned_a_little() -> None:
    rotation, flip, _ = decide(project(draw(ABOVE, 60, 10)))
    assert rotation < 40
    assert flip == 0.5


def test_two_views_in_one_frame_are_not_mirrored() -> None:
    # From above, and from below in a mirror at the side.
    poses = np.concatenate([draw(ABOVE, 50, 3)] * 2, axis=1)
    poses[:, 6:] += [150, 20]
    names = (*(f"{name}_top" for name in NAMES), *(f"{name}_bot" for name in NAMES))
    pairs = tuple((f"{a}_{view}", f"{b}_{view}") for view in ("top", "bot") for a, b in PAIRS)
    rotation, flip, _ = decide(project(poses, names, pairs))
    assert rotation < 30
    assert flip == 0


@pytest.mark.parametrize("names", [("nose", "ear_1", "ear_2", "hip_1", "hip_2", "tail"), tuple("uvwxyz")])
def test_sides_without_known_pairs_are_not_mirrored(names: tuple[str, ...]) -> None:
    assert decide(project(draw(ABOVE, 60, 180, noise=0.5), names, ()))[:2] == (180, 0)


@pytest.mark.parametrize(
    "names",
    [
        ("nose", "left_ear", "leftEar", "right_ear", "hip", "tail"),
        ("nose", "paw1L", "paw2R", "hip_l", "hip_r", "tail"),
        ("nose", "oreille_gauche", "a", "b", "c", "tail"),
    ],
)
def test_names_in_doubt_are_not_mirrored_whatever_the_poses_look_like(names: tuple[str, ...]) -> None:
    line = np.stack([np.zeros(6), np.linspace(0, 50, 6)], axis=1)
    data = project(draw(line, 60, 180, noise=0.1), names, ())
    views = auto_views(data, range(60))
    assert views.flip == 0
    assert names[1] in views.why


@pytest.mark.parametrize(("count", "turn"), [(3, 180), (10, 8)])
def test_few_poses_leave_everything_as_for_free_movement(count: int, turn: float) -> None:
    # The upright animal, too: it looks like its mirror image, and ten poses do not tell how far it turns.
    views = auto_views(project(draw(ABOVE, count, turn)), range(count))
    assert (views.rotation, views.flip, views.scale) == (180, 0.5, (0.8, 1.25))
    assert "fewer than 20 poses" in views.why


def test_a_handful_of_poses_of_a_fixed_animal_are_enough() -> None:
    rotation, flip, _ = decide(project(draw(ASIDE, 8, 2, noise=0.3)))
    assert rotation < 30
    assert flip == 0


def test_two_keypoints_have_no_shape() -> None:
    data = project(draw(ABOVE[:2], 60, 2), ("nose", "tail"), ())
    assert decide(data) == (180, 0.5, (0.8, 1.25))


def test_landmarks_do_not_count() -> None:
    poses = draw(ABOVE, 60, 180)
    corners = np.broadcast_to(np.array([[0.0, 0], [399, 0], [399, 399], [0, 399]]), (60, 4, 2))
    data = project(np.concatenate([poses, corners], axis=1), (*NAMES, "a", "b", "c", "d"))
    fixed = LabelledDataset(
        Skeleton(data.skeleton.keypoints, symmetry=PAIRS, landmarks=("a", "b", "c", "d")),
        data.images,
        data.root,
        data.name,
    )
    assert decide(fixed)[:2] == (180, 0.5)
    assert decide(data)[0] < 180


@pytest.mark.parametrize(("zoom", "scale"), [(1.1, (0.8, 1.25)), (1.8, (0.67, 1.5)), (2.8, (0.5, 2.0))])
def test_animals_of_different_sizes_are_zoomed_further(zoom: float, scale: tuple[float, float]) -> None:
    data = project(draw(ABOVE, 100, 180, zoom=zoom))
    assert decide(data)[2] == scale
    # Crops show all animals equally large.
    assert decide(data, crops=True)[2] == (0.8, 1.25)


@pytest.mark.parametrize("seed", [0, 4, 7])
def test_the_synthetic_animal_walks_freely_though_it_may_walk_one_way_round(seed: int) -> None:
    scene = Scene(SceneSpec(seed=seed, frames=2000, size=(64, 64)))
    poses = [scene.frame(t).instances.keypoints for t in range(0, 2000, 80)]
    data = project(np.concatenate(poses), scene.skeleton.keypoints, scene.skeleton.symmetry)
    assert decide(data)[:2] == (180, 0.5)


MIRROR = Skeleton(NAMES, symmetry=PAIRS).mirror_indices


@settings(max_examples=30)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([3.0, 40.0, 180.0]),
    st.floats(0.1, 20),
    st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_place_and_size_do_not_matter(seed, turn, zoom, shift) -> None:
    poses = draw(ABOVE, 25, turn, seed)
    poses[seed % 25, seed % 6] = np.nan
    one, other = measure_poses(poses, MIRROR), measure_poses(poses * zoom + shift, MIRROR)
    assert one is not None
    assert other is not None
    for name in ("concentration", "turn", "mirrored", "mirrored_upright", "size_range"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-3, abs=1e-3)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(-180, 180))
def test_turning_all_poses_changes_no_direction_among_them(seed, angle) -> None:
    poses = draw(ABOVE, 25, 40, seed)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    one, other = measure_poses(poses, MIRROR), measure_poses(poses @ [[cos, sin], [-sin, cos]], MIRROR)
    assert one is not None
    assert other is not None
    for name in ("concentration", "turn", "mirrored"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-3, abs=1e-3)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(2, 60))
def test_the_spread_of_directions_is_measured(seed, turn) -> None:
    found = measure_poses(draw(ASIDE, 120, turn, seed, noise=0.2), range(6))
    assert found is not None
    assert found.turn == pytest.approx(0.95 * turn, rel=0.25, abs=1.5)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_mirroring_all_poses_changes_nothing(seed) -> None:
    poses = draw(ASIDE, 30, 30, seed)
    one = measure_poses(poses, MIRROR)
    other = measure_poses((poses * [-1, 1])[:, list(MIRROR)], MIRROR)
    assert one is not None
    assert other is not None
    assert other.mirrored == pytest.approx(one.mirrored, rel=1e-6)


def test_missing_keypoints_are_left_out_of_each_comparison() -> None:
    poses = draw(ABOVE, 60, 4, noise=0.3)
    rng = np.random.default_rng(1)
    poses[rng.random(poses.shape[:2]) < 0.3] = np.nan
    found = measure_poses(poses, MIRROR)
    assert found is not None
    assert found.turn < 8
    assert found.mirrored < 1.25


@pytest.mark.parametrize(
    "poses",
    [
        np.full((5, 6, 2), np.nan),
        np.zeros((0, 6, 2)),
        np.zeros((5, 6, 2)),
        draw(ABOVE, 1, 0),
    ],
    ids=["nothing labelled", "no animal", "all in one place", "one animal"],
)
def test_what_has_no_shape_is_no_error(poses: np.ndarray) -> None:
    assert measure_poses(poses, MIRROR) is None


def test_many_poses_are_sampled() -> None:
    found = measure_poses(draw(ABOVE, 5000, 180), MIRROR)
    assert found is not None
    assert found.poses == 200
