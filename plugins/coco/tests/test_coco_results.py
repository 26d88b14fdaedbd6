"""Reading COCO keypoint results, ours and those of other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pose_coco.config import CocoWriterConfig
from pose_coco.writer import CocoWriter

import pose_core
from pose_core.errors import DataError
from pose_core.interfaces import PredictionsHeader, open_predictions
from pose_core.structures import Frame, Instances, Skeleton
from pose_core.synthetic.crowd import CROWD_SKELETON, Crowd, CrowdSpec


def result(image: int = 0, **changes: Any) -> dict[str, Any]:
    found = {"image_id": image, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 2], "score": 0.5}
    return {key: value for key, value in {**found, **changes}.items() if value is not ...}


def store(folder: Path, content: Any) -> Path:
    path = folder / "results.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def read(folder: Path, *results: Any) -> list[Frame]:
    return list(open_predictions(store(folder, list(results))))


def test_a_video_is_written_read_tracked_and_written_again(tmp_path: Path) -> None:
    frames = list(Crowd(CrowdSpec(frames=40, animals=2, double=0)).found())
    header = PredictionsHeader(CROWD_SKELETON, "clip.mp4", 40, 800, 800, 30.0, "model", "run")
    path = tmp_path / "clip.json"
    CocoWriter(CocoWriterConfig(type="coco/coco")).write(path, header, iter(frames))
    again = list(open_predictions(path))
    for one, other in zip(frames, again, strict=False):
        assert one.index == other.index
        for name in ("keypoints", "keypoint_scores", "scores", "boxes"):
            before, after = (getattr(f.instances, name) for f in (one, other))
            if name == "boxes":
                before, after = one.instances.animal_boxes(), other.instances.animal_boxes()
            assert np.allclose(before, after, rtol=0, atol=1e-3, equal_nan=True), name
    (outcome,) = pose_core.track(path, tmp_path / "tracks", animals=2, format="coco")
    assert outcome is not None
    assert outcome.counts.tracks == 2
    ids = {entry["track_id"] for entry in json.loads(outcome.result.read_text()) if "track_id" in entry}
    assert ids == {0, 1}
    tracked = open_predictions(outcome.result)
    assert {i for frame in tracked for i in frame.instances.track.tolist()} - {-1} == {0, 1}


def test_results_come_in_any_order_and_frames_between_have_no_animals(tmp_path: Path) -> None:
    frames = read(tmp_path, result(3), result(1), result(3, track_id=7))
    assert [len(frame.instances) for frame in frames] == [0, 1, 0, 2]
    assert frames[3].instances.track.tolist() == [-1, 7]


def test_images_have_names_and_the_order_of_their_ids(tmp_path: Path) -> None:
    frames = read(tmp_path, result(397133, file_name="b.jpg"), result(12, file_name="a.jpg"))
    assert [(frame.index, frame.image) for frame in frames] == [(0, "a.jpg"), (1, "b.jpg")]


def test_the_third_number_is_a_score_or_a_flag(tmp_path: Path) -> None:
    scores = read(tmp_path, result(keypoints=[1, 2, 0.25, 3, 4, 0.0], score=...))[0].instances
    assert scores.keypoint_scores.tolist() == [[0.25, 0]]
    assert np.isnan(scores.keypoints[0, 1]).all()
    assert scores.scores.tolist() == [0.25]
    flags = read(tmp_path, result(keypoints=[1, 2, 1, 0, 0, 0]))[0].instances
    assert flags.keypoint_scores.tolist() == [[1, 0]]
    own = read(tmp_path, result(keypoint_scores=[0.5, 1.5]))[0].instances
    assert own.keypoint_scores.tolist() == [[0.5, 1]]


def test_boxes_are_measured_from_the_corner_of_a_pixel(tmp_path: Path) -> None:
    (frame,) = read(tmp_path, result(bbox=[0, 0, 64, 48]))
    assert frame.instances.boxes.tolist() == [[-0.5, -0.5, 63.5, 47.5]]


def test_names_and_unique_keypoints_come_back(tmp_path: Path) -> None:
    skeleton = Skeleton(("nose", "tail"), individuals=("ann", "bob"), unique_keypoints=("corner",))
    animals = Instances.from_keypoints(np.ones((2, 2, 2)), identity=[1, -1], identity_scores=[0.5, 0])
    frame = Frame(0, animals, np.full((1, 2), 5, np.float32), np.full(1, 0.5, np.float32))
    header = PredictionsHeader(skeleton, "clip.mp4", 1, 64, 48, 30.0, "", "")
    CocoWriter(CocoWriterConfig(type="coco/coco")).write(tmp_path / "a.json", header, [frame])
    stream = open_predictions(tmp_path / "a.json")
    (again,) = stream
    assert stream.header.skeleton.individuals == ("bob",)
    assert again.instances.identity.tolist() == [0, -1]
    assert again.instances.identity_scores.tolist() == [0.5, 0]
    assert again.unique_keypoints.tolist() == [[5, 5]]
    assert again.unique_scores.tolist() == [0.5]


@pytest.mark.parametrize(
    ("results", "line"),
    [
        ([result(keypoints=[1, 2, 2, 3])], "result 0 has 4 numbers as keypoints"),
        ([result(keypoints=[1, 2, None])], "result 0 has keypoints that are no list of numbers"),
        ([result(keypoints=[1, 2, True])], "no list of numbers"),
        ([result(keypoints=[])], "result 0 has 0 numbers as keypoints"),
        ([result(), result(keypoints=[1, 2, 2])], r"categories 1 with 1, 2 keypoints; split it"),
        ([result(), result(category_id=3)], "categories 1, 3"),
        (
            [result(), result(category_id=2), result(category_id=2)],
            "several results of category 2 on an image",
        ),
        ([result(), result(image_id="x")], "result 1 has image_id 'x'"),
        ([result(-1)], "image_id -1 is no number of a frame"),
        ([result(10**12)], "image_id 1000000000000 is no number of a frame"),
        ([result(keypoint_scores=[1])], "1 keypoint_scores for 2 keypoints"),
        ([result(score="high")], "score 'high', which is not a number"),
        ([result(bbox=[1, 2, 3])], "3 numbers as bbox"),
        ([result(track_id=1.5)], "track_id 1.5"),
        ([result(track_id=2**64)], "track_id 18446744073709551616, which is too large"),
        ([result(file_name=7)], "file_name 7, which is not a name"),
        ([result(), 7], "is not a list of COCO results"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, results: Any, line: str) -> None:
    with pytest.raises(DataError, match=line) as error:
        read(tmp_path, *results)
    assert "\n" not in str(error.value)


def test_damaged_files_are_one_line(tmp_path: Path) -> None:
    path = store(tmp_path, json.dumps([result()])[:-9])
    with pytest.raises(DataError, match="is not valid JSON"):
        open_predictions(path)
    with pytest.raises(DataError, match="not readable as predictions"):
        open_predictions(store(tmp_path, "[]"))
