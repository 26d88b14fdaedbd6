"""The core's own labelled project: what is written is read back, and mistakes are named by file and line."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pose_core.data.augment import Augmenter
from pose_core.data.geometry import frame_input
from pose_core.data.images import read_image
from pose_core.data.projects import read_project
from pose_core.errors import DataError
from pose_core.formats.project import ProjectReader
from pose_core.formats.project_config import ProjectReaderConfig
from pose_core.formats.project_writing import Example, write_project
from pose_core.specs.train import DecidedAugmentationSpec
from pose_core.structures import ImageFile, Instances, LabelledDataset, Skeleton
from pose_core.synthetic.projects import scene_examples
from pose_core.synthetic.scenes import Scene, SceneSpec

SKELETON = Skeleton(
    keypoints=("nose", "left_ear", "right_ear"),
    edges=(("nose", "left_ear"), ("nose", "right_ear")),
    symmetry=(("left_ear", "right_ear"),),
    individuals=("anna", "bert"),
    identified=True,
    unique_keypoints=("corner",),
)
PROJECT = """\
name: two
keypoints: [nose, left_ear, right_ear]
edges: [[nose, left_ear], [nose, right_ear]]
symmetry: [[left_ear, right_ear]]
individuals: [anna, bert]
unique_keypoints: [corner]
"""
LABELS = """\
image,individual,keypoint,x,y,occluded
images/a.png,bert,nose,1.5,2,0
images/a.png,bert,left_ear,3,4.25,1
images/a.png,anna,nose,7,8,0
images/a.png,,corner,0,0,0
images/b.png,,,,,
"""


def read(path: Path) -> LabelledDataset:
    return ProjectReader(ProjectReaderConfig(type="core/project")).read(path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "two"
    (folder / "images").mkdir(parents=True)
    for name in ("a", "b"):
        cv2.imwrite(str(folder / "images" / f"{name}.png"), np.zeros((12, 20, 3), np.uint8))
    (folder / "project.yaml").write_text(PROJECT)
    (folder / "labels.csv").write_text(LABELS)
    return folder


def test_reads_what_is_written_by_hand(project: Path) -> None:
    dataset = read(project)
    assert dataset.name == "two"
    assert dataset.skeleton.individuals == ("anna", "bert")
    assert dataset.multi_animal
    first, second = dataset.images
    assert (first.name, first.width, first.height) == ("images/a.png", 20, 12)
    assert first.image == ImageFile(project / "images" / "a.png")
    assert first.instances.identity.tolist() == [0, 1]
    nan = [np.nan, np.nan]
    expected = np.array([[[7, 8], nan, nan], [[1.5, 2], [3, 4.25], nan]], np.float32)
    np.testing.assert_array_equal(first.instances.keypoints, expected)
    assert first.instances.keypoint_scores.tolist() == [[1, 0, 0], [1, 1, 0]]
    assert first.occluded.tolist() == [[False, False, False], [False, True, False]]
    assert first.unique_keypoints.tolist() == [[0, 0]]
    assert np.isnan(first.areas).all()
    assert len(second.instances) == 0
    assert np.isnan(second.unique_keypoints).all()


@pytest.mark.parametrize(
    ("left", "right"), [("EarL2", "EarR2"), ("paw_L_front", "paw_R_front"), ("left_ear", "right_ear")]
)
def test_without_a_symmetry_line_left_and_right_are_told_from_the_names(
    project: Path, left: str, right: str
) -> None:
    """A mirrored left ear looks like a right one: it must get that name, or the image not be mirrored."""
    lines = PROJECT.replace("left_ear", left).replace("right_ear", right).splitlines()
    text = "\n".join(line for line in lines if not line.startswith("symmetry"))
    (project / "project.yaml").write_text(text)
    (project / "labels.csv").write_text(LABELS.replace("left_ear", left))
    dataset = read(project)
    assert dataset.skeleton.symmetry == ((left, right),)
    assert any(f"{left}/{right}" in note for note in dataset.notes)
    augmenter = Augmenter(DecidedAugmentationSpec(flip=1.0), dataset.skeleton)
    view = augmenter.animal_geometry(frame_input(20, 12, 1.0, 1), np.random.default_rng(0))
    assert np.linalg.det(view.matrix[:2, :2]) < 0
    order = dataset.skeleton.mirror_indices
    assert (order[1], order[2]) == (2, 1)

    (project / "project.yaml").write_text(text + "\nsymmetry: []")
    dataset = read(project)
    assert (dataset.skeleton.symmetry, dataset.notes) == ((), ())
    augmenter = Augmenter(DecidedAugmentationSpec(flip=1.0), dataset.skeleton)
    assert f"{left}/{right}" in augmenter.notes[0]
    view = augmenter.animal_geometry(frame_input(20, 12, 1.0, 1), np.random.default_rng(0))
    assert np.linalg.det(view.matrix[:2, :2]) > 0


def test_the_core_finds_the_reader_by_folder_and_by_file(project: Path) -> None:
    by_folder, by_file = read_project(project), read_project(project / "project.yaml")
    assert len(by_folder.images) == len(by_file.images) == 2
    assert not ProjectReader.accepts(project / "labels.csv")
    assert not ProjectReader.accepts(project / "images")


def test_columns_may_stand_in_any_order_and_occluded_may_be_left_out(project: Path) -> None:
    (project / "labels.csv").write_text("keypoint,y,x,image,individual\r\nnose,2,1,images/a.png,anna\r\n")
    assert read(project).images[0].instances.keypoints[0, 0].tolist() == [1, 2]


def test_a_byte_order_mark_and_quotes_are_understood(project: Path) -> None:
    (project / "labels.csv").write_text(
        'image,individual,keypoint,x,y,occluded\n"images/a.png",anna,nose,1,2,0\n', encoding="utf-8-sig"
    )
    assert read(project).images[0].name == "images/a.png"


def test_a_single_animal_needs_no_name(project: Path) -> None:
    (project / "project.yaml").write_text("keypoints: [nose]\n")
    (project / "labels.csv").write_text(
        "image,individual,keypoint,x,y\nimages/a.png,,nose,1,2\nimages/b.png,animal,nose,3,4\n"
    )
    dataset = read(project)
    assert dataset.skeleton.individuals == ("animal",)
    assert dataset.name == "two"
    assert [i.instances.identity.tolist() for i in dataset.images] == [[0], [0]]


def test_images_without_labels_are_noted(project: Path) -> None:
    cv2.imwrite(str(project / "images" / "c.png"), np.zeros((4, 4, 3), np.uint8))
    assert read(project).notes == ("images/c.png has no row in labels.csv and is left out",)


def test_sizes_of_other_image_files_are_read_too(project: Path) -> None:
    cv2.imwrite(str(project / "images" / "d.jpg"), np.zeros((6, 9, 3), np.uint8))
    (project / "labels.csv").write_text("image,individual,keypoint,x,y\nimages/d.jpg,anna,nose,1,2\n")
    image = read(project).images[0]
    assert (image.width, image.height) == (9, 6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "keypoints: [nose",
            "keypionts: [nose",
            "project.yaml: line 2: unknown key 'keypionts'; did you mean 'keypoints'?",
        ),
        ("name: two", "name: 2", "project.yaml: line 1: name must be text"),
        (
            "name: two",
            "name: two\nidentified: maybe",
            "project.yaml: line 2: identified must be true or false",
        ),
        (
            "[nose, left_ear, right_ear]",
            "[nose, 3]",
            "project.yaml: line 2: keypoints must be a list of names (text)",
        ),
        (
            "keypoints: [nose, left_ear, right_ear]\n",
            "",
            "project.yaml: needs 'keypoints', the list of keypoint names",
        ),
        (
            "[[left_ear, right_ear]]",
            "[left_ear, right_ear]",
            "project.yaml: line 4: symmetry must be a list of pairs",
        ),
        (
            "[nose, right_ear]]",
            "[nose, rigth_ear]]",
            "line 3: edges name an unknown keypoint 'rigth_ear'; did you mean 'right_ear'?",
        ),
        ("[anna, bert]", "[anna, anna]", "project.yaml: individual names must be unique; twice: anna"),
        (
            "[nose, left_ear, right_ear]\n",
            "[nose, left_ear, right_ear, nose]\n",
            "project.yaml: keypoint names must be unique",
        ),
        ("name: two", "name: two\nname: three", "project.yaml: name is given twice (lines 1 and 2)"),
        ("name: two", "name: [two", "project.yaml: not valid YAML"),
    ],
)
def test_mistakes_in_the_project_file_are_named(project: Path, old: str, new: str, message: str) -> None:
    assert old in PROJECT
    (project / "project.yaml").write_text(PROJECT.replace(old, new))
    _refuses(project, message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "bert,left_ear",
            "bert,left_eer",
            "labels.csv: line 3: unknown keypoint 'left_eer'; did you mean 'left_ear'?",
        ),
        (
            "bert,left_ear",
            "bret,left_ear",
            "labels.csv: line 3: unknown individual 'bret'; did you mean 'bert'?",
        ),
        (
            "bert,left_ear",
            "bert,nose",
            "labels.csv: line 3: nose of bert is labelled twice in images/a.png (also line 2)",
        ),
        ("bert,left_ear", "bert,", "labels.csv: line 3: keypoint is empty"),
        (
            "bert,left_ear",
            ",left_ear",
            "labels.csv: line 3: has no individual; the individuals are anna, bert",
        ),
        ("4.25", "four", "labels.csv: line 3: y is 'four', not a number"),
        ("4.25", "", "labels.csv: line 3: y is '', not a number; delete the row"),
        ("1.5", "nan", "labels.csv: line 2: x is 'nan', not a number"),
        ("1.5", "1e30", "labels.csv: line 2: x is '1e30', not a number"),
        ("4.25,1", "4.25,2", "labels.csv: line 3: unknown occluded '2'; there are 0, 1"),
        ("4.25,1", "4.25", "labels.csv: line 3: has 5 cells, but there are 6 columns"),
        (",,corner,0,0,0", ",,corner,0,0,1", "labels.csv: line 5: corner is a unique keypoint"),
        (
            ",,corner",
            ",anna,corner",
            "labels.csv: line 5: corner is a unique keypoint; leave its individual empty",
        ),
        (
            "images/b.png,,,",
            "images/a.png,,,",
            "labels.csv: line 6: marks images/a.png as an image without animals",
        ),
        ("images/b.png,,,", ",anna,,", "labels.csv: line 6: has no image name"),
        (
            "images/b.png",
            "images/x.png",
            "line 6: image 'images/x.png' does not exist (1 of 2 images are missing)",
        ),
        (
            "images/b.png",
            "../b.png",
            "line 6: image '../b.png' must be named relative to the project's folder",
        ),
        ("x,y,", "x,y2,", "labels.csv: line 1: unknown column 'y2'; did you mean 'y'?"),
        ("x,y,occluded", "x,x,occluded", "labels.csv: line 1: lacks the column 'y'"),
        (LABELS.partition("\n")[2], "", "labels.csv: holds no labels"),
        ("bert,left_ear", '"bert,left_ear', "labels.csv: line 6: "),
    ],
)
def test_mistakes_in_the_label_file_are_named(project: Path, old: str, new: str, message: str) -> None:
    assert old in LABELS
    (project / "labels.csv").write_text(LABELS.replace(old, new, 1))
    _refuses(project, message)


def test_a_missing_or_binary_label_file_is_named(project: Path) -> None:
    (project / "labels.csv").write_bytes(b"image,\xff\xfe")
    _refuses(project, "labels.csv: line 1, byte 7 (FF) is not UTF-8; save it as CSV in UTF-8")
    (project / "labels.csv").unlink()
    _refuses(project, "labels.csv: cannot be read (no such file or directory)")


def _refuses(project: Path, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(project)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_scene_comes_back_unchanged(tmp_path: Path) -> None:
    scene = Scene(SceneSpec(frames=5, animals=2, size=(96, 128), length=40, clutter=0.2))
    frames = [scene.frame(t) for t in (0, 2, 4)]
    write_project(tmp_path / "p", scene.skeleton, scene_examples(scene, (0, 2, 4), "clip"), name="scene")
    dataset = read(tmp_path / "p")
    assert dataset.skeleton == scene.skeleton
    assert dataset.notes == ()
    assert [i.name for i in dataset.images] == [
        "images/clip/0000.png",
        "images/clip/0002.png",
        "images/clip/0004.png",
    ]
    for image, frame in zip(dataset.images, frames, strict=True):
        np.testing.assert_array_equal(read_image(image.image), frame.image)
        np.testing.assert_array_equal(image.instances.keypoints, frame.instances.keypoints)
        np.testing.assert_array_equal(image.instances.identity, frame.instances.identity)
        np.testing.assert_array_equal(image.occluded, frame.occluded)


names = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff"), min_size=1, max_size=8
).filter(lambda s: s.strip() == s and s != "")


@st.composite
def skeletons(draw: st.DrawFn) -> Skeleton:
    points = draw(st.lists(names, min_size=2, max_size=6, unique=True))
    cut = draw(st.integers(1, len(points)))
    keypoints = points[:cut]
    pairs = st.tuples(st.sampled_from(keypoints), st.sampled_from(keypoints))
    return Skeleton(
        keypoints=tuple(keypoints),
        edges=tuple(draw(st.lists(pairs, max_size=3))),
        symmetry=tuple(draw(st.lists(pairs, max_size=2))),
        individuals=tuple(draw(st.lists(names, min_size=1, max_size=3, unique=True))),
        identified=draw(st.booleans()),
        unique_keypoints=tuple(points[cut:]),
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), skeleton=skeletons(), count=st.integers(1, 3))
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, skeleton: Skeleton, count: int
) -> None:
    """Whatever float32 positions, names and missing keypoints: reading gives back what was written."""
    position = st.one_of(st.just(np.nan), st.floats(-1e6, 1e6, width=32))
    examples = []
    for i in range(count):
        present = data.draw(st.sets(st.integers(0, skeleton.num_individuals - 1)))
        points = data.draw(
            hnp.arrays(np.float32, (len(present), skeleton.num_keypoints, 2), elements=position)
        )
        points = points[~np.isnan(points).any(axis=-1).all(axis=-1)]
        instances = Instances.from_keypoints(points, identity=sorted(present)[: len(points)])
        hidden = data.draw(hnp.arrays(bool, points.shape[:2])) & ~np.isnan(points).any(axis=-1)
        unique = data.draw(hnp.arrays(np.float32, (len(skeleton.unique_keypoints), 2), elements=position))
        unique[np.isnan(unique).any(axis=-1)] = np.nan
        examples.append(Example(f"{i}.png", np.full((3, 5, 3), i, np.uint8), instances, hidden, unique))
    folder = tmp_path_factory.mktemp("round") / "project"
    write_project(folder, skeleton, examples, name="round trip")
    dataset = read(folder)
    assert dataset.skeleton == skeleton
    assert dataset.name == "round trip"
    for image, example in zip(dataset.images, examples, strict=True):
        np.testing.assert_array_equal(image.instances.keypoints, example.instances.keypoints)
        np.testing.assert_array_equal(image.instances.identity, example.instances.identity)
        np.testing.assert_array_equal(image.occluded, example.occluded)
        np.testing.assert_array_equal(image.unique_keypoints, example.unique_keypoints)
        assert (image.width, image.height) == (5, 3)


def test_animals_of_unknown_identity_get_free_names(tmp_path: Path) -> None:
    points = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    instances = Instances.from_keypoints(points, identity=[-1, 0])
    write_project(
        tmp_path / "p", SKELETON, [Example("a.png", np.zeros((20, 20, 3), np.uint8), instances)], name="p"
    )
    image = read(tmp_path / "p").images[0]
    np.testing.assert_array_equal(image.instances.keypoints, points[::-1])


def test_writing_refuses_what_reading_could_not_give_back(tmp_path: Path) -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    three = Instances.from_keypoints(np.ones((3, 3, 2)))
    with pytest.raises(DataError, match="must be another one of"):
        write_project(tmp_path / "p", SKELETON, [Example("a.png", picture, three)], name="p")
    twice = Instances.from_keypoints(np.ones((2, 3, 2)), identity=[1, 1])
    with pytest.raises(DataError, match="must be another one of"):
        write_project(tmp_path / "p", SKELETON, [Example("a.png", picture, twice)], name="p")
    empty = Example("a.png", picture, Instances.empty(3))
    with pytest.raises(DataError, match="used once"):
        write_project(tmp_path / "p", SKELETON, [empty, empty], name="p")
    assert not ProjectReader.accepts(tmp_path / "p")
    write_project(tmp_path / "p", SKELETON, [empty], name="p")
    with pytest.raises(DataError, match="holds a project already"):
        write_project(tmp_path / "p", SKELETON, [empty], name="p")


def test_a_hundred_thousand_labels_are_read_in_a_moment(project: Path) -> None:
    rows = [
        f"images/a{i}.png,{who},{what},{i % 17},{i % 11},0"
        for i in range(16700)
        for who in ("anna", "bert")
        for what in SKELETON.keypoints
    ]
    (project / "labels.csv").write_text(LABELS.partition("\n")[0] + "\n" + "\n".join(rows))
    started = time.process_time()
    with pytest.raises(DataError, match="16700 of 16700 images are missing"):
        read(project)
    # The reference metric is about a second; the bound only catches a loop that went quadratic.
    assert time.process_time() - started < 8
