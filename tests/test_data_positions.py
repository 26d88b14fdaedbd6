"""Labels outside their images: a few are left out, many are refused, strict formats list them all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pose_core.data.positions import check_positions
from pose_core.data.projects import read_project
from pose_core.data.split import make_split
from pose_core.errors import DataError
from pose_core.specs.data import SplitSpec
from pose_core.structures import ImageFile, Instances, LabelledDataset, LabelledImage, Skeleton

WIDTH, HEIGHT = 96, 64
NAN = float("nan")


def dataset(points: np.ndarray, **changes: object) -> LabelledDataset:
    """Images of one animal each, (I, K, 2)."""
    skeleton = Skeleton(tuple(f"k{i}" for i in range(points.shape[1])), unique_keypoints=("corner",))
    images = tuple(
        LabelledImage.create(
            ImageFile(Path(f"{i}.png")),
            f"{i}.png",
            WIDTH,
            HEIGHT,
            Instances.from_keypoints([each]),
            unique_keypoints=[[NAN, NAN]],
            **changes,  # type: ignore[arg-type]
        )
        for i, each in enumerate(points)
    )
    return LabelledDataset(skeleton, images, Path("project"), "project")


def inside(images: int = 20, keypoints: int = 3) -> np.ndarray:
    return np.random.default_rng(0).uniform(2, 60, (images, keypoints, 2)).astype(np.float32)


def keypoints(data: LabelledDataset) -> np.ndarray:
    return np.concatenate([image.instances.keypoints for image in data.images])


@pytest.mark.parametrize("point", [(104, 30), (-6, 30), (30, 200), (-1e6, -1e6)])
def test_one_label_outside_is_left_out_and_named(point: tuple[float, float]) -> None:
    points = inside()
    points[3, 1] = point
    checked = check_positions(dataset(points), strict=False)
    points[3, 1] = NAN
    np.testing.assert_array_equal(keypoints(checked), points)
    assert checked.images[3].instances.keypoint_scores.tolist() == [[1, 0, 1]]
    (note,) = checked.notes
    said = f"3.png k1 at ({point[0]:g}, {point[1]:g}) of 96 x 64"
    assert note == f"1 label outside its image left out, the first is {said}"


def test_what_is_decided_by_the_labels_does_not_see_them() -> None:
    points = inside()
    without = points.copy()
    points[3, 1], without[3, 1] = (5000, 30), NAN
    one, other = (check_positions(dataset(each), strict=False) for each in (points, without))
    for a, b in zip(one.images, other.images, strict=True):
        np.testing.assert_array_equal(a.instances.boxes, b.instances.boxes)
        np.testing.assert_array_equal(a.instances.scores, b.instances.scores)
    split = SplitSpec()
    assert make_split(one, split, 0).train == make_split(other, split, 0).train


def test_many_labels_outside_are_refused_with_ten_and_a_count() -> None:
    points = inside()
    points[:14, 2] += 500
    with pytest.raises(DataError) as caught:
        check_positions(dataset(points), strict=False)
    line = str(caught.value)
    assert "14 of 60 labels are outside their images" in line
    assert "image '9.png': keypoint 'k2'" in line
    assert "'10.png'" not in line
    assert "and 4 more" in line


def test_all_labels_of_an_image_outside_are_refused() -> None:
    points = inside()
    points[7] += 400
    with pytest.raises(DataError, match=r"all of image '7\.png'.* not the images that were labelled"):
        check_positions(dataset(points), strict=False)


def test_a_strict_format_lists_every_one() -> None:
    points = inside()
    points[[2, 5, 9], 0] = (200, 5)
    with pytest.raises(DataError) as caught:
        check_positions(dataset(points), strict=True)
    assert all(
        f"image '{i}.png': keypoint 'k0' at (200, 5) is outside the 96 x 64" in str(caught.value)
        for i in (2, 5, 9)
    )
    assert str(caught.value).endswith("correct or delete them")


def test_an_image_whose_only_label_is_outside_does_not_become_an_empty_one() -> None:
    points = inside(keypoints=2)
    points[4] = [(300, 3), (NAN, NAN)]
    checked = check_positions(dataset(points), strict=False)
    assert [image.name for image in checked.images] == [f"{i}.png" for i in range(20) if i != 4]
    assert any("1 image has no label left" in note and "4.png" in note for note in checked.notes)


def test_a_labelled_box_stays_and_hidden_labels_that_are_gone_are_not_hidden() -> None:
    points = inside(keypoints=2)
    points[0, 0] = (150, 10)
    data = dataset(points, occluded=np.ones((1, 2), bool))
    box = np.array([[1, 1, 90, 60]], np.float32)
    data.images[0].instances.boxes[:] = box
    image = check_positions(data, strict=False).images[0]
    np.testing.assert_array_equal(image.instances.boxes, box)
    assert image.occluded.tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("places", "value"),
    [([(3, 1)], (-1, -1)), ([(3, 0), (3, 2)], (0, 0)), ([(i, 1) for i in range(12)], (-1, -1))],
)
def test_numbers_that_mean_not_labelled(places: list[tuple[int, int]], value: tuple[float, float]) -> None:
    points = inside()
    for place in places:
        points[place] = value
    checked = check_positions(dataset(points), strict=False)
    for place in places:
        points[place] = NAN
    np.testing.assert_array_equal(keypoints(checked), points)
    assert any(
        ("counted as not labelled" in note and "3.png" in note) or len(places) > 3 for note in checked.notes
    )


def test_one_label_in_the_corner_is_a_label() -> None:
    points = inside()
    points[3, 1] = 0
    data = dataset(points)
    assert check_positions(data, strict=False) is data


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), images=st.integers(1, 12), count=st.integers(1, 4), strict=st.booleans())
def test_every_label_that_stays_is_in_its_image_and_none_moves_far(
    data: st.DataObject, images: int, count: int, strict: bool
) -> None:
    value = st.one_of(
        st.floats(-0.5, 63, width=32), st.sampled_from([NAN, -1.0, -1.4, 96.2, 64.0, 1e6, -50.0])
    )
    flat = data.draw(st.lists(value, min_size=images * count * 2, max_size=images * count * 2))
    points = np.array(flat, np.float32).reshape(images, count, 2)
    points[np.isnan(points).any(axis=-1)] = NAN
    said, kept = "", ()
    try:
        kept = check_positions(dataset(points), strict).images
    except DataError as error:
        said = str(error)
    assert "\n" not in said
    names = {f"{i}.png": i for i in range(images)}
    for image in kept:
        for found in image.instances.keypoints:
            before = points[names[image.name]]
            there = ~np.isnan(found[:, 0])
            assert (found[there] >= -0.5).all()
            assert (found[there] <= [WIDTH - 0.5, HEIGHT - 0.5]).all()
            assert np.abs(found[there] - before[there]).max(initial=0) <= 1


def test_a_core_project_is_strict(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    rows = ["image,individual,keypoint,x,y"]
    for n in range(15):
        cv2.imwrite(str(tmp_path / "images" / f"{n}.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        rows.append(f"images/{n}.png,animal,nose,{10 if n < 3 else 110},5")
    (tmp_path / "project.yaml").write_text("keypoints: [nose]\n")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    with pytest.raises(DataError) as caught:
        read_project(tmp_path)
    assert str(caught.value).count("is outside") == 10
    assert "and 2 more" in str(caught.value)
