"""Reading COCO keypoint annotations."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pose_coco.config import CocoReaderConfig
from pose_coco.reader import CocoReader

from pose_core.catalog import get_catalog
from pose_core.data.projects import read_project
from pose_core.data.split import make_split
from pose_core.errors import DataError
from pose_core.specs.data import SplitSpec
from pose_core.structures import ImageFile, LabelledDataset

NAMES = ["nose", "left_ear", "right_ear"]


def annotation(number: int, image: int, **changes: Any) -> dict[str, Any]:
    """An animal with three keypoints, the second of them hidden and the third not labelled."""
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "keypoints": [10.5, 20, 2, 30, 25.25, 1, 0, 0, 0],
        "num_keypoints": 2,
        "bbox": [8, 16, 30, 20],
        "area": 250.0,
        "iscrowd": 0,
        **changes,
    }


def content(annotations: list[dict[str, Any]], images: int = 3, **changes: Any) -> dict[str, Any]:
    return {
        "info": {"description": "mice"},
        "images": [{"id": i + 1, "file_name": f"{i}.png", "width": 64, "height": 48} for i in range(images)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "mouse", "keypoints": NAMES, "skeleton": [[1, 2], [3, 1]]}],
        **changes,
    }


def dataset(folder: Path, what: dict[str, Any], *, images: str = ".", name: str = "labels.json") -> Path:
    """Write a COCO file and its images."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(what), encoding="utf-8")
    for entry in what["images"]:
        image = file.parent / images / str(entry["file_name"]).replace("\\", "/")
        image.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(image), np.zeros((48, 64, 3), np.uint8))
    return file


def read(path: Path, **config: Any) -> LabelledDataset:
    return CocoReader(CocoReaderConfig(type="coco/coco", **config)).read(path)


def refusal(path: Path, **config: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(path, **config)
    line = str(caught.value)
    assert "\n" not in line
    return line


class TestWhatIsRead:
    def test_one_animal(self, tmp_path: Path) -> None:
        file = dataset(tmp_path, content([annotation(7, 1), annotation(8, 3)]))
        found = read(file)
        assert [image.name for image in found.images] == ["0.png", "2.png"]
        image = found.images[0]
        assert (image.image, image.width, image.height) == (ImageFile(tmp_path / "0.png"), 64, 48)
        nan = np.nan
        np.testing.assert_array_equal(
            image.instances.keypoints, np.float32([[[10.5, 20], [30, 25.25], [nan, nan]]]), strict=True
        )
        assert image.instances.keypoint_scores.tolist() == [[1, 1, 0]]
        assert image.occluded.tolist() == [[False, True, False]]
        assert image.areas.tolist() == [250]
        assert image.instances.identity.tolist() == [-1]
        assert found.skeleton.keypoints == tuple(NAMES)
        assert found.skeleton.edges == (("nose", "left_ear"), ("right_ear", "nose"))
        assert found.skeleton.symmetry == (("left_ear", "right_ear"),)
        assert found.skeleton.individuals == ("animal",)
        assert found.metadata["coco.category_id"] == "1"
        assert any("1 images without any label left out, the first is 1.png" in note for note in found.notes)

    def test_boxes_are_moved_from_pixel_corners_to_pixel_centres(self, tmp_path: Path) -> None:
        """A box of all 64 x 48 pixels reaches from the corner of the first to the corner of the last."""
        whole = annotation(1, 1, bbox=[0, 0, 64, 48])
        (image,) = read(dataset(tmp_path, content([whole]))).images
        assert image.instances.boxes.tolist() == [[-0.5, -0.5, 63.5, 47.5]]

    def test_an_animal_without_a_box_gets_that_of_its_keypoints(self, tmp_path: Path) -> None:
        bare = annotation(1, 1)
        del bare["bbox"], bare["area"]
        empty = annotation(2, 2, bbox=[5, 5, 0, 0])
        for image in read(dataset(tmp_path, content([bare, empty]))).images:
            assert image.instances.boxes.tolist() == [[10.5, 20, 30, 25.25]]
        assert np.isnan(read(tmp_path / "labels.json").images[0].areas).all()

    def test_several_animals_and_crowds(self, tmp_path: Path) -> None:
        animals = [
            annotation(1, 1),
            annotation(2, 1, keypoints=[1, 1, 2, 2, 2, 2, 3, 3, 2]),
            annotation(3, 1, iscrowd=1, keypoints=[0] * 9, bbox=[10, 10, 20, 20]),
            annotation(4, 1, keypoints=[0] * 9, bbox=[1, 1, 10, 10]),
            annotation(5, 2),
        ]
        found = read(dataset(tmp_path, content(animals)))
        assert found.skeleton.individuals == ("animal1", "animal2", "animal3")
        image = found.images[0]
        assert image.ignore.tolist() == [[9.5, 9.5, 29.5, 29.5]]
        assert len(found.images[1].ignore) == 0
        assert any("1 crowd regions" in note for note in found.notes)
        # The third has a box only: it is there, with nothing but its box and area.
        assert len(image.instances) == 3
        assert np.isnan(image.instances.keypoints).all(axis=(1, 2)).tolist() == [False, False, True]
        assert image.instances.keypoint_scores[2].tolist() == [0, 0, 0]
        assert image.instances.boxes[2].tolist() == [0.5, 0.5, 10.5, 10.5]
        assert image.areas.tolist() == [250, 250, 250]
        assert any("1 animals have a box and no labelled keypoint" in note for note in found.notes)

    def test_an_animal_with_neither_box_nor_keypoints_is_left_out(self, tmp_path: Path) -> None:
        nothing = annotation(2, 1, keypoints=[0] * 9, bbox=[1, 1, 0, 0])
        nowhere = annotation(3, 1, iscrowd=1, keypoints=[0] * 9, bbox=None)
        found = read(dataset(tmp_path, content([annotation(1, 1), nothing, nowhere])))
        assert len(found.images[0].instances) == 1
        assert found.skeleton.individuals == ("animal",)
        assert any(
            "1 animals with neither box nor labelled keypoint are left out" in note for note in found.notes
        )
        assert any("1 crowd regions have no bbox" in note for note in found.notes)

    def test_images_with_boxes_alone_are_read(self, tmp_path: Path) -> None:
        boxed = annotation(2, 2, keypoints=[0] * 9, num_keypoints=0)
        found = read(dataset(tmp_path, content([annotation(1, 1), boxed])))
        assert [image.name for image in found.images] == ["0.png", "1.png"]

    @pytest.mark.parametrize("named", [True, False])
    def test_files_of_boxes_are_read_for_networks_that_learn_boxes(self, tmp_path: Path, named: bool) -> None:
        boxed = annotation(1, 1, keypoints=[0] * 9, num_keypoints=0)
        what = content([boxed])
        if not named:
            del boxed["keypoints"], what["categories"][0]["keypoints"], what["categories"][0]["skeleton"]
        file = dataset(tmp_path, what)
        assert CocoReader.accepts(file)
        found = read(file)
        assert len(found.skeleton.keypoints) == (3 if named else 1)
        assert not found.images[0].has_keypoint
        assert np.isfinite(found.images[0].instances.boxes).all()
        assert any("no category has keypoints; its boxes are read" in note for note in found.notes) != named
        make_split(found, SplitSpec(test=0, validation=0), 0, boxes=True)
        with pytest.raises(DataError, match="no image has a labelled keypoint"):
            make_split(found, SplitSpec(), 0)

    def test_a_project_folder(self, tmp_path: Path) -> None:
        train = content([annotation(1, 1)], images=1)
        test = content([annotation(1, 1)], images=1)
        test["images"][0]["file_name"] = "other/0.png"
        dataset(tmp_path, train, images="../images", name="annotations/train.json")
        dataset(tmp_path, test, images="../images", name="annotations/test.json")
        assert CocoReader.accepts(tmp_path)
        found = read(tmp_path)
        assert [i.name for i in found.images] == ["images/0.png", "images/other/0.png"]
        assert any("train.json 1 images, test.json 1 images" in note for note in found.notes)
        assert [i.name for i in read(tmp_path / "annotations" / "train.json").images] == ["0.png"]

    @pytest.mark.parametrize(
        "parts", [("train", "test"), ("train", "val", "test"), ("train", "val"), ("train",)]
    )
    def test_the_files_of_a_folder_are_its_split(self, tmp_path: Path, parts: tuple[str, ...]) -> None:
        sizes = {"train": 12, "val": 3, "test": 2}
        for part in parts:
            count = sizes[part]
            what = content([annotation(i + 1, i + 1) for i in range(count)], images=count)
            for entry in what["images"]:
                entry["file_name"] = f"{part}/{entry['file_name']}"
            # Without labels, and so no image of the split.
            what["images"].append({"id": 99, "file_name": f"{part}/none.png", "width": 64, "height": 48})
            dataset(tmp_path, what, images="../images", name=f"annotations/{part}.json")
        reader = CocoReader(CocoReaderConfig(type="coco/coco"))
        if len(parts) == 1:
            assert reader.find_splits(tmp_path) == ()
            with pytest.raises(DataError, match="has no split 'annotations'"):
                reader.read_split(tmp_path, "annotations")
            return
        assert reader.find_splits(tmp_path) == ("annotations",)
        assert reader.find_splits(tmp_path / "annotations" / "train.json") == ()
        brought = reader.read_split(tmp_path, "annotations")
        for part, own in (("train", brought.train), ("val", brought.validation), ("test", brought.test)):
            expected = [f"images/{part}/{i}.png" for i in range(sizes[part])] if part in parts else []
            assert list(own) == expected
        data = reader.read(tmp_path)
        split = make_split(data, SplitSpec(), 0, brought=brought)
        assert {data.images[row].name for row in split.test} <= {*brought.test, *brought.train}
        # What the files do not name is drawn from the training images.
        assert len(split.test) == 2
        assert len(split.validation) == (3 if "val" in parts else 1)

    @pytest.mark.parametrize(
        "images", [".", "images", "../images", "..", "../train2017", "../images/train2017"]
    )
    def test_images_are_found_around_the_file(self, tmp_path: Path, images: str) -> None:
        name = "annotations/person_keypoints_train2017.json"
        file = dataset(tmp_path, content([annotation(1, 1)]), images=images, name=name)
        assert read(file).images[0].image.path.is_file()

    def test_images_where_the_user_says(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = dataset(tmp_path / "labels", content([annotation(1, 1)]), images="../far/away")
        assert "3 labelled images" not in refusal(file)
        assert "1 of 1 labelled images are missing" in refusal(file)
        assert "data.reader.images" in refusal(file)
        assert read(file, images="../far/away").images[0].image.path.is_file()
        assert read(file, images=str(tmp_path / "far" / "away")).images[0].image.path.is_file()
        monkeypatch.chdir(tmp_path)
        assert read(file, images="far/away").images[0].image.path.is_file()
        assert "does not exist" in refusal(file, images="nowhere")

    def test_absolute_paths_and_backslashes(self, tmp_path: Path) -> None:
        what = content([annotation(1, 1), annotation(2, 2), annotation(3, 3)])
        file = dataset(tmp_path, what)
        (tmp_path / "sub").mkdir()
        (tmp_path / "1.png").rename(tmp_path / "sub" / "1.png")
        outside = tmp_path.parent / f"{tmp_path.name}.png"
        (tmp_path / "2.png").rename(outside)
        what["images"][0]["file_name"] = str(tmp_path / "0.png")
        what["images"][1]["file_name"] = "sub\\1.png"
        what["images"][2]["file_name"] = str(outside)
        file.write_text(json.dumps(what))
        assert [i.name for i in read(file).images] == ["0.png", "sub/1.png", str(outside)]

    def test_sizes_that_are_not_given(self, tmp_path: Path) -> None:
        what = content([annotation(1, 1)])
        for image in what["images"]:
            del image["width"], image["height"]
        image = read(dataset(tmp_path, what)).images[0]
        assert (image.width, image.height) == (64, 48)

    def test_ids_as_text(self, tmp_path: Path) -> None:
        what = content([annotation(1, 1, image_id="1", id="5")])
        what["images"][0]["id"] = "1"
        assert len(read(dataset(tmp_path, what)).images) == 1


class TestCategories:
    def categories(self, *keypoints: list[str]) -> list[dict[str, Any]]:
        return [{"id": i + 1, "name": f"c{i + 1}", "keypoints": names} for i, names in enumerate(keypoints)]

    def test_one_of_several_with_keypoints_must_be_chosen(self, tmp_path: Path) -> None:
        other = annotation(2, 2, category_id=2, keypoints=[5, 6, 2])
        file = dataset(
            tmp_path, content([annotation(1, 1), other], categories=self.categories(NAMES, ["tip"], []))
        )
        line = refusal(file)
        assert "c1 (id 1, 3 keypoints), c2 (id 2, 1 keypoints)" in line
        assert "data.reader.category" in line
        assert read(file, category="c1").images[0].name == "0.png"
        for choice in ("c2", 2, "2"):
            found = read(file, category=choice)
            assert found.skeleton.keypoints == ("tip",)
            assert [i.name for i in found.images] == ["1.png"]
            assert found.metadata["coco.category_id"] == "2"
            assert any("categories without keypoints left out: c3" in note for note in found.notes)
        assert "category 'c9' does not exist" in refusal(file, category="c9")
        assert "'c2' differs from 'c1'" in refusal(file, category="all")

    def test_all_categories_with_the_same_keypoints(self, tmp_path: Path) -> None:
        animals = [annotation(1, 1), annotation(2, 1, category_id=2)]
        file = dataset(tmp_path, content(animals, categories=self.categories(NAMES, NAMES)))
        found = read(file, category="all")
        assert len(found.images[0].instances) == 2
        assert any("c1, c2" in note for note in found.notes)

    def test_a_category_without_keypoints_is_no_choice(self, tmp_path: Path) -> None:
        animals = [annotation(1, 1), {"id": 2, "image_id": 2, "category_id": 2, "bbox": [1, 1, 5, 5]}]
        found = read(dataset(tmp_path, content(animals, categories=self.categories(NAMES, []))))
        assert [i.name for i in found.images] == ["0.png"]

    def test_no_keypoints_at_all(self, tmp_path: Path) -> None:
        file = dataset(tmp_path, content([], categories=self.categories([])))
        assert "no category has keypoints" in refusal(file)

    def test_limbs_that_lead_nowhere(self, tmp_path: Path) -> None:
        what = content([annotation(1, 1)])
        what["categories"][0]["skeleton"] = [[1, 2], [2, 4], [2, 2], [2, 1]]
        found = read(dataset(tmp_path, what))
        assert found.skeleton.edges == (("nose", "left_ear"),)
        assert any("[2, 4], [2, 2]" in note for note in found.notes)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"id": 3}, "annotation id 3 is used twice"),
            (
                {"keypoints": [1, 2, 2]},
                "keypoints of annotation 4 are 3 numbers, not 3 for each of the 3 keypoints",
            ),
            ({"keypoints": [1, 2, 3, *[0] * 6]}, "keypoint 1 of annotation 4 is [1, 2, 3]"),
            ({"keypoints": [1, None, 2, *[0] * 6]}, "keypoint 1 of annotation 4 is [1, nan, 2]"),
            (
                {"keypoints": [1, [2], 2, *[0] * 6]},
                "keypoints of annotation 4 holds [2], which is not a number",
            ),
            ({"keypoints": "nose"}, "keypoints of annotation 4 are 'nose'"),
            ({"bbox": [1, 2]}, "bbox of annotation 4 is [1, 2], not [x, y, width, height]"),
            ({"area": "large"}, "area of annotation 4 holds 'large'"),
            ({"image_id": None}, "annotation 4 has image_id None, which is not an integer"),
            ({"image_id": "²"}, "annotation 4 has image_id '²', which is not an integer"),
            ({"image_id": "9" * 5000}, "which is not an integer"),
            (
                {"keypoints": [1e308, 2, 2, *[0] * 6]},
                "keypoints of annotation 4 holds a number that is out of range",
            ),
            (
                {"keypoints": [10**400, 2, 2, *[0] * 6]},
                "keypoints of an annotation holds a number that is out of range",
            ),
            ({"bbox": [1, 1, 1e300, 5]}, "bbox of annotation 4 holds a number that is out of range"),
        ],
    )
    def test_an_annotation(self, tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
        file = dataset(tmp_path, content([annotation(3, 1), annotation(4, 2, **changes)]))
        line = refusal(file)
        assert expected in line
        assert "labels.json" in line

    def test_an_image_id_twice(self, tmp_path: Path) -> None:
        what = content([annotation(1, 1)])
        what["images"][2]["id"] = 1
        assert "image id 1 is used twice" in refusal(dataset(tmp_path, what))

    def test_a_file_name_twice(self, tmp_path: Path) -> None:
        what = content([annotation(1, 1)])
        what["images"][2]["file_name"] = "0.png"
        assert "images 1 and 3 have the same file_name '0.png'" in refusal(dataset(tmp_path, what))

    def test_an_image_of_another_size(self, tmp_path: Path) -> None:
        what = content([annotation(1, 1)])
        what["images"][0] |= {"width": 48, "height": 64}
        line = refusal(dataset(tmp_path, what))
        assert "image 1 is listed with 48 x 64 pixels" in line
        assert "has 64 x 48" in line

    def test_no_labels(self, tmp_path: Path) -> None:
        assert "no image of labels.json has a labelled keypoint or a box of 'mouse'" in refusal(
            dataset(tmp_path, content([]))
        )

    def test_a_keypoint_twice(self, tmp_path: Path) -> None:
        what = content([annotation(1, 1)])
        what["categories"][0]["keypoints"] = ["nose", "nose", "tail"]
        assert "category 'mouse' lists keypoint 'nose' twice" in refusal(dataset(tmp_path, what))

    def test_broken_json(self, tmp_path: Path) -> None:
        file = dataset(tmp_path, content([annotation(1, 1)]))
        file.write_text(file.read_text()[:-20])
        assert "labels.json: line 1: is not valid JSON" in refusal(file)

    @pytest.mark.parametrize(
        ("text", "expected"), [("9" * 5000, "cannot be read as JSON"), ("[" * 100_000, "nested too deeply")]
    )
    def test_json_that_python_does_not_take(self, tmp_path: Path, text: str, expected: str) -> None:
        file = dataset(tmp_path, content([annotation(1, 1)]))
        file.write_text(file.read_text()[:-1] + f', "more": {text}}}')
        assert expected in refusal(file)

    @pytest.mark.parametrize("size", [1e400, -1e400, -5, None, "48"])
    def test_a_size_that_is_none_is_not_given(self, tmp_path: Path, size: Any) -> None:
        what = content([annotation(1, 1)])
        what["images"][0]["width"] = size
        (image, *_) = read(dataset(tmp_path, what)).images
        assert image.width == 64

    def test_a_name_that_no_file_can_have(self, tmp_path: Path) -> None:
        file = dataset(tmp_path, content([annotation(1, 1)]))
        file.write_text(file.read_text().replace("0.png", "0" * 300 + ".png"))
        assert "1 of 1 labelled images are missing" in refusal(file)

    def test_parts_that_differ_in_their_keypoints(self, tmp_path: Path) -> None:
        train, test = content([annotation(1, 1)]), content([annotation(1, 1)])
        test["categories"][0]["keypoints"] = ["a", "b", "c"]
        dataset(tmp_path, train, images="../images", name="annotations/train.json")
        dataset(tmp_path, test, images="../images", name="annotations/test.json")
        assert "test.json: its keypoints differ from those of train.json" in refusal(tmp_path)


class TestThroughTheCore:
    def test_the_component(self) -> None:
        component = get_catalog().component("reader", "coco")
        assert component.full_name == "coco/coco"
        assert component.factory() is CocoReader

    def test_a_file_is_recognised(self, tmp_path: Path) -> None:
        file = dataset(tmp_path, content([annotation(1, 1)]))
        assert len(read_project(file).images) == 1

    def test_other_json_is_not(self, tmp_path: Path) -> None:
        file = dataset(tmp_path, content([annotation(1, 1)]))
        for text in ("", "[]", '{"images": [], "annotations": [], "categories": []}'):
            (tmp_path / "other.json").write_text(text)
            assert not CocoReader.accepts(tmp_path / "other.json")
        assert not CocoReader.accepts(tmp_path)
        assert not CocoReader.accepts(tmp_path / "0.png")
        shutil.copy(file, tmp_path / "labels.txt")
        assert not CocoReader.accepts(tmp_path / "labels.txt")
