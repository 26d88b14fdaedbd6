"""Level 1: detectors, extra inputs and models."""

from __future__ import annotations

from typing import Any

import torch

from pose_core.errors import PoseError
from pose_core.interfaces import BuildContext, Predictions
from pose_core.model.build import build_model
from pose_core.testing.checks.check import MODEL, check, demand
from pose_core.testing.checks.examples import SIZE, SKELETON, labels, nothing, without
from pose_core.testing.checks.harness import rig_of, total
from pose_core.testing.checks.project import resolved
from pose_core.testing.checks.targets import ComponentSubject, ModelSubject, skip


@check(1, "detector")
def check_detector_lists_boxes(subject: ComponentSubject) -> None:
    """In eval mode: boxes (B, M, 4) and scores (B, M) in [0, 1], best first, NaN and 0 beyond the last."""
    rig = rig_of(subject)
    module = rig.build().eval()
    with torch.no_grad():
        boxes, scores = module(rig.inputs(2)["images"])
    shape = tuple(scores.shape)
    demand(len(shape) == 2 and shape[0] == 2, f"scores must have shape (B, M), not {shape}")
    demand(tuple(boxes.shape) == (*shape, 4), f"boxes must have shape (B, M, 4), not {tuple(boxes.shape)}")
    demand(((scores >= 0) & (scores <= 1)).all(), "scores must lie in [0, 1]")
    demand((scores[:, 1:] <= scores[:, :-1]).all(), "boxes must come best first")
    demand(torch.isnan(boxes[scores == 0]).all(), "what has score 0 must have a NaN box")
    real = boxes[scores > 0]
    demand(torch.isfinite(real).all(), "a box with a score is not finite")
    demand((real[:, 2:] >= real[:, :2]).all(), "boxes must be x1, y1, x2, y2")


@check(1, "detector")
def check_detector_learns_from_empty_images(subject: ComponentSubject) -> None:
    """The losses of images without boxes, with many, and with an unknown (NaN) one are finite, forward and backward."""
    if not subject.config.trainable():
        raise skip("its example does not learn")
    rig = rig_of(subject)
    module: Any = rig.build()
    images = rig.inputs(2)["images"]
    some = without(labels(2, 3, rig.size), torch.tensor([[[True], [False], [False]], [[True], [True], [True]]]))
    for case, truth in (("no animal", nothing(2)), ("three animals", labels(2, 3, rig.size)), ("unknown boxes", some)):
        module.zero_grad()
        loss = total(module.loss(images.clone(), truth))
        demand(torch.isfinite(loss), f"the loss with {case} is not finite")
        torch.autograd.backward(loss)
        bad = [n for n, p in module.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
        demand(not bad, f"with {case}, the gradient of {', '.join(bad[:3])} is not finite")


@check(1, "input")
def check_input_is_drawn(subject: ComponentSubject) -> None:
    """In training and inference a finite (B, C, H, W) comes out, also of missing keypoints and of poses outside."""
    torch.manual_seed(0)
    module: Any = BuildContext(SKELETON, input_size=SIZE).build("input", subject.config)
    truth = labels(2, 2)
    holes = torch.zeros(2, 2, SKELETON.num_keypoints, dtype=torch.bool)
    holes[0, 0, 1] = holes[1] = True
    shapes = set()
    none = Predictions.none(2, SKELETON)
    for points in (truth.keypoints, without(truth, holes).keypoints, truth.keypoints + 500.0):
        found = none.with_animals(points[:, :1], torch.ones(2, 1, SKELETON.num_keypoints))
        drawn = {"for_inference": module.for_inference(found, SIZE)}
        drawn["for_training"] = module.for_training(without(truth, torch.isnan(points).any(-1)), SIZE)
        for name, value in drawn.items():
            shape = tuple(value.shape)
            demand(
                len(shape) == 4 and shape[0] == 2 and shape[2:] == SIZE,
                f"{name} gives shape {shape}, not (2, C, {SIZE[0]}, {SIZE[1]})",
            )
            demand(torch.isfinite(value).all(), f"{name} is not finite where keypoints are missing or outside")
            shapes.add(shape)
    demand(len(shapes) == 1, f"training and inference differ in shape: {sorted(shapes)}")


@check(1, "input")
def check_input_depends_on_the_pose(subject: ComponentSubject) -> None:
    """In inference the same pose gives the same input, and a moved pose another."""
    torch.manual_seed(0)
    module: Any = BuildContext(SKELETON, input_size=SIZE).build("input", subject.config)
    none, scores = Predictions.none(1, SKELETON), torch.ones(1, 1, SKELETON.num_keypoints)
    here = none.with_animals(labels(1, 1).keypoints, scores)
    there = none.with_animals(labels(1, 1).keypoints + 6.0, scores)
    first, again, other = (module.for_inference(poses, SIZE) for poses in (here, here, there))
    demand(torch.equal(first, again), "the same pose gives different inputs")
    demand(not torch.equal(first, other), "a moved pose gives the same input")


@check(1, MODEL)
def check_model_builds(subject: ModelSubject) -> None:
    """The network of the model can be built (without memory)."""
    subject.skip_incomplete()
    try:
        spec = resolved(subject.model)
        with torch.device("meta"):
            network = build_model(spec)
    except PoseError as error:
        raise AssertionError(str(error)) from None
    demand(network.size_multiple > 0, "size_multiple must be positive")


CHECKS = (
    check_detector_lists_boxes,
    check_detector_learns_from_empty_images,
    check_input_is_drawn,
    check_input_depends_on_the_pose,
    check_model_builds,
)
