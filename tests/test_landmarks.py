"""Keypoints that do not move with the animal: found, declared, and left out of its size."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_core.data.augment import Augmenter
from pose_core.data.auto_sizes import animal_lengths, auto_crop, auto_scale
from pose_core.data.batches import collate
from pose_core.data.boxes import CropRule
from pose_core.data.geometry import frame_input
from pose_core.data.landmarks import find_landmarks, with_skeleton
from pose_core.data.projects import read_project
from pose_core.data.sample import Sample, place_labels
from pose_core.data.samples import find_cropped
from pose_core.evaluation.metrics import measure
from pose_core.interfaces import FrameGeometry, Labels
from pose_core.maps import lacking_keypoints
from pose_core.specs import EvaluationSpec
from pose_core.specs.train import DecidedAugmentationSpec
from pose_core.structures import (
    Frame,
    ImageFile,
    Instances,
    LabelledDataset,
    LabelledImage,
    Skeleton,
    VideoFrame,
)
from pose_core.training.options import TrainOptions
from pose_core.training.prepare import prepare

CORNERS = np.array([[60.0, 40], [580, 44], [574, 440], [64, 436]])
BODY = np.array([[0.0, -20], [-8, -9], [8, -9], [0, 20]])
PARTS = ("nose", "ear_left", "ear_right", "tail")
FIXED = ("corner_tl", "corner_tr", "corner_br", "corner_bl")
NAMES = (*PARTS, *FIXED)


def walk(count: int, seed: int = 0, size: tuple[int, int] = (640, 480)) -> np.ndarray:
    """Poses (N, 4, 2) of an animal of 40 px that walks about the frame."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform(-np.pi, np.pi, count)
    turns = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]]).transpose(2, 1, 0)
    centres = rng.uniform([80, 80], np.array(size) - 80, (count, 2))
    return (BODY @ turns.transpose(0, 2, 1)) + centres[:, None]


def with_corners(poses: np.ndarray, corners: np.ndarray = CORNERS, jitter: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.concatenate([poses, corners + rng.normal(0, jitter, (len(poses), *corners.shape))], axis=1)


def project(
    poses: np.ndarray,
    names: tuple[str, ...] = NAMES,
    place: Callable[[int], str] = lambda i: "a",
    individuals: tuple[str, ...] = ("animal",),
    size: tuple[int, int] = (640, 480),
) -> LabelledDataset:
    """An animal an image; poses (N, A, K, 2) are several."""
    images = tuple(
        LabelledImage.create(
            ImageFile(Path(place(i)) / f"{i}.png"),
            f"{place(i)}/{i}.png",
            *size,
            Instances.from_keypoints(pose if pose.ndim == 3 else pose[None]),
        )
        for i, pose in enumerate(poses)
    )
    return LabelledDataset(Skeleton(names, individuals=individuals), images, Path("p"), "p")


def find(data: LabelledDataset) -> tuple[str, ...]:
    return find_landmarks(data, range(len(data.images)))


def test_corners_of_an_arena_are_found_and_the_animal_keeps_its_size() -> None:
    alone, data = project(walk(40), PARTS), project(with_corners(walk(40)))
    assert find(alone) == ()
    assert find(data) == FIXED
    told = with_skeleton(data, replace(data.skeleton, landmarks=FIXED))
    rows = range(40)
    np.testing.assert_allclose(animal_lengths(told, rows), animal_lengths(alone, rows), rtol=1e-5)
    assert auto_scale(told, rows) == auto_scale(alone, rows) == 1
    assert auto_crop(told, rows, 1.0) == auto_crop(alone, rows, 1.0)
    for a, b in zip(told.images, alone.images, strict=True):
        np.testing.assert_allclose(a.instances.boxes, b.instances.boxes, rtol=1e-5)
        np.testing.assert_allclose(
            CropRule(told.skeleton, 100).around_labels(a),
            CropRule(alone.skeleton, 100).around_labels(b),
            rtol=1e-5,
        )


def test_a_lever_beside_an_animal_of_one_keypoint_is_found() -> None:
    poses = np.concatenate([walk(30)[:, :1], np.broadcast_to([[[600.0, 240]]], (30, 1, 2))], axis=1)
    assert find(project(poses, ("mouse", "lever"))) == ("lever",)


def test_several_animals_share_the_landmarks() -> None:
    poses = np.stack([with_corners(walk(30, seed)) for seed in (1, 2)], axis=1)
    assert find(project(poses, individuals=("a", "b"))) == FIXED
    poses[:, 1, 4:] = np.nan  # Labelled for the first animal alone.
    assert find(project(poses, individuals=("a", "b"))) == FIXED


def test_the_camera_may_stand_elsewhere_in_each_recording() -> None:
    poses = with_corners(walk(40))
    poses[20:, 4:] += [25, -30]
    assert find(project(poses, place=lambda i: "ab"[i // 20])) == FIXED
    # In one folder nothing says that there were two recordings.
    assert find(project(poses)) == ()


def test_recordings_of_one_image_each_are_looked_at_together() -> None:
    assert find(project(with_corners(walk(40)), place=str)) == FIXED


def test_frames_of_a_video_are_a_recording() -> None:
    data = project(with_corners(walk(40)))
    images = tuple(
        replace(image, image=VideoFrame(Path("clip.mp4"), i)) for i, image in enumerate(data.images)
    )
    assert find(replace(data, images=images)) == FIXED


def test_a_few_corners_that_are_wrongly_labelled_do_not_hide_it() -> None:
    poses = with_corners(walk(60))
    poses[:3, 4], poses[:3, 5] = poses[:3, 5].copy(), poses[:3, 4].copy()
    assert find(project(poses)) == FIXED


def test_landmarks_need_not_be_labelled_in_every_image() -> None:
    poses = with_corners(walk(60))
    poses[8:, 4:] = np.nan
    assert find(project(poses)) == FIXED
    poses[3:, 4:] = np.nan  # Three labels say too little.
    assert find(project(poses)) == ()


def fixed_head(seed: int) -> np.ndarray:
    """A head that is fixed and two paws that run."""
    rng = np.random.default_rng(seed)
    head = np.array([[300.0, 100], [330, 90], [350, 120]]) + rng.normal(0, 1, (60, 3, 2))
    paws = np.array([[280.0, 300], [360, 310]]) + rng.uniform(-40, 40, (60, 2, 2))
    return np.concatenate([head, paws], axis=1)


@pytest.mark.parametrize(
    ("poses", "names"),
    [
        (fixed_head(0), ("nose", "eye", "ear", "paw_l", "paw_r")),
        (fixed_head(1)[:, [0, 3]], ("nose", "paw")),
        (walk(40)[:, :1], ("mouse",)),
        (np.repeat(walk(1), 40, axis=0), PARTS),
        (with_corners(np.repeat(walk(1), 40, axis=0)), NAMES),
        (with_corners(walk(4)), NAMES),
        (np.full((10, 4, 2), np.nan), PARTS),
        (np.zeros((0, 4, 2)), PARTS),
    ],
    ids=["fixed head", "one paw", "one keypoint", "still", "all still", "four images", "nothing", "no image"],
)
def test_what_does_not_move_about_has_no_landmarks(poses: np.ndarray, names: tuple[str, ...]) -> None:
    assert find(project(poses, names)) == ()


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(8, 40), st.floats(0.3, 4), st.permutations(range(8)))
def test_order_and_size_of_the_frame_do_not_matter(seed, count, zoom, order) -> None:
    poses = with_corners(walk(count, seed))[:, order] * zoom
    names = tuple(NAMES[i] for i in order)
    found = find(project(poses, names, size=(math.ceil(640 * zoom), math.ceil(480 * zoom))))
    assert found == tuple(name for name in names if name in FIXED)


def test_a_box_that_was_drawn_is_kept() -> None:
    data = project(with_corners(walk(10)))
    drawn = np.array([[1, 2, 300, 200]], np.float32)
    images = tuple(replace(i, instances=replace(i.instances, boxes=drawn)) for i in data.images)
    told = with_skeleton(replace(data, images=images), replace(data.skeleton, landmarks=FIXED))
    assert all((image.instances.boxes == drawn).all() for image in told.images)


def test_an_image_with_landmarks_alone_has_no_animal_to_crop() -> None:
    poses = with_corners(walk(10))
    poses[3, :4] = np.nan
    data = project(poses)
    skeleton = replace(data.skeleton, landmarks=FIXED)
    told = with_skeleton(data, skeleton)
    assert [len(find_cropped(image, skeleton)) for image in told.images] == [1, 1, 1, 0, 1, 1, 1, 1, 1, 1]
    assert np.isnan(CropRule(skeleton, 30).around_labels(told.images[3])).all()


@pytest.mark.parametrize("names", [("nobody",), NAMES, ("tail", "tail")])
def test_landmarks_must_be_keypoints_and_leave_some(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="landmark"):
        Skeleton(NAMES, landmarks=names)


def turned(degrees: float, mirror: float = 1.0) -> FrameGeometry:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    about = np.array([[1, 0, 320], [0, 1, 240], [0, 0, 1.0]])
    turn = np.array([[mirror * cos, -sin, 0], [mirror * sin, cos, 0], [0, 0, 1]])
    return FrameGeometry(about @ turn @ np.linalg.inv(about), 640, 480)


@pytest.mark.parametrize(
    ("view", "seen"),
    [
        (turned(0), True),
        (turned(-20), True),
        (turned(40), False),
        (turned(180), False),
        (turned(0, -1), False),
    ],
)
def test_landmarks_are_learned_from_upright_views(view: FrameGeometry, seen: bool) -> None:
    data = project(with_corners(walk(1), (CORNERS - [320, 240]) / 3 + [320, 240]))
    skeleton = replace(data.skeleton, landmarks=FIXED)
    labels = place_labels(data.images[0], np.arange(1), view, skeleton)
    assert np.isfinite(labels.keypoints[0, 4:]).all() == seen
    assert np.isfinite(place_labels(data.images[0], np.arange(1), view, data.skeleton).keypoints[0, 4:]).all()


def test_a_landmark_outside_of_the_view_is_certainly_not_in_it() -> None:
    data = project(with_corners(walk(1) * 0 + BODY + [320, 240]))
    skeleton = replace(data.skeleton, landmarks=FIXED)
    image = data.images[0]
    points = image.instances.keypoints.copy()
    points[0, 7] = np.nan  # One corner is not labelled: nobody knows where it is.
    image = replace(image, instances=Instances.from_keypoints(points))
    at_corner = FrameGeometry(np.array([[1, 0, -20.0], [0, 1, 0], [0, 0, 1]]), 96, 96)
    placed = place_labels(image, np.arange(1), at_corner, skeleton)
    assert placed.absent is not None
    assert placed.absent.tolist() == [[False] * 4 + [False, True, True, False]]
    sample = Sample(np.zeros((96, 96, 3), np.uint8), placed, at_corner.matrix, 0)
    labels = collate([sample, sample]).labels
    expected = [True] * 4 + [False, False, False, True]
    assert lacking_keypoints(labels).tolist() == [[expected]] * 2
    assert lacking_keypoints(Labels.cat([labels, labels[:1]])).tolist() == [[expected]] * 3
    # Without landmarks, whatever is outside may be anywhere, as before.
    assert place_labels(image, np.arange(1), at_corner, data.skeleton).absent is None


def test_windows_show_animals_and_now_and_then_a_landmark() -> None:
    data = project(with_corners(walk(1) * 0 + BODY + [320, 240]))
    skeleton = replace(data.skeleton, landmarks=FIXED)
    spec = DecidedAugmentationSpec.model_validate(
        {"crop": {"size": (96, 96), "background": 0, "shift": 0.2}, "scale": (1, 1)}
    )
    rng, base = np.random.default_rng(0), frame_input(640, 480, 1.0, 32)
    views = [
        Augmenter(spec, skeleton).frame_geometry(data.images[0], np.arange(1), base, rng) for _ in range(200)
    ]
    labels = [place_labels(data.images[0], np.arange(1), view, skeleton).keypoints[0] for view in views]
    animal = np.array([np.isfinite(points[:4]).any() for points in labels])
    corner = np.array([np.isfinite(points[4:]).any() for points in labels])
    assert (animal ^ corner).all()
    assert 20 < corner.sum() < 70
    # The animal is turned by any angle all the same.
    turns = [abs(math.degrees(math.atan2(*view.matrix[:2, 0][::-1]))) for view in views]
    assert max(turn for turn, of_animal in zip(turns, animal, strict=True) if of_animal) > 120
    assert max(turn for turn, of_corner in zip(turns, corner, strict=True) if of_corner) <= 25.001


def test_pck_and_oks_are_measured_against_the_animal_alone() -> None:
    alone, data = project(walk(20), PARTS), project(with_corners(walk(20)))
    skeleton = replace(data.skeleton, landmarks=FIXED)
    told = with_skeleton(data, skeleton)
    rng = np.random.default_rng(3)
    off = rng.normal(0, 5, (20, 4, 2))
    spec = EvaluationSpec(bootstrap=0)

    def predicted(dataset: LabelledDataset) -> list[tuple[LabelledImage, Frame]]:
        pairs = []
        for i, image in enumerate(dataset.images):
            points = image.instances.keypoints.copy()
            points[0, :4] += off[i]
            points[0, 4:] += 200
            pairs.append((image, Frame(i, Instances.from_keypoints(points))))
        return pairs

    one = measure(predicted(alone), alone.skeleton, spec).result
    other = measure(predicted(told), skeleton, spec).result
    assert other.pck[0.1].value == one.pck[0.1].value
    assert 0 < one.pck[0.1].value < 1
    for name in ("ap", "ap50", "ar"):
        assert getattr(other.oks, name).value == pytest.approx(getattr(one.oks, name).value)
    # Their errors are in the table, where they belong.
    errors = {row.name: row for row in other.keypoints}
    assert errors["corner_tl"].error.mean.value == pytest.approx(200 * math.sqrt(2), rel=1e-3)
    assert errors["corner_tl"].pck[0.1].value is None
    # Counted as parts, the arena forgives everything.
    whole = measure(predicted(data), data.skeleton, spec).result
    assert whole.keypoints[0].pck[0.05].value == 1


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in the core's format: a bright animal in a box, with the corners among its keypoints."""
    folder = tmp_path_factory.mktemp("arena") / "arena"
    (folder / "images").mkdir(parents=True)
    corners = CORNERS / 4
    rows = ["image,individual,keypoint,x,y,occluded"]
    for i, pose in enumerate(walk(30, 5) / 4):
        image = np.full((120, 160, 3), 60, np.uint8)
        cv2.polylines(image, [corners.round().astype(np.int32)], True, (200, 200, 200), 1)
        cv2.fillPoly(image, [pose.round().astype(np.int32)], (240, 240, 240))
        cv2.imwrite(str(folder / "images" / f"{i:02}.png"), image)
        for name, (x, y) in zip(NAMES, np.concatenate([pose, corners]), strict=True):
            rows.append(f"images/{i:02}.png,animal,{name},{x:.2f},{y:.2f},0")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    (folder / "project.yaml").write_text(f"keypoints: [{', '.join(NAMES)}]\n")
    return folder


def test_training_decides_notes_and_writes_landmarks(arena: Path) -> None:
    prepared = prepare(arena, "unet")
    assert prepared.spec.skeleton.landmarks == FIXED
    assert prepared.dataset.skeleton == prepared.spec.skeleton
    # The corners' names say left and right, and they change places with none.
    assert prepared.spec.skeleton.symmetry == (("ear_left", "ear_right"),)
    (note,) = (note for note in prepared.notes if "hardly move" in note)
    assert "corner_tl, corner_tr, corner_br, corner_bl hardly move" in note
    assert "skeleton.landmarks=[corner_tl, corner_tr, corner_br, corner_bl]" in note
    assert "skeleton.landmarks" in prepared.decisions
    (views,) = (note for note in prepared.notes if "augmentation.rotation=" in note)
    assert "landmarks are learned from views turned by at most 25 degrees, not mirrored" in views


def test_landmarks_are_declared_and_overruled(arena: Path, tmp_path: Path) -> None:
    own = prepare(arena, "unet", assignments=["skeleton.landmarks=[]"])
    assert own.spec.skeleton.landmarks == ()
    assert "skeleton.landmarks" not in own.decisions
    assert animal_lengths(own.dataset, [0])[0] > 100
    chosen = prepare(arena, "unet", assignments=[f"skeleton.landmarks=[{','.join(FIXED)}]"])
    assert chosen.spec.skeleton.landmarks == FIXED
    assert chosen.spec.model.preprocess == prepare(arena, "unet").spec.model.preprocess
    for image in chosen.dataset.images:
        box = image.instances.boxes[0]
        assert (box[2:] - box[:2]).max() < 15
    folder = tmp_path / "declared"
    folder.mkdir()
    (folder / "images").symlink_to(arena / "images")
    (folder / "labels.csv").write_text((arena / "labels.csv").read_text())
    (folder / "project.yaml").write_text(f"keypoints: [{', '.join(NAMES)}]\nlandmarks: [tail]\n")
    assert read_project(folder).skeleton.landmarks == ("tail",)
    declared = prepare(folder, "unet")
    assert declared.spec.skeleton.landmarks == ("tail",)
    (folder / "project.yaml").write_text(
        f"keypoints: [{', '.join(NAMES)}]\nlandmarks: [{', '.join(FIXED)}]\n"
    )
    declared = prepare(folder, "unet")
    assert animal_lengths(declared.dataset, [0]) == animal_lengths(chosen.dataset, [0])
    np.testing.assert_array_equal(
        declared.dataset.images[0].instances.boxes, chosen.dataset.images[0].instances.boxes
    )


def test_crops_note_that_landmarks_lie_outside(arena: Path) -> None:
    notes = prepare(arena, "top_down_unet", networks={"detector": "ssdlite"}).notes
    assert any("looks at crops around the animals: landmarks (corner_tl" in note for note in notes)


def test_a_run_with_landmarks_trains_and_evaluates(
    arena: Path, tiny_settings: tuple[str, ...], pose: Any, tmp_path: Path
) -> None:
    from pose_core.training.fit import train_network

    out = tmp_path / "run"
    torch.manual_seed(0)
    prepared = prepare(
        arena,
        "unet",
        assignments=[*tiny_settings, "inference.follow=true"],
        options=TrainOptions(epochs=2, device="cpu"),
    )
    train_network(prepared, out)
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["skeleton"]["landmarks"] == list(FIXED)
    provenance = json.loads((out / "provenance.json").read_text())
    assert set(provenance["decisions"]) >= {
        "skeleton.landmarks",
        "augmentation.rotation",
        "augmentation.flip",
    }
    done = pose("evaluate", out, "--split", "train")
    assert done.returncode == 0, done.stderr
    # The labels are those that were trained on, boxes without landmarks included.
    assert "have changed" not in done.stdout + done.stderr
    assert "landmarks of the frame (corner_tl, corner_tr, corner_br, corner_bl, median error" in done.stdout
