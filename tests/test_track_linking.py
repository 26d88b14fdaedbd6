"""Tracklets of a whole video are joined to N animals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_core.interfaces.tracker import Tracklet, TrackletEnd
from pose_core.structures import Frame, Instances, Skeleton
from pose_core.tracking import linking
from pose_core.tracking.linking import link_tracklets
from pose_core.tracking.tracklets import TrackletCollector


def piece(
    id_: int,
    first: int,
    last: int,
    start: tuple[float, float],
    end: tuple[float, float] | None = None,
    identity: tuple[float, ...] = (0.0,),
) -> Tracklet:
    """A tracklet of an animal of 50 pixels that goes straight from one place to another."""
    one, other = np.array(start, float), np.array(end or start, float)
    velocity = (other - one) / max(last - first, 1)
    pose = np.zeros((1, 2), np.float32)
    ends = [TrackletEnd(f, pose, c, velocity) for f, c in ((first, one), (last, other))]
    return Tracklet(id_, *ends, last - first + 1, 50.0, 1.0, np.array(identity))


def test_pieces_go_on_where_they_ended() -> None:
    pieces = [
        piece(7, 0, 50, (0, 0), (100, 0)),
        piece(8, 0, 50, (300, 300)),
        piece(9, 54, 99, (108, 0), (200, 0)),
        piece(10, 60, 99, (305, 300)),
    ]
    assert link_tracklets(pieces, 2) == {7: 0, 8: 1, 9: 0, 10: 1}


def test_animals_that_cross_unseen_go_on_in_their_directions() -> None:
    pieces = [
        piece(0, 0, 50, (0, 0), (100, 0)),
        piece(1, 0, 50, (200, 10), (110, 10)),
        piece(2, 56, 99, (112, 0), (200, 0)),
        piece(3, 56, 99, (99, 10), (0, 10)),
    ]
    assert link_tracklets(pieces, 2) == {0: 0, 1: 1, 2: 0, 3: 1}


def test_a_short_false_piece_stays_out_where_all_animals_are_seen() -> None:
    pieces = [piece(0, 0, 99, (0, 0)), piece(1, 0, 99, (300, 300)), piece(2, 40, 43, (600, 0))]
    assert link_tracklets(pieces, 2) == {0: 0, 1: 1}


def test_a_short_video_has_its_animals_too() -> None:
    assert link_tracklets([piece(0, 0, 0, (0, 0)), piece(1, 0, 0, (99, 0))], 2) == {0: 0, 1: 1}


def test_who_comes_back_far_away_is_the_one_who_was_away() -> None:
    pieces = [piece(0, 0, 999, (0, 0)), piece(1, 0, 99, (300, 300)), piece(2, 400, 999, (900, 0))]
    assert link_tracklets(pieces, 2) == {0: 0, 1: 1, 2: 1}


def test_names_decide_where_places_do_not() -> None:
    anna, bert = (40.0, 2.0), (2.0, 40.0)
    pieces = [
        piece(0, 0, 49, (0, 0), identity=anna),
        piece(1, 0, 49, (0, 20), identity=bert),
        piece(2, 55, 99, (0, 0), identity=bert),
        piece(3, 55, 99, (0, 20), identity=anna),
    ]
    assert link_tracklets(pieces, 2) == {0: 0, 1: 1, 2: 1, 3: 0}


def test_no_tracklets_are_no_animals() -> None:
    assert link_tracklets([], 3) == {}


def _random(seed: int, count: int, span: int = 200) -> list[Tracklet]:
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        first = int(rng.integers(span))
        start, end = rng.uniform(0, 500, (2, 2))
        made.append(piece(number, first, first + int(rng.integers(1, 80)), tuple(start), tuple(end)))
    return sorted(made, key=lambda t: (t.first.frame, t.id))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(0, 25))
def test_there_are_never_more_than_n_and_none_is_twice_in_a_frame(
    seed: int, animals: int, count: int
) -> None:
    pieces = _random(seed, count)
    tracks = link_tracklets(pieces, animals)
    assert set(tracks.values()) == set(range(len(set(tracks.values()))))
    assert len(set(tracks.values())) <= animals
    for one, other in itertools.combinations([p for p in pieces if p.id in tracks], 2):
        if tracks[one.id] == tracks[other.id]:
            assert one.last.frame < other.first.frame or other.last.frame < one.first.frame
    # Ids are stable from the first frame on: numbered as they appear.
    firsts = [tracks[p.id] for p in pieces if p.id in tracks]
    assert list(dict.fromkeys(firsts)) == sorted(set(firsts))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6))
def test_as_much_is_kept_as_the_best_of_all_ways(seed: int) -> None:
    """Where nothing fits anything (a place for each), what counts is which pieces are kept: tried by force."""
    pieces = _random(seed, 7, span=120)
    kept = link_tracklets(pieces, 2)

    def worth(chosen: tuple[Tracklet, ...]) -> float:
        # By the pool every free animal can take every piece; at most 2 at a time.
        if any(sum(p.first.frame <= frame <= p.last.frame for p in chosen) > 2 for frame in range(200)):
            return -np.inf
        jumps = max(len(chosen) - 2, 0)
        return linking.REWARD * sum(p.count for p in chosen) - linking.JUMP * jumps

    ways = itertools.chain.from_iterable(itertools.combinations(pieces, n) for n in range(8))
    best = max(worth(way) for way in ways)
    # Likely joints cost less than the pool, so that it may only be better.
    assert worth(tuple(p for p in pieces if p.id in kept)) <= best + 1e-6
    assert linking.REWARD * sum(p.count for p in pieces if p.id in kept) >= best - 1e-6


def test_windows_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = []
    for number in range(40):
        for animal in range(3):
            first = 30 * number + animal
            place = (animal * 300.0, 2.0 * number)
            pieces.append(piece(3 * number + animal, first, first + 27, place))
    pieces.sort(key=lambda t: (t.first.frame, t.id))
    whole = link_tracklets(pieces, 3)
    monkeypatch.setattr(linking, "WINDOW", 20)
    assert link_tracklets(pieces, 3) == whole
    assert all(number == id_ % 3 for id_, number in whole.items())


def test_probabilities_of_all_names_are_summed_up_where_they_are_stored() -> None:
    skeleton = Skeleton(("a",), individuals=("anna", "bert", "carl"))
    collector = TrackletCollector(skeleton)
    chances = np.array([[0.5, 0.4, 0.1], [np.nan] * 3])
    both = Instances.from_keypoints(
        np.zeros((2, 1, 2)),
        identity=[0, 2],
        identity_scores=[0.5, 0.8],
        identity_probabilities=chances,
    )
    for number in range(10):
        collector.add(Frame(number, both), np.array([0, 1]))
    one, other = collector.collect()
    assert one.identity == pytest.approx([5, 4, 1])
    # Of the other one only its name is known.
    assert other.identity == pytest.approx([1, 1, 8])


def test_tracklets_of_many_frames_are_summed_up_as_by_hand() -> None:
    rng = np.random.default_rng(0)
    skeleton = Skeleton(("a", "b", "c"), individuals=("x", "y"))
    collector, seen = TrackletCollector(skeleton), {}
    for frame in range(0, 4000, 2):
        points = rng.uniform(0, 100, (3, 3, 2)).astype(np.float32)
        points[:, 1:][rng.random((3, 2)) < 0.1] = np.nan
        # The third animal has a new number every ten frames, now and then none.
        ids = np.array([1, 0, -1 if frame % 7 == 0 else 2 + frame // 10])
        animals = Instances.from_keypoints(points, identity=[0, 1, -1], identity_scores=[0.9, 0.7, 0])
        collector.add(Frame(frame, animals), ids)
        for row, id_ in enumerate(ids.tolist()):
            seen.setdefault(id_, []).append((frame, animals.select([row])))
    seen.pop(-1)
    found = collector.collect()
    assert len(found) == len(seen)
    assert [t.id for t in found] == [t.id for t in found[:]] == sorted(seen, key=lambda i: (seen[i][0][0], i))
    for tracklet in found:
        frames = seen[tracklet.id]
        assert (tracklet.first.frame, tracklet.last.frame) == (frames[0][0], frames[-1][0])
        assert tracklet.count == len(frames)
        assert np.array_equal(tracklet.first.keypoints, frames[0][1].keypoints[0], equal_nan=True)
        assert np.array_equal(tracklet.last.keypoints, frames[-1][1].keypoints[0], equal_nan=True)
        boxes = np.concatenate([a.boxes for _, a in frames])
        assert tracklet.size == pytest.approx(np.nanmean((boxes[:, 2:] - boxes[:, :2]).max(axis=1)))
        assert tracklet.score == pytest.approx(np.mean([a.scores for _, a in frames]))
        centres = [np.nanmean(a.keypoints[0], axis=0) for _, a in frames]
        assert tracklet.last.centre == pytest.approx(centres[-1])
        ends = frames[:6], centres[:6]
        way = (ends[1][-1] - ends[1][0]) / max(ends[0][-1][0] - ends[0][0][0], 1)
        assert tracklet.first.velocity == pytest.approx(way, abs=1e-5)
    assert found[0].identity == pytest.approx([0.3 * 2000, 0.7 * 2000])


def test_a_tracklet_takes_some_hundred_bytes() -> None:
    collector = TrackletCollector(Skeleton(tuple("abcdefghijkl")))
    frame = Frame(0, Instances.from_keypoints(np.zeros((100, 12, 2))))
    for number in range(30):
        collector.add(Frame(number, frame.instances), np.arange(100) + 100 * number)
    found = collector.collect()
    assert len(found) == 3000
    held = sum(
        array.base.nbytes if array.base is not None else array.nbytes
        for array in vars(found).values()
        if isinstance(array, np.ndarray)
    )
    # The table has room for more than there are, at most twice.
    assert held / len(found) < 1200
    assert not any(isinstance(value, list) for value in vars(found).values())
