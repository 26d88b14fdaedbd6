"""Level 1: detectors."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pose_core.interfaces import Detector
from pose_core.model.detector_runner import PlainDetector, apply_threshold, find_box_difference
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.devices import open_onnx, skip_without_onnx
from pose_core.testing.checks.examples import labels, nothing, without
from pose_core.testing.checks.harness import harness_of, total
from pose_core.testing.checks.targets import ComponentSubject, skip


@check(1, "detector")
def check_detector_lists_boxes(subject: ComponentSubject) -> None:
    """In eval mode: boxes (B, M, 4) and scores (B, M) in [0, 1], best first, NaN and 0 beyond the last."""
    harness = harness_of(subject)
    module = harness.build().eval()
    with torch.no_grad():
        boxes, scores = module(harness.inputs(2)["images"])
    shape = tuple(scores.shape)
    demand(len(shape) == 2 and shape[0] == 2, f"scores must have shape (B, M), not {shape}")
    demand(tuple(boxes.shape) == (*shape, 4), f"boxes must have shape (B, M, 4), not {tuple(boxes.shape)}")
    demand(((scores >= 0) & (scores <= 1)).all(), "scores must lie in [0, 1]")
    demand((scores[:, 1:] <= scores[:, :-1]).all(), "boxes must come best first")
    # Lists of a batch are padded to one length; the padding must not pass for boxes at (0, 0).
    demand(torch.isnan(boxes[scores == 0]).all(), "what has score 0 must have a NaN box")
    real = boxes[scores > 0]
    demand(torch.isfinite(real).all(), "a box with a score is not finite")
    demand((real[:, 2:] >= real[:, :2]).all(), "boxes must be x1, y1, x2, y2")


@check(1, "detector")
def check_detector_learns_from_empty_images(subject: ComponentSubject) -> None:
    """The losses of images without boxes, with many, and with an unknown (NaN) one are finite, forward and
    backward."""
    if not subject.config.trainable():
        raise skip("its example does not learn")
    harness = harness_of(subject)
    module = cast("Detector", harness.build())
    images = harness.inputs(2)["images"]
    # An animal without keypoints has a NaN box. The second image has no other: the average over its boxes
    # is where detectors divide by 0.
    some = without(
        labels(2, 3, harness.size), torch.tensor([[[True], [False], [False]], [[True], [True], [True]]])
    )
    for case, truth in (
        ("no animal", nothing(2)),
        ("three animals", labels(2, 3, harness.size)),
        ("unknown boxes", some),
    ):
        module.zero_grad()
        # A copy: some detectors normalise in place, and each case must see the same pixels.
        loss = total(module.loss(images.clone(), truth))
        demand(torch.isfinite(loss), f"the loss with {case} is not finite")
        torch.autograd.backward(loss)
        bad = [
            n for n, p in module.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()
        ]
        demand(not bad, f"with {case}, the gradient of {', '.join(bad[:3])} is not finite")


@check(1, "detector")
def check_detector_offers_the_same(subject: ComponentSubject) -> None:
    """What make_exportable() gives finds the boxes of forward, and as many for any images, of whatever score."""
    harness = harness_of(subject)
    module = _build_calibrated(subject)
    form = _make_form(module)
    numbers = set()
    for number in (1, 3):
        images = harness.inputs(number)["images"]
        with torch.no_grad():
            boxes, scores = form(images)
            wanted = module(images)
        demand(scores.dim() == 2 and len(scores) == number, f"its scores have shape {tuple(scores.shape)}")
        demand(boxes.shape == (*scores.shape, 4), f"its boxes have shape {tuple(boxes.shape)}")
        demand((scores[:, 1:] <= scores[:, :-1]).all(), "its boxes must come best first")
        demand(torch.isnan(boxes[scores == 0]).all(), "what has score 0 must have a NaN box")
        numbers.add(scores.shape[1])
        found = apply_threshold(boxes, scores, subject.config.threshold)
        most = max(scores.shape[1], wanted[1].shape[1])
        problem = find_box_difference(_fill(found, most), _fill(wanted, most))
        demand(problem is None, f"it finds other boxes than forward: {problem}")
    demand(
        len(numbers) == 1,
        f"it gives {' and '.join(map(str, sorted(numbers)))} boxes; the number must be fixed",
    )


@check(3, "detector")
def check_exports_boxes(subject: ComponentSubject) -> None:
    """What make_exportable() gives becomes a model of torch.onnx that finds the same, for any number of images."""
    harness = harness_of(subject)
    module = _build_calibrated(subject)
    form = _make_form(module)
    skip_without_onnx()
    network = PlainDetector(form).eval()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        compute = open_onnx(network, tuple(harness.inputs(2).values()), Path(folder) / "boxes.onnx")
        for number in (2, 3):
            images = harness.inputs(number)["images"]
            problem = find_box_difference(compute((images,)), network(images))
            demand(problem is None, f"the ONNX model finds other boxes in {number} images: {problem}")


def _build_calibrated(subject: ComponentSubject) -> Detector:
    """The detector in evaluation mode, its batch norms with the statistics of random images.

    With those that it is built with, all boxes may have the same score, and which of them are the best is chance.
    """
    harness = harness_of(subject)
    module = cast("Detector", harness.build())
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.momentum = 1.0
    if subject.config.trainable():
        with torch.no_grad():
            module.loss(harness.inputs(2)["images"], labels(2, 2, harness.size))
    return module.eval()


def _make_form(module: Detector) -> nn.Module:
    form = module.make_exportable()
    if form is None:
        raise skip("it offers no form that runtimes compute and files hold")
    demand(not form.training, "make_exportable() must give a module in evaluation mode")
    return form


def _fill(found: tuple[Tensor, Tensor], most: int) -> tuple[Tensor, Tensor]:
    """As many boxes as ``most``, zeros in the place of those that are none."""
    boxes, scores = found
    more = most - scores.shape[1]
    boxes = nn.functional.pad(boxes, (0, 0, 0, more), value=math.nan)
    return boxes.nan_to_num(), nn.functional.pad(scores, (0, more))


CHECKS = (
    check_detector_lists_boxes,
    check_detector_learns_from_empty_images,
    check_detector_offers_the_same,
    check_exports_boxes,
)
