"""A detector as files of other programs hold it: from pixels to boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pose_core.interfaces import Detector
from pose_core.model.detector import DetectorModel
from pose_core.model.detector_runner import apply_threshold
from pose_core.model.exported import IMAGE

BOXES = ("boxes", "scores")


class ExportedDetector(nn.Module):
    """Normalisation, network, and the choice of boxes: pixels in, boxes and scores out.

    Args:
        model: in evaluation mode, on the CPU.
        form: that its network offers.

    Attributes:
        inputs, outputs: names of the tensors that go in and come out.
    """

    inputs = (IMAGE,)
    outputs = BOXES

    def __init__(self, model: DetectorModel, form: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.form = form

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """Find boxes (B, M, 4) and scores (B, M) above the threshold in images (B, H, W, 3) uint8 RGB."""
        boxes, scores = self.form(tensors[0].permute(0, 3, 1, 2).to(torch.float32) / 255.0)
        return apply_threshold(boxes, scores, self.model.config.threshold)

    def make_example(self, height: int, width: int, images: int = 2) -> Sequence[Tensor]:
        """Make tensors that go in: random pixels."""
        # A generator of its own: the random numbers of the process are the caller's.
        random = torch.Generator().manual_seed(images)
        return (torch.randint(0, 256, (images, height, width, 3), dtype=torch.uint8, generator=random),)


def make_exported_detector(model: DetectorModel) -> ExportedDetector | None:
    """Make a detector for a file; None: it offers no form that files can hold."""
    form = cast(Detector, model.network).make_exportable()
    return None if form is None else ExportedDetector(model, form).eval()
