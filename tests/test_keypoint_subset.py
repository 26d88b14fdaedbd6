"""Some of the keypoints of a project: trained, measured, and with thresholds of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pose_core
from pose_core.data.keypoint_subset import select_in_frame, select_in_skeleton, select_keypoints
from pose_core.data.projects import read_project
from pose_core.interfaces.thresholds import Thresholds
from pose_core.structures import Frame, Instances, Skeleton
from pose_core.training.prepare import prepare

SKELETON = Skeleton(
    ("nose", "left_ear", "right_ear", "lever"),
    edges=(("nose", "left_ear"), ("nose", "right_ear")),
    symmetry=(("left_ear", "right_ear"),),
    unique_keypoints=("corner", "port"),
    landmarks=("lever",),
)
TINY = {"model.backbone.filters": 4, "train.validate_every": 1}


def test_a_skeleton_keeps_its_order_and_what_lies_between_the_rest() -> None:
    chosen = select_in_skeleton(SKELETON, ("port", "left_ear", "nose"), "data.keypoints")
    assert chosen == Skeleton(
        ("nose", "left_ear"), edges=(("nose", "left_ear"),), unique_keypoints=("port",), landmarks=()
    )


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("nose", "nos"), "there is no keypoint 'nos'; there are nose, left_ear"),
        (("port",), "names no keypoint of the"),
    ],
)
def test_names_that_cannot_be(names: tuple[str, ...], problem: str) -> None:
    with pytest.raises(pose_core.PoseError, match=f"^data.keypoints: {problem}"):
        select_in_skeleton(SKELETON, names, "data.keypoints")


def test_a_frame_keeps_the_box_of_the_whole_animal() -> None:
    points = np.arange(8, dtype=np.float32).reshape(1, 4, 2)
    frame = Frame(
        3,
        Instances.from_keypoints(points, keypoint_scores=[[0.1, 0.2, 0.3, 0.4]]),
        np.array([[1.0, 2], [3, 4]], np.float32),
        np.array([0.5, 0.6], np.float32),
    )
    chosen = select_in_skeleton(SKELETON, ("right_ear", "port"), "data.keypoints")
    found = select_in_frame(frame, SKELETON, chosen)
    assert found.index == 3
    assert found.instances.keypoints.tolist() == [[[4.0, 5.0]]]
    np.testing.assert_allclose(found.instances.keypoint_scores, [[0.3]])
    assert found.instances.boxes.tolist() == frame.instances.boxes.tolist()
    assert found.unique_keypoints.tolist() == [[3.0, 4.0]]


def test_a_model_learns_and_finds_the_chosen_keypoints_only(blob_project: Path, tmp_path: Path) -> None:
    run = pose_core.train(
        blob_project, "unet", out=tmp_path / "run", epochs=1, keypoints=["green"], settings=TINY
    )
    assert run.spec.data.keypoints == ("green",)
    assert run.spec.skeleton.keypoints == ("green",)
    assert run.spec.skeleton.edges == ()
    frame = pose_core.load(run.path).predict(np.zeros((1, 64, 64, 3), np.uint8))[0]
    assert frame.instances.keypoints.shape[1] == 1
    result = pose_core.evaluate(run)
    assert [row.name for row in result.keypoints] == ["green"]
    assert not any("changed since training" in note for note in result.notes)


@pytest.mark.long
def test_metrics_of_some_keypoints_are_those_of_the_whole(blob_project: Path, tmp_path: Path) -> None:
    run = pose_core.train(blob_project, "unet", out=tmp_path / "run", epochs=1, settings=TINY)
    whole = pose_core.evaluate(run, "all")
    part = pose_core.evaluate(run, "all", settings={"evaluation.keypoints": ["green"]})
    of = {row.name: row for row in whole.keypoints}
    (row,) = part.keypoints
    assert row.name == "green"
    assert row.error.mean.value == of["green"].error.mean.value
    assert (row.labelled, row.missing) == (of["green"].labelled, of["green"].missing)
    assert "of green only" in part.notes
    assert part.counts.keypoints == whole.counts.keypoints / 2
    sigmas = {"red": 0.1, "green": 0.2}
    pose_core.evaluate(run, settings={"evaluation.keypoints": ["green"], "evaluation.sigmas": sigmas})
    with pytest.raises(pose_core.PoseError, match="blue"):
        pose_core.evaluate(
            run, settings={"evaluation.keypoints": ["green"], "evaluation.sigmas": {**sigmas, "blue": 0.1}}
        )
    with pytest.raises(pose_core.PoseError, match=r"evaluation\.keypoints: there is no keypoint 'blue'"):
        pose_core.evaluate(run, settings={"evaluation.keypoints": ["blue"]})


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"keypoints": ["blue"]}, "^keypoints: there is no keypoint 'blue'; there are red, green"),
        ({"settings": {"data.keypoints": "green"}}, "^data.keypoints: must be a list of names"),
        (
            {"settings": {"skeleton": {"keypoints": ["red", "blue"], "edges": []}}},
            "^skeleton.keypoints: the labels have red, green, not red, blue; leave it out, or choose",
        ),
        (
            {"settings": {"skeleton": {"unique_keypoints": ["corner"]}}},
            "^skeleton.unique_keypoints: the labels have none, not corner",
        ),
    ],
)
def test_what_does_not_fit_the_labels_is_refused_when_it_is_read(
    blob_project: Path, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(pose_core.PoseError) as error:
        pose_core.make_config(blob_project, "unet", **options)
    assert re.search(problem, str(error.value)), str(error.value)


def test_a_project_of_some_keypoints_is_fingerprinted_as_such(blob_project: Path) -> None:
    dataset = read_project(blob_project)
    part = select_keypoints(dataset, ("red",), "data.keypoints")
    assert part.images[0].instances.keypoints.shape == (1, 1, 2)
    assert part.images[0].occluded.shape == (1, 1)
    assert select_keypoints(dataset, None, "") is dataset
    spec = prepare(blob_project, "unet", assignments=["data.keypoints=[red]"]).spec
    assert spec.skeleton.keypoints == part.skeleton.keypoints == ("red",)


def test_thresholds_by_keypoint() -> None:
    every = Thresholds.of(0.25, SKELETON)
    assert every.keypoints.tolist() == [0.25] * 4
    assert every.unique.tolist() == [0.25] * 2
    some = Thresholds.of({"nose": 0.5, "port": 0.75}, SKELETON)
    assert some.keypoints.tolist() == [0.5, 0, 0, 0]
    assert some.unique.tolist() == [0, 0.75]
    with pytest.raises(pose_core.PoseError, match="there is no keypoint 'tail'; there are nose"):
        Thresholds.of({"tail": 0.5}, SKELETON)


def test_a_threshold_hides_the_keypoint_it_is_of(blob_project: Path, tmp_path: Path) -> None:
    run = pose_core.train(blob_project, "unet", out=tmp_path / "run", epochs=1, settings=TINY)
    image = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8)
    plain = pose_core.load(run.path).predict(image)[0].instances
    assert np.isfinite(plain.keypoints).all()
    hidden = (
        pose_core.load(run.path, settings={"inference.threshold": {"green": 1.0}}).predict(image)[0].instances
    )
    assert np.isfinite(hidden.keypoints).all(-1).tolist() == [[True, False]]
    assert hidden.keypoint_scores[0, 1] == 0
    with pytest.raises(pose_core.PoseError, match=r"inference\.threshold: there is no keypoint 'tail'"):
        pose_core.load(run.path, settings={"inference.threshold": {"tail": 1.0}})
