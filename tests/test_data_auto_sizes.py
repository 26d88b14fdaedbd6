"""What "auto" means for scale and crop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_core.data.auto_sizes import animal_lengths, auto_crop, auto_scale
from pose_core.structures import ImageFile, Instances, LabelledDataset, LabelledImage, Skeleton


def project(lengths: list[float], width: int = 640, height: int = 480, boxes=None) -> LabelledDataset:
    """One animal an image, two keypoints so far apart (NaN: only one is labelled)."""
    images = []
    for number, length in enumerate(lengths):
        points = [[[5.0, 5.0], [5.0 + length, 5.0 + length / 3]]]
        instances = Instances.from_keypoints(points, boxes=None if boxes is None else [boxes])
        images.append(
            LabelledImage.create(ImageFile(Path(f"{number}.png")), f"{number}.png", width, height, instances)
        )
    return LabelledDataset(Skeleton(("a", "b")), tuple(images), Path("p"), "p")


@pytest.mark.parametrize(
    ("length", "scale"),
    [
        (30, 1.0),
        (60, 1.0),
        (75, 1.0),
        (80, 1.0),
        (90, 0.67),
        (108, 0.5),
        (138, 0.5),
        (180, 0.33),
        (240, 0.25),
    ],
)
def test_animals_come_out_about_sixty_pixels_long(length, scale):
    assert auto_scale(project([length, length, length + 12], 2000, 1500), range(3)) == scale


def test_frames_do_not_become_tiny():
    assert auto_scale(project([390, 390], 500, 300), range(2)) == 0.32
    # A quarter is near, but would make the frame too small.
    assert auto_scale(project([400, 400], 580, 300), range(2)) == 0.28
    assert auto_scale(project([100], 120, 100), range(1)) == 1.0


def test_without_a_known_length_the_frame_decides():
    unknown = project([np.nan, np.nan], 1920, 1080)
    assert len(animal_lengths(unknown, range(2))) == 0
    assert auto_scale(unknown, range(2)) == 0.33
    assert auto_scale(project([np.nan], 640, 480), range(1)) == 1.0
    assert auto_crop(unknown, range(2), 0.33) == (160, 160)


def test_the_box_of_a_project_stands_in_for_a_single_keypoint():
    assert list(animal_lengths(project([np.nan], boxes=[0, 0, 30, 90]), [0])) == [90]
    assert list(animal_lengths(project([60], boxes=[0, 0, 30, 90]), [0])) == [60]


def test_images_without_animals_do_not_count():
    data = project([100, 100])
    empty = LabelledImage.create(ImageFile(Path("e.png")), "e.png", 640, 480, Instances.empty(2))
    both = LabelledDataset(data.skeleton, (*data.images, empty), data.root, data.name)
    np.testing.assert_array_equal(animal_lengths(both, range(3)), [100, 100])
    assert auto_scale(both, range(3)) == 0.5
    assert len(animal_lengths(both, [])) == 0


def test_only_the_given_rows_count():
    assert auto_scale(project([60, 240], 2000, 2000), [1]) == 0.25


@pytest.mark.parametrize(
    ("length", "scale", "crop"),
    [(100, 1.0, (224, 224)), (124, 0.5, (160, 160)), (10, 1.0, (96, 96)), (300, 1.0, (480, 640))],
)
def test_crops_hold_an_animal_twice(length, scale, crop):
    assert auto_crop(project([length]), [0], scale) == crop


@given(
    st.lists(st.floats(1, 3000), min_size=1, max_size=5),
    st.integers(20, 3000),
    st.integers(20, 3000),
    st.sampled_from([8, 32]),
)
def test_what_is_decided_is_always_usable(lengths, width, height, multiple):
    data = project(lengths, width, height)
    scale = auto_scale(data, range(len(lengths)))
    assert 0 < scale <= 1
    assert scale * max(width, height) >= min(150, max(width, height))
    crop = auto_crop(data, range(len(lengths)), scale, multiple)
    for side, frame in zip(crop, (height, width), strict=True):
        assert side % multiple == 0
        assert multiple <= side < frame * scale + multiple
