"""Labels of six tools, in files that sleap-io writes or that are made as the tools make them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import sleap_io as sio
import yaml
from pose_sleapio.base import INSTALL
from pydantic import TypeAdapter
from scipy.io import savemat

from pose_core.data.images import read_image
from pose_core.data.projects import read_project, read_with
from pose_core.errors import DataError, PluginError
from pose_core.specs import AnyReader
from pose_core.structures import ImageFile, LabelledDataset, VideoFrame
from pose_core.synthetic.videos import read_number, write_numbered_video

NODES = ["tail", "nose", "earR", "earL"]
"""Not in the order of the alphabet."""
P = np.array([[10.0, 12.0], [20.5, 13.25], [22.0, 30.0], [40.0, 40.0]])
HOLE = P + 2
HOLE = np.where(np.arange(4)[:, None] == 2, np.nan, HOLE)
INTERFACE = """<View>
  <Image name="image" value="$image"/>
  <!-- <!DOCTYPE x> is a comment here -->
  <KeyPointLabels name="kp" toName="image">
    <Label value="tail"/><Label value="nose"/><Label value="earR"/><Label value="earL"/>
  </KeyPointLabels>
</View>
"""


def read(path: Path, type: str, **options: Any) -> LabelledDataset:
    return read_project(path, TypeAdapter(AnyReader).validate_python({"type": f"sleapio/{type}", **options}))


def refused(path: Path, type: str, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(path, type, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Three images of 64 x 48, each of its own gray."""
    paths = [tmp_path / "rig" / f"{i}.png" for i in range(3)]
    paths[0].parent.mkdir()
    for i, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((48, 64, 3), 50 * i, np.uint8))
    return paths


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_numbered_video(tmp_path / "clip.mp4", 12)
    return tmp_path / "clip.mp4"


def make_labels(video: Any, frames: tuple[int, ...], predicted: bool = False) -> Any:
    """Two animals on the first frame, the second of which lacks a keypoint, and one on every other."""
    skeleton = sio.Skeleton(list(NODES), edges=[("nose", "tail")], name="mouse")

    # The format of predictions has a table for each track.
    tracks = [sio.Track(name) for name in ("Ada", "Bea")]

    def animal(points: Any, number: int = 0) -> Any:
        if predicted:
            return sio.PredictedInstance.from_numpy(
                points, skeleton=skeleton, point_scores=[0.5] * 4, score=0.5, track=tracks[number]
            )
        return sio.Instance.from_numpy(points, skeleton=skeleton)

    found = [
        sio.LabeledFrame(video, frame, [animal(P + i), *([animal(HOLE, 1)] if i == 0 else [])])
        for i, frame in enumerate(frames)
    ]
    return sio.Labels(found)


def assert_two_and_one(dataset: LabelledDataset, keypoints: list[str], atol: float = 1e-4) -> None:
    """What :func:`make_labels` made, in the order of some keypoints."""
    assert list(dataset.skeleton.keypoints) == keypoints
    order = [NODES.index(name) for name in keypoints]
    first, second = dataset.images[:2]
    animals = sorted(first.instances.keypoints.tolist(), key=lambda points: np.isnan(points).any())
    np.testing.assert_allclose(animals, np.stack([P, HOLE])[:, order], atol=atol)
    np.testing.assert_allclose(second.instances.keypoints, (P + 1)[None, order], atol=atol)
    assert first.instances.keypoint_scores.sum() == 7
    assert not dataset.skeleton.identified
    assert dataset.skeleton.individuals == ("animal1", "animal2")
    assert dataset.skeleton.symmetry == (("earL", "earR"),)


def test_nwb_of_a_video(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "lab.nwb"
    sio.save_nwb(make_labels(sio.Video.from_filename(str(clip)), (7, 3)), str(path))
    dataset, name = read_with(path)
    assert name == "sleapio/nwb"
    assert_two_and_one(dataset, NODES)
    assert dataset.skeleton.edges == (("nose", "tail"),)
    assert [image.image for image in dataset.images] == [VideoFrame(clip, 7), VideoFrame(clip, 3)]
    assert [image.name for image in dataset.images] == ["clip.mp4 frame 7", "clip.mp4 frame 3"]
    assert [read_number(read_image(image.image)) for image in dataset.images] == [7, 3]
    assert any("left/right pairs, told from the names: earL/earR" in note for note in dataset.notes)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_nwb_predictions_are_refused_for_their_frames(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "lab.nwb"
    sio.save_nwb(make_labels(sio.Video.from_filename(str(clip)), (0, 1), predicted=True), str(path))
    assert "holds predictions, whose numbers of frames sleap-io loses" in refused(path, "nwb")


def write_tasks(path: Path, clip: Path) -> Path:
    sio.save_labelstudio(make_labels(sio.Video.from_filename(str(clip)), (7, 3)), str(path))
    return path


def test_label_studio_with_the_order_of_its_interface(clip: Path, tmp_path: Path) -> None:
    path = write_tasks(tmp_path / "tasks.json", clip)
    (tmp_path / "labeling_config.xml").write_text(INTERFACE)
    dataset, name = read_with(path)
    assert name == "sleapio/label-studio"
    assert_two_and_one(dataset, NODES)
    assert [image.image for image in dataset.images] == [VideoFrame(clip, 7), VideoFrame(clip, 3)]
    assert not any("order of their names" in note for note in dataset.notes)


def test_label_studio_without_it_orders_by_name_and_says_so(clip: Path, tmp_path: Path) -> None:
    path = write_tasks(tmp_path / "tasks.json", clip)
    dataset = read(path, "label-studio")
    assert_two_and_one(dataset, sorted(NODES))
    assert any(
        "keypoints are in the order of their names; save the labelling" in note for note in dataset.notes
    )
    (tmp_path / "other.xml").write_text(INTERFACE.replace("earR", "wing"))
    told = refused(path, "label-studio", labeling_config="other.xml")
    assert f"keypoints earR are not in {tmp_path / 'other.xml'}, which has tail, nose, wing, earL" in told
    assert "does not exist" in refused(path, "label-studio", labeling_config="gone.xml")
    (tmp_path / "other.xml").write_text('<!DOCTYPE x [<!ENTITY a "b">]><View/>')
    assert "has declarations" in refused(path, "label-studio", labeling_config="other.xml")


def make_task(image: str, keypoints: dict[str, tuple[float, float]], **more: Any) -> dict[str, Any]:
    """A task as Label Studio itself exports it: percent of the image, nothing of a video."""
    results = [
        {
            "original_width": 64,
            "original_height": 48,
            "image_rotation": 0,
            "value": {"x": 100 * x / 64, "y": 100 * y / 48, "width": 0.5, "keypointlabels": [name]},
            "id": f"id-{name}",
            "from_name": "kp",
            "to_name": "image",
            "type": "keypointlabels",
        }
        for name, (x, y) in keypoints.items()
    ]
    made = {"id": 1, "annotations": [{"result": results, "was_cancelled": False}], "data": {"image": image}}
    return made | more


def test_tasks_of_label_studio_itself(images: list[Path], tmp_path: Path) -> None:
    tasks = [
        make_task("/data/local-files/?d=rig/0.png", {"nose": (10, 20), "tail": (30.5, 40.25)}),
        make_task("/data/upload/3/1.png", {"nose": (11, 21)}),
        make_task("https://lab.example/rig/2.png?token=x", {}, annotations=[]),
    ]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(tasks))
    dataset = read(path, "label-studio", images="rig")
    assert [image.image for image in dataset.images] == [ImageFile(path) for path in images[:2]]
    # Stable wherever the project lies.
    assert [image.name for image in dataset.images] == ["rig/0.png", "rig/1.png"]
    np.testing.assert_allclose(dataset.images[0].instances.keypoints, [[[10, 20], [30.5, 40.25]]], atol=1e-4)
    assert any("1 tasks without annotations left out" in note for note in dataset.notes)
    path.write_text(json.dumps([make_task("/data/upload/3/9.png", {"nose": (1, 1)})]))
    told = refused(path, "label-studio")
    assert "data/upload/3/9.png is missing, looked for in" in told
    assert 'settings={"data.reader.type": "sleapio/label-studio", "data.reader.images": "FOLDER"}' in told


def test_of_several_annotations_the_note_says_which(images: list[Path], tmp_path: Path) -> None:
    task = make_task("rig/0.png", {"nose": (10, 20)})
    task["annotations"].append(make_task("rig/0.png", {"nose": (1, 2)})["annotations"][0])
    (tmp_path / "tasks.json").write_text(json.dumps([task]))
    dataset = read(tmp_path / "tasks.json", "label-studio")
    np.testing.assert_allclose(dataset.images[0].instances.keypoints, [[[10, 20]]], atol=1e-4)
    assert any("Multiple annotations found" in note for note in dataset.notes)


def test_alphatracker(images: list[Path]) -> None:
    def animal(points: Any) -> list[dict[str, Any]]:
        face = {"class": "Face", "x": 0, "y": 0, "width": 60, "height": 40}
        return [face, *({"class": "point", "x": x, "y": y} for x, y in np.asarray(points).tolist())]

    path = images[0].parent / "train.json"
    content = [
        {"filename": "0.png", "class": "image", "annotations": animal(P) + animal(P[:3] + 2)},
        {"filename": "2.png", "class": "image", "annotations": animal(P + 1)},
        {"filename": "1.png", "class": "image", "annotations": []},
    ]
    path.write_text(json.dumps(content))
    dataset, name = read_with(path)
    assert name == "sleapio/alphatracker"
    assert dataset.skeleton.keypoints == ("1", "2", "3", "4")
    assert [image.name for image in dataset.images] == ["0.png", "2.png"]
    np.testing.assert_array_equal(dataset.images[0].instances.keypoints[0], P)
    np.testing.assert_array_equal(dataset.images[0].instances.keypoints[1], [*(P[:3] + 2), [np.nan, np.nan]])
    np.testing.assert_array_equal(dataset.images[1].instances.keypoints, [P + 1])
    assert any("1 animals have fewer points than others" in note for note in dataset.notes)
    assert any("1 images without animals left out" in note for note in dataset.notes)


def test_all_splits_of_ultralytics(images: list[Path], tmp_path: Path) -> None:
    video = sio.Video.from_filename([str(path) for path in images])
    labels = make_labels(video, (0, 1, 2))
    ratios = {"train": 0.34, "val": 0.33, "test": 0.33}
    sio.save_ultralytics(labels, str(tmp_path / "yolo"), split_ratios=ratios, verbose=False)
    dataset, name = read_with(tmp_path / "yolo")
    assert name == "sleapio/ultralytics"
    assert len(dataset.images) == 3
    assert {image.name.split("/")[0] for image in dataset.images} == {"train", "val", "test"}
    assert list(dataset.skeleton.keypoints) == NODES
    found = {round(float(image.instances.keypoints[0, 1, 0]), 2): image for image in dataset.images}
    assert set(found) == {20.5, 21.5, 22.5}
    for x, image in found.items():
        np.testing.assert_allclose(image.instances.keypoints[0], P + (x - 20.5), atol=1e-3)
        assert read_image(image.image)[0, 0, 0] == 50 * (x - 20.5)
    assert any("all its splits are read: train, val, test" in note for note in dataset.notes)
    train = read(tmp_path / "yolo" / "data.yaml", "ultralytics", splits=["train"])
    assert {image.name.split("/")[0] for image in train.images} == {"train"}
    assert "has none of the splits fold" in refused(tmp_path / "yolo", "ultralytics", splits=["fold"])


def test_ultralytics_as_its_users_lay_it_out(images: list[Path], tmp_path: Path) -> None:
    root = tmp_path / "set"
    for split, image in zip(("train", "val"), images, strict=False):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        (root / "images" / split / image.name).write_bytes(image.read_bytes())
    (root / "images" / "val" / "9.png").write_bytes(images[2].read_bytes())
    values = " ".join(f"{x / 64} {y / 48} {v}" for (x, y), v in zip(P, (2, 1, 0, 2), strict=True))
    (root / "labels" / "train" / "0.txt").write_text(f"0 0.5 0.5 0.5 0.5 {values}\n0 0.5 0.5 0.1 0.1\n")
    (root / "labels" / "val" / "1.txt").write_text(f"0 0.5 0.5 0.5 0.5 {values}\n0 0.5 0.5 0.5 0.5 1 2 2\n")
    content = {
        "path": "/somewhere/else",
        "train": "images/train",
        "val": "images/val",
        "kpt_shape": [4, 3],
        "flip_idx": [0, 1, 3, 2],
        "names": {0: "mouse"},
        "kpt_names": {0: NODES},
    }
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    dataset = read(root / "data.yaml", "ultralytics")
    assert [image.name for image in dataset.images] == [
        "images/train/0.png",
        "images/val/1.png",
        "images/val/9.png",
    ]
    assert [len(image.instances) for image in dataset.images] == [1, 1, 0]
    wanted = np.where(np.arange(4)[:, None] == 2, np.nan, P)
    np.testing.assert_allclose(dataset.images[0].instances.keypoints[0], wanted, atol=1e-3)
    assert dataset.skeleton.keypoints == tuple(NODES)
    assert dataset.skeleton.symmetry == (("earL", "earR"),)
    notes = "\n".join(dataset.notes)
    assert "1 images without poses in their text files are read as without animals" in notes
    assert "1 boxes without keypoints left out" in notes
    # What sleap-io leaves out it only warns of.
    assert "Keypoint count mismatch: expected 4, got 1" in notes
    content["flip_idx"] = [0, 1, 3, 3]
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    assert "flip_idx [0, 1, 3, 3] is no order of its 4 keypoints" in refused(root, "ultralytics")


def test_leap(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.mat"
    positions = np.full((4, 2, 12), np.nan)
    positions[..., 3], positions[..., 7] = P, P + 1
    skeleton = {"nodes": np.array(NODES, object), "edges": np.array([[2, 1], [2, 3]])}
    savemat(path, {"boxPath": str(clip), "skeleton": skeleton, "positions": positions})
    dataset, name = read_with(path)
    assert name == "sleapio/leap"
    assert list(dataset.skeleton.keypoints) == NODES
    assert dataset.skeleton.edges == (("nose", "tail"), ("nose", "earR"))
    assert [image.name for image in dataset.images] == ["clip.mp4 frame 3", "clip.mp4 frame 7"]
    np.testing.assert_array_equal(dataset.images[1].instances.keypoints, [P + 1])
    assert any("coordinates are taken as they are" in note for note in dataset.notes)


def test_images_within_hdf5_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "box.h5", "w") as file:
        file["box"] = np.zeros((2, 8, 8, 1), np.uint8)
    skeleton = {"nodes": np.array(NODES, object), "edges": np.array([[2, 1]])}
    content = {"boxPath": str(tmp_path / "box.h5"), "skeleton": skeleton, "positions": np.ones((4, 2, 3))}
    savemat(tmp_path / "labels.mat", content)
    told = refused(tmp_path / "labels.mat", "leap")
    assert f"its images are within {tmp_path / 'box.h5'}, and such are not read" in told


def test_jabs(tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "cage.avi", 6)
    path = tmp_path / "cage_pose_est_v3.h5"
    points = np.arange(6 * 2 * 12 * 2).reshape(6, 2, 12, 2) % 48
    with h5py.File(path, "w") as file:
        group = file.create_group("poseest")
        group.attrs["version"] = [3, 0]
        # Row before column there.
        group["points"] = points.astype(np.uint16)
        confidence = np.ones((6, 2, 12), np.float32)
        confidence[0, 0, 4] = 0
        group["confidence"] = confidence
        group["instance_count"] = np.array([2, 1, 0, 1, 1, 1], np.uint8)
        group["instance_track_id"] = np.array([[5, 6]] * 6, np.uint32)
    dataset, name = read_with(path)
    assert name == "sleapio/jabs"
    assert [len(image.instances) for image in dataset.images] == [2, 1, 1, 1, 1]
    assert [image.image for image in dataset.images] == [
        VideoFrame(tmp_path / "cage.avi", frame) for frame in (0, 1, 3, 4, 5)
    ]
    np.testing.assert_array_equal(dataset.images[1].instances.keypoints[0], points[1, 0, :, ::-1])
    assert np.isnan(dataset.images[0].instances.keypoints[0, 4]).all()
    assert len(dataset.skeleton.symmetry) == 3
    assert dataset.images[0].instances.track.tolist() == [0, 1]
    assert f"{path}: 6 predicted animals are read as labels" in dataset.notes


def test_a_video_that_is_missing_is_named(clip: Path, tmp_path: Path) -> None:
    path = write_tasks(tmp_path / "tasks.json", clip)
    clip.unlink()
    told = refused(path, "label-studio")
    assert f"{clip} is missing, looked for in {tmp_path}" in told
    (tmp_path / "videos").mkdir()
    write_numbered_video(tmp_path / "videos" / "clip.mp4", 5)
    told = refused(path, "label-studio", images="videos")
    assert f"frame 7 of {tmp_path / 'videos' / 'clip.mp4'} is labelled, but it has 5" in told
    assert "the folder of its images, gone, does not exist" in refused(path, "label-studio", images="gone")


@pytest.mark.parametrize("type", ["label-studio", "alphatracker", "ultralytics", "nwb", "leap", "jabs"])
def test_without_sleap_io_the_line_says_what_to_install(
    type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sleap_io", None)
    with pytest.raises(PluginError) as caught:
        read(tmp_path, type)
    assert str(caught.value).endswith(INSTALL)
    assert "\n" not in str(caught.value)


def test_listing_and_recognising_need_no_sleap_io(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pose_sleapio.label_studio import LabelStudioReader
    from pose_sleapio.readers import AlphaTrackerReader

    for name in [name for name in sys.modules if name.split(".")[0] == "sleap_io"]:
        monkeypatch.delitem(sys.modules, name)
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([make_task("0.png", {"nose": (1, 1)})]))
    assert LabelStudioReader.accepts(path)
    assert not AlphaTrackerReader.accepts(path)
    assert not any(name.split(".")[0] == "sleap_io" for name in sys.modules)
