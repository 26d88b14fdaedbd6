"""The split: disjoint, repeatable, never empty where it must not be; lists of names in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pose_core.data.split import make_split
from pose_core.errors import ConfigError, DataError, PoseError
from pose_core.specs import SplitSpec
from pose_core.structures import ImageFile, Instances, LabelledDataset, LabelledImage, Skeleton


def project(count: int, unlabelled: tuple[int, ...] = ()) -> LabelledDataset:
    images = []
    for number in range(count):
        point = [np.nan, np.nan] if number in unlabelled else [1.0, 2.0]
        name = f"labeled-data/video/img{number:04d}.png"
        images.append(
            LabelledImage.create(
                ImageFile(Path(name)), name, 64, 48, Instances.from_keypoints([[point, [np.nan] * 2]])
            )
        )
    return LabelledDataset(Skeleton(("a", "b")), tuple(images), Path("project"), "project")


fractions = st.tuples(st.floats(0, 0.95), st.floats(0, 0.95)).filter(lambda f: sum(f) < 0.99)


@given(st.integers(1, 60), fractions, st.integers(0, 5))
def test_parts_are_disjoint_complete_and_not_empty(count, parts, seed):
    test, validation = parts
    split = make_split(project(count), SplitSpec(test=test, validation=validation), seed)
    rows = [*split.train, *split.validation, *split.test]
    assert sorted(rows) == list(range(count))
    assert len(split.train) >= 1
    for fraction, part in ((test, split.test), (validation, split.validation)):
        assert list(part) == sorted(part)
        if fraction == 0:
            assert part == ()
        elif count >= 3:
            assert len(part) >= 1


def test_fractions_are_met():
    split = make_split(project(116), SplitSpec(test=0.2, validation=0.1), 0)
    assert (len(split.train), len(split.validation), len(split.test)) == (81, 12, 23)
    assert split.notes == ()


def test_the_seed_decides_and_the_split_has_its_own():
    data = project(50)
    first = make_split(data, SplitSpec(), 0)
    assert first == make_split(data, SplitSpec(), 0)
    assert first != make_split(data, SplitSpec(), 1)
    assert make_split(data, SplitSpec(seed=7), 0) == make_split(data, SplitSpec(seed=7), 1)


def test_neither_order_nor_the_other_fraction_moves_test_images():
    data = project(50)
    names = {data.images[row].name for row in make_split(data, SplitSpec(), 0).test}
    turned = data.subset(range(49, -1, -1))
    assert {turned.images[row].name for row in make_split(turned, SplitSpec(), 0).test} == names
    more = make_split(data, SplitSpec(validation=0.3), 0)
    assert {data.images[row].name for row in more.test} == names


def test_the_draw_is_the_same_for_ever():
    """A run is repeated years later: these rows must not change."""
    assert make_split(project(10), SplitSpec(), 0).test == (3, 5)


def test_images_without_labels_are_left_out():
    split = make_split(project(10, unlabelled=(0, 5)), SplitSpec(), 0)
    assert sorted([*split.train, *split.validation, *split.test]) == [1, 2, 3, 4, 6, 7, 8, 9]
    assert split.notes == ("2 of 10 images have no labelled keypoint and are left out",)


def test_an_image_with_only_unique_keypoints_takes_part():
    data = project(1, unlabelled=(0,))
    image = data.images[0]
    unique = LabelledImage.create(
        image.image, image.name, 64, 48, Instances.empty(2), unique_keypoints=np.array([[3.0, 4.0]])
    )
    skeleton = Skeleton(("a", "b"), unique_keypoints=("corner",))
    assert make_split(LabelledDataset(skeleton, (unique,), Path("p"), "p"), SplitSpec(), 0).train == (0,)


def test_a_project_too_small_for_all_parts_says_so():
    split = make_split(project(2), SplitSpec(), 0)
    assert len(split.train) == 2
    assert len(split.notes) == 2
    assert "validation" in split.notes[0]
    assert "test" in split.notes[1]


def test_no_labels_at_all():
    with pytest.raises(DataError, match="no image has a labelled keypoint"):
        make_split(project(3, unlabelled=(0, 1, 2)), SplitSpec(), 0)


def name(number: int) -> str:
    return f"labeled-data/video/img{number:04d}.png"


def written(folder: Path, content: object) -> SplitSpec:
    path = folder / "split.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return SplitSpec(file=str(path))


def test_lists_in_a_file(tmp_path):
    lists = {"train": [name(3), name(1)], "validation": [name(0)], "test": [name(4)]}
    split = make_split(project(6, unlabelled=(5,)), written(tmp_path, lists), 0)
    assert (split.train, split.validation, split.test) == ((1, 3), (0,), (4,))
    assert len(split.notes) == 2
    assert "1 of 6 images" in split.notes[0]
    assert "1 labelled images are named in none" in split.notes[1]


def test_a_listed_image_without_labels_is_left_out_with_a_note(tmp_path):
    split = make_split(
        project(3, unlabelled=(2,)), written(tmp_path, {"train": [name(0), name(1), name(2)]}), 0
    )
    assert split.train == (0, 1)
    assert any("1 of the images named in" in note for note in split.notes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"train": ["labeled-data/video/img000.png"]}, r"did you mean 'labeled-data/video/img000\d.png'\?"),
        ({"train": ["zzz"]}, "names look like 'labeled-data/video/img0000.png'"),
        ({"train": [name(0), name(1)], "test": [name(1)]}, "is in train and in test"),
        ({"train": [name(0), name(0)]}, "is twice in train"),
        ({"train": [name(0)], "val": [name(1)]}, "unknown list 'val'; did you mean 'validation'"),
        ({"train": name(0)}, "'train' must be a list"),
        ({"train": [1, 2]}, "'train' must be a list"),
        ({"test": [name(0)]}, "list images to train on"),
        ("- a\n- b\n", "must hold a mapping"),
        (f"train: [{name(0)}]\ntrain: [{name(1)}]\n", r"train is given twice \(lines 1 and 2\)"),
        ("", "is empty; write lists"),
        ("train: [a\n", "not valid YAML"),
    ],
)
def test_mistakes_in_the_file_are_named_in_one_line(tmp_path, content, said):
    with pytest.raises(ConfigError, match=said) as caught:
        make_split(project(4), written(tmp_path, content), 0)
    assert "split.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(PoseError, match=r"absent\.yaml: cannot be read"):
        make_split(project(4), SplitSpec(file=str(tmp_path / "absent.yaml")), 0)
    (tmp_path / "binary.yaml").write_bytes(b"\x81\xff")
    with pytest.raises(PoseError, match=r"line 1, byte 1 \(81\) is not UTF-8"):
        make_split(project(4), SplitSpec(file=str(tmp_path / "binary.yaml")), 0)
