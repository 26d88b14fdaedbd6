"""What a pose network puts out for its inputs, recorded while stages use it, and drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from pose_core.interfaces import Head, Predictions, Predictor
from pose_core.model.assemble import WATCH, PoseModel
from pose_core.pictures.batch import show_extra, to_bytes
from pose_core.pictures.describe import ShownOutput, describe_outputs, show_output
from pose_core.pictures.outputs import draw_output
from pose_core.pictures.panels import count, draw_candidates, draw_poses, name_colours, show_image
from pose_core.pictures.sheet import Panel, Row, draw_sheet
from pose_core.structures import ByteArray, Skeleton

Points = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class FoundByHead:
    """Animals after one head, or the candidates that it chooses among.

    Attributes:
        name: what the panel says.
        keypoints, scores: (N, K, 2) pixels of the network's input, and (N, K).
        candidates: whether these are no animals yet.
    """

    name: str
    keypoints: Points
    scores: Points
    candidates: bool


@dataclass(frozen=True)
class NetworkLook:
    """One input of a network, and what came of it.

    Attributes:
        image: (H, W, 3) uint8 RGB, the input without its normalisation.
        extra: the extra inputs.
        outputs: by head and output.
        not_shown: ``head.output`` of outputs that no picture can be made of, with their shapes.
        found: head by head; the last is the result.
        skeleton: of the network.
    """

    image: ByteArray
    extra: tuple[ShownOutput, ...]
    outputs: Mapping[str, Mapping[str, ShownOutput]]
    not_shown: Mapping[str, str]
    found: tuple[FoundByHead, ...]
    skeleton: Skeleton

    def panels(self) -> list[Panel]:
        """A panel for the input, for each output, and for what each head finds."""
        shape = self.image.shape[0] / self.image.shape[1]
        panels = [Panel("input and what is found in it", self._draw_result, shape)]
        for extra in self.extra:
            panels.append(
                Panel(f"extra input {extra.name}", partial(self._draw_output, extra, {}, None), shape)
            )
        for head, outputs in self.outputs.items():
            for name, shown in outputs.items():
                panels.append(
                    Panel(f"{head}.{name}", partial(self._draw_output, shown, outputs, None), shape)
                )
        for name, form in self.not_shown.items():
            panels.append(Panel(f"{name}: {form}, no map", _leave_empty, shape))
        # The last ones stand in the first panel.
        panels += [Panel(found.name, partial(self._draw_found, found), shape) for found in self.found[:-1]]
        return panels

    def panels_by_label(self) -> Iterator[tuple[str, list[Panel]]]:
        """For each output with several maps its name, and a panel for each map."""
        shape = self.image.shape[0] / self.image.shape[1]
        for head, outputs in self.outputs.items():
            for name, shown in outputs.items():
                if len(shown.view.labels) > 1:
                    yield (
                        f"{head}.{name}",
                        [
                            Panel(label, partial(self._draw_output, shown, outputs, number), shape)
                            for number, label in enumerate(shown.view.labels)
                        ],
                    )

    def _draw_result(self, axes: Axes) -> str:
        show_image(axes, self.image)
        last = self.found[-1]
        return _draw(axes, last, self.skeleton)

    def _draw_output(
        self, shown: ShownOutput, others: Mapping[str, ShownOutput], label: int | None, axes: Axes
    ) -> str:
        return draw_output(axes, self.image, shown, others, label)

    def _draw_found(self, found: FoundByHead, axes: Axes) -> str:
        show_image(axes, self.image)
        return _draw(axes, found, self.skeleton)


def look_at(
    model: PoseModel, images: Tensor, extra: Mapping[str, Tensor], outputs: Mapping[str, Mapping[str, Tensor]]
) -> list[NetworkLook]:
    """Collect what a network puts out for a batch, for each of its images.

    Args:
        model: the network.
        images: (B, 3, H, W) uint8.
        extra: its extra inputs.
        outputs: of its heads.
    """
    size = (images.shape[-2], images.shape[-1])
    shown = to_bytes(images)
    with torch.inference_mode():
        found = _list_found(model, outputs)
    looks = []
    for image in range(len(images)):
        by_head: dict[str, dict[str, ShownOutput]] = {}
        left: dict[str, str] = {}
        for name, head in model.heads.items():
            assert isinstance(head, Head)
            tensors = outputs[name]
            views, unknown = describe_outputs(head, {k: v.shape for k, v in tensors.items()}, model.skeleton)
            by_head[name] = {
                k: show_output(k, view, head, tensors[k][image], size).like_keypoints(model.skeleton)
                for k, view in views.items()
            }
            left |= {f"{name}.{k}": " x ".join(map(str, tensors[k].shape[1:])) for k in unknown}
        extras = (show_extra(name, value[image], size) for name, value in extra.items())
        looks.append(
            NetworkLook(
                shown[image],
                tuple(each for each in extras if each is not None),
                by_head,
                left,
                tuple(_of_image(part, image) for part in found),
                model.skeleton,
            )
        )
    return looks


def draw_looks(title: str, looks: Sequence[NetworkLook], names: Sequence[str]) -> ByteArray:
    """Draw a row for each input: (H, W, 3) uint8 RGB.

    Args:
        title: above them all.
        looks: one or more, of one network.
        names: of the inputs.
    """
    rows = [Row(name, look.panels()) for name, look in zip(names, looks, strict=True)]
    return draw_sheet(title, rows, name_colours(looks[0].skeleton))


@contextmanager
def record_networks(looks: list[NetworkLook]) -> Iterator[None]:
    """Add to ``looks`` what every pose network of this thread computes meanwhile, whatever stage uses it."""

    def watch(
        model: PoseModel,
        images: Tensor,
        extra: Mapping[str, Tensor],
        outputs: Mapping[str, Mapping[str, Tensor]],
    ) -> None:
        looks.extend(look_at(model, images, extra, outputs))

    token = WATCH.set(watch)
    try:
        yield
    finally:
        WATCH.reset(token)


@dataclass(frozen=True)
class _Found:
    name: str
    predictions: Predictions
    candidates: bool


def _list_found(model: PoseModel, outputs: Mapping[str, Mapping[str, Tensor]]) -> list[_Found]:
    """What each head finds, and before it the candidates that its predictor tells of."""
    found: list[_Found] = []
    before: Predictions | None = None
    for name, predictions in model.decode_by_head(outputs):
        head = model.heads[name]
        predictor = getattr(head, "predictor", None)
        if isinstance(predictor, Predictor):
            floats = {key: value.float() for key, value in outputs[name].items()}
            device = next(iter(floats.values())).device
            known = before or Predictions.none(len(predictions), model.skeleton, device)
            candidates = predictor.find_candidates(floats, known)
            if candidates is not None:
                found.append(_Found(f"{name}: candidates", candidates.to("cpu"), True))
        # Animals of one keypoint each are what a later head puts together.
        most = (
            int(torch.isfinite(predictions.keypoints).all(-1).sum(-1).amax())
            if predictions.keypoints.numel()
            else 0
        )
        single = most == 1 and model.skeleton.num_keypoints > 1
        found.append(_Found(f"after {name}", predictions.to("cpu"), single))
        before = predictions
    return found


def _of_image(found: _Found, image: int) -> FoundByHead:
    points, scores = found.predictions.keypoints[image], found.predictions.keypoint_scores[image]
    return FoundByHead(found.name, points.float().numpy(), scores.float().numpy(), found.candidates)


def _draw(axes: Axes, found: FoundByHead, skeleton: Skeleton) -> str:
    present = (np.isfinite(found.keypoints).all(axis=-1) & (found.scores > 0)).any(axis=-1)
    if found.candidates:
        draw_candidates(axes, found.keypoints, found.scores)
        return count(int(present.sum()), "candidate")
    draw_poses(axes, found.keypoints[present], skeleton)
    return count(int(present.sum()), "animal")


def _leave_empty(axes: Axes) -> None:
    axes.set_axis_off()
