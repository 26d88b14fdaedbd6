"""Labels of image files, of frames of videos and of embedded images: one project of each, and one of all
three."""

from __future__ import annotations

import json
import pickle
import sys
import types
from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from pose_core.catalog import Catalog
from pose_core.data.fingerprint import data_hash
from pose_core.data.images import read_image
from pose_core.data.matching import Matches
from pose_core.data.projects import check_project, read_project
from pose_core.data.samples import PoseSamples
from pose_core.errors import ConfigError, DataError, PluginError
from pose_core.evaluation.bootstrap import Bootstrap
from pose_core.evaluation.identity import compute_identity_metrics
from pose_core.evaluation.run import evaluate_poses
from pose_core.formats.parquet import ParquetPredictions
from pose_core.formats.project import ProjectReader
from pose_core.formats.project_config import ProjectReaderConfig
from pose_core.formats.project_writing import Example, write_project
from pose_core.hooks import ComponentSpec
from pose_core.interfaces import Reader
from pose_core.io.images import decode_image
from pose_core.io.video import VideoFile
from pose_core.pipeline.sources import ImageSource
from pose_core.pipeline.video import VideoSource
from pose_core.plugins.discovery import ACTIVE, PluginRecord
from pose_core.runs.run_folder import Run
from pose_core.specs import ReaderConfig, RunSpec
from pose_core.specs.decided import Preprocess
from pose_core.structures import (
    EmbeddedImage,
    Frame,
    ImageFile,
    Instances,
    LabelledDataset,
    LabelledImage,
    Skeleton,
    VideoFrame,
)
from pose_core.synthetic.projects import write_video_project
from pose_core.synthetic.scenes import Scene, SceneSpec
from pose_core.synthetic.videos import read_number, write_numbered_video
from pose_core.training.fit import train_network
from pose_core.training.options import TrainOptions
from pose_core.training.prepare import prepare

REFERENCES = [
    ImageFile(Path("a/b.png")),
    VideoFrame(Path("a/clip.mp4"), 17),
    EmbeddedImage(Path("a/labels.toy"), "3", "toy/boxed"),
]


@pytest.mark.parametrize(
    ("reference", "name", "text"),
    [
        (REFERENCES[0], "b.png", "a/b.png"),
        (REFERENCES[1], "clip.mp4 frame 17", "a/clip.mp4 frame 17"),
        (REFERENCES[2], "labels.toy image 3", "a/labels.toy image 3"),
    ],
)
def test_a_reference_is_a_value_with_a_name(reference, name: str, text: str) -> None:  # type: ignore[no-untyped-def]
    assert (reference.name, str(reference)) == (name, text)
    again = pickle.loads(pickle.dumps(reference))
    assert again == reference
    assert {again: 1}[reference] == 1
    assert len(set(REFERENCES)) == 3


def test_a_frame_is_what_prediction_sees_whatever_the_order(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_numbered_video(path, 40, options={"bf": "3", "x264-params": "open-gop=1:scenecut=0"})
    seen = [frame.load() for frame in VideoSource(path, threads=0).read() if frame.load is not None]
    assert len(seen) == 40
    for index in (35, 3, 12, 11, 13, 0, 39):
        np.testing.assert_array_equal(read_image(VideoFrame(path, index)), seen[index])
    frames = list(ImageSource("some", [VideoFrame(path, i) for i in (30, 2, 99)]).read())
    assert [frame.image for frame in frames] == [f"{path} frame {i}" for i in (30, 2, 99)]
    assert frames[2].load is None
    assert frames[2].reason == f"{path}: has no frame 99; its frames are 0 to 39"
    for frame, index in zip(frames, (30, 2), strict=False):
        assert frame.load is not None
        np.testing.assert_array_equal(frame.load(), seen[index])


class BoxedReader(Reader):
    """Reads an HDF5 file that holds encoded images and a point for each."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        return path.suffix == ".boxed"

    def read(self, path: Path) -> LabelledDataset:
        with h5py.File(path) as file:
            points = file["points"][:]
            images = [decode_image(file[f"image/{i}"][:].tobytes(), i) for i in range(len(points))]
        return LabelledDataset(
            Skeleton(("red", "green")),
            tuple(
                LabelledImage.create(
                    EmbeddedImage(path, str(i), self.config.type),
                    f"{path.name} image {i}",
                    image.shape[1],
                    image.shape[0],
                    Instances.from_keypoints(points[i][None]),
                )
                for i, image in enumerate(images)
            ),
            root=path,
            name=path.stem,
        )

    @classmethod
    def open_embedded(cls, path: Path, key: str) -> bytes:
        with h5py.File(path) as file:
            return bytes(file[f"image/{key}"][:].tobytes())


class RawReader(BoxedReader):
    """Gives pixels instead, and for the last image something that is none."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        return False

    @classmethod
    def open_embedded(cls, path: Path, key: str):  # type: ignore[no-untyped-def]
        image = decode_image(super().open_embedded(path, key), key)
        return image if key != "3" else image[..., 0]


class PlainReader(Reader):
    """Embeds nothing."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        return False

    def read(self, path: Path) -> LabelledDataset:
        raise DataError(f"{path}: nothing")


class MixedReader(BoxedReader):
    """Reads the labels beside each other: a .boxed file, and the core's own project in its folder."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        return (path / "mixed").exists()

    def read(self, path: Path) -> LabelledDataset:
        boxed = super().read(path / "images.boxed")
        own = ProjectReader(ProjectReaderConfig(type="core/project")).read(path)
        return replace(own, images=(*own.images, *boxed.images))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs the readers of this file."""
    module = types.ModuleType("toy_readers")
    module.Config = ReaderConfig  # type: ignore[attr-defined]
    readers = {"boxed": BoxedReader, "raw": RawReader, "plain": PlainReader, "mixed": MixedReader}
    specs = []
    for name, reader in readers.items():
        setattr(module, name, reader)
        specs.append(ComponentSpec("reader", name, "toy_readers:Config", f"toy_readers:{name}", "for a test"))
    monkeypatch.setitem(sys.modules, "toy_readers", module)
    catalog = Catalog(
        [PluginRecord("toy", "pose-toy", "1", "toy", ACTIVE, definitions={"pose_components": tuple(specs)})]
    )
    monkeypatch.setattr("pose_core.data.projects.get_catalog", lambda: catalog)
    monkeypatch.setattr("pose_core.data.images.get_catalog", lambda: catalog)


def write_boxed(path: Path, images: list[np.ndarray], points: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["points"] = points
        for i, image in enumerate(images):
            file[f"image/{i}"] = cv2.imencode(".png", image[..., ::-1])[1]


def pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(count)
    return [rng.integers(0, 255, (48, 64, 3)).astype(np.uint8) for _ in range(count)]


def test_embedded_images_are_opened_by_their_reader(tmp_path: Path, toy: None) -> None:
    path = tmp_path / "some.boxed"
    images = pictures(4)
    write_boxed(path, images, np.full((4, 2, 2), 20.0))
    dataset = read_project(path)
    assert dataset.images[2].image == EmbeddedImage(path, "2", "toy/boxed")
    for record, image in zip(dataset.images, images, strict=True):
        np.testing.assert_array_equal(read_image(record.image), image)
    np.testing.assert_array_equal(read_image(EmbeddedImage(path, "2", "toy/raw")), images[2])
    with pytest.raises(PluginError, match=r"some\.boxed image 3 is neither bytes nor"):
        read_image(EmbeddedImage(path, "3", "toy/raw"))
    with pytest.raises(PluginError, match="PlainReader embeds no images, but a label refers to '0' in"):
        read_image(EmbeddedImage(path, "0", "toy/plain"))
    with pytest.raises(ConfigError, match="toy/nothing"):
        read_image(EmbeddedImage(path, "0", "toy/nothing"))
    path.unlink()
    with pytest.raises(
        DataError, match=r"4 of 4 labelled images are missing, the first is .*some\.boxed image 0"
    ):
        check_project(dataset, "toy/boxed")


@pytest.fixture
def mixed(tmp_path: Path, toy: None) -> Path:
    """A project of two image files, three frames of a video and two embedded images, 64 x 48 each."""
    folder = tmp_path / "project"
    (folder / "videos").mkdir(parents=True)
    write_numbered_video(folder / "videos" / "clip.mp4", 40, options={"bf": "2"})
    points = Instances.from_keypoints(np.array([[[10.0, 12.0], [40.0, 30.0]]]))
    examples = [Example(f"{i}.png", image, points) for i, image in enumerate(pictures(2))]
    examples += [Example("videos/clip.mp4", None, points, frame=frame) for frame in (31, 4, 12)]
    write_project(folder, Skeleton(("red", "green")), examples, name="mixed")
    write_boxed(folder / "images.boxed", pictures(3)[:2], np.full((2, 2, 2), 20.0))
    (folder / "mixed").touch()
    return folder


def test_a_project_of_all_three_kinds(mixed: Path) -> None:
    table = (mixed / "labels.csv").read_text()
    assert table.startswith(
        "image,frame,individual,keypoint,x,y,occluded\nimages/0.png,,animal,red,10.0,12.0,0\n"
    )
    assert "\nvideos/clip.mp4,31,animal,red,10.0,12.0,0\n" in table
    dataset = read_project(mixed, ReaderConfig(type="toy/mixed"))
    clip = mixed / "videos" / "clip.mp4"
    assert [image.image for image in dataset.images] == [
        ImageFile(mixed / "images" / "0.png"),
        ImageFile(mixed / "images" / "1.png"),
        VideoFrame(clip, 31),
        VideoFrame(clip, 4),
        VideoFrame(clip, 12),
        EmbeddedImage(mixed / "images.boxed", "0", "toy/mixed"),
        EmbeddedImage(mixed / "images.boxed", "1", "toy/mixed"),
    ]
    assert [image.name for image in dataset.images][1:4] == [
        "images/1.png",
        "videos/clip.mp4 frame 31",
        "videos/clip.mp4 frame 4",
    ]
    samples = PoseSamples(dataset, range(7), Preprocess(scale=1.0), 16, None, 0, 1 << 20)
    shown = [samples[i].image[:48, :64] for i in range(7)]
    for i, picture in ((0, pictures(2)[0]), (1, pictures(2)[1]), (5, pictures(3)[0]), (6, pictures(3)[1])):
        np.testing.assert_array_equal(shown[i], picture)
    assert [read_number(image) for image in shown[2:5]] == [31, 4, 12]


def test_frames_of_a_video_are_decoded_once_and_in_their_order(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = read_project(mixed, ReaderConfig(type="toy/mixed"))
    decoded: list[int] = []
    original = VideoFile.decode
    monkeypatch.setattr(
        VideoFile, "decode", lambda self, index: decoded.append(index) or original(self, index)
    )
    samples = PoseSamples(dataset, range(7), Preprocess(scale=1.0), 16, None, 0, 1 << 20)
    for _ in range(2):
        assert [read_number(samples[i].image) for i in (3, 2, 4)] == [4, 31, 12]
    assert decoded == [4, 12, 31]
    decoded.clear()
    room_for_one = PoseSamples(dataset, range(7), Preprocess(scale=1.0), 16, None, 0, 64 * 48 * 3)
    for _ in range(2):
        assert [read_number(room_for_one[i].image) for i in (2, 3)] == [31, 4]
    assert decoded == [4, 12, 31, 31]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",31,", ",40,", "line 6: video 'videos/clip.mp4' has no frame 40: it has 40, and the first is 0"),
        (",31,", ",-1,", "line 6: frame is '-1', not the number of a frame of a video (the first is 0)"),
        (",31,", ",1.5,", "line 6: frame is '1.5', not the number of a frame of a video (the first is 0)"),
        (
            ",31,",
            ",,",
            "line 6: image 'videos/clip.mp4' is a video; write the number of the labelled frame into",
        ),
        (
            "clip.mp4,31",
            "clop.mp4,31",
            "line 6: video 'videos/clop.mp4' does not exist (1 of 6 images are missing)",
        ),
        ("images/0.png,,", "project.yaml,3,", "line 2: video 'project.yaml', frame 3: "),
        (
            ",31,animal,green",
            ",031,animal,red",
            "red of animal is labelled twice in videos/clip.mp4 frame 31",
        ),
    ],
)
def test_a_frame_that_is_not_there_is_named_with_its_line(
    mixed: Path, old: str, new: str, message: str
) -> None:
    table = (mixed / "labels.csv").read_text()
    assert old in table
    (mixed / "labels.csv").write_text(table.replace(old, new, 1))
    with pytest.raises(DataError) as caught:
        ProjectReader(ProjectReaderConfig(type="core/project")).read(mixed)
    assert str(caught.value).startswith(f"{mixed / 'labels.csv'}: line ")
    assert message in str(caught.value)


def test_a_damaged_frame_is_named_when_it_is_needed(mixed: Path) -> None:
    dataset = read_project(mixed, ReaderConfig(type="toy/mixed"))
    samples = PoseSamples(dataset, range(7), Preprocess(scale=1.0), 16, None, 0, 0)
    clip = mixed / "videos" / "clip.mp4"
    write_numbered_video(clip, 20)
    with pytest.raises(DataError, match=r"clip\.mp4: has no frame 31; its frames are 0 to 19"):
        samples[2]
    write_numbered_video(clip, 40, width=80)
    with pytest.raises(
        DataError, match=r"clip\.mp4 frame 31 has 80 x 48 pixels, but the project was read as 64 x 48"
    ):
        samples[2]


def test_the_hash_of_the_labels_sees_every_label(mixed: Path) -> None:
    dataset = read_project(mixed, ReaderConfig(type="toy/mixed"))
    first = dataset.images[0]

    def changed(**fields: object) -> str:
        return data_hash(replace(dataset, images=(replace(first, **fields), *dataset.images[1:])))  # type: ignore[arg-type]

    instances = first.instances
    hashes = [
        data_hash(dataset),
        changed(name="other.png"),
        changed(width=65),
        changed(occluded=~first.occluded),
        changed(areas=np.array([7.0], np.float32)),
        changed(ignore=np.array([[0, 0, 5, 5]], np.float32)),
        changed(ignore=np.array([[0, 0, 5, 6]], np.float32)),
        *(
            changed(instances=replace(instances, **{field: getattr(instances, field) + 1}))
            for field in ("keypoints", "boxes", "identity", "track")
        ),
    ]
    assert len(set(hashes)) == len(hashes)
    moved = replace(dataset, images=tuple(reversed(dataset.images)))
    assert data_hash(moved) == hashes[0]


def test_frames_of_one_video_are_one_video_for_identities(tmp_path: Path) -> None:
    """Two videos of one folder, their frames mixed: nobody changes a name within either."""
    skeleton = Skeleton(("nose",), individuals=("anna", "bert"), identified=True)
    pairs = []
    for frame in (10, 9, 2):
        for video, track in (("a", 0), ("b", 1)):
            labels = Instances.from_keypoints([[[5.0, 5.0]]], identity=[0])
            found = Instances.from_keypoints([[[5.0, 5.0]]], identity=[0], track=[track])
            image = VideoFrame(tmp_path / f"{video}.mp4", frame)
            pairs.append((LabelledImage.create(image, image.name, 64, 48, labels), Frame(0, found)))
    one, none = np.zeros(1, np.int64), np.zeros(0, np.int64)
    metrics = compute_identity_metrics(
        pairs, [Matches(one, one, none, none, none)] * len(pairs), skeleton, Bootstrap(len(pairs), 0, 0)
    )
    assert metrics is not None
    assert (metrics.switches["track"].changes, metrics.switches["track"].seen_again) == (0, 4)


def test_a_project_of_video_frames_trains_evaluates_and_is_drawn(
    tmp_path: Path, tiny_settings: tuple[str, ...]
) -> None:
    scene = Scene(SceneSpec(frames=30, size=(64, 80), length=30, clutter=0.1))
    video = write_video_project(tmp_path / "project", scene, range(0, 30, 2), name="clip")
    dataset = read_project(tmp_path / "project")
    assert dataset.images[3].image == VideoFrame(video, 6)
    options = TrainOptions(epochs=2, device="cpu")
    prepared = prepare(tmp_path / "project", "unet", assignments=tiny_settings, options=options)
    train_network(prepared, tmp_path / "run")
    run = Run.open(tmp_path / "run", RunSpec)
    test = run.provenance["split"]["test"]
    assert all(name.startswith("videos/clip.mp4 frame ") for name in test)
    result = evaluate_poses(run, device="cpu")
    assert result.counts.images == len(test)
    assert result.counts.failed == 0
    folder = tmp_path / "run" / "evaluation" / "test"
    assert cv2.imread(str(folder / "predictions.png")) is not None
    assert "videos/clip.mp4 frame " in (folder / "errors.csv").read_text()
    stored = list(ParquetPredictions(folder / "predictions.parquet"))
    assert {frame.image for frame in stored} == {f"{video} frame {name.rpartition(' ')[2]}" for name in test}
    split = {
        "train": [f"videos/clip.mp4 frame {i}" for i in range(0, 20, 2)],
        "test": ["videos/clip.mp4 frame 20"],
    }
    (tmp_path / "split.yaml").write_text(json.dumps(split))
    settings = (*tiny_settings, f"data.split.file={tmp_path / 'split.yaml'}")
    again = prepare(tmp_path / "project", "unet", assignments=settings)
    assert again.split.test == (10,)
