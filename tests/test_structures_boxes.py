"""What counts as the box of an animal, and as an animal with a keypoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pose_core.data.boxes import CropRule
from pose_core.structures import ImageFile, Instances, LabelledImage, Skeleton

NAN = [np.nan, np.nan]


def animals() -> Instances:
    """One with a drawn box, one with keypoints alone, one with a single keypoint, one with neither."""
    drawn = [0.0, 0.0, 50.0, 40.0]
    return Instances.from_keypoints(
        [[[10.0, 10.0], [20.0, 30.0]], [[1.0, 2.0], [5.0, 9.0]], [[7.0, 7.0], NAN], [NAN, NAN]],
        boxes=[drawn, [np.nan] * 4, [np.nan, 1, 2, 3], [np.nan] * 4],
    )


def test_a_box_is_the_drawn_one_or_that_of_the_keypoints() -> None:
    found = animals().animal_boxes()
    np.testing.assert_array_equal(found, [[0, 0, 50, 40], [1, 2, 5, 9], [7, 7, 7, 7], [np.nan] * 4])
    assert found.dtype == np.float32
    record = LabelledImage.create(ImageFile(Path("a.png")), "a.png", 64, 48, animals())
    np.testing.assert_array_equal(CropRule(Skeleton(("a", "b")), 0.0).around_labels(record), found)


def test_an_animal_with_one_keypoint_has_a_keypoint_and_an_image_may_have_only_a_unique_one() -> None:
    assert animals().has_keypoint.tolist() == [True, True, True, False]
    alone = animals().select([3])
    record = LabelledImage.create(ImageFile(Path("a.png")), "a.png", 64, 48, alone, unique_keypoints=[NAN])
    assert not record.has_keypoint
    record = LabelledImage.create(
        ImageFile(Path("a.png")), "a.png", 64, 48, alone, unique_keypoints=[[3.0, 4.0]]
    )
    assert record.has_keypoint
