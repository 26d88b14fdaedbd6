"""The trackers: what they promise, and that every setting has an effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pose_tracking.box_tracker import BoxTracker
from pose_tracking.config import BoxesConfig, IdentityConfig, OksConfig
from pose_tracking.identity_tracker import IdentityTracker
from pose_tracking.matching import ScoreScale, assign, compute_margins, is_clear
from pose_tracking.motion import Motion
from pose_tracking.oks_tracker import OksTracker

from pose_core.interfaces import TrackerContext
from pose_core.structures import Frame, Instances, Skeleton
from pose_core.synthetic.crowd import CROWD_SKELETON, Crowd, CrowdSpec

CONTEXT = TrackerContext(CROWD_SKELETON, width=700, height=700)
HARD = CrowdSpec(
    frames=250, animals=4, size=(500, 500), pull=1.0, lost=0.3, hidden=0.2, noise=0.06, double=0.1
)


def follow(tracker: Any, frames: Sequence[Frame]) -> list[list[int]]:
    return [tracker.update(frame.index, frame.instances).tolist() for frame in frames]


@pytest.fixture(scope="module")
def hard() -> list[Frame]:
    """Animals on each other, with scores from low to high."""
    rng = np.random.default_rng(0)
    frames = []
    for frame in Crowd(HARD).found():
        scores = rng.uniform(0.02, 1, len(frame.instances)).astype(np.float32)
        frames.append(replace(frame, instances=replace(frame.instances, scores=scores)))
    return frames


MOTION: dict[str, Any] = {
    "track_high_threshold": 0.8,
    "track_low_threshold": 0.4,
    "new_track_threshold": 0.8,
    "min_match_similarity": 0.5,
    "second_match_similarity": 0.8,
    "duplicate_similarity": 0.2,
    "track_buffer": 2,
    "gate": 0.2,
    "measurement_noise": 0.3,
    "position_noise": 0.5,
    "velocity_noise": 0.3,
    "velocity_decay": 1.0,
}
OKS = {**MOTION, "oks_stddev": 0.02, "centre_weight": 1.0, "track_window": 1}
BOXES = {**MOTION, "box_padding": 0.5, "inertia": 0.0, "delta_t": 1, "use_byte": False}


@pytest.mark.parametrize(("name", "value"), OKS.items())
def test_every_setting_of_oks_has_an_effect(hard: list[Frame], name: str, value: Any) -> None:
    usual = follow(OksTracker(OksConfig(), CONTEXT), hard)
    assert follow(OksTracker(OksConfig(**{name: value}), CONTEXT), hard) != usual


@pytest.mark.parametrize(("name", "value"), BOXES.items())
def test_every_setting_of_boxes_has_an_effect(hard: list[Frame], name: str, value: Any) -> None:
    usual = follow(BoxTracker(BoxesConfig(), CONTEXT), hard)
    assert follow(BoxTracker(BoxesConfig(**{name: value}), CONTEXT), hard) != usual


def test_all_settings_are_tried() -> None:
    assert set(OKS) == set(OksConfig.model_fields) - {"type"}
    assert set(BOXES) == set(BoxesConfig.model_fields) - {"type"}


def scaled(frames: Sequence[Frame], by: float, shift: float) -> list[Frame]:
    made = []
    for frame in frames:
        animals = frame.instances
        moved = replace(animals, keypoints=animals.keypoints * by + shift, boxes=animals.boxes * by + shift)
        made.append(replace(frame, instances=moved))
    return made


@pytest.mark.parametrize("tracker", [(OksTracker, OksConfig), (BoxTracker, BoxesConfig)])
@pytest.mark.parametrize(("by", "shift"), [(0.25, 0.0), (4.0, 64.0), (1.0, -128.0)])
def test_size_and_place_of_everything_mean_nothing(tracker: Any, by: float, shift: float) -> None:
    # Powers of two, so that rounding is the same.
    frames = list(Crowd(replace(HARD, frames=120, noise=0.03, lost=0.1)).found())
    make, config = tracker
    context = replace(CONTEXT, width=0, height=0)
    assert follow(make(config(), context), scaled(frames, by, shift)) == follow(
        make(config(), context), frames
    )


def test_an_animal_that_is_lost_for_a_while_has_its_id_again() -> None:
    points = np.array([[[0, 0], [20, 0], [40, 0]]], float)
    skeleton = Skeleton(("a", "b", "c"))
    for make, config in ((OksTracker, OksConfig()), (BoxTracker, BoxesConfig())):
        tracker = make(config, TrackerContext(skeleton))
        ids = [
            tracker.update(t, Instances.from_keypoints(points + np.array([3 * t, 0]))).tolist()
            for t in (*range(20), *range(26, 40))
        ]
        assert ids == [[0]] * 34
        # Too long: another animal may have come.
        assert tracker.update(80, Instances.from_keypoints(points + np.array([120, 0]))).tolist() == [1]


def test_with_final_ids_and_known_animals_no_track_ends() -> None:
    points = np.array([[[0, 0], [20, 0], [40, 0]]], float)
    tracker = OksTracker(OksConfig(), TrackerContext(Skeleton(("a", "b", "c")), animals=1))
    assert tracker.update(0, Instances.from_keypoints(points)).tolist() == [0]
    assert tracker.update(5000, Instances.from_keypoints(points + np.array([300, 0]))).tolist() == [0]


def test_an_animal_far_away_is_never_the_same() -> None:
    points = np.array([[[0, 0], [20, 0], [40, 0]]], float)
    for make, config in ((OksTracker, OksConfig()), (BoxTracker, BoxesConfig())):
        tracker = make(config, TrackerContext(Skeleton(("a", "b", "c"))))
        assert tracker.update(0, Instances.from_keypoints(points)).tolist() == [0]
        assert tracker.update(1, Instances.from_keypoints(points + np.array([300, 0]))).tolist() == [1]


def test_single_keypoints_are_followed() -> None:
    for make, config in ((OksTracker, OksConfig()), (BoxTracker, BoxesConfig())):
        tracker = make(config, TrackerContext(Skeleton(("a",)), width=640, height=480))
        ids = [
            tracker.update(t, Instances.from_keypoints([[[10 + 2 * t, 50]], [[300 - t, 400]]])).tolist()
            for t in range(150)
        ]
        assert ids == [ids[0]] * 150


def test_a_second_detection_continues_no_lost_track() -> None:
    points = np.array([[[0, 0], [20, 0], [40, 0]], [[30, 30], [50, 30], [70, 30]]], float)
    for make, config in ((OksTracker, OksConfig(gate=3)), (BoxTracker, BoxesConfig(gate=3))):
        tracker = make(config, TrackerContext(Skeleton(("a", "b", "c"))))
        assert tracker.update(0, Instances.from_keypoints(points)).tolist() == [0, 1]
        tracker.update(1, Instances.from_keypoints(points[:1]))
        twice = np.stack([points[0] + 15, points[0] + 15.5])
        assert (tracker.update(2, Instances.from_keypoints(twice)) >= 0).sum() == 1


def test_a_new_track_ends_the_one_that_was_lost_where_all_animals_have_one() -> None:
    points = np.array([[[0, 0], [20, 0], [40, 0]]], float)
    context = TrackerContext(Skeleton(("a", "b", "c")), animals=1, linked=True)
    for make, config in ((OksTracker, OksConfig()), (BoxTracker, BoxesConfig())):
        tracker = make(config, context)
        for t in range(5):
            assert tracker.update(t, Instances.from_keypoints(points)).tolist() == [0]
        assert tracker.update(9, Instances.from_keypoints(points + np.array([300, 0]))).tolist() == [1]
        assert tracker.update(10, Instances.from_keypoints(points)).tolist() == [2]


def test_a_second_detection_starts_no_track() -> None:
    points = np.array([[[0, 0], [20, 0], [40, 0]]] * 2, float)
    points[1] += 1
    for make, config in ((OksTracker, OksConfig()), (BoxTracker, BoxesConfig())):
        tracker = make(config, TrackerContext(Skeleton(("a", "b", "c"))))
        found = Instances.from_keypoints(points, scores=[0.8, 0.9])
        assert tracker.update(0, found).tolist() == [-1, 0]


def test_landmarks_say_nothing_of_an_animal() -> None:
    skeleton = Skeleton(("a", "b", "corner"), landmarks=("corner",))
    tracker = OksTracker(OksConfig(), TrackerContext(skeleton))
    points = np.array([[[0, 0], [30, 0], [500, 500]], [[200, 0], [230, 0], [500, 500]]], float)
    assert tracker.update(0, Instances.from_keypoints(points)).tolist() == [0, 1]
    assert tracker.update(1, Instances.from_keypoints(points[::-1])).tolist() == [1, 0]


@pytest.mark.parametrize("linked", [False, True])
def test_animals_that_lie_on_each_other_keep_their_ids(linked: bool) -> None:
    """In frame 333 all keypoints of the two are a tenth of their length apart, and a quarter are not found."""
    spec = CrowdSpec(frames=360, animals=2, size=(509, 509), pull=0.5)
    context = replace(CONTEXT, animals=2, linked=linked)
    tracker, crowd = OksTracker(OksConfig(), context), Crowd(spec)
    seen: dict[int, set[int]] = {}
    for frame, truth in zip(crowd.found(), crowd.truth(), strict=True):
        ids = tracker.update(frame.index, frame.instances)
        apart = np.nanmean(
            np.abs(frame.instances.keypoints[:, None] - truth.instances.keypoints), axis=(-2, -1)
        )
        for track, animal in zip(ids.tolist(), apart.argmin(axis=1).tolist(), strict=True):
            if track >= 0:
                seen.setdefault(track, set()).add(animal)
    assert all(len(animals) == 1 for animals in seen.values()), seen


def test_names_make_tracks() -> None:
    skeleton = Skeleton(("a",), individuals=("anna", "bert"), identified=True)
    points = np.zeros((3, 1, 2))
    found = Instances.from_keypoints(points, identity=[1, 1, 0], identity_scores=[0.6, 0.9, 0.3])
    assert IdentityTracker(IdentityConfig(), TrackerContext(skeleton)).update(0, found).tolist() == [-1, 1, 0]
    sure = IdentityTracker(IdentityConfig(min_identity_score=0.5), TrackerContext(skeleton))
    assert sure.update(0, found).tolist() == [-1, 0, -1]
    short = IdentityTracker(IdentityConfig(track_buffer=3), TrackerContext(skeleton))
    assert short.update(0, found).tolist() == [-1, 1, 0]
    assert short.update(4, found.select([0, 2])).tolist() == [1, 0]
    assert short.update(9, found.select([1])).tolist() == [2]


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5), st.floats(0, 0.9))
def test_pairs_are_those_with_lost_and_new_as_alternatives(
    seed: int, rows: int, columns: int, least: float
) -> None:
    similarity = np.random.default_rng(seed).random((rows, columns))
    similarity[similarity < 0.2] = -np.inf
    found = set(zip(*(part.tolist() for part in assign(similarity, least)), strict=True))
    assert all(similarity[pair] > least for pair in found)
    # The augmented matrix, written out: to be lost and to be new cost half of what the least similar pair does.
    from scipy.optimize import linear_sum_assignment

    half = (1 - least) / 2
    whole = np.full((rows + columns, rows + columns), 1e6)
    whole[:rows, :columns] = np.minimum(1 - similarity, 1e6)
    whole[:rows, columns:][np.eye(rows, dtype=bool)] = half
    whole[rows:, :columns][np.eye(columns, dtype=bool)] = half
    whole[rows:, columns:] = 0
    i, j = linear_sum_assignment(whole)
    assert found == {(a, b) for a, b in zip(i.tolist(), j.tolist(), strict=True) if a < rows and b < columns}


def scale_next(scale: ScoreScale, *frames: Instances) -> list[float]:
    scores, counts = scale.scale(frames)
    scale.counts = counts[-1]
    return scores.tolist()


def test_scores_are_relative_to_those_of_the_video() -> None:
    rng = np.random.default_rng(0)
    strong, weak = ScoreScale(), ScoreScale()
    points = np.zeros((4, 1, 2))
    for _ in range(50):
        scores = rng.uniform(0.3, 1, 4)
        one = scale_next(strong, Instances.from_keypoints(points, scores=scores))
        other = scale_next(weak, Instances.from_keypoints(points, scores=scores / 2))
    assert one == pytest.approx(other, abs=0.02)
    assert scale_next(ScoreScale(), Instances.from_keypoints(points, scores=[0] * 4)) == [1] * 4


def test_scores_of_several_frames_are_scaled_as_one_after_another() -> None:
    rng = np.random.default_rng(0)
    scores = [rng.uniform(0, 0.1 + 0.03 * i, 1 + i % 3).astype(np.float32) for i in range(30)]
    scores[0][:] = 0
    scores[7][0] = np.nan
    frames = [
        Instances.from_keypoints(
            np.zeros((len(s), 2, 2)), keypoint_scores=np.full((len(s), 2), 0.4), scores=s
        )
        for s in scores
    ]
    one, other = ScoreScale(), ScoreScale()
    apart = [score for frame in frames for score in scale_next(one, frame)]
    assert scale_next(other, *frames[:11]) + scale_next(other, *frames[11:]) == apart
    assert np.array_equal(one.counts, other.counts)


def ask(tracker: Any, frame: Frame) -> tuple[list[int], bytes]:
    ids, margins = tracker.update(frame.index, frame.instances), tracker.compute_margins()
    return ids.tolist(), b"" if margins is None else margins.tobytes()


@pytest.mark.parametrize("make", [(OksTracker, OksConfig), (BoxTracker, BoxesConfig)])
@pytest.mark.parametrize("final", [False, True])
@settings(max_examples=5, deadline=None)
@example(sizes=[40, 3, 25], left_out=10)
@given(sizes=st.lists(st.integers(1, 90), min_size=1, max_size=8), left_out=st.integers(0, 10))
def test_frames_that_are_announced_have_the_same_ids_and_margins(
    hard: list[Frame], make: Any, final: bool, sizes: list[int], left_out: int
) -> None:
    """To the last bit; also where others come than those announced, and where the tracker is replaced in between."""
    tracker, config = make
    context = replace(CONTEXT, animals=4, linked=not final)
    usual, told = tracker(config(), context), tracker(config(), context)
    start = 0
    for size in sizes:
        block = hard[start : start + size]
        if size % 3:
            told.prepare(block)
        # The last ones that were announced do not come, but others, announced or not.
        for frame in block[: max(1, size - left_out)]:
            assert ask(told, frame) == ask(usual, frame)
        start += size
        if size % 2:
            state, told = told.state_dict(), tracker(config(), context)
            told.load_state_dict(state)


def test_what_was_measured_ahead_is_not_taken_after_a_frame_that_was_not_announced(hard: list[Frame]) -> None:
    usual, told = OksTracker(OksConfig(), CONTEXT), OksTracker(OksConfig(), CONTEXT)
    told.prepare(hard[:3])
    # Its scores are other ones, by which those of the next frame are judged.
    low = replace(hard[1].instances, scores=hard[1].instances.scores / 100)
    for frame in (hard[0], replace(hard[1], instances=low), hard[2]):
        assert ask(told, frame) == ask(usual, frame)
    assert np.array_equal(told.state_dict()["scores"]["counts"], usual.state_dict()["scores"]["counts"])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.floats(0, 0.9), st.integers(0, 10**6))
def test_pairs_that_share_nothing_are_the_assignment(
    rows: int, columns: int, least: float, seed: int
) -> None:
    similarity = np.random.default_rng(seed).uniform(-1, 1, (rows, columns))
    one, other = (similarity > least).nonzero()
    shared = len(set(one.tolist())) < len(one) or len(set(other.tolist())) < len(other)
    assert is_clear(one, other) is not shared
    if not shared:
        found = assign(similarity, least)
        assert [part.tolist() for part in found] == [one.tolist(), other.tolist()]


def test_the_filter_is_the_one_with_whole_matrices() -> None:
    """Against the textbook's: state (x, v), transition, covariance as 2 x 2 matrices."""
    config, size, rng = OksConfig(), 40.0, np.random.default_rng(0)
    motion = Motion(config)
    motion.add(0, np.array([0j]), np.array([size]))
    state, covariance = np.zeros((2, 2)), np.diag([(0.1 * size) ** 2, (size / 16) ** 2])
    move = np.array([[1.0, 1.0], [0.0, 1.0]])
    noise = np.diag([(config.position_noise * size) ** 2, (config.velocity_noise * size) ** 2])
    # Long enough for the gains to settle.
    for frame in range(1, 300):
        measured = np.array([5.0 * frame, frame]) + rng.normal(0, 2, 2)
        state, covariance = move @ state, move @ covariance @ move.T + noise
        gain = covariance[:, 0] / (covariance[0, 0] + (config.measurement_noise * size) ** 2)
        state = state + gain[:, None] * (measured - state[0])
        covariance = covariance - gain[:, None] * covariance[0]
        motion.correct(np.array([0]), frame, measured[:1] + 1j * measured[1:], np.array([np.nan]))
        assert motion.centre[0] == pytest.approx(complex(*state[0]))
        assert motion.velocity[0] == pytest.approx(complex(*state[1]))


def test_an_animal_that_is_not_seen_slows_down_and_keeps_its_pace_when_found() -> None:
    motion = Motion(OksConfig())
    motion.add(0, np.array([0j]), np.array([40.0]))
    for frame in range(1, 40):
        motion.correct(np.array([0]), frame, np.array([4j * frame]), np.array([40.0]))
    assert motion.predict(42)[0].imag == pytest.approx(168, abs=0.5)
    assert motion.predict(10_000)[0].imag < 156 + 4 * 8
    # Found further on: its velocity is that of the way, not what a jump would say.
    motion.correct(np.array([0]), 60, np.array([240j]), np.array([40.0]))
    assert motion.velocity[0] == pytest.approx(4j, abs=0.3)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_margins_are_what_the_best_exchange_of_two_would_cost(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.random((count, count))
    similarity[rng.random((count, count)) < 0.3] = -np.inf
    rows, columns = assign(similarity, 0.1)
    tracks = np.arange(10, 10 + count)
    ids = np.full(count, -1)
    ids[columns] = tracks[rows]
    margins = compute_margins(similarity, tracks, ids, 0.1)
    possible = similarity > 0.1
    gain = np.where(possible, similarity, 0)
    for row, column in zip(rows, columns, strict=True):
        costs = []
        for other in range(count):
            (theirs,) = columns[rows == other] if other in rows else (None,)
            if other == row:
                continue
            if theirs is None:
                if possible[other, column]:
                    costs.append(gain[row, column] - gain[other, column])
            elif possible[other, column] or possible[row, theirs]:
                straight = gain[row, column] + gain[other, theirs]
                costs.append((straight - gain[other, column] - gain[row, theirs]) / 2)
        expected = min(costs, default=np.nan)
        assert margins[column] == pytest.approx(max(expected, 0), abs=1e-6, nan_ok=True)
    assert np.isnan(margins[ids < 0]).all()


def test_margins_are_small_where_animals_meet_and_unknown_where_one_is_alone() -> None:
    points = np.array([[[0, 0], [20, 0], [40, 0]]], float)
    for make, config in ((OksTracker, OksConfig()), (BoxTracker, BoxesConfig())):
        tracker = make(config, TrackerContext(Skeleton(("a", "b", "c"))))
        apart = []
        for t in range(81):
            pair = np.concatenate([points + np.array(by) for by in ((0.5 * t, 0), (80 - 1.5 * t, 0.5))])
            tracker.update(t, Instances.from_keypoints(pair))
            apart.append(tracker.compute_margins())
        assert apart[0] is None or np.isnan(apart[0]).all()
        assert np.isnan(apart[1]).all()
        assert np.min(apart[39:42]) < 0.3
        assert not (apart[30] < 0.3).any()
        # Both exchange or neither does.
        assert apart[40][0] == pytest.approx(apart[40][1])


def test_probabilities_of_all_names_decide_together() -> None:
    skeleton = Skeleton(("a",), individuals=("anna", "bert"), identified=True)
    found = Instances.from_keypoints(
        np.zeros((2, 1, 2)), identity=[0, -1], identity_probabilities=[[0.9, 0.1], [0.8, 0.2]]
    )
    tracker = IdentityTracker(IdentityConfig(), TrackerContext(skeleton))
    # 0.9 + 0.2 against 0.1 + 0.8; but less than half of chance is no name.
    assert tracker.update(0, found).tolist() == [0, -1]
    sure = replace(found, identity_probabilities=np.array([[0.9, 0.1], [0.6, 0.4]], np.float32))
    assert tracker.update(1, sure).tolist() == [0, 1]
    margins = tracker.compute_margins()
    assert margins is not None
    assert margins.tolist() == pytest.approx([0.8, 0.0])
