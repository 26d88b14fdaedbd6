"""Splits that projects bring, and test images of another project: disjoint, kept apart, told by their files."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_core.data.fingerprint import hash_image
from pose_core.data.projects import read_project
from pose_core.data.split import make_split
from pose_core.errors import ConfigError, DataError
from pose_core.formats.project_writing import Example, write_project
from pose_core.runs.run_folder import Run
from pose_core.runs.split_images import find_learned, split_images
from pose_core.specs import SplitSpec
from pose_core.structures import (
    ImageFile,
    Instances,
    LabelledDataset,
    LabelledImage,
    ProjectSplit,
    Skeleton,
)
from pose_core.training.options import TrainOptions
from pose_core.training.prepare import prepare


def dataset(count: int) -> LabelledDataset:
    images = [
        LabelledImage.create(
            ImageFile(Path(f"{i}.png")), f"{i}.png", 64, 48, Instances.from_keypoints([[[1.0, 2.0]]])
        )
        for i in range(count)
    ]
    return LabelledDataset(Skeleton(("a",)), tuple(images), Path("project"), "project")


def names(rows: list[int]) -> tuple[str, ...]:
    return tuple(f"{row}.png" for row in rows)


@given(st.data(), st.integers(3, 40), st.floats(0, 0.5), st.floats(0, 0.4))
def test_what_the_project_holds_out_stays_held_out(data, count, test, validation):
    owner = data.draw(
        st.lists(st.sampled_from(["train", "test", "validation", ""]), min_size=count, max_size=count)
    )
    owner[0] = "train"
    rows = {
        part: [i for i, own in enumerate(owner) if own == part] for part in ("train", "test", "validation")
    }
    brought = ProjectSplit(names(rows["train"]), names(rows["test"]), names(rows["validation"]))
    split = make_split(dataset(count), SplitSpec(test=test, validation=validation), 0, brought=brought)
    assert sorted([*split.train, *split.validation, *split.test]) == sorted(
        row for own in rows.values() for row in own
    )
    assert split.train
    assert set(split.train) <= set(rows["train"])
    for part in ("test", "validation"):
        # Named by the project, or drawn from what it trains on.
        assert set(getattr(split, part)) == set(rows[part]) if rows[part] else True
        assert set(getattr(split, part)) <= set(rows[part] or rows["train"])
    assert any("left out" in note for note in split.notes) == ("" in owner)


def test_images_that_are_gone_are_noted_and_a_part_that_is_gone_is_refused():
    brought = ProjectSplit((*names([0, 1, 2]), "gone.png"), names([3]))
    split = make_split(dataset(4), SplitSpec(validation=0), 0, brought=brought)
    assert split.test == (3,)
    assert "1 images of the project's split have no label now, the first is gone.png" in split.notes[0]
    with pytest.raises(DataError, match="names 1 test images, none of which"):
        make_split(dataset(4), SplitSpec(), 0, brought=ProjectSplit(names([0, 1]), ("gone.png",)))
    with pytest.raises(DataError, match=r"has image '1\.png' in train and in test"):
        make_split(dataset(4), SplitSpec(), 0, brought=ProjectSplit(names([0, 1]), names([1])))


def test_a_project_without_splits_has_none(blob_project):
    spec = prepare(blob_project, "unet").spec
    assert spec.data.split.name is None
    with pytest.raises(ConfigError, match="brings no split"):
        prepare(blob_project, "unet", assignments=["data.split.name=newest"])
    with pytest.raises(ConfigError, match="file and name are two splits"):
        prepare(blob_project, "unet", assignments=["data.split.name=a", "data.split.file=b"])


@pytest.fixture
def other(blob_project, tmp_path):
    """Eight images, two of them copies of those of the blob project, with the keypoints the other way round."""
    given_images = read_project(blob_project).images[:2]
    rng = np.random.default_rng(5)

    def examples():
        for number in range(6):
            image = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
            yield Example(f"new{number}.png", image, Instances.from_keypoints(rng.uniform(5, 50, (1, 2, 2))))
        for number in range(2):
            image = np.zeros((64, 64, 3), np.uint8)
            yield Example(f"copy{number}.png", image, Instances.from_keypoints([[[9.0, 8.0], [30.0, 31.0]]]))

    folder = tmp_path / "other"
    write_project(folder, Skeleton(("green", "red")), examples(), name="other")
    for number, image in enumerate(given_images):
        (copy,) = [i for i in read_project(folder).images if i.name.endswith(f"copy{number}.png")]
        shutil.copy(image.image.path, copy.image.path)
    return folder


def test_test_images_of_another_project_are_never_trained_on(blob_project, other):
    prepared = prepare(blob_project, "unet", options=TrainOptions(test_data=other))
    assert prepared.split.test == ()
    assert len(prepared.test_names) == 8
    assert len(prepared.split.train) + len(prepared.split.validation) == 30
    assert any("2 images are test images" in note for note in prepared.notes)
    assert Path(prepared.spec.data.test_source) == other.resolve()
    drawn = prepare(
        blob_project, "unet", assignments=["data.split.test=0.5"], options=TrainOptions(test_data=other)
    )
    assert drawn.split == prepared.split
    assert any("data.split.test is not used" in note for note in drawn.notes)
    # Nor are those that a split of the project holds out, which are no test images any more.
    file = other.parent / "split.yaml"
    held, *rest = sorted(image.name for image in read_project(blob_project).images[2:])
    file.write_text(json.dumps({"train": rest, "test": [held]}))
    listed = prepare(
        blob_project,
        "unet",
        assignments=[f"data.split.file={file}"],
        options=TrainOptions(test_data=other),
    )
    assert len(listed.split.train) == len(rest)
    assert listed.test_names == prepared.test_names
    assert any("1 images that the split holds out are left out" in note for note in listed.notes)
    with pytest.raises(ConfigError, match="no such file or folder"):
        prepare(blob_project, "unet", options=TrainOptions(test_data="nowhere"))
    with pytest.raises(DataError, match="holds all"):
        prepare(blob_project, "unet", options=TrainOptions(test_data=blob_project))


def test_the_test_project_must_have_the_same_keypoints(blob_project, tmp_path):
    image = np.zeros((64, 64, 3), np.uint8)
    example = Example("0.png", image, Instances.from_keypoints([[[1.0, 2.0], [3.0, 4.0]]]))
    write_project(tmp_path / "odd", Skeleton(("red", "blue")), [example], name="odd")
    with pytest.raises(DataError, match=r"odd: its keypoints lack green and have blue besides"):
        prepare(blob_project, "unet", options=TrainOptions(test_data=tmp_path / "odd"))


def make_run(folder, prepared, **provenance):
    own = prepared.dataset.images
    learned = {part: [own[row] for row in getattr(prepared.split, part)] for part in ("train", "validation")}
    return Run.create(
        folder,
        prepared.spec,
        {
            "data": str(prepared.dataset.root),
            "data_hash": None,
            "split": {
                **{part: [i.name for i in images] for part, images in learned.items()},
                "test": list(prepared.test_names),
            },
            "image_hashes": {part: [hash_image(i.image) for i in images] for part, images in learned.items()},
            **provenance,
        },
    )


def test_the_test_split_is_read_from_the_other_project_by_the_names_of_keypoints(
    blob_project, other, tmp_path
):
    prepared = prepare(blob_project, "unet", options=TrainOptions(test_data=other))
    held_out = prepared.held_out
    run = make_run(tmp_path / "run", prepared, test_data=str(other), test_data_hash=held_out.data_hash)
    images = split_images(run, "test")
    assert len(images.rows) == 8
    assert images.notes == ()
    (copy,) = [image for image in images.dataset.images if image.name.endswith("copy0.png")]
    # Written as green, red; here red, green.
    np.testing.assert_array_equal(copy.instances.keypoints[0], [[30, 31], [9, 8]])


def test_images_that_were_trained_on_are_told_by_their_files(blob_project, other, tmp_path):
    prepared = prepare(blob_project, "unet")
    run = make_run(tmp_path / "run", prepared)
    seen = {prepared.dataset.images[row].name for row in (*prepared.split.train, *prepared.split.validation)}

    # Moved and renamed, all the same.
    moved = tmp_path / "moved"
    shutil.copytree(blob_project, moved)
    there = read_project(moved)
    assert {there.images[row].name for row in find_learned(run, there, moved)} == seen
    assert f"chosen by {len(seen)} of the 32" in split_images(run, "all", moved).notes[0]

    # Another project with the same names of images, and none of the pictures.
    rng = np.random.default_rng(9)
    examples = [
        Example(
            Path(image.name).name,
            rng.integers(0, 255, (64, 64, 3)).astype(np.uint8),
            Instances.from_keypoints(rng.uniform(5, 50, (1, 2, 2))),
        )
        for image in prepared.dataset.images
    ]
    write_project(tmp_path / "same", Skeleton(("red", "green")), examples, name="same")
    same = read_project(tmp_path / "same")
    assert {image.name for image in same.images} == {image.name for image in prepared.dataset.images}
    assert find_learned(run, same, tmp_path / "same") == frozenset()
    assert "trained on none of them" in split_images(run, "all", tmp_path / "same").notes[0]

    # A run that does not know its images says so.
    unknown = make_run(tmp_path / "unknown", prepared, split={"train": [], "validation": [], "test": []})
    assert "is not known" in split_images(unknown, "all").notes[0]


def test_in_its_own_project_an_image_that_was_stored_anew_is_still_one_that_was_trained_on(
    blob_project, tmp_path
):
    copy = tmp_path / "copy"
    shutil.copytree(blob_project, copy)
    prepared = prepare(copy, "unet")
    run = make_run(tmp_path / "run", prepared)
    first = prepared.split.train[0]
    with prepared.dataset.images[first].image.path.open("ab") as file:
        file.write(b"\0")
    assert first in find_learned(run, read_project(copy), copy)
    # As another project it would count as a new picture.
    without = replace(run)
    provenance = json.loads((run.path / "provenance.json").read_text())
    (run.path / "provenance.json").write_text(json.dumps({**provenance, "data": str(tmp_path / "gone")}))
    assert first not in find_learned(Run(without.path, without.spec), read_project(copy), copy)
