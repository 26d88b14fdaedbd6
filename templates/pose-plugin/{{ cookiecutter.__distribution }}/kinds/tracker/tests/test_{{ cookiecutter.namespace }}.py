"""The tracker."""

import numpy as np
import pytest
from pose_core.interfaces import TrackerContext
from pose_core.structures import Instances, Skeleton
from pydantic import ValidationError

from {{ cookiecutter.__package }}.config import NearestConfig
from {{ cookiecutter.__package }}.tracker import NearestTracker

CONTEXT = TrackerContext(Skeleton(("nose", "tail")))


def animals(*places: tuple[float, float]) -> Instances:
    """Animals of 20 pixels."""
    return Instances.from_keypoints([[[x, y], [x + 20, y]] for x, y in places])


def test_animals_keep_their_ids_in_any_order() -> None:
    tracker = NearestTracker(NearestConfig(), CONTEXT)
    assert tracker.update(0, animals((0, 0), (100, 0))).tolist() == [0, 1]
    assert tracker.update(1, animals((103, 0), (2, 0))).tolist() == [1, 0]


def test_one_that_is_out_of_reach_begins_a_track() -> None:
    tracker = NearestTracker(NearestConfig(reach=0.5), CONTEXT)
    tracker.update(0, animals((0, 0)))
    assert tracker.update(1, animals((15, 0))).tolist() == [1]


def test_a_track_goes_on_after_some_frames_and_ends_after_more() -> None:
    for later, expected in ((5, [0]), (30, [1])):
        tracker = NearestTracker(NearestConfig(track_buffer=10), CONTEXT)
        tracker.update(0, animals((0, 0)))
        assert tracker.update(later, animals((3, 0))).tolist() == expected


def test_there_are_never_more_ids_than_animals() -> None:
    tracker = NearestTracker(NearestConfig(), TrackerContext(Skeleton(("nose", "tail")), animals=1))
    assert sorted(tracker.update(0, animals((0, 0), (100, 0))).tolist()) == [-1, 0]


def test_an_animal_without_a_place_is_no_error() -> None:
    tracker = NearestTracker(NearestConfig(), CONTEXT)
    nowhere = Instances.from_keypoints(np.full((1, 2, 2), np.nan))
    assert tracker.update(0, nowhere).shape == (1,)


def test_settings_are_checked() -> None:
    with pytest.raises(ValidationError, match="reach"):
        NearestConfig(reach=0)
