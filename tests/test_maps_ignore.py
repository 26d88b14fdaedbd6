"""What background is ignored, against a loop over animals and cells."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pose_core.interfaces import Grid, Labels
from pose_core.maps import animal_boxes, ignore_boxes, mask_background, present_animals

GRID = Grid.cells(4)
SIZE = (12, 15)


def lacking(labels: Labels) -> Tensor:
    return present_animals(labels)[..., None] & ~torch.isfinite(labels.keypoints).all(-1)


def random_labels(seed: int, animals: int) -> Labels:
    generator = torch.Generator().manual_seed(seed)
    keypoints = torch.rand(2, animals, 3, 2, generator=generator) * 60 - 5
    keypoints[torch.rand(2, animals, 3, generator=generator) < 0.4] = math.nan
    boxes = torch.rand(2, animals, 4, generator=generator) * 20
    boxes[..., 2:] += boxes[..., :2]
    boxes[torch.rand(2, animals, generator=generator) < 0.5] = math.nan
    return Labels.from_keypoints(keypoints, boxes=boxes)


def by_loop(labels: Labels, image: int, keypoint: int) -> Tensor:
    """(h, w) bool: where the background counts."""
    points = labels.keypoints[image]
    labelled = torch.isfinite(points).all(-1)
    boxes = []
    for animal in range(len(points)):
        own = points[animal][labelled[animal]]
        box = labels.boxes[image, animal]
        if len(own):
            boxes.append(
                (animal, box if torch.isfinite(box).all() else torch.cat([own.amin(0), own.amax(0)]))
            )
    margin = max((float((box[2:] - box[:2]).max()) / 2 for _, box in boxes), default=0.0)
    if len(boxes) == 1 or margin == 0:
        margin = math.inf
    known = torch.ones(SIZE, dtype=torch.bool)
    x, y = GRID.centres(SIZE[1]), GRID.centres(SIZE[0])
    for animal, box in boxes:
        if not labelled[animal, keypoint]:
            inside_x = (x >= box[0] - margin) & (x <= box[2] + margin)
            inside_y = (y >= box[1] - margin) & (y <= box[3] + margin)
            known &= ~(inside_y[:, None] & inside_x)
    return known


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), animals=st.sampled_from([1, 2, 3, 8, 9, 17, 40]))
def test_masks_are_those_of_a_loop(seed: int, animals: int) -> None:
    labels = random_labels(seed, animals)
    known = mask_background(labels, lacking(labels), GRID, SIZE)
    known = torch.ones(2, 3, *SIZE, dtype=torch.bool) if known is None else known.expand(2, 3, *SIZE)
    for image in range(2):
        for keypoint in range(3):
            assert torch.equal(known[image, keypoint], by_loop(labels, image, keypoint))


def test_maps_side_by_side_have_the_same_mask() -> None:
    labels = random_labels(3, 3)
    one = mask_background(labels, lacking(labels), GRID, SIZE)
    both = mask_background(labels, lacking(labels), GRID, SIZE, values=2)
    assert one is not None
    assert both is not None
    assert both.is_contiguous()
    assert torch.equal(both, one.repeat_interleave(2, dim=1))
    alone = random_labels(3, 1)
    whole = mask_background(alone, lacking(alone), GRID, SIZE, values=2)
    assert whole is not None
    assert whole.shape == (2, 6, 1, 1)


def test_what_is_complete_or_empty_is_background() -> None:
    points = torch.rand(2, 3, 3, 2) * 40
    points[1] = math.nan
    labels = Labels.from_keypoints(points)
    assert mask_background(labels, lacking(labels), GRID, SIZE) is None
    none = Labels.from_keypoints(points[:, :0])
    assert mask_background(none, lacking(none), GRID, SIZE) is None


def test_boxes_are_those_given_or_around_the_keypoints() -> None:
    points = torch.tensor([[[[10.0, 20.0], [30.0, 15.0]], [[5.0, 5.0], [math.nan, 7.0]]]])
    boxes = torch.tensor([[[math.nan] * 4, [0.0, 0.0, 40.0, 9.0]]])
    labels = Labels.from_keypoints(points, boxes=boxes)
    assert animal_boxes(labels)[0].tolist() == [[10, 15, 30, 20], [0, 0, 40, 9]]
    low, high = ignore_boxes(labels)
    assert low[0].tolist() == [[-10, -5], [-20, -20]]
    assert high[0].tolist() == [[50, 40], [60, 29]]


@pytest.mark.parametrize("animals", [1, 3])
def test_the_only_animal_of_an_image_may_have_it_anywhere(animals: int) -> None:
    points = torch.full((1, animals, 2, 2), math.nan)
    points[0, 0, 0] = torch.tensor([10.0, 10.0])
    labels = Labels.from_keypoints(points)
    known = mask_background(labels, lacking(labels), GRID, SIZE)
    assert known is not None
    assert known[0, 0].all()
    assert not known[0, 1].any()


def test_the_mask_of_a_single_map_can_be_painted_into() -> None:
    """Affinity fields of one limb write into it; an expanded view would refuse."""
    keypoints = torch.tensor([[[[4.0, 4.0]], [[math.nan, math.nan]]]])
    boxes = torch.tensor([[[0.0, 0.0, 9.0, 9.0], [20.0, 20.0, 40.0, 40.0]]])
    labels = Labels.from_keypoints(keypoints, boxes=boxes)
    lacks = torch.tensor([[[True], [False]]])
    mask = mask_background(labels, lacks, GRID, SIZE, values=2)
    assert mask is not None
    mask[:, 0] = True
    assert not mask[:, 1].all()
