"""Metrics of tracks: TrackEval's numbers, and what must hold for any."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_core.structures import box_overlaps
from pose_core.tracking.metrics import ComparedFrame, TrackScores, compare_keypoints, score_tracks

KNOWN = json.loads((Path(__file__).parent / "helpers" / "trackeval_1_3_0.json").read_text())
"""What TrackEval 1.3.0 says of the frames of each seed."""


def make_frames(seed: int) -> list[ComparedFrame]:
    """Animals on a line with gaps, false ones, exchanged ids, and frames with nothing on one side."""
    rng = np.random.default_rng(seed)
    frames = []
    names = rng.permutation(6)
    for number in range(80):
        truth = np.flatnonzero(rng.random(5) < (0.0 if number % 17 == 3 else 0.9))
        tracks = np.flatnonzero(rng.random(6) < (0.0 if number % 13 == 5 else 0.85))
        if number % 20 == 19:
            names = rng.permutation(6)
        right = names[truth][:, None] == tracks
        similarity = np.where(right, rng.uniform(0.3, 1, right.shape), rng.uniform(0, 0.7, right.shape))
        similarity[rng.random(right.shape) < 0.3] = 0.0
        frames.append(ComparedFrame(truth, 10 * tracks, similarity))
    return frames


@pytest.mark.parametrize("seed", [int(seed) for seed in KNOWN])
def test_the_numbers_are_those_of_trackeval(seed: int) -> None:
    ours = asdict(score_tracks(make_frames(seed)))
    for name, value in KNOWN[str(seed)].items():
        assert ours[name] == pytest.approx(value, abs=1e-9), name


def rename(frames: list[ComparedFrame], seed: int) -> list[ComparedFrame]:
    rng = np.random.default_rng(seed)
    truth, tracks = rng.permutation(100), rng.permutation(100)
    shuffled = []
    for frame in frames:
        rows, columns = rng.permutation(len(frame.truth)), rng.permutation(len(frame.tracks))
        shuffled.append(
            ComparedFrame(
                truth[frame.truth[rows]],
                tracks[frame.tracks[columns]],
                frame.similarity[np.ix_(rows, columns)],
            )
        )
    return shuffled


@given(st.integers(0, 10**6))
def test_names_of_ids_and_the_order_of_animals_mean_nothing(seed: int) -> None:
    frames = make_frames(seed)[:25]
    one, other = asdict(score_tracks(frames)), asdict(score_tracks(rename(frames, seed)))
    assert one == pytest.approx(other)


@given(st.integers(0, 10**6))
def test_scores_are_shares_and_hota_is_at_most_the_mean_of_its_parts(seed: int) -> None:
    scores = score_tracks(make_frames(seed)[:25])
    for name in ("hota", "deta", "assa", "loca", "idf1", "idp", "idr", "motp"):
        assert 0 <= getattr(scores, name) <= 1 + 1e-12
    assert scores.mota <= 1
    # The mean of products over alphas, by Cauchy and Schwarz.
    assert scores.hota <= np.sqrt(scores.deta * scores.assa) + 1e-12


def perfect(ids: list[list[int]]) -> TrackScores:
    """Two animals that are found exactly, under the given ids frame by frame."""
    return score_tracks([ComparedFrame(np.array([0, 1]), np.array(row), np.eye(2)) for row in ids])


def test_an_exchange_is_two_switches_and_halves_the_names() -> None:
    scores = perfect([[0, 1]] * 5 + [[1, 0]] * 5)
    assert (scores.switches, scores.idf1, scores.missed, scores.false) == (2, 0.5, 0, 0)
    assert scores.mota == pytest.approx(1 - 2 / 20)
    assert scores.switches_per_1000 == 100
    assert scores.deta == 1.0
    assert scores.assa == pytest.approx(5 / 15)


def test_nothing_found_is_zero_and_no_error() -> None:
    none = np.zeros(0, np.int64)
    scores = score_tracks([ComparedFrame(np.array([0, 1]), none, np.zeros((2, 0)))] * 3)
    assert (scores.hota, scores.idf1, scores.mota, scores.missed) == (0.0, 0.0, 0.0, 6)
    assert score_tracks([]).animals == 0


def test_overlaps_of_boxes() -> None:
    boxes = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [9, 9, 9, 9], [np.nan] * 4])
    expected = np.zeros((4, 4))
    expected[:2, :2] = [[1, 1 / 3], [1 / 3, 1]]
    assert box_overlaps(boxes, boxes) == pytest.approx(expected)


def test_similarity_of_keypoints_counts_those_of_the_truth() -> None:
    truth = np.array([[[0, 0], [10, 0], [0, 10], [np.nan, np.nan]]])
    found = truth.copy()
    found[0, 3] = 5
    assert compare_keypoints(truth, found, np.array([[0, 0, 10, 10]])).tolist() == [[1.0]]
    found[0, 0] = np.nan
    assert compare_keypoints(truth, found, np.array([[0, 0, 10, 10]])) == pytest.approx(2 / 3)
    # One tolerance of 2 sigma times the root of the area away.
    moved = truth + np.array([2, 0])
    assert compare_keypoints(truth, moved, np.array([[0, 0, 10, 10]])) == pytest.approx(np.exp(-0.5))
