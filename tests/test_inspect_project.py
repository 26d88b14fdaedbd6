"""``pose inspect``: what it counts, what it doubts, what it says a training would decide."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_core.formats.project_writing import Example, write_project
from pose_core.inspection.label_counts import summarize_labels
from pose_core.inspection.sheet import draw_suspicions
from pose_core.inspection.suspicions import Suspicion, find_suspicions, measure_unusualness
from pose_core.structures import ImageFile, Instances, LabelledDataset, LabelledImage, Skeleton

NAMES = ("nose", "left_ear", "right_ear", "back", "tail")
SKELETON = Skeleton(NAMES, symmetry=(("left_ear", "right_ear"),))
SHAPE = np.array([[30.0, 0], [20, -9], [20, 9], [0, 1], [-35, 0]])

Points = npt.NDArray[np.float64]


def poses(count: int, seed: int = 0) -> Points:
    """(count, K, 2) one shape at any place, angle and size, labelled to about a pixel, in images of 200 x 160."""
    rng = np.random.default_rng(seed)
    angles, sizes = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.7, 1.2, count)
    turn = np.stack(
        [np.stack([np.cos(angles), -np.sin(angles)], -1), np.stack([np.sin(angles), np.cos(angles)], -1)], -2
    )
    turned = np.einsum("aij,kj->aki", turn, SHAPE) * sizes[:, None, None]
    return (
        turned + rng.uniform((60, 60), (140, 100), (count, 1, 2)) + rng.normal(0, 0.8, (count, len(NAMES), 2))
    )


def project(points: Sequence[npt.ArrayLike], skeleton: Skeleton = SKELETON) -> LabelledDataset:
    """A project of images of 200 x 160, each with the animals of one entry: (K, 2) or (N, K, 2)."""
    images = []
    for number, labelled in enumerate(points):
        array = np.asarray(labelled, np.float32)
        instances = Instances.from_keypoints(array if array.ndim == 3 else array[None])
        images.append(
            LabelledImage.create(ImageFile(Path(f"{number}.png")), f"{number}.png", 200, 160, instances)
        )
    return LabelledDataset(skeleton, tuple(images), Path("project"), "project")


def kinds(found: Sequence[Suspicion]) -> set[tuple[str, int, tuple[int, ...]]]:
    return {(s.kind, s.image, s.keypoints) for s in found}


@pytest.mark.parametrize("seed", range(5))
def test_labels_of_an_animal_that_moves_are_not_doubted(seed: int) -> None:
    assert find_suspicions(project(poses(60, seed))) == []


@settings(max_examples=25, deadline=None)
@given(at=st.integers(0, 39), keypoint=st.integers(0, 4), angle=st.floats(0, 6.28), seed=st.integers(0, 20))
def test_a_label_far_off_is_found_and_no_other(at: int, keypoint: int, angle: float, seed: int) -> None:
    points = poses(40, seed)
    points[at, keypoint] = points[at].mean(axis=0) + 140 * np.array([np.cos(angle), np.sin(angle)])
    values = measure_unusualness(points)
    assert np.unravel_index(np.nanargmax(values), values.shape) == (at, keypoint)
    found = [s for s in find_suspicions(project(points)) if s.kind == "unusual"]
    assert found[0].image == at
    assert found[0].keypoints == (keypoint,)
    assert NAMES[keypoint] in found[0].reason


@pytest.mark.parametrize("at", [0, 17, 39])
def test_exchanged_sides_are_found(at: int) -> None:
    points = poses(40)
    points[at, [1, 2]] = points[at, [2, 1]]
    assert kinds(find_suspicions(project(points))) == {("exchanged", at, (1, 2))}


def test_sides_of_an_animal_of_which_one_is_not_labelled_are_left_alone() -> None:
    points = poses(40)
    points[3, 1] = np.nan
    points[:, 4] = np.where(np.arange(40)[:, None] % 3 == 0, np.nan, points[:, 4])
    assert find_suspicions(project(points)) == []


def test_labels_at_one_place() -> None:
    points = poses(40)
    points[5, 3] = points[5, 0]
    found = find_suspicions(project(points))
    assert ("duplicate", 5, (0, 3)) in kinds(found)
    assert any(s.reason == "nose and back are labelled at one place" for s in found)


def test_two_animals_that_are_one() -> None:
    skeleton = Skeleton(NAMES, individuals=("a", "b"))
    points = poses(60).reshape(30, 2, 5, 2)
    points[:, 1] += 40, 20
    points[7, 1] = points[7, 0] + 0.2
    (found,) = (s for s in find_suspicions(project(list(points), skeleton)) if s.kind == "duplicate")
    assert (found.image, found.animal, found.reason) == (7, 1, "animals 1 and 2 are labelled at one place")


def test_labels_that_were_copied_to_the_next_image() -> None:
    points = poses(40)
    points[9] = points[8]
    (found,) = find_suspicions(project(points))
    assert (found.kind, found.image) == ("duplicate", 9)
    assert found.reason == "the labels are those of 8.png, number for number"


@pytest.mark.parametrize("place", [(0.0, 80.0), (199.0, 80.0), (100.0, 0.2), (100.0, 159.3)])
def test_labels_on_the_border(place: tuple[float, float]) -> None:
    points = poses(10)
    points[2, 4] = place
    assert kinds(find_suspicions(project(points))) == {("border", 2, (4,))}


def test_few_animals_tell_nothing_about_what_is_usual() -> None:
    points = poses(10)
    points[2, 4] = 30, 30
    points[3, [1, 2]] = points[3, [2, 1]]
    assert find_suspicions(project(points)) == []


def test_one_keypoint_and_no_animals() -> None:
    assert find_suspicions(project(poses(30)[:, :1], Skeleton(("nose",)))) == []
    assert find_suspicions(project([np.zeros((0, 5, 2))] * 3)) == []


def test_what_is_labelled_is_counted() -> None:
    points = poses(6)
    points[0] = np.nan
    points[1:3, 4] = np.nan
    summary = summarize_labels(project(points))
    assert (summary.images, summary.unlabelled, summary.animals, summary.most_animals) == (6, 1, 5, 1)
    assert summary.labelled == {"nose": 5, "left_ear": 5, "right_ear": 5, "back": 5, "tail": 3}
    assert summary.sizes == {(200, 160): 6}


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the ears of one animal are exchanged."""
    folder = tmp_path_factory.mktemp("inspect") / "project"
    points = poses(24)
    points[4, [1, 2]] = points[4, [2, 1]]
    examples = (
        Example(f"{n:02d}.png", np.full((160, 200, 3), 90, np.uint8), Instances.from_keypoints(pose[None]))
        for n, pose in enumerate(points)
    )
    write_project(folder, SKELETON, examples, name="doubtful")
    return folder


def test_the_command_shows_labels_doubts_and_decisions(pose: Any, doubtful: Path, tmp_path: Path) -> None:
    process = pose("inspect", doubtful, "--sheet", tmp_path / "doubt.png")
    assert process.returncode == 0, process.stderr
    text = process.stdout
    assert "24 labelled images of 200 x 160 pixels, one animal a frame" in text
    assert "images/04.png: left_ear/right_ear fit better when exchanged" in text
    assert "model        unet (single_animal), since one animal a frame" in text
    assert "a first usable model in about" in text
    picture = cv2.imread(str(tmp_path / "doubt.png"))
    # The ring around labels in doubt.
    red = (picture[..., 2] > 200) & (picture[..., 1] < 60)
    assert red.sum() > 50
    assert sorted(p.name for p in tmp_path.iterdir()) == ["doubt.png"]


def test_the_report_for_programs(pose: Any, doubtful: Path) -> None:
    process = pose(
        "inspect", doubtful, "--json", "--model", "resnet_18", "--no-estimate", "--set", "train.epochs=3"
    )
    assert process.returncode == 0, process.stderr
    report = json.loads(process.stdout)
    assert report["labelled"]["nose"] == 24
    assert [s["kind"] for s in report["suspicious"]] == ["exchanged"]
    assert report["decisions"]["config"]["train"]["epochs"] == 3
    assert report["decisions"]["config"]["model"]["name"] == "resnet/resnet_18"
    assert report["decisions"]["estimates"] == {}


def test_labels_are_inspected_where_no_training_is_possible(pose: Any, doubtful: Path) -> None:
    process = pose("inspect", doubtful, env={"POSE_DISABLE_PLUGINS": "unet,resnet"})
    assert process.returncode == 0, process.stderr
    assert "left_ear/right_ear fit better when exchanged" in process.stdout
    assert "a training is not possible: no model is named" in process.stdout


def test_mistakes_are_refused(pose: Any, doubtful: Path, tmp_path: Path) -> None:
    assert "did you mean unet?" in pose.refuses("inspect", doubtful, "--model", "unnet")
    assert "does not exist" in pose.refuses("inspect", tmp_path / "nowhere")
    assert "--sheet doubt.jpg: must end in .png" in pose.refuses("inspect", doubtful, "--sheet", "doubt.jpg")
    (tmp_path / "file").touch()
    assert "is a file" in pose.refuses("inspect", doubtful, "--sheet", tmp_path / "file" / "doubt.png")


def test_nothing_is_drawn_where_nothing_is_in_doubt(tmp_path: Path) -> None:
    assert draw_suspicions(project(poses(30)), [], tmp_path / "doubt.png") == 0
    assert not (tmp_path / "doubt.png").exists()


def test_reading_and_counting_labels_imports_no_torch(doubtful: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from pose_core.data.projects import read_with\n"
        "from pose_core.inspection.label_counts import summarize_labels\n"
        "from pose_core.inspection.suspicions import find_suspicions\n"
        f"dataset, _ = read_with(Path({str(doubtful)!r}))\n"
        "summarize_labels(dataset); find_suspicions(dataset)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
