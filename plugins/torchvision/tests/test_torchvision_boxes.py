"""Boxes of labels and boxes of torchvision."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from pose_torchvision.boxes import pad_boxes, to_edges
from torch import Tensor

HEIGHT, WIDTH = 48, 64
NAN = float("nan")

coordinates = st.floats(-30, 90, width=32)
boxes_of_labels = st.lists(
    st.tuples(coordinates, coordinates, st.floats(0, 60, width=32), st.floats(0, 60, width=32))
)


def tensor(boxes: list[tuple[float, ...]]) -> Tensor:
    return torch.tensor([[x, y, x + w, y + h] for x, y, w, h in boxes], dtype=torch.float32).reshape(1, -1, 4)


@given(boxes_of_labels)
def test_what_torchvision_gets_is_inside_the_image_and_has_an_area(boxes: list[tuple[float, ...]]) -> None:
    edges, valid = to_edges(tensor(boxes), HEIGHT, WIDTH)
    assert edges.shape == (1, len(boxes), 4)
    assert not edges[~valid].any()
    low, high = edges[valid][:, :2], edges[valid][:, 2:]
    assert (low >= 0).all()
    assert (high <= torch.tensor([WIDTH, HEIGHT])).all()
    assert (high - low >= 1 - 1e-4).all()


@given(boxes_of_labels)
def test_the_way_there_and_back_keeps_what_is_seen_of_a_box(boxes: list[tuple[float, ...]]) -> None:
    given_boxes = tensor(boxes)
    edges, valid = to_edges(given_boxes, HEIGHT, WIDTH)
    back, _ = pad_boxes([edges[0][valid[0]]], [torch.ones(int(valid.sum()))])
    limit = torch.tensor([WIDTH, HEIGHT]) - 0.5
    low = given_boxes[valid][:, :2].clamp(min=-0.5).minimum(limit)
    high = given_boxes[valid][:, 2:].clamp(min=-0.5).minimum(limit)
    wide = high - low >= 1
    there = torch.cat([low, high], dim=1)[wide.all(dim=1)]
    torch.testing.assert_close(back[0][wide.all(dim=1)], there, atol=1e-4, rtol=0)


def test_a_box_over_the_whole_image() -> None:
    whole = torch.tensor([[[-0.5, -0.5, WIDTH - 0.5, HEIGHT - 0.5]]])
    edges, valid = to_edges(whole, HEIGHT, WIDTH)
    assert valid.all()
    assert edges.tolist() == [[[0, 0, WIDTH, HEIGHT]]]


def test_without_half_pixel_nothing_moves() -> None:
    edges, _ = to_edges(torch.tensor([[[3.0, 4.0, 10.0, 12.0]]]), HEIGHT, WIDTH, shift=0.0)
    assert edges.tolist() == [[[3, 4, 10, 12]]]
    assert pad_boxes([edges[0]], [torch.ones(1)], shift=0.0)[0].tolist() == [[[3, 4, 10, 12]]]


def test_one_keypoint_becomes_a_box_of_one_pixel_about_it() -> None:
    points = torch.tensor([[[5.0, 7.0, 5.0, 7.0], [-0.5, -0.5, -0.5, -0.5], [63.5, 20.0, 63.5, 30.0]]])
    edges, valid = to_edges(points, HEIGHT, WIDTH)
    assert valid.all()
    assert edges.tolist() == [[[5, 7, 6, 8], [0, 0, 1, 1], [63, 20.5, 64, 30.5]]]


def test_what_is_no_box() -> None:
    none = torch.tensor([[[NAN] * 4, [1.0, 2.0, NAN, 5.0], [-30.0, 5.0, -2.0, 9.0], [5.0, 60.0, 9.0, 70.0]]])
    edges, valid = to_edges(none, HEIGHT, WIDTH)
    assert not valid.any()
    assert not edges.any()
    assert to_edges(torch.zeros(2, 0, 4), HEIGHT, WIDTH)[0].shape == (2, 0, 4)


def test_padding() -> None:
    boxes, scores = pad_boxes(
        [torch.ones(2, 4), torch.ones(0, 4)], [torch.tensor([0.9, 0.4]), torch.zeros(0)]
    )
    assert boxes[0].tolist() == [[0.5] * 4] * 2
    assert boxes[1].isnan().all()
    torch.testing.assert_close(scores, torch.tensor([[0.9, 0.4], [0.0, 0.0]]))
    boxes, scores = pad_boxes([torch.ones(0, 4)] * 3, [torch.zeros(0)] * 3)
    assert boxes.shape == (3, 0, 4)
    assert scores.shape == (3, 0)
