"""Reading DeepLabCut projects."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from pose_deeplabcut.project import ProjectReader

from pose_core.catalog import get_catalog
from pose_core.data.projects import read_project
from pose_core.errors import DataError
from pose_core.structures import ImageFile, LabelledDataset

Points = Callable[[LabelledDataset, Sequence[str]], np.ndarray]


def refusal(project: Any, **config: Any) -> str:
    """The line with which a project is refused."""
    with pytest.raises(DataError) as caught:
        project.read(**config)
    line = str(caught.value)
    assert "\n" not in line
    return line


def same(first: LabelledDataset, second: LabelledDataset) -> None:
    assert first.skeleton == second.skeleton
    assert [i.name for i in first.images] == [i.name for i in second.images]
    for a, b in zip(first.images, second.images, strict=True):
        np.testing.assert_array_equal(a.instances.keypoints, b.instances.keypoints)
        np.testing.assert_array_equal(a.instances.identity, b.instances.identity)
        np.testing.assert_array_equal(a.unique_keypoints, b.unique_keypoints)


class TestWhatIsRead:
    @pytest.mark.parametrize("index", ["tuples", "slashes", "backslashes"])
    def test_single_animal(self, single: Any, points: Points, index: str) -> None:
        frame = single.label(index=index)
        dataset = single.read()
        names = [f"labeled-data/mouse/img{i:03d}.png" for i in range(4)]
        assert [image.name for image in dataset.images] == names
        np.testing.assert_array_equal(
            points(dataset, names), frame.to_numpy(np.float32).reshape(4, 1, 3, 2), strict=True
        )
        image = dataset.images[0]
        assert image.image == ImageFile(single.folder() / "img000.png")
        assert (image.width, image.height) == (64, 48)
        assert image.instances.identity.tolist() == [0]
        assert dataset.skeleton.keypoints == ("nose", "leftpaw", "rightpaw")
        assert dataset.skeleton.individuals == ("animal",)
        assert dataset.skeleton.edges == (("nose", "leftpaw"),)
        assert dataset.skeleton.symmetry == (("leftpaw", "rightpaw"),)
        assert not dataset.skeleton.identified
        assert dataset.name == "reach"
        assert dataset.metadata == {
            "deeplabcut.task": "reach",
            "deeplabcut.date": "Jan7",
            "deeplabcut.scorer": "Ada",
            "deeplabcut.multianimal": "false",
        }
        assert any("leftpaw/rightpaw" in note for note in dataset.notes)
        assert any("objectA-nose" in note for note in dataset.notes)

    @pytest.mark.parametrize("index", ["tuples", "slashes", "backslashes"])
    def test_multi_animal_with_unique_body_parts(self, multi: Any, points: Points, index: str) -> None:
        frame = multi.label(index=index)
        # minnie is not on the first image, and mickey's nose is not seen on the second.
        frame.loc[frame.index[0], (slice(None), "minnie")] = np.nan
        frame.loc[frame.index[1], (slice(None), "mickey", "nose")] = np.nan
        frame.loc[frame.index[1], (slice(None), "single", "lamp")] = np.nan
        multi.write(frame)
        dataset = multi.read()
        names = [image.name for image in dataset.images]
        values = frame.to_numpy(np.float32)
        np.testing.assert_array_equal(points(dataset, names), values[:, :12].reshape(4, 2, 3, 2), strict=True)
        unique = np.stack([image.unique_keypoints for image in dataset.images])
        np.testing.assert_array_equal(unique, values[:, 12:].reshape(4, 2, 2), strict=True)
        assert dataset.images[0].instances.identity.tolist() == [0]
        skeleton = dataset.skeleton
        assert skeleton.individuals == ("mickey", "minnie")
        assert skeleton.unique_keypoints == ("corner", "lamp")
        assert skeleton.edges == (("nose", "ear_L"), ("ear_R", "nose"))
        assert skeleton.symmetry == (("ear_L", "ear_R"),)
        assert skeleton.identified
        assert dataset.metadata["deeplabcut.multianimal"] == "true"

    @pytest.mark.parametrize("h5", ["fixed", "table"])
    @pytest.mark.parametrize("kind", ["single", "multi"])
    def test_csv_only_and_h5_only_give_the_same(
        self, request: pytest.FixtureRequest, kind: str, h5: str
    ) -> None:
        project = request.getfixturevalue(kind)
        index = "slashes" if h5 == "table" else "tuples"
        frame = project.label(index=index, h5=h5)
        frame.iloc[2, 3:5] = np.nan
        frame.iloc[1, :2] = 1 / 3
        project.write(frame, h5=h5)
        both = project.read()
        assert not any("differ" in note for note in both.notes)
        project.labels("csv").unlink()
        from_h5 = project.read()
        project.write(frame, h5=None)
        project.labels("h5").unlink()
        from_csv = project.read()
        same(both, from_h5)
        same(from_h5, from_csv)

    def test_labels_saved_by_the_napari_gui(self, single: Any) -> None:
        frame = single.label(h5="fixed", csv=False, key="keypoints")
        assert len(single.read().images) == len(frame)

    def test_columns_in_any_order_and_in_several_blocks(self, multi: Any) -> None:
        frame = multi.label()
        expected = multi.read()
        shuffled = frame[frame.columns[::-1]].copy()
        shuffled[shuffled.columns[3]] = shuffled[shuffled.columns[3]].astype("float32")
        shuffled[shuffled.columns[4]] = shuffled[shuffled.columns[4]].round().astype("int64")
        multi.write(shuffled, csv=False)
        dataset = multi.read(labels="h5")
        a = np.stack([i.instances.keypoints for i in dataset.images])
        b = np.stack([i.instances.keypoints for i in expected.images])
        assert (np.abs(a - b) > 1e-4).sum() == len(frame)

    def test_a_config_of_another_name_and_the_folder(self, single: Any) -> None:
        single.label()
        renamed = single.root / "my project.yml"
        single.config_file.rename(renamed)
        assert ProjectReader.accepts(renamed)
        assert not ProjectReader.accepts(single.root)
        assert len(single.read(renamed).images) == 4

    def test_several_videos_in_order(self, single: Any) -> None:
        single.label(2, video="b")
        single.label(3, video="a")
        names = [image.name for image in single.read().images]
        assert names == sorted(names)
        assert len(names) == 5

    def test_a_renamed_folder(self, single: Any) -> None:
        single.label()
        single.folder().rename(single.folder("rat"))
        dataset = single.read()
        assert dataset.images[0].name == "labeled-data/rat/img000.png"
        assert any("names mouse as the folder of its images" in note for note in dataset.notes)

    def test_absolute_windows_paths(self, single: Any) -> None:
        frame = single.label(index="backslashes")
        frame.index = ["C:\\Users\\ada\\reach\\" + name for name in frame.index]
        single.write(frame)
        assert single.read().images[0].name == "labeled-data/mouse/img000.png"

    def test_jpeg_images(self, single: Any) -> None:
        frame = single.label(index="slashes")
        cv2.imwrite(str(single.folder() / "img000.jpg"), np.zeros((20, 30, 3), np.uint8))
        frame.index = [frame.index[0].replace(".png", ".jpg"), *frame.index[1:]]
        frame.iloc[0] = 5.0
        single.write(frame)
        assert (single.read().images[0].width, single.read().images[0].height) == (30, 20)

    def test_names_that_yaml_would_turn_into_something_else(self, single: Any) -> None:
        single.configure(bodyparts=["1", "no", "null"], skeleton=[["1", "no"]])
        text = single.config_file.read_text().replace("'", "")
        single.config_file.write_text(text)
        single.label()
        assert single.read().skeleton.keypoints == ("1", "no", "null")
        assert single.read().skeleton.edges == (("1", "no"),)

    def test_names_beyond_ascii(self, single: Any, points: Points) -> None:
        single.configure(scorer="Jürgen", bodyparts=["Schnauze", "Öhrchen", "尾"], skeleton=[])
        frame = single.label(index="slashes", h5="table")
        dataset = single.read()
        assert not any("differ" in note for note in dataset.notes)
        np.testing.assert_array_equal(
            points(dataset, [i.name for i in dataset.images]), frame.to_numpy(np.float32).reshape(4, 1, 3, 2)
        )

    def test_the_project_is_not_written_to(self, single: Any) -> None:
        single.label()
        before = {p: p.stat().st_mtime_ns for p in single.root.rglob("*")}
        single.read()
        assert {p: p.stat().st_mtime_ns for p in single.root.rglob("*")} == before


class TestWhatIsNoted:
    def test_images_without_labels_are_left_out(self, single: Any) -> None:
        frame = single.label(5)
        frame.iloc[[1, 3]] = np.nan
        single.write(frame)
        dataset = single.read()
        assert len(dataset.images) == 3
        assert any("2 images without any label left out" in n and "img001.png" in n for n in dataset.notes)

    def test_half_a_label(self, single: Any) -> None:
        frame = single.label()
        frame.iloc[0, 1] = np.nan
        single.write(frame)
        dataset = single.read()
        assert np.isnan(dataset.images[0].instances.keypoints[0, 0]).all()
        assert any("1 label with only one of x and y" in n for n in dataset.notes)

    def test_csv_and_h5_that_differ(self, single: Any) -> None:
        frame = single.label()
        changed = frame.copy()
        changed.iloc[2, 4] += 1.5
        single.write(changed, h5=None)
        dataset = single.read()
        assert dataset.images[2].instances.keypoints[0, 2, 0] == np.float32(frame.iloc[2, 4])
        (note,) = [n for n in dataset.notes if "differ" in n]
        assert "CollectedData_Ada.h5 and CollectedData_Ada.csv" in note
        assert "img002.png rightpaw x" in note
        assert "used CollectedData_Ada.h5" in note
        edited = single.read(labels="csv")
        assert edited.images[2].instances.keypoints[0, 2, 0] == np.float32(changed.iloc[2, 4])

    def test_a_row_in_one_of_the_files_only(self, single: Any) -> None:
        frame = single.label()
        single.write(frame.iloc[:-1], h5=None)
        dataset = single.read()
        assert len(dataset.images) == 4
        assert any("img003.png is in one of them only" in n for n in dataset.notes)

    def test_rounding_is_no_difference(self, single: Any) -> None:
        frame = single.label()
        single.write(frame + 1e-5, h5=None)
        assert not any("differ" in n for n in single.read().notes)

    def test_a_damaged_h5_beside_a_csv(self, single: Any) -> None:
        single.label()
        single.labels("h5").write_bytes(b"not HDF5")
        dataset = single.read()
        assert len(dataset.images) == 4
        assert any("cannot be read as HDF5" in n and "used CollectedData_Ada.csv" in n for n in dataset.notes)

    def test_labels_by_another_scorer(self, single: Any) -> None:
        single.label()
        single.configure(scorer="Grace")
        assert any("labels are by Ada" in n for n in single.read().notes)

    def test_body_parts_that_are_not_in_the_config(self, single: Any) -> None:
        single.label()
        single.configure(bodyparts=["rightpaw", "nose"])
        dataset = single.read()
        assert dataset.skeleton.keypoints == ("rightpaw", "nose")
        assert any("are left out: leftpaw" in n for n in dataset.notes)

    def test_an_individual_that_came_later(self, multi: Any) -> None:
        multi.label()
        multi.configure(individuals=["mickey", "minnie", "donald"])
        dataset = multi.read()
        assert dataset.skeleton.num_individuals == 3
        assert any("no columns for individual 'donald'" in n for n in dataset.notes)

    def test_folders_without_labels(self, single: Any) -> None:
        single.label()
        single.folder("new video").mkdir()
        single.folder("mouse_labeled").mkdir()
        (note,) = [n for n in single.read().notes if "without labels" in n]
        assert note.endswith("new video")

    def test_likelihoods_in_refined_labels(self, single: Any) -> None:
        frame = single.label()
        for part in single.config["bodyparts"]:
            frame["Ada", part, "likelihood"] = 1.0
        single.write(frame)
        assert any("likelihood" in n for n in single.read().notes)

    def test_a_row_that_names_the_index(self, single: Any) -> None:
        frame = single.label(index="slashes", h5=None)
        frame.index.name = "image"
        single.write(frame, h5=None)
        assert len(single.read().images) == 4
        assert not any("without any label" in n for n in single.read().notes)


class TestWhatIsRefused:
    def test_no_labels(self, single: Any) -> None:
        assert "label some frames in DeepLabCut first" in refusal(single)
        single.folder().mkdir(parents=True)
        assert "no labelled frames" in refusal(single)
        frame = single.label()
        single.write(frame * np.nan)
        assert "no labelled frames" in refusal(single)

    def test_missing_images(self, single: Any) -> None:
        single.label()
        (single.folder() / "img001.png").unlink()
        (single.folder() / "img003.png").unlink()
        line = refusal(single)
        assert "2 of 4 labelled images are missing" in line
        assert "img001.png" in line

    def test_the_same_image_twice(self, single: Any) -> None:
        frame = single.label()
        single.write(pd.concat([frame, frame.iloc[[1]]]), h5=None)
        single.labels("h5").unlink()
        line = refusal(single)
        assert "line 8: labeled-data/mouse/img001.png is labelled twice (line 5)" in line

    def test_a_body_part_twice(self, single: Any) -> None:
        single.configure(bodyparts=["nose", "tail", "nose"])
        assert "body part 'nose' is listed twice" in refusal(single)

    def test_a_column_twice(self, single: Any) -> None:
        frame = single.label(h5=None)
        single.write(pd.concat([frame, frame.iloc[:, :1]], axis=1), h5=None)
        assert "column 'nose x' appears twice" in refusal(single)

    def test_a_body_part_without_columns(self, single: Any) -> None:
        single.label()
        single.configure(bodyparts=["Nose", "leftpaw"])
        line = refusal(single)
        assert "no columns for body part 'Nose'" in line
        assert "is it 'nose'?" in line
        assert "CollectedData_Ada.h5" in line

    def test_labels_of_an_unknown_individual(self, multi: Any) -> None:
        multi.label()
        multi.configure(individuals=["mickey", "mini"])
        line = refusal(multi)
        assert "individual 'minnie', which config.yaml does not list (is it 'mini'?)" in line

    def test_single_animal_labels_in_a_multi_animal_project(self, single: Any) -> None:
        single.label()
        single.configure(
            multianimalproject="true",
            bodyparts="MULTI!",
            multianimalbodyparts=["nose"],
            individuals=["a", "b"],
        )
        assert "single-animal" in refusal(single)

    def test_a_cell_that_is_no_number(self, single: Any) -> None:
        frame = single.label(h5=None)
        single.edit_csv(str(frame.iloc[1, 2]), "left")
        line = refusal(single)
        assert "CollectedData_Ada.csv: line 5, column 'leftpaw x': 'left' is not a number" in line
        single.edit_csv(",left,", ",inf,")
        assert "line 5, column 'leftpaw x': is infinite" in refusal(single)
        single.edit_csv(",inf,", ",-1e300,")
        assert "line 5, column 'leftpaw x': is -1e+300, outside of any image" in refusal(single)
        single.edit_csv(",-1e300,", ',"1,5",')
        assert "decimals need a point" in refusal(single)

    @pytest.mark.parametrize(
        ("row", "expected"),
        [
            ("labeled-data,mouse", "line 8 has 2 cells, but the header has 9"),
            ("labeled-data,mouse,a.png,1,2,3,4,5,6,7", "line 8 has 10 cells, but the header has 9"),
        ],
    )
    def test_a_row_of_another_length(self, single: Any, row: str, expected: str) -> None:
        single.label(h5=None)
        file = single.labels("csv")
        file.write_text(file.read_text() + row + "\n")
        assert expected in refusal(single)

    def test_a_csv_with_other_separators_than_those_of_tables(self, single: Any) -> None:
        single.label(h5=None)
        expected = single.read()
        single.edit_csv(",", "|")
        assert "with commas, semicolons or tabs between the cells" in refusal(single)
        single.edit_csv("|", ";")
        same(single.read(), expected)

    def test_an_empty_csv(self, single: Any) -> None:
        single.label(h5=None)
        single.labels("csv").write_text("")
        assert "must begin with the rows scorer, bodyparts, coords" in refusal(single)

    def test_labels_of_several_scorers(self, single: Any) -> None:
        single.label()
        single.configure(scorer="Grace")
        for extension in ("h5", "csv"):
            shutil.copy(single.labels(extension, scorer="Ada"), single.labels(extension, scorer="Alan"))
        line = refusal(single)
        assert "Ada, Alan" in line
        assert "data.reader.scorer" in line
        assert len(single.read(scorer="Alan").images) == 4
        assert "no folder in it has labels by 'Emmy'" in refusal(single, scorer="Emmy")

    def test_the_kind_of_file_that_was_asked_for(self, single: Any) -> None:
        single.label(h5=None)
        assert "no HDF5 file" in refusal(single, labels="h5")

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ("Task: a\nscorer: b\nbodyparts: nose\n", "bodyparts must be a list of names"),
            ("Task: a\nscorer: b\nbodyparts:\n", "bodyparts is empty"),
            ("Task: a\nscorer: b\nbodyparts: [a]\nmultianimalproject: maybe\n", "must be true or false"),
            ('Task: "C:\\Users"\nscorer: b\nbodyparts: [a]\n', "line 1: is not valid YAML"),
            ("Task: [a\nscorer: b\nbodyparts: [a]\n", "is not valid YAML"),
            ("Task: a\nscorer: b\nbodyparts: MULTI!\nmultianimalbodyparts: [a]\n", "individuals is empty"),
        ],
    )
    def test_a_config_that_says_nonsense(self, single: Any, content: str, expected: str) -> None:
        single.config_file.write_text(content)
        assert ProjectReader.accepts(single.config_file)
        line = refusal(single)
        assert expected in line
        assert "config.yaml" in line

    def test_yaml_that_would_run_code(self, single: Any, tmp_path: Path) -> None:
        single.label()
        target = tmp_path / "ran"
        text = single.config_file.read_text()
        single.config_file.write_text(
            text + f"\nevil: !!python/object/apply:pathlib.Path.touch ['{target}']\n"
        )
        single.read()
        assert not target.exists()


class TestThroughTheCore:
    def test_the_component_has_a_bare_name_of_its_own(self) -> None:
        component = get_catalog().component("reader", "deeplabcut")
        assert component.full_name == "deeplabcut/deeplabcut"
        assert component.factory() is ProjectReader

    def test_a_project_is_recognised(self, single: Any, tmp_path: Path) -> None:
        single.label()
        assert len(read_project(single.root).images) == 4
        assert len(read_project(single.config_file).images) == 4
        assert not ProjectReader.accepts(tmp_path)
        assert not ProjectReader.accepts(single.folder() / "img000.png")

    def test_openfield(self, openfield_project: Path) -> None:
        started = time.perf_counter()
        dataset = read_project(openfield_project / "config.yaml")
        assert time.perf_counter() - started < 5
        assert len(dataset.images) == 116
        assert dataset.skeleton.keypoints == ("snout", "leftear", "rightear", "tailbase")
        assert dataset.skeleton.symmetry == (("leftear", "rightear"),)
        assert {(image.width, image.height) for image in dataset.images} == {(640, 480)}
        first = dataset.images[0]
        assert first.name == "labeled-data/m4s1/img0000.png"
        np.testing.assert_array_equal(first.instances.keypoints[0, 0], np.float32([21.521, 265.428]))
        assert not any("differ" in note for note in dataset.notes)

    def test_openfield_without_either_file(self, openfield_project: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(openfield_project, copy, ignore=shutil.ignore_patterns("videos"))
        whole = read_project(copy)
        labels = copy / "labeled-data" / "m4s1" / "CollectedData_Pranav.csv"
        text = labels.read_text()
        labels.unlink()
        same(whole, read_project(copy))
        labels.write_text(text)
        labels.with_suffix(".h5").unlink()
        same(whole, read_project(copy))
