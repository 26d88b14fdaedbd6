"""Perfect outputs of a head, for the checks: targets, or tensors that were fitted to the losses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from pose_core.interfaces import Head, Labels, Predictions
from pose_core.maps import gather_candidates, spread_candidates
from pose_core.pipeline.naming import assign_names
from pose_core.structures import Skeleton
from pose_core.testing.checks.examples import (
    SKELETON,
)
from pose_core.testing.checks.harness import HeadHarness, harness_of, total
from pose_core.testing.checks.targets import ComponentSubject

STEPS = 200
_RATES = (0.5, 10.0)
"""Of the fit: for outputs such as logits and maps, and, where that did not reach, for outputs in pixels."""


def build_head(subject: ComponentSubject) -> tuple[HeadHarness, Head]:
    harness = harness_of(subject)
    assert isinstance(harness, HeadHarness)
    return harness, cast("Head", harness.build())


def _make_perfect_outputs(harness: HeadHarness, head: Head, truth: Labels) -> list[dict[str, Tensor]]:
    """Make candidates of outputs that suit the labels.

    Outputs that were fitted to the losses, and the targets themselves.
    """
    # Either may be right for a good head. Where an output is a logit, only the fit is one; where a loss has
    # no minimum (a likelihood with a width that may shrink without end), only the target.
    with torch.no_grad():
        shapes = harness.run(head, harness.inputs(len(truth.keypoints)))
    fitted: list[dict[str, Tensor]] = []
    for rate in _RATES:
        free = {name: nn.Parameter(torch.zeros_like(value)) for name, value in shapes.items()}
        _fit(free, head, truth, rate)
        fitted.append({name: value.detach() for name, value in free.items()})
        # A step of Adam is about as long as its rate. Outputs that stayed far below what these steps can
        # reach did not need a larger rate.
        if all(float(value.abs().max()) < rate * STEPS / 10 for value in fitted[-1].values()):
            break
    if harness.config.predicts_unique():
        # Such a head gives its target generator the unique keypoints, not these labels.
        return fitted
    with torch.no_grad():
        targets = head.target_generator(truth, shapes)
    wanted = {
        name: targets[name].value if name in targets else torch.zeros_like(v) for name, v in shapes.items()
    }
    return [*fitted, wanted]


def _fit(free: Mapping[str, nn.Parameter], head: Head, truth: Labels, rate: float) -> None:
    """Bring outputs nearer to what the losses want."""
    optimizer = torch.optim.Adam(free.values(), lr=rate)
    # The rate falls: with a constant one Adam ends by circling the minimum at the distance of one step,
    # which is pixels where the outputs are pixels.
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 - step / STEPS) ** 2 + 1e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = total(head.loss(free, truth))
        # Without labels a loss may be a constant 0, from which torch cannot go backward.
        if not loss.requires_grad:
            break
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()


def make_predictions(truth: Labels, skeleton: Skeleton = SKELETON) -> Predictions:
    """Make the predictions of a perfect head before this one."""
    none = Predictions.none(len(truth.keypoints), skeleton)
    return none.with_animals(truth.keypoints, torch.isfinite(truth.keypoints).all(-1).float())


@torch.no_grad()
def decode_perfect_outputs(harness: HeadHarness, head: Head, truth: Labels) -> Predictions:
    """Decode the outputs of a perfect network; of several results, take that which is nearest to the
    labels."""
    # Only a head that says who animals are needs some, and only one that groups needs candidates. To any other
    # head they would be the answer.
    given = make_predictions(truth)
    if harness.config.groups_candidates():
        given = given.with_animals(*spread_candidates(*gather_candidates(given)))
    elif not harness.config.predicts_identity():
        given = Predictions.none(len(truth.keypoints), SKELETON)
    with torch.enable_grad():
        candidates = _make_perfect_outputs(harness, head, truth)
    # Named as after the last stage of a pipeline.
    found = [assign_names(head.decode(outputs, given)) for outputs in candidates]
    # A head that decodes one of the candidates well is right; see _make_perfect_outputs.
    return min(found, key=lambda predictions: measure_error(harness, truth, predictions))


def measure_error(harness: HeadHarness, truth: Labels, found: Predictions) -> float:
    """Measure the distance of predictions from labels: pixels, wrong names, or, where there is nothing, the highest
    score."""
    if names_animals(harness):
        return float(count_misnamed(truth, found))
    unique = harness.config.predicts_unique()
    off = measure_unique(truth, found) if unique else measure_animals(truth, found)
    if not off.numel():
        scores = found.unique_scores if unique else found.keypoint_scores
        return float(scores.max()) if scores.numel() else 0.0
    # Missing keypoints are infinitely far. Clamped, candidates that miss different numbers of them still
    # compare.
    return float(off.clamp(max=1e6).sum())


def measure_cell(head: Head) -> float:
    # Predictors that read maps keep a grid; those of distributions or boxes have none, so the interface
    # does not promise one.
    grid = getattr(head.predictor, "grid", None)
    return float(grid.stride) if grid is not None else 1.0


def names_animals(harness: HeadHarness) -> bool:
    """Whether the head says who the animals are that it is given, and finds none itself."""
    return bool(harness.config.predicts_identity() and not harness.config.groups_candidates())


def count_misnamed(truth: Labels, found: Predictions) -> int:
    known = truth.identity >= 0
    return int((found.identity[known] != truth.identity[known]).sum())


def measure_unique(truth: Labels, found: Predictions) -> Tensor:
    """(n,) distances of the labelled keypoints that exist once a frame, pixels; infinite where one is
    missing."""
    off: Tensor = (found.unique_keypoints - truth.unique_keypoints).norm(dim=-1).nan_to_num(math.inf)
    return off[torch.isfinite(truth.unique_keypoints).all(-1)]


def measure_animals(truth: Labels, found: Predictions) -> Tensor:
    """(n,) for each labelled animal the largest distance of a keypoint from the found animal that is nearest
    to it."""
    labelled = torch.isfinite(truth.keypoints).all(-1)
    there = labelled.any(-1)
    # torch takes no minimum over an axis of no entries.
    if not found.keypoints.shape[1]:
        return torch.full_like(truth.keypoints[..., 0, 0], math.inf)[there]
    off: Tensor = (truth.keypoints[:, :, None] - found.keypoints[:, None]).norm(dim=-1)
    # The order matters: unlabelled keypoints are NaN as well and become infinite with the missing ones, and
    # only then are left out.
    worst = off.nan_to_num(math.inf).masked_fill(~labelled[:, :, None].expand_as(off), 0.0)
    return worst.amax(-1).amin(-1)[there]
