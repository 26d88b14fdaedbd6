"""Let a runtime compute a detector, in the form with a fixed number of boxes that it offers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pose_core.errors import PluginError
from pose_core.interfaces import Runtime, RuntimeContext
from pose_core.model.detector import DetectorModel
from pose_core.model.runner import TOLERANCE, find_runtime, make_compared
from pose_core.model.torch_runtime import TorchRuntime
from pose_core.specs import RuntimeConfig

SCORE_TOLERANCE = 1e-3
"""By which the score of a box may differ."""

LOST = 0.05
"""Part of the boxes that may be found by one of both only: where two overlap just as much as they may, or the last of
many have nearly equal scores, rounding decides."""

_SIZE = 256, 320
"""Sides of the example for a detector that takes any size, at least, in pixels."""


class PlainDetector(nn.Module):
    """The form of a detector as exporters want it: tensors in, a tuple of tensors out.

    Zeros stand in the place of NaN, which engines do not all hand through.

    Args:
        form: that the detector offers.
    """

    def __init__(self, form: nn.Module) -> None:
        super().__init__()
        self.form = form

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """Find boxes (B, M, 4) and their scores (B, M) in images (B, 3, H, W)."""
        boxes, scores = self.form(tensors[0])
        return torch.where(scores[..., None] > 0, boxes, 0.0), scores


class DetectorRunner:
    """Finds the boxes of a detector by a runtime; a :data:`~pose_core.model.detector.ComputeBoxes`.

    The first image of each new size goes through the network as well: steps that depend on the size may have been
    fixed when it was exported.
    """

    def __init__(self, model: DetectorModel, context: RuntimeContext, runtime: Runtime, called: str) -> None:
        self._model = model
        self._context = context
        self._runtime = runtime
        self._called = called
        self._compared = {context.example[0].shape[2:]}

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Find boxes and scores, as many as the image with the most has."""
        floats = self._model.normalise(images, channels_last=self._runtime.channels_last)
        found = self._runtime.run([floats])
        if floats.shape[2:] not in self._compared:
            self._compare(floats, found)
        boxes, scores = apply_threshold(found[0], found[1], self._model.config.threshold)
        most = int((scores > 0).sum(1).max())
        return boxes[:, :most], scores[:, :most]

    def _compare(self, images: Tensor, found: Sequence[Tensor]) -> None:
        wanted = self._context.network(images[:1])
        if (problem := find_box_difference([each[:1] for each in found], wanted)) is not None:
            raise PluginError(
                f"runtime {self._called}: finds other boxes than {self._context.name} in images of {images.shape[3]} x "
                f"{images.shape[2]}: {problem}; use the runtime torch"
            )
        self._compared.add(images.shape[2:])


def apply_threshold(boxes: Tensor, scores: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Leave out boxes whose score is not above the threshold: NaN, with the score 0."""
    there = scores > threshold
    return torch.where(there[..., None], boxes, torch.nan), torch.where(there, scores, 0.0)


def use_detector_runtime(
    model: DetectorModel, form: nn.Module, config: RuntimeConfig, cache: Path, name: str
) -> None:
    """Let a runtime find the boxes of a detector in predictions, with 32 bits.

    Args:
        model: in evaluation mode, on its device.
        form: that its network offers.
        config: of the runtime.
        cache: folder for what it wants to keep, of this network and runtime alone.
        name: of the network, for messages.

    Raises:
        ConfigError: the runtime does not compute on this device, or cannot take the network.
        PluginError: it finds other boxes.
    """
    factory = find_runtime(config, model.device)
    if issubclass(factory, TorchRuntime):
        model.compute = None
        return
    network = PlainDetector(form).eval()
    context = RuntimeContext(
        network=network,
        inputs=("image",),
        example=(make_images(model),),
        fixed_size=model.config.size is not None,
        size_multiple=model.size_multiple,
        device=model.device,
        cache=cache,
        name=name,
        differs=find_box_difference,
    )
    runtime = make_compared(factory, config, context)
    model.compute = DetectorRunner(model, context, runtime, config.type.rpartition("/")[2])


def make_images(model: DetectorModel, images: int = 2) -> Tensor:
    """Make random images (B, 3, H, W) in [0, 1] that a detector takes; the same each time."""
    multiple = model.size_multiple
    height, width = (-(-side // multiple) * multiple for side in model.config.size or _SIZE)
    # A generator of its own: predictions must not disturb the random numbers of whoever calls.
    random = torch.Generator().manual_seed(0)
    return torch.rand(images, 3, height, width, generator=random).to(model.device)


def find_box_difference(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> str | None:
    """Say how boxes differ from others, whatever their order; None where hardly one does.

    Args:
        found, wanted: boxes (B, M, 4) and scores (B, M), 0 where there is no box.
    """
    shapes, others = ([tuple(each.shape) for each in tensors] for tensors in (found, wanted))
    if shapes != others:
        return f"tensors of shape {shapes} instead of {others}"
    if not all(bool(each.isfinite().all()) for each in found):
        return "values that are no finite numbers"
    (boxes, scores), (true, true_scores) = found, wanted
    # One pixel in a thousand, as of the largest value of other tensors.
    limit = TOLERANCE[32] * float(true.abs().max().clamp(min=1.0)) if true.numel() else 0.0
    same = ((boxes[:, :, None] - true[:, None]).abs() <= limit).all(-1)
    same &= (scores[:, :, None] - true_scores[:, None]).abs() <= SCORE_TOLERANCE
    there, truly = scores > 0, true_scores > 0
    same &= there[:, :, None] & truly[:, None]
    lost = int((there & ~same.any(2)).sum()) + int((truly & ~same.any(1)).sum())
    number = int(there.sum()) + int(truly.sum())
    return None if lost <= LOST * number else f"{lost} of {number} boxes have no partner"
