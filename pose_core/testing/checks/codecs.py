"""Level 1: labels -> targets -> outputs -> keypoints.

What a perfect network would put out is found without knowing the head: free tensors in the place of its
outputs are fitted to the head's own losses, and then decoded; or the targets are. So the checks hold for
heatmaps, logits and distributions alike.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor

from pose_core.errors import PoseError
from pose_core.interfaces import Head, Labels, Predictions
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.examples import (
    FEW_KEYPOINTS,
    MORE_KEYPOINTS,
    SKELETON,
    mirrored,
    mirrored_points,
    nothing,
    without,
)
from pose_core.testing.checks.harness import HeadHarness, harness_of, total
from pose_core.testing.checks.perfect_outputs import (
    STEPS,
    build_head,
    count_misnamed,
    decode_perfect_outputs,
    make_predictions,
    measure_animals,
    measure_cell,
    measure_unique,
    names_animals,
)
from pose_core.testing.checks.targets import ComponentSubject, skip

_CONFIDENT = 0.5
"""Keypoints with a higher score count as found."""

_TOLERANCE = 1.0
"""Largest error of a keypoint decoded from its own targets, pixels (or a quarter of a cell)."""

_HOW = f"neither the targets are decoded to them nor outputs that were fitted to the losses in {STEPS} steps"

_FLIP_TOLERANCE = 0.25
"""Largest difference of a mirrored keypoint from the keypoint of the mirrored labels, pixels (or a tenth of a
cell)."""


@check(1, "head")
def check_targets_fit_outputs(subject: ComponentSubject) -> None:
    """Every output with a loss gets a finite target of its shape, and a finite, never negative weight that
    fits it."""
    harness, head = build_head(subject)
    with torch.no_grad():
        outputs = harness.run(head, harness.inputs(2))
        cases = {
            "an animal": harness.labels(2, 1),
            "no animal": nothing(2),
            "three animals": harness.labels(2, 3),
        }
        for case, truth in cases.items():
            losses = head.loss(outputs, truth)
            demand(set(losses) <= set(outputs), f"losses {sorted(losses)} without outputs of their name")
            bad = [n for n, value in losses.items() if value.dim() or not torch.isfinite(value)]
            demand(not bad, f"with {case}, losses that are not finite numbers: {', '.join(bad)}")
        if harness.config.predicts_unique():
            # It gives its target generator the unique keypoints alone, in a form of its own.
            return
        for case, truth in cases.items():
            targets = head.target_generator(truth, outputs)
            missing = sorted(set(head.losses) - set(targets))
            demand(not missing, f"the target generator makes no target for {', '.join(missing)}")
            for name in head.losses:
                target = targets[name]
                what = f"with {case}, the target of {name}"
                shape = tuple(outputs[name].shape)
                demand(
                    tuple(target.value.shape) == shape,
                    f"{what} has shape {tuple(target.value.shape)}, not {shape}",
                )
                demand(torch.isfinite(target.value).all(), f"{what} is not finite")
                demand(
                    torch.isfinite(target.weight).all() and (target.weight >= 0).all(),
                    f"{what} has a bad weight",
                )
                try:
                    torch.broadcast_to(target.weight, shape)
                except RuntimeError:
                    raise AssertionError(
                        f"{what} has a weight of shape {tuple(target.weight.shape)}, which is not for {shape}"
                    ) from None


@check(1, "head")
def check_predictions_are_well_formed(subject: ComponentSubject) -> None:
    """decode gives float32 keypoints (B, N, K, 2) and scores in [0, 1], 0 exactly where a keypoint is
    missing."""
    harness, head = build_head(subject)
    with torch.no_grad():
        outputs = harness.run(head.eval(), harness.inputs(3))
        before = {n: t.clone() for n, t in outputs.items()}
        found = head.decode(outputs, make_predictions(harness.labels(3, 2)))
    demand(all(torch.equal(before[n], t) for n, t in outputs.items()), "decode changes the outputs in place")
    animals = found.keypoints.shape[1]
    k, u = SKELETON.num_keypoints, len(SKELETON.unique_keypoints)
    shapes = {
        "keypoints": (3, animals, k, 2),
        "keypoint_scores": (3, animals, k),
        "scores": (3, animals),
        "identity": (3, animals),
        "identity_scores": (3, animals, SKELETON.num_individuals),
        "unique_keypoints": (3, u, 2),
        "unique_scores": (3, u),
    }
    for name, shape in shapes.items():
        value = getattr(found, name)
        demand(tuple(value.shape) == shape, f"{name} has shape {tuple(value.shape)}, not {shape}")
        kind = torch.int64 if name == "identity" else torch.float32
        demand(value.dtype == kind, f"{name} is {value.dtype}, not {kind}")
        if name.endswith("scores"):
            demand(((value >= 0) & (value <= 1)).all(), f"{name} must lie in [0, 1]")
    missing = torch.isnan(found.keypoints).any(-1)
    demand(not found.keypoint_scores[missing].any(), "missing keypoints (NaN) must have score 0")


@check(1, "head")
def check_codec_finds_nothing_in_empty_images(subject: ComponentSubject) -> None:
    """What a perfect network puts out for an image without animals is decoded to nothing that is sure (score
    > 0.5)."""
    harness, head = build_head(subject)
    truth = nothing(2)
    if names_animals(harness):
        raise skip("it names animals that other heads found")
    found = decode_perfect_outputs(harness, head, truth)
    scores = found.unique_scores if harness.config.predicts_unique() else found.keypoint_scores
    sure = int((scores > _CONFIDENT).sum())
    demand(
        sure == 0,
        f"{sure} keypoints are found, with scores up to {float(scores.max()) if scores.numel() else 0:.2f}",
    )


@check(1, "head")
def check_codec_recovers_keypoints(subject: ComponentSubject) -> None:
    """What a perfect network puts out for an animal is decoded to its keypoints, within a pixel; share one
    grid."""
    harness, head = build_head(subject)
    truth = harness.labels(2, 1)
    _compare(harness, head, truth, decode_perfect_outputs(harness, head, truth))


@check(1, "head")
def check_codec_recovers_partial_animals(subject: ComponentSubject) -> None:
    """Where keypoints are unlabelled the others come out all the same; give unlabelled ones weight 0 or no
    blob."""
    harness, head = build_head(subject)
    hidden = torch.zeros(2, 1, SKELETON.num_keypoints, dtype=torch.bool)
    hidden[0, 0, 3] = hidden[1, 0, 1] = True
    truth = without(harness.labels(2, 1), hidden)
    _compare(harness, head, truth, decode_perfect_outputs(harness, head, truth))


@check(1, "head")
def check_codec_recovers_crowds(subject: ComponentSubject) -> None:
    """A head that finds several animals finds three side by side, each with its own keypoints."""
    harness, head = build_head(subject)
    truth = harness.labels(2, 3)
    if harness.config.predicts_unique():
        raise skip("it finds keypoints that exist once a frame")
    if harness.config.needs_view == "animal":
        raise skip("it looks at one animal")
    found = decode_perfect_outputs(harness, head, truth)
    # Decoded before this question: a head that finds several animals and does not say so must fail, not be
    # skipped. A head of identities finds no animals: it names those that it is given.
    if not (harness.config.predicts_several() or names_animals(harness)):
        demand(
            found.keypoints.shape[1] <= 1,
            "it finds several animals; say so: predicts_several() must return True",
        )
        raise skip("it finds one animal an image")
    _compare(harness, head, truth, found)


def _compare(harness: HeadHarness, head: Head, truth: Labels, found: Predictions) -> None:
    """The labelled keypoints came out, whatever the order of the animals."""
    allowed = max(_TOLERANCE, measure_cell(head) / 4)
    if names_animals(harness):
        wrong, known = count_misnamed(truth, found), int((truth.identity >= 0).sum())
        demand(wrong == 0, f"{wrong} of {known} animals get the wrong name, {found.identity.tolist()}")
        return
    if harness.config.predicts_unique():
        off = measure_unique(truth, found)
        demand(not (off > allowed).any(), f"unique keypoints are off by {_format_pixels(off)}; {_HOW}")
        return
    demand(found.keypoints.shape[1] > 0, f"no animal is found; {_HOW}")
    off = measure_animals(truth, found)
    bad = off > allowed
    demand(
        not bad.any(),
        f"keypoints of {int(bad.sum())} of {bad.numel()} animals are off by {_format_pixels(off[bad])}; at most "
        f"{allowed:.2g} is allowed; {_HOW}",
    )


def _format_pixels(off: Tensor) -> str:
    # Infinity stands for missing, and the message should not speak of infinite pixels.
    most = float(off.nan_to_num(math.inf).max()) if off.numel() else 0.0
    return f"up to {most:.2f} pixels" if math.isfinite(most) else "much: some are missing"


@check(1, "head")
def check_codec_mirrors(subject: ComponentSubject) -> None:
    """Mirrored labels come out mirrored, within a quarter of a pixel; look for a cell's offset or a rounding
    down."""
    harness, head = build_head(subject)
    if names_animals(harness):
        raise skip("it finds no places")
    truth = harness.labels(2, 1)
    width = float(harness.size[1])
    there, back = (
        decode_perfect_outputs(harness, head, truth),
        decode_perfect_outputs(harness, head, mirrored(truth, width)),
    )
    if harness.config.predicts_unique():
        first, second = there.unique_keypoints, back.unique_keypoints
    else:
        demand(there.keypoints.shape[1] and back.keypoints.shape[1], "no animal is found")
        # A head may list further, weaker animals in any order; the labelled one is the highest-scoring.
        best, other = there.scores.argmax(1), back.scores.argmax(1)
        rows = torch.arange(len(best))
        first = there.keypoints[rows, best]
        # Left and right changed names when the labels were mirrored.
        second = back.keypoints[rows, other][:, list(SKELETON.mirror_indices)]
    off = (mirrored_points(first, width) - second).norm(dim=-1)
    allowed = max(_FLIP_TOLERANCE, measure_cell(head) / 10)
    demand(
        not (off.nan_to_num(math.inf) > allowed).any(),
        f"keypoints of mirrored labels differ by {_format_pixels(off)}",
    )


@check(1, "head")
def check_unlabelled_keypoints_do_not_count(subject: ComponentSubject) -> None:
    """The loss of images without any label is finite, forward and backward; divide by at least 1."""
    harness, head = build_head(subject)
    inputs = harness.inputs(2)
    loss = total(head.loss(harness.run(head, inputs), nothing(2)))
    demand(torch.isfinite(loss), "the loss of images without labels is not finite")
    # A constant 0 is allowed: there is nothing to learn from.
    if loss.requires_grad:
        torch.autograd.backward(loss)
    bad = [n for n, p in head.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
    demand(not bad, f"without labels the gradient of {', '.join(bad[:3])} is not finite")


@check(1, "head")
def check_keypoints_may_be_many_or_few(subject: ComponentSubject) -> None:
    """It works with one keypoint (or refuses it by a ConfigError) and with more; divide by nothing that may
    be 0."""
    harness = harness_of(subject)
    assert isinstance(harness, HeadHarness)
    for skeleton in (MORE_KEYPOINTS, FEW_KEYPOINTS):
        try:
            head = cast("Head", harness.build(skeleton).eval())
        except PoseError:
            # A head that needs several, such as one of limbs, may refuse.
            demand(skeleton is FEW_KEYPOINTS, f"it cannot be built with {skeleton.num_keypoints} keypoints")
            continue
        count = skeleton.num_keypoints
        with torch.no_grad():
            outputs = harness.run(head, harness.inputs(1, skeleton=skeleton))
            loss = total(head.loss(outputs, harness.labels(1, 1, skeleton)))
            found = head.decode(outputs, make_predictions(harness.labels(1, 1, skeleton), skeleton))
        demand(torch.isfinite(loss), f"the loss with {count} keypoints is not finite")
        demand(
            found.keypoints.shape[2] == count, f"with {count} keypoints, {found.keypoints.shape[2]} come out"
        )


CHECKS = (
    check_targets_fit_outputs,
    check_predictions_are_well_formed,
    check_codec_finds_nothing_in_empty_images,
    check_codec_recovers_keypoints,
    check_codec_recovers_partial_animals,
    check_codec_recovers_crowds,
    check_codec_mirrors,
    check_unlabelled_keypoints_do_not_count,
    check_keypoints_may_be_many_or_few,
)
