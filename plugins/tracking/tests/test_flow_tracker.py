"""The tracker by optical flow: it follows what pictures show, and every setting has an effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from crowd_video import draw_crowd
from pose_tracking.config import FlowConfig
from pose_tracking.flow_tracker import FlowTracker, _reduce
from pose_tracking.matching import assign, assign_greedily

from pose_core.interfaces import TrackerContext
from pose_core.structures import ByteArray, Frame, Instances, Skeleton
from pose_core.synthetic.crowd import CROWD_SKELETON, Crowd, CrowdSpec

SIDE = 140
CONTEXT = TrackerContext(CROWD_SKELETON, width=SIDE, height=SIDE)
HARD = CrowdSpec(
    frames=50,
    animals=4,
    size=(SIDE, SIDE),
    length=40,
    speed=0.15,
    pull=1.0,
    lost=0.3,
    hidden=0.2,
    noise=0.06,
    double=0.2,
)
BAR = np.array([[0, 0], [10, 4], [20, 0], [30, 4]], float)
SKELETON = Skeleton(("a", "b", "c", "d"))


def follow(tracker: Any, frames: Sequence[Frame], images: Sequence[ByteArray]) -> list[list[int]]:
    ids = []
    for frame, image in zip(frames, images, strict=True):
        tracker.take_image(frame.index, image)
        ids.append(tracker.update(frame.index, frame.instances).tolist())
    return ids


def place(*corners: tuple[float, float], index: int = 0) -> Frame:
    """Animals of one shape at some places."""
    return Frame(index, Instances.from_keypoints(BAR + np.array(corners)[:, None]))


@pytest.fixture(scope="module")
def hard() -> tuple[list[Frame], list[ByteArray]]:
    crowd = Crowd(HARD)
    return list(crowd.found()), draw_crowd(crowd.truth(), SIDE)


SETTINGS: dict[str, Any] = {
    "track_window": 1,
    "similarity": "iou",
    "match": "greedy",
    "robust": 0.0,
    "min_match_similarity": 0.6,
    "oks_stddev": 0.02,
    "min_match_points": 9,
    "min_new_track_points": 10,
    "duplicate_similarity": 0.2,
    "img_scale": 0.3,
    "of_window_size": 3,
    "of_max_levels": 0,
}


@pytest.mark.parametrize(("name", "value"), [*SETTINGS.items(), ("similarity", "centroid")])
def test_every_setting_has_an_effect(
    hard: tuple[list[Frame], list[ByteArray]], name: str, value: Any
) -> None:
    usual = follow(FlowTracker(FlowConfig(), CONTEXT), *hard)
    assert follow(FlowTracker(FlowConfig(**{name: value}), CONTEXT), *hard) != usual


def test_all_settings_are_tried() -> None:
    assert set(SETTINGS) == set(FlowConfig.model_fields) - {"type"}


def draw_furs(*corners: tuple[int, int]) -> ByteArray:
    """Animals of one shape, each with a fur of its own."""
    rng = np.random.default_rng(1)
    image = np.full((120, 180), 90, np.uint8)
    for x, y in corners:
        fur = cv2.GaussianBlur(rng.random((24, 50)), (0, 0), 4)
        image[y - 10 : y + 14, x - 10 : x + 40] = 255 * (fur - fur.min()) / np.ptp(fur)
    return np.repeat(image[..., None], 3, axis=2)


def test_pictures_decide_where_poses_alone_mislead() -> None:
    """Two animals go so far that each is nearest to where the other was."""
    before, after = ((20, 30), (20, 62)), ((20, 48), (20, 80))
    frames = [place(*before), place(*after, index=1)]
    moving = [draw_furs(*before), draw_furs(*after)]
    assert follow(FlowTracker(FlowConfig(), TrackerContext(SKELETON)), frames, moving) == [[0, 1], [0, 1]]
    still = [moving[0], moving[0]]
    assert follow(FlowTracker(FlowConfig(), TrackerContext(SKELETON)), frames, still) != [[0, 1], [0, 1]]


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_an_animal_that_is_not_found_for_some_frames_has_its_id_again(scale: float) -> None:
    truth = [place((20 + 3 * t, 30), (90 - 3 * t, 90), index=t) for t in range(8)]
    found = [
        replace(frame, instances=frame.instances.select([0] if 2 <= frame.index < 5 else [0, 1]))
        for frame in truth
    ]
    tracker = FlowTracker(FlowConfig(img_scale=scale), TrackerContext(SKELETON))
    assert follow(tracker, found, draw_crowd(truth, 140)) == [[0, 1]] * 2 + [[0]] * 3 + [[0, 1]] * 3


def test_time_is_the_number_of_the_frame() -> None:
    picture = draw_crowd([place((20, 30))], 100) * 2
    frames = [place((20, 30)), place((20, 30), index=5)]
    assert follow(FlowTracker(FlowConfig(), TrackerContext(SKELETON)), frames, picture) == [[0], [0]]
    late = [frames[0], replace(frames[1], index=6)]
    assert follow(FlowTracker(FlowConfig(), TrackerContext(SKELETON)), late, picture) == [[0], [1]]


def test_with_final_ids_and_known_animals_one_that_was_lost_is_found_again() -> None:
    frames = [
        place((20, 30), (100, 100)),
        place((20, 30), index=1),
        place((20, 30), (21, 30), index=39),
        place((20, 30), (60, 100), index=40),
    ]
    tracker = FlowTracker(FlowConfig(), TrackerContext(SKELETON, animals=2))
    ids = follow(tracker, frames, draw_crowd(frames, 160))
    # A second detection of the one that is there is not the lost one.
    assert ids[:2] == [[0, 1], [0]]
    assert sorted(ids[2]) == [-1, 0]
    assert ids[3] == [0, 1]


def test_images_of_another_size_say_nothing_and_are_no_error() -> None:
    frames = [place((20, 30)), place((20, 30), index=1), place((20, 30), index=2)]
    images = [draw_crowd([frame], side)[0] for frame, side in zip(frames, (100, 120, 120), strict=True)]
    assert follow(FlowTracker(FlowConfig(), TrackerContext(SKELETON)), frames, images) == [[0], [1], [1]]


def test_a_new_track_ends_the_one_that_was_lost_where_all_animals_have_one() -> None:
    frames = [place((20, 30)), place((100, 100), index=1), place((20, 30), index=2)]
    context = TrackerContext(SKELETON, animals=1, linked=True)
    ids = follow(FlowTracker(FlowConfig(), context), frames, draw_crowd(frames, 160))
    assert ids == [[0], [1], [2]]


def test_a_crowd_keeps_its_ids() -> None:
    crowd = Crowd(CrowdSpec(frames=60, animals=3, size=(200, 200), length=40, lost=0.05))
    truth = list(crowd.truth())
    ids = follow(FlowTracker(FlowConfig(), CONTEXT), truth, draw_crowd(truth, 200))
    assert ids == [ids[0]] * 60
    assert sorted(ids[0]) == [0, 1, 2]


def test_quantiles_leave_out_poses_that_are_not_there() -> None:
    rng = np.random.default_rng(0)
    similarity = rng.random((5, 3, 4))
    similarity[rng.random(similarity.shape) < 0.4] = np.nan
    similarity[:, 0, 0] = np.nan
    for quantile in (0.0, 0.3, 0.95, 1.0):
        with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="All-NaN"):
            expected = np.nanquantile(similarity, quantile, axis=0)
        expected[np.isnan(expected)] = -np.inf
        assert _reduce(similarity, quantile) == pytest.approx(expected)


def test_greedy_takes_the_most_similar_first() -> None:
    similarity = np.array([[0.9, 0.8], [0.7, 0.1]])
    assert [part.tolist() for part in assign(similarity, 0.0)] == [[0, 1], [1, 0]]
    assert [part.tolist() for part in assign_greedily(similarity, 0.0)] == [[0, 1], [0, 1]]
    assert [part.tolist() for part in assign_greedily(similarity, 0.2)] == [[0], [0]]
    assert [part.tolist() for part in assign_greedily(np.zeros((0, 2)), 0.0)] == [[], []]
