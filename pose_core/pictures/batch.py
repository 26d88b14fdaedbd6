"""A picture of a batch of training: inputs with their labels, and the targets of each output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from pose_core.data.batches import Batch
from pose_core.interfaces import Grid, Head, MapView, Target
from pose_core.model.assemble import PoseModel
from pose_core.pictures.describe import ShownOutput, describe_outputs, show_target
from pose_core.pictures.outputs import draw_output
from pose_core.pictures.panels import count, draw_boxes, draw_poses, name_colours, show_image
from pose_core.pictures.sheet import Panel, Row, draw_sheet
from pose_core.structures import ByteArray, Skeleton


def draw_training_batch(
    network: nn.Module, batch: Batch, names: Sequence[str], skeleton: Skeleton
) -> ByteArray:
    """Draw a batch as a network learns it: a row an image; input, extra inputs, the target of each output.

    Args:
        network: a pose network, whose targets are drawn, or a detector.
        batch: on any device.
        names: of the images.
        skeleton: of the labels.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    targets: list[list[Panel]] = [[] for _ in names]
    if isinstance(network, PoseModel):
        targets = _list_targets(network, batch)
    rows = []
    for image, name in enumerate(names):
        height, width = batch.images.shape[-2:]
        first = Panel("input", partial(_draw_input, batch, image, skeleton, network), height / width)
        rows.append(Row(name, [first, *targets[image]]))
    return draw_sheet(
        "What training shows the network, and what it is to learn", rows, name_colours(skeleton)
    )


def to_bytes(images: Tensor) -> ByteArray:
    """Images (B, 3, H, W) uint8 as an array (B, H, W, 3) in host memory."""
    return np.ascontiguousarray(images.cpu().permute(0, 2, 3, 1).numpy())


def show_extra(name: str, value: Tensor, size: tuple[int, int]) -> ShownOutput | None:
    """Make an extra input of one image ready to be drawn; None if it is no map.

    Args:
        name: of the extra input.
        value: (C, h, w).
        size: (height, width) of the network's input.
    """
    if value.ndim != 3:
        return None
    view = MapView("score", tuple(str(number) for number in range(len(value))))
    grids = Grid.cells(size[1] / value.shape[-1]), Grid.cells(size[0] / value.shape[-2])
    return ShownOutput(name, view, value.detach().float().cpu().numpy(), grids)


def _list_targets(model: PoseModel, batch: Batch) -> list[list[Panel]]:
    """The panels of each image beside its input."""
    size = (batch.images.shape[-2], batch.images.shape[-1])
    training = model.training
    # Only the shapes of the outputs matter, and in training mode the batch would move running statistics.
    model.eval()
    moved = batch.to(model.device)
    with torch.inference_mode():
        extra = model.extra_for_training(moved.labels, size)
        outputs = model(model.normalise(moved.images), **extra)
    model.train(training)
    images = to_bytes(batch.images)
    panels: list[list[Panel]] = [[] for _ in range(len(images))]
    shape = size[0] / size[1]
    for name, value in extra.items():
        for image, row in enumerate(panels):
            if (shown := show_extra(name, value[image], size)) is not None:
                row.append(
                    Panel(f"extra input {name}", partial(_draw_target, images[image], shown, {}), shape)
                )
    labels = model.targets(moved.labels)
    for head_name, head in model.heads.items():
        assert isinstance(head, Head)
        if not hasattr(head, "target_generator"):
            for row in panels:
                row.append(Panel(f"{head_name}: has its targets in its loss", _leave_empty, shape))
            continue
        with torch.inference_mode():
            targets = head.targets(labels, outputs[head_name])
        shown_by_image = _show_targets(head, model.skeleton, targets, len(images), size)
        for image, row in enumerate(panels):
            for output, shown in shown_by_image[image].items():
                draw = partial(_draw_target, images[image], shown, shown_by_image[image])
                row.append(Panel(f"{head_name}.{output}: target", draw, shape))
    return panels


def _show_targets(
    head: Head, skeleton: Skeleton, targets: Mapping[str, Target], images: int, size: tuple[int, int]
) -> list[dict[str, ShownOutput]]:
    views, _ = describe_outputs(
        head, {name: target.value.shape for name, target in targets.items()}, skeleton
    )
    return [
        {
            name: show_target(name, view, head, targets[name], image, size).like_keypoints(skeleton)
            for name, view in views.items()
        }
        for image in range(images)
    ]


def _draw_target(image: ByteArray, shown: ShownOutput, others: Mapping[str, ShownOutput], axes: Axes) -> str:
    about = draw_output(axes, image, shown, others)
    if shown.weight is not None and (shown.weight == 0).all():
        return "ignored: weight 0"
    return about


def _leave_empty(axes: Axes) -> None:
    axes.set_axis_off()


def _draw_input(batch: Batch, image: int, skeleton: Skeleton, network: nn.Module, axes: Axes) -> str:
    labels = batch.labels
    show_image(axes, to_bytes(batch.images[image : image + 1])[0])
    boxes = labels.boxes[image].cpu().numpy()
    points = labels.keypoints[image].cpu().numpy()
    if not isinstance(network, PoseModel):
        draw_boxes(axes, boxes)
        return count(int(np.isfinite(boxes).all(axis=-1).sum()), "labelled animal")
    draw_poses(
        axes,
        points,
        skeleton,
        hidden=labels.occluded[image].cpu().numpy(),
        unique=labels.unique_keypoints[image].cpu().numpy(),
    )
    present = np.isfinite(points).all(axis=-1)
    height, width = batch.images.shape[-2:]
    animals, keypoints = (
        count(int(present.any(axis=-1).sum()), "animal"),
        count(int(present.sum()), "keypoint"),
    )
    return f"{width} x {height} px, {animals}, {keypoints}"
