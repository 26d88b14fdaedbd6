"""Level 1: extra inputs."""

from __future__ import annotations

import torch

from pose_core.interfaces import BuildContext, ExtraInput, Predictions
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.examples import SIZE, SKELETON, labels, without
from pose_core.testing.checks.targets import ComponentSubject


@check(1, "input")
def check_input_is_drawn(subject: ComponentSubject) -> None:
    """In training and inference a finite (B, C, H, W) comes out, also of missing keypoints and of poses
    outside."""
    torch.manual_seed(0)
    module: ExtraInput = BuildContext(SKELETON, input_size=SIZE).build("input", subject.config)
    truth = labels(2, 2)
    holes = torch.zeros(2, 2, SKELETON.num_keypoints, dtype=torch.bool)
    holes[0, 0, 1] = holes[1] = True
    shapes = set()
    none = Predictions.none(2, SKELETON)
    # A crop can lie anywhere, so the last pose is outside of the picture altogether.
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
            demand(
                torch.isfinite(value).all(), f"{name} is not finite where keypoints are missing or outside"
            )
            shapes.add(shape)
    demand(len(shapes) == 1, f"training and inference differ in shape: {sorted(shapes)}")


@check(1, "input")
def check_input_depends_on_the_pose(subject: ComponentSubject) -> None:
    """In inference the same pose gives the same input, and a moved pose another."""
    torch.manual_seed(0)
    module: ExtraInput = BuildContext(SKELETON, input_size=SIZE).build("input", subject.config)
    none, scores = Predictions.none(1, SKELETON), torch.ones(1, 1, SKELETON.num_keypoints)
    here = none.with_animals(labels(1, 1).keypoints, scores)
    there = none.with_animals(labels(1, 1).keypoints + 6.0, scores)
    first, again, other = (module.for_inference(poses, SIZE) for poses in (here, here, there))
    demand(torch.equal(first, again), "the same pose gives different inputs")
    demand(not torch.equal(first, other), "a moved pose gives the same input")


CHECKS = (
    check_input_is_drawn,
    check_input_depends_on_the_pose,
)
