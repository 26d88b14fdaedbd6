"""COCO files as they are found: what other programs take is read with a note, contradictions are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pose_coco.config import CocoReaderConfig
from pose_coco.reader import CocoReader

from pose_core.data.projects import read_project
from pose_core.errors import DataError
from pose_core.structures import LabelledDataset
from pose_core.training.prepare import prepare

NAMES = ["nose", "neck", "hip", "tail"]


def content(**category: Any) -> dict[str, Any]:
    """Three images with an animal of four keypoints each; keypoint k of image i is at (5 + k, 7 + i)."""
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 64, "height": 48} for i in range(3)],
        "categories": [{"id": 1, "name": "mouse", "keypoints": NAMES, "skeleton": [], **category}],
        "annotations": [
            {
                "id": i,
                "image_id": i,
                "category_id": 1,
                "bbox": [1, 1, 30, 30],
                "keypoints": [v for k in range(4) for v in (5 + k, 7 + i, 2)],
            }
            for i in range(3)
        ],
    }


def write(folder: Path, what: dict[str, Any], name: str = "labels.json", encoding: str = "utf-8") -> Path:
    for entry in what["images"]:
        cv2.imwrite(str(folder / Path(entry["file_name"]).name), np.zeros((48, 64, 3), np.uint8))
    file = folder / name
    file.write_bytes(json.dumps(what, ensure_ascii=False).encode(encoding))
    return file


def read(path: Path, **config: Any) -> LabelledDataset:
    config_of = CocoReaderConfig(type="coco/coco", **config)
    return CocoReader(config_of).read(path)


def refusal(path: Path, **config: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(path, **config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestSkeletons:
    @pytest.mark.parametrize(
        ("limbs", "edges"),
        [
            ([[0, 1], [1, 2], [2, 3]], [("nose", "neck"), ("neck", "hip"), ("hip", "tail")]),
            ([[0, 3]], [("nose", "tail")]),
            ([[3, 0], [0, 1], [1, 0]], [("tail", "nose"), ("nose", "neck")]),
            ([["0", "1"], [2.0, 3]], [("nose", "neck"), ("hip", "tail")]),
        ],
    )
    def test_counted_from_0(self, tmp_path: Path, limbs: list[Any], edges: list[tuple[str, str]]) -> None:
        found = read(write(tmp_path, content(skeleton=limbs)))
        assert found.skeleton.edges == tuple(edges)
        assert any("counts keypoints from 0" in note for note in found.notes)

    @pytest.mark.parametrize("limbs", [[[1, 2], [3, 4]], [[1, 2]], [["nose", "neck"]]])
    def test_counted_from_1_or_by_name(self, tmp_path: Path, limbs: list[Any]) -> None:
        found = read(write(tmp_path, content(skeleton=limbs)))
        assert found.skeleton.edges[0] == ("nose", "neck")
        assert not any("counts keypoints" in note for note in found.notes)

    @pytest.mark.parametrize(
        "limbs", [[[0, 1], [3, 4]], [[0, 4], [1, 2]], [[1, 2], [2, 3], [0, 1], [4, 3]], [[0, 1], [2, 9]]]
    )
    def test_from_0_and_from_1_at_once_is_refused_and_the_advice_helps(
        self, tmp_path: Path, limbs: list[Any]
    ) -> None:
        file = write(tmp_path, content(skeleton=limbs))
        line = refusal(file)
        assert "counts keypoints from 0" in line
        assert "from 1" in line
        assert "data.reader.skeleton" in line
        assert read(file, skeleton="none").skeleton.edges == ()
        from_0, from_1 = (read(file, skeleton=base).skeleton.edges for base in ("from_0", "from_1"))
        assert from_0 != from_1
        assert all({*a} <= {*NAMES} for a in (*from_0, *from_1))

    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        limbs=st.lists(
            st.lists(st.integers(0, 3), min_size=2, max_size=2, unique=True), min_size=1, max_size=5
        ).filter(lambda limbs: any(0 in limb for limb in limbs)),
        base=st.sampled_from([0, 1]),
    )
    def test_limbs_are_what_was_written_or_refused(
        self, tmp_path: Path, limbs: list[list[int]], base: int
    ) -> None:
        """A skeleton with keypoint 1 of K: from 0 it is right; from 1 right or, where it may be either, stated."""
        written = {frozenset(NAMES[end] for end in limb) for limb in limbs}
        file = write(tmp_path, content(skeleton=[[end + base for end in limb] for limb in limbs]))
        assert {frozenset(edge) for edge in read(file).skeleton.edges} == written


class TestParts:
    def whole_body(self) -> dict[str, Any]:
        what = content()
        for i, annotation in enumerate(what["annotations"]):
            for field, count in (
                ("foot_kpts", 6),
                ("face_kpts", 68),
                ("lefthand_kpts", 21),
                ("righthand_kpts", 21),
            ):
                annotation[field] = [v for k in range(count) for v in (10 + k % 40, 20 + i, 2)]
        return what

    def test_they_are_read_with_names_and_pairs(self, tmp_path: Path) -> None:
        found = read(write(tmp_path, self.whole_body()))
        names = found.skeleton.keypoints
        assert len(names) == 4 + 116
        assert names[:6] == (*NAMES, "left_big_toe", "left_small_toe")
        points = found.images[1].instances.keypoints[0]
        assert points[names.index("face3")].tolist() == [12, 21]
        assert points[names.index("righthand21")].tolist() == [30, 21]
        pairs = {frozenset(pair) for pair in found.skeleton.symmetry}
        assert {frozenset(("left_heel", "right_heel")), frozenset(("lefthand5", "righthand5"))} <= pairs
        assert {frozenset(("face1", "face17")), frozenset(("face37", "face46"))} <= pairs
        assert any("face_kpts (68)" in note for note in found.notes)

    def test_the_advice_of_the_note_leaves_them_out(self, tmp_path: Path) -> None:
        file = write(tmp_path, self.whole_body())
        assert any("data.reader.fields" in note for note in read(file).notes)
        found = read(file, fields=("keypoints",))
        assert found.skeleton.keypoints == tuple(NAMES)
        assert any("left out" in note and "foot_kpts (6)" in note for note in found.notes)
        hands = read(file, fields=("lefthand_kpts", "righthand_kpts")).skeleton
        assert hands.num_keypoints == 42
        assert "no annotation has 'tail_kpts'; there are keypoints, foot_kpts" in refusal(
            file, fields=("tail_kpts",)
        )

    def test_names_of_all_parts_in_the_category(self, tmp_path: Path) -> None:
        what = content()
        for annotation in what["annotations"]:
            annotation["wing_kpts"] = [1, 2, 2, 3, 4, 2]
        what["categories"][0]["keypoints"] = [*NAMES, "tip", "base"]
        found = read(write(tmp_path, what))
        assert found.skeleton.keypoints == (*NAMES, "tip", "base")
        assert found.images[0].instances.keypoints[0, 4:].tolist() == [[1, 2], [3, 4]]

    def test_a_part_that_some_animals_lack_and_one_that_is_not_valid(self, tmp_path: Path) -> None:
        what = self.whole_body()
        del what["annotations"][0]["foot_kpts"]
        what["annotations"][1]["foot_valid"] = False
        feet = [image.instances.keypoints[0, 4:10] for image in read(write(tmp_path, what)).images]
        assert [bool(np.isnan(each).all()) for each in feet] == [True, True, False]

    def test_parts_of_different_lengths_are_refused(self, tmp_path: Path) -> None:
        what = self.whole_body()
        what["annotations"][2]["foot_kpts"] = [1, 2, 2]
        line = refusal(write(tmp_path, what))
        assert "foot_kpts must hold" in line
        assert "annotation 0 has 18 numbers, annotation 2 has 3 numbers" in line


class TestKeypointsWithoutNames:
    @pytest.mark.parametrize("keypoints", [[], None, "missing"])
    def test_they_are_numbered(self, tmp_path: Path, keypoints: Any) -> None:
        what = content(keypoints=keypoints)
        if keypoints == "missing":
            del what["categories"][0]["keypoints"]
        found = read(write(tmp_path, what))
        assert found.skeleton.keypoints == ("keypoint1", "keypoint2", "keypoint3", "keypoint4")
        assert found.images[2].instances.keypoints[0, 3].tolist() == [8, 9]
        assert any("names no keypoints" in note for note in found.notes)

    def test_they_have_limbs(self, tmp_path: Path) -> None:
        found = read(write(tmp_path, content(keypoints=[], skeleton=[[0, 3]])))
        assert found.skeleton.edges == (("keypoint1", "keypoint4"),)

    def test_annotations_that_disagree_are_refused(self, tmp_path: Path) -> None:
        what = content(keypoints=[])
        what["annotations"][1]["keypoints"] = [1, 2, 2]
        line = refusal(write(tmp_path, what))
        assert "annotation 1 has 1, annotation 0 has 4" in line
        assert "list the names under keypoints" in line
        what["categories"][0]["keypoints"] = NAMES
        what["annotations"][1]["keypoints"] = [0] * 12
        assert read(write(tmp_path, what)).skeleton.keypoints == tuple(NAMES)


class TestSpellings:
    @pytest.mark.parametrize(
        "point",
        [
            [0, 0, 0],
            [-1, -1, 0],
            [None, None, 0],
            [float("nan"), float("nan"), 0],
            [12, 13, 0],
            [5000, -3, 0],
        ],
    )
    @pytest.mark.parametrize("nested", [False, True])
    def test_of_not_labelled(self, tmp_path: Path, point: list[Any], nested: bool) -> None:
        what = content()
        numbers = what["annotations"][1]["keypoints"]
        numbers[3:6] = point
        if nested:
            what["annotations"][1]["keypoints"] = [numbers[i : i + 3] for i in range(0, 12, 3)]
        found = read_project(write(tmp_path, what))
        assert np.isnan(found.images[1].instances.keypoints[0]).all(axis=1).tolist() == [
            False,
            True,
            False,
            False,
        ]

    @pytest.mark.parametrize("keypoints", [[], None, [0] * 12, [[0, 0, 0]] * 4])
    def test_of_an_animal_without_keypoints(self, tmp_path: Path, keypoints: Any) -> None:
        what = content()
        what["annotations"][1]["keypoints"] = keypoints
        found = read_project(write(tmp_path, what))
        assert np.isnan(found.images[1].instances.keypoints).all()

    def test_a_visible_label_at_minus_1_or_outside_is_left_out(self, tmp_path: Path) -> None:
        what = content()
        what["annotations"][0]["keypoints"][:3] = [-1, -1, 2]
        assert np.isnan(read_project(write(tmp_path, what)).images[0].instances.keypoints[0, 0]).all()
        what["annotations"][0]["keypoints"][:3] = [90, 7, 2]
        found = read_project(write(tmp_path, what))
        assert (
            "1 label outside its image left out, the first is 0.png nose at (90, 7) of 64 x 48" in found.notes
        )
        assert found.images[0].instances.boxes.tolist() == [[0.5, 0.5, 30.5, 30.5]]

    def test_all_wrong_points_are_counted(self, tmp_path: Path) -> None:
        what = content()
        for annotation in what["annotations"]:
            annotation["keypoints"][2::3] = [3] * 4
        line = refusal(write(tmp_path, what))
        assert line.count("keypoint ") == 10
        assert "(12 such keypoints)" in line


class TestWhatIsNotListed:
    @pytest.mark.parametrize("key", ["category_id", "image_id"])
    def test_some_annotations_are_left_out_with_a_note(self, tmp_path: Path, key: str) -> None:
        what = content()
        extra = {**what["annotations"][0], "id": 77, key: 99}
        what["annotations"] += [extra, {**extra, "id": 78}]
        found = read(write(tmp_path, what))
        assert [len(image.instances) for image in found.images] == [1, 1, 1]
        (note,) = [n for n in found.notes if "not listed" in n]
        assert "2 annotations are" in note
        assert "id 99; the first is annotation 77" in note

    @pytest.mark.parametrize("key", ["category_id", "image_id"])
    def test_all_of_them_are_refused(self, tmp_path: Path, key: str) -> None:
        what = content()
        for annotation in what["annotations"]:
            annotation[key] += 50
        line = refusal(write(tmp_path, what))
        assert "3 annotations are of" in line
        assert f"correct {key}" in line

    def test_ids_used_twice_are_all_named(self, tmp_path: Path) -> None:
        what = content()
        for entry in what["annotations"]:
            entry["id"] = 5
        assert refusal(write(tmp_path, what)).count("5 is used twice") == 2


class TestAdvice:
    def test_categories_with_the_same_keypoints_are_offered_together(self, tmp_path: Path) -> None:
        what = content()
        what["categories"] += [{**what["categories"][0], "id": i, "name": f"c{i}"} for i in range(2, 20)]
        what["annotations"][1]["category_id"] = 3
        file = write(tmp_path, what)
        line = refusal(file)
        assert "data.reader.category" in line
        assert "all" in line.rpartition("same keypoints")[2]
        assert len(read(file, category="all").images) == 3
        # As the message says it, through the configuration.
        advice = ["data.reader.type=coco", "data.reader.category=all"]
        assert all(part.partition("=")[0] in line for part in advice)
        assert len(prepare(file, "unet", assignments=advice).dataset.images) == 3
        what["categories"][4]["keypoints"] = ["other"]
        assert "same keypoints" not in refusal(write(tmp_path, what))

    def test_a_folder_of_several_files(self, tmp_path: Path) -> None:
        for name in ("a.json", "b.json"):
            write(tmp_path, content(), name)
        (tmp_path / "other.json").write_text("{}")
        with pytest.raises(DataError) as caught:
            read_project(tmp_path)
        files = [str(tmp_path / name) for name in ("a.json", "b.json")]
        assert str(caught.value).endswith(f"name one of these: {', '.join(files)}")
        assert all(len(read_project(Path(file)).images) == 3 for file in files)

    @pytest.mark.parametrize("name", ["annotations/person_train2017.json", "one.json"])
    def test_a_folder_of_one_file(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "annotations").mkdir()
        file = write(tmp_path, content(), name)
        with pytest.raises(DataError, match=f"name this one: {file}"):
            read_project(tmp_path)

    def test_images_of_another_size_are_all_named(self, tmp_path: Path) -> None:
        what = content()
        for image in what["images"][:2]:
            image["width"] = 640
        line = refusal(write(tmp_path, what))
        assert "image 0 is listed with 640 x 48" in line
        assert "image 1 is listed with 640 x 48" in line


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_the_file_is_recognised_in_any_encoding_that_is_read(tmp_path: Path, encoding: str) -> None:
    what = content()
    what["categories"][0]["keypoints"] = ["näse", "尾", "c", "d"]
    file = write(tmp_path, what, encoding=encoding)
    assert CocoReader.accepts(file)
    assert read_project(file).skeleton.keypoints == ("näse", "尾", "c", "d")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 99) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flaw_is_read_or_refused_in_one_line(tmp_path: Path, data: st.DataObject) -> None:
    what = content(skeleton=[[1, 2]])
    what["annotations"][0]["foot_kpts"] = [1, 2, 2]
    for _ in range(data.draw(st.integers(1, 3))):
        entry = data.draw(st.sampled_from([*what["annotations"], *what["categories"], *what["images"]]))
        key = data.draw(st.sampled_from([k for k in entry if k != "file_name"]))
        entry[key] = data.draw(JSON)
    file = write(tmp_path, what)
    said = ""
    try:
        read_project(file)
    except DataError as error:
        said = str(error)
    assert "\n" not in said
