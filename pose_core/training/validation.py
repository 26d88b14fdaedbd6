"""Sum the errors of keypoints, or of boxes, over the images of a batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pose_core.data.batches import Batch
from pose_core.interfaces import Labels, Predictions
from pose_core.model.assemble import PoseModel


def sum_errors(model: PoseModel, found: Predictions, batch: Batch) -> tuple[float, int]:
    """Sum pixel errors over labelled keypoints, and count them.

    Errors are in pixels of the original images. Labelled and predicted animals are matched optimally; a
    labelled keypoint without a prediction counts with the size of its animal, so that a model cannot gain by
    saying nothing. Keypoints that exist once a frame do not count where no head finds them.

    Args:
        model: says which of the labels it learns.
        found: by the model, on the CPU, in pixels of the batch's images.
        batch: whole images or crops, as the validation set gives them.
    """
    total, count = 0.0, 0
    # A view may be turned as well as resized: the root of the determinant is its factor of lengths.
    scale = torch.linalg.det(batch.matrices[:, :2, :2]).abs().sqrt()
    labels = model.targets(batch.labels)
    if not model.predicts_unique:
        labels = replace(labels, unique_keypoints=torch.full_like(labels.unique_keypoints, torch.nan))
    for errors in _iterate_errors(found, labels, batch):
        total += float((errors.distance / scale[errors.image]).sum())
        count += len(errors.distance)
    return total, count


class _ImageErrors:
    def __init__(self, image: int, distance: Tensor) -> None:
        self.image = image
        self.distance = distance


def _iterate_errors(found: Predictions, labels: Labels, batch: Batch) -> Iterable[_ImageErrors]:
    # At least 10 pixels: the box of an animal with one keypoint has no size, and to miss it must cost.
    longer = (labels.boxes[..., 2:] - labels.boxes[..., :2]).amax(-1).nan_to_num(0.0).clamp(min=10.0)
    for image in range(len(labels.keypoints)):
        truth = labels.keypoints[image]
        present = ~torch.isnan(truth).any(-1).all(-1)
        truth, size = truth[present], longer[image][present]
        guess = found.keypoints[image]
        if len(guess) < len(truth):
            missing = torch.full((len(truth) - len(guess), *guess.shape[1:]), float("nan"))
            guess = torch.cat([guess, missing])
        distance = torch.linalg.vector_norm(truth[:, None] - guess[None], dim=-1)
        labelled = ~torch.isnan(truth).any(-1)
        distance = torch.where(torch.isnan(distance), size[:, None, None], distance)
        cost = (distance * labelled[:, None]).sum(-1)
        rows, columns = linear_sum_assignment(np.asarray(cost))
        yield _ImageErrors(image, distance[rows, columns][labelled[rows]])
        unique = labels.unique_keypoints[image]
        known = ~torch.isnan(unique).any(-1)
        if known.any():
            off = torch.linalg.vector_norm(unique - found.unique_keypoints[image], dim=-1)
            size_of_image = torch.tensor(float(max(batch.images.shape[-2:])))
            yield _ImageErrors(image, torch.where(torch.isnan(off), size_of_image, off)[known])


def sum_box_errors(boxes: Tensor, scores: Tensor, batch: Batch) -> tuple[float, int]:
    """Sum box errors over labelled animals, and count them.

    An animal's error is 1 - IoU with the box that was found for it (boxes are matched optimally, one to one,
    IoU weighted by score), 1 where there is none; a box that belongs to no animal adds its score. Finding all
    boxes exactly, with score 1, gives 0, finding nothing 1.

    Args:
        boxes, scores: (B, M, 4) and (B, M), on the CPU, in pixels of the batch's images; score 0 where there is
            no box.
        batch: whole images, as the validation set gives them.
    """
    total, count = 0.0, 0
    for truth, found, score in zip(batch.labels.boxes, boxes, scores, strict=True):
        labelled = truth[~torch.isnan(truth).any(-1)]
        here = score > 0
        overlap = box_overlap(labelled, found[here])
        rows, columns = linear_sum_assignment(-(overlap * score[here]).numpy())
        good = overlap[rows, columns]
        taken = score[here][columns][good > 0]
        total += len(labelled) - float(good.sum()) + float(score[here].sum() - taken.sum())
        count += len(labelled)
    return total, count


def box_overlap(one: Tensor, other: Tensor) -> Tensor:
    """Compute intersection over union of boxes (N, 4) and (M, 4): (N, M)."""
    low = torch.maximum(one[:, None, :2], other[None, :, :2])
    high = torch.minimum(one[:, None, 2:], other[None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    areas = [(b[:, 2:] - b[:, :2]).clamp(min=0).prod(-1) for b in (one, other)]
    return common / (areas[0][:, None] + areas[1][None] - common).clamp(min=1e-9)
