"""Which limbs are kept: laws of the pure functions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_paf.graph import full_graph, is_connected
from pose_paf.pruning import candidate_graphs, limb_affinities, separability, spanning_tree

from pose_core.interfaces import Grid


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), keypoints=st.integers(2, 9), most=st.integers(1, 12))
def test_graphs_are_nested_connected_and_start_with_the_best_tree(
    seed: int, keypoints: int, most: int
) -> None:
    limbs = full_graph(keypoints)
    worth = np.random.default_rng(seed).random(len(limbs)).round(1)  # with ties
    graphs = candidate_graphs(worth, limbs, keypoints, max_graphs=most)
    assert graphs == candidate_graphs(worth.tolist(), limbs, keypoints, max_graphs=most)
    assert 1 <= len(graphs) <= most
    assert graphs[0] == spanning_tree(worth, limbs, keypoints)
    assert len(graphs[0]) == keypoints - 1
    if most > 1:
        assert graphs[-1] == tuple(range(len(limbs)))
    for small, large in pairwise(graphs):
        assert set(small) < set(large)
    for graph in graphs:
        assert is_connected(tuple(limbs[i] for i in graph), keypoints)
        left_out = [worth[i] for i in range(len(limbs)) if i not in graph]
        added = [worth[i] for i in graph if i not in graphs[0]]
        assert not left_out or not added or max(left_out) <= min(added)


def test_the_tree_is_worth_most() -> None:
    limbs = full_graph(5)
    worth = np.random.default_rng(0).random(10)
    tree = spanning_tree(worth, limbs, 5)
    # Every other limb is worth no more than each of the tree on the circle that it closes.
    for other in set(range(10)) - set(tree):
        for limb in tree:
            swapped = tuple(limbs[i] for i in (*(set(tree) - {limb}), other))
            if is_connected(swapped, 5):
                assert worth[other] <= worth[limb]


def test_what_cannot_be_connected_is_refused() -> None:
    with pytest.raises(ValueError, match="do not connect"):
        spanning_tree([1.0], ((0, 1),), 3)
    with pytest.raises(ValueError, match="at least 1"):
        candidate_graphs([1.0], ((0, 1),), 2, max_graphs=0)


def test_separability_is_the_share_of_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(0)
    within, between = rng.normal(1, 1, 200).round(1), rng.normal(0, 1, 300).round(1)
    pairs = within[:, None] - between
    expected = (pairs > 0).mean() + (pairs == 0).mean() / 2
    found = separability([within, [1.0, np.nan], [], [0.0]], [between, [0.0], [1.0], [1.0]])
    assert found == pytest.approx([expected, 1.0, 0.5, 0.0])
    drawn = separability([within], [between], max_values=50, seed=3)
    assert drawn == separability([within], [between], max_values=50, seed=3)
    assert drawn[0] == pytest.approx(expected, abs=0.12)


def test_affinities_of_labels_are_high_within_animals_only() -> None:
    limbs = ((0, 1), (1, 2))
    points = torch.tensor(
        [[[[10.0, 10.0], [40.0, 10.0], [70.0, torch.nan]], [[10.0, 60.0], [40.0, 60.0], [70.0, 60.0]]]]
    )
    paf = torch.zeros(1, 4, 20, 20)
    paf[:, 0, 0:5] = 1.0
    paf[:, 0, 13:17] = 1.0
    within, between = limb_affinities(paf, points, limbs, Grid.cells(4))
    assert [len(v) for v in within] == [2, 1]
    assert [len(v) for v in between] == [2, 1]
    assert within[0].min() > 0.99
    assert between[0].max() < 0.5
