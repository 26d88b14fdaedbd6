"""``cropping`` of a DeepLabCut project is kept with the run."""

from __future__ import annotations

from typing import Any

import pytest

from pose_core.errors import DataError
from pose_core.structures import Region
from pose_core.training.prepare import prepare

CORNERS = {"x1": 0, "x2": 96, "y1": 10, "y2": 64}


def test_the_crop_of_a_project_is_read(single: Any) -> None:
    single.label()
    single.configure(cropping=True, video_sets={}, **CORNERS)
    dataset = single.read()
    assert dataset.crop == Region(0, 96, 10, 64)
    assert dataset.video_crops == {}
    # Labels are in pixels of the images as they are.
    assert (dataset.images[0].width, dataset.images[0].height) == (64, 48)


@pytest.mark.parametrize(
    ("video", "crop", "expected"),
    [
        ("/home/ada/two.avi", "0, 192, 0, 64", {"two.avi": Region(0, 192, 0, 64)}),
        (r"C:\Users\ada\arena: left.mp4", "5,50,6,60", {"arena: left.mp4": Region(5, 50, 6, 60)}),
        ("three.avi", "0.0, 95.6, 10.4, 64.0", {}),
        ("four.avi", "", {}),
    ],
)
def test_videos_may_have_crops_of_their_own(
    single: Any, video: str, crop: str, expected: dict[str, Region]
) -> None:
    single.label()
    single.configure(cropping=True, video_sets={video: {"crop": crop}}, **CORNERS)
    dataset = single.read()
    assert dataset.crop == Region(0, 96, 10, 64)
    assert dataset.video_crops == expected


def test_videos_alone_may_be_cropped(multi: Any) -> None:
    multi.label()
    multi.configure(cropping="yes", video_sets={"a.avi": {"crop": "0, 9, 0, 8"}, "b.avi": {}})
    dataset = multi.read()
    assert (dataset.crop, dataset.video_crops) == (None, {"a.avi": Region(0, 9, 0, 8)})


@pytest.mark.parametrize("said", [{"cropping": False}, {"cropping": None}, {"cropping": "no"}, {}])
def test_stale_numbers_without_cropping_change_nothing(single: Any, said: dict[str, Any]) -> None:
    single.label()
    single.configure(**said, x1=0, x2=640, y1=277, y2=624, video_sets={"a.avi": {"crop": "garbage"}})
    dataset = single.read()
    assert (dataset.crop, dataset.video_crops) == (None, {})
    assert not [note for note in prepare(single.root, "unet").notes if "crops videos" in note]


@pytest.mark.parametrize(
    "corners",
    [
        {"x1": 5, "x2": 5, "y1": 0, "y2": 9},
        {"x1": 0, "x2": 9, "y1": 0},
        {"x1": "left", "x2": 9, "y1": 0, "y2": 9},
        {"x1": -4, "x2": 9, "y1": 0, "y2": 9},
        {"x1": 0, "x2": ".nan", "y1": 0, "y2": 9},
    ],
)
def test_a_crop_without_pixels_is_named(single: Any, corners: dict[str, Any]) -> None:
    single.label()
    single.configure(cropping=True, **corners)
    with pytest.raises(
        DataError, match=r"config\.yaml: cropping is true, and x1, x2, y1, y2 must be"
    ) as caught:
        single.read()
    assert "\n" not in str(caught.value)


def test_a_run_keeps_the_crop_and_training_says_so(single: Any) -> None:
    single.label()
    single.configure(cropping=True, video_sets={"a.avi": {"crop": "0, 9, 0, 8"}}, **CORNERS)
    prepared = prepare(single.root, "unet")
    assert prepared.spec.data.crop == Region(0, 96, 10, 64)
    assert prepared.spec.data.video_crops == {"a.avi": Region(0, 9, 0, 8)}
    (note,) = [note for note in prepared.notes if "crops videos" in note]
    assert "x 0-96, y 10-64; a.avi: x 0-9, y 0-8" in note


def test_the_configuration_of_another_projects_run_brings_no_crop(single: Any, tmp_path: Any) -> None:
    single.label()
    single.configure(cropping=True, video_sets={}, **CORNERS)
    file = tmp_path / "config.yaml"
    file.write_text(
        "data:\n  source: /somewhere/else\n  crop: [1, 2, 3, 4]\n  video_crops: {b.avi: [0, 1, 0, 1]}\n"
    )
    prepared = prepare(single.root, "unet", config=file)
    assert (prepared.spec.data.crop, prepared.spec.data.video_crops) == (Region(0, 96, 10, 64), {})
    assert any("data.source, data.crop, data.video_crops: taken from" in note for note in prepared.notes)
