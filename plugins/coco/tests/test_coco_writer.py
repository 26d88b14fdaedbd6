"""Writing COCO keypoint results."""

from __future__ import annotations

import contextlib
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from hypothesis import given
from hypothesis import strategies as st
from pose_coco.config import CocoWriterConfig
from pose_coco.writer import CocoWriter

from pose_core.catalog import get_catalog
from pose_core.errors import DataError
from pose_core.interfaces import PredictionsHeader
from pose_core.structures import Frame, Instances, Skeleton

SKELETON = Skeleton(keypoints=("nose", "tail"), individuals=("a", "b"))
ARENA = Skeleton(keypoints=("nose", "tail"), unique_keypoints=("corner",))


def header(skeleton: Skeleton = SKELETON, source: str = "video.mp4", **metadata: str) -> PredictionsHeader:
    return PredictionsHeader(skeleton, source, 0, 64, 48, 30.0, "unet", "runs/a", {**metadata})


def write(folder: Path, frames: list[Frame], about: PredictionsHeader | None = None, **config: Any) -> Any:
    path = folder / "out.json"
    CocoWriter(CocoWriterConfig(type="coco/coco", **config)).write(path, about or header(), iter(frames))
    return json.loads(path.read_text())


def frame(index: int, *animals: Any, image: str | None = None, **changes: Any) -> Frame:
    points = np.array(animals, np.float32).reshape(len(animals), 2, 2)
    return Frame(index, Instances.from_keypoints(points, **changes), image=image)


def test_the_layout(tmp_path: Path) -> None:
    nan = float("nan")
    scores = np.array([[0.75, 0.5], [0.25, 0.0]])
    frames = [
        frame(
            0,
            [[1, 2], [3, 4]],
            [[5, 6], [nan, nan]],
            keypoint_scores=scores,
            track=[4, -1],
            identity=[1, -1],
            identity_scores=[0.875, 0],
        ),
        frame(1),
        Frame.absent(2, SKELETON, "broken"),
        frame(3, [[1.5, 2], [3, 4]], boxes=[[0, 1, 10, 21]], scores=[0.5]),
    ]
    assert write(tmp_path, frames) == [
        {
            "image_id": 0,
            "category_id": 1,
            "keypoints": [1, 2, 2, 3, 4, 2],
            "score": 0.625,
            "bbox": [1.5, 2.5, 2, 2],
            "keypoint_scores": [0.75, 0.5],
            "track_id": 4,
            "individual": "b",
            "individual_score": 0.875,
        },
        {
            "image_id": 0,
            "category_id": 1,
            "keypoints": [5, 6, 2, 0, 0, 0],
            "score": 0.25,
            "bbox": [5.5, 6.5, 0, 0],
            "keypoint_scores": [0.25, 0],
        },
        {
            "image_id": 3,
            "category_id": 1,
            "keypoints": [1.5, 2, 2, 3, 4, 2],
            "score": 0.5,
            "bbox": [0.5, 1.5, 10, 20],
            "keypoint_scores": [1, 1],
        },
    ]


def test_no_animals_at_all(tmp_path: Path) -> None:
    assert write(tmp_path, []) == []
    assert write(tmp_path, [frame(0), frame(1)]) == []


def test_unique_keypoints_are_a_category_of_their_own(tmp_path: Path) -> None:
    whole = Frame(
        0,
        Instances.from_keypoints([[[1, 2], [3, 4]]]),
        unique_keypoints=np.float32([[7, 8]]),
        unique_scores=np.float32([0.5]),
    )
    results = write(tmp_path, [whole], header(ARENA))
    assert [r["category_id"] for r in results] == [1, 2]
    assert results[1]["keypoints"] == [7, 8, 2]
    assert results[1]["score"] == 0.5
    with pytest.raises(DataError, match="must differ"):
        write(tmp_path, [whole], header(ARENA), unique_category_id=1)


def test_the_category_of_the_training_data(tmp_path: Path) -> None:
    animal = frame(0, [[1, 2], [3, 4]])
    assert write(tmp_path, [animal], header(**{"coco.category_id": "5"}))[0]["category_id"] == 5
    assert (
        write(tmp_path, [animal], header(**{"coco.category_id": "5"}), category_id=3)[0]["category_id"] == 3
    )


class TestImageIds:
    def annotations(self, folder: Path, *names: str) -> str:
        images = [{"id": 100 + i, "file_name": name} for i, name in enumerate(names)]
        (folder / "labels.json").write_text(
            json.dumps({"images": images, "annotations": [], "categories": []})
        )
        return str(folder / "labels.json")

    def test_by_name(self, tmp_path: Path) -> None:
        labels = self.annotations(tmp_path, "x/1.png", "y/1.png", "y/2.png")
        frames = [
            frame(0, [[1, 2], [3, 4]], image="shots/y/1.png"),
            frame(1, [[1, 2], [3, 4]], image="elsewhere/2.png"),
            frame(2, [[1, 2], [3, 4]], image="x/1.png"),
        ]
        results = write(tmp_path, frames, header(source="shots"), annotations=labels)
        assert [r["image_id"] for r in results] == [101, 102, 100]

    def test_without_annotations_the_number_of_the_image(self, tmp_path: Path) -> None:
        results = write(tmp_path, [frame(0), frame(1, [[1, 2], [3, 4]], image="shots/b.png")])
        assert results[0]["image_id"] == 1
        assert results[0]["file_name"] == "b.png"

    def test_what_cannot_be_told(self, tmp_path: Path) -> None:
        labels = self.annotations(tmp_path, "x/1.png", "y/1.png")
        animal = [[1, 2], [3, 4]]
        with pytest.raises(DataError, match=r"lists 2 images called 1\.png"):
            write(tmp_path, [frame(0, animal, image="1.png")], annotations=labels)
        with pytest.raises(DataError, match=r"does not list 3\.png"):
            write(tmp_path, [frame(0, animal, image="3.png")], annotations=labels)
        with pytest.raises(DataError, match="frames of a video"):
            write(tmp_path, [frame(0, animal)], annotations=labels)


POINT = st.tuples(st.floats(0, 600, width=32), st.floats(0, 400, width=32)) | st.just((np.nan, np.nan))


@given(st.lists(st.lists(st.tuples(POINT, POINT), max_size=2), max_size=5))
def test_every_number_is_finite_and_every_animal_with_a_keypoint_is_there(
    tmp_path_factory: pytest.TempPathFactory, animals: list[list[Any]]
) -> None:
    frames = [frame(i, *found) for i, found in enumerate(animals)]
    results = write(tmp_path_factory.getbasetemp(), frames)
    seen = [
        (f.index, f.instances.keypoints[n])
        for f in frames
        for n in range(len(f.instances))
        if not np.isnan(f.instances.keypoints[n]).all()
    ]
    assert [r["image_id"] for r in results] == [index for index, _ in seen]
    for result, (_, points) in zip(results, seen, strict=True):
        stored = np.array(result["keypoints"]).reshape(2, 3)
        assert (stored[:, 2] == np.where(np.isnan(points).any(axis=1), 0, 2)).all()
        np.testing.assert_allclose(stored[:, :2], np.nan_to_num(points), atol=1e-4)
        assert np.isfinite(result["bbox"]).all()


def test_coco_evaluates_the_results(tmp_path: Path) -> None:
    """Labels written back as predictions are perfect, once moved by a lot they are not."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 400, (6, 1, 2, 2)).astype(np.float32)
    labels = {
        "info": {},
        "images": [{"id": i, "file_name": f"{i}.png", "width": 640, "height": 480} for i in range(6)],
        "annotations": [
            {
                "id": i + 1,
                "image_id": i,
                "category_id": 1,
                "keypoints": np.concatenate([p[0], [[2], [2]]], axis=1).ravel().tolist(),
                "num_keypoints": 2,
                "bbox": [0, 0, 100, 100],
                "area": 5000.0,
                "iscrowd": 0,
            }
            for i, p in enumerate(points)
        ],
        "categories": [{"id": 1, "name": "mouse", "keypoints": ["nose", "tail"]}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    precisions = []
    for shift in (0, 200):
        write(tmp_path, [frame(i, p + np.float32(shift)) for i, p in enumerate(points[:, 0])])
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(str(tmp_path / "labels.json"))
            found = truth.loadRes(str(tmp_path / "out.json"))
            evaluation = COCOeval_faster(truth, found, "keypoints", kpt_oks_sigmas=np.array([0.1, 0.1]))
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        precisions.append(float(evaluation.stats[0]))
    assert precisions[0] == pytest.approx(1.0)
    assert precisions[1] == pytest.approx(0.0)


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path) -> None:
    animal = frame(0, [[1, 2], [3, 4]])
    writer = CocoWriter(CocoWriterConfig(type="coco/coco"))
    peaks = []
    for count in (500, 3000):
        tracemalloc.start()
        writer.write(tmp_path / "out.json", header(), (animal.renumbered(i) for i in range(count)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_the_component_has_a_bare_name_of_its_own() -> None:
    assert get_catalog().component("writer", "coco").factory() is CocoWriter
    assert CocoWriter(CocoWriterConfig(type="coco/coco")).stem(header(source="a/clip.mp4")) == "clip"
