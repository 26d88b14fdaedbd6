"""Detector: image -> boxes of animals, the first stage of top-down models."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from pose_core.interfaces.context import BuildContext
from pose_core.interfaces.tensors import Labels
from pose_core.specs import DetectorConfig


class Detector(nn.Module, ABC):
    """Finds animals. It normalises images itself: it gets RGB in [0, 1]."""

    def __init__(self, config: DetectorConfig, context: BuildContext) -> None:
        super().__init__()

    @abstractmethod
    def loss(self, images: Tensor, labels: Labels) -> dict[str, Tensor]:
        """Args:
            images: (B, 3, H, W) float32 RGB in [0, 1].
            labels: of the batch; ``boxes`` are the targets.

        Returns:
            weighted losses by name, scalars.
        """

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Args:
            images: (B, 3, H, W) float32 RGB in [0, 1].

        Returns:
            boxes (B, M, 4) ``x1, y1, x2, y2`` in pixels of the images, NaN beyond the last, and scores (B, M)
            in [0, 1], 0 beyond the last; best first.
        """

    def make_exportable(self) -> nn.Module | None:
        """Make the form of the detector that runtimes compute and files hold.

        It takes images as :meth:`forward` and gives the same boxes and scores, but a fixed number M for each image, of
        whatever score: the core leaves out those whose score is not above ``threshold`` of the config. It may hold
        nothing that an exporter cannot follow: no branch and no shape depends on values, and no step counts the images
        (``images.shape[0]``, not ``len(images)``).

        Returns:
            a module in evaluation mode that shares the weights: ``form(images) -> boxes (B, M, 4), scores (B, M)``,
            best first, NaN and 0 beyond the last. None: there is no such form, and PyTorch alone computes the detector.
        """
        return None

    def describe_extra_work(self) -> str | None:
        """Say what the form of :meth:`make_exportable` computes more than :meth:`forward`.

        Users who named a runtime read it, since nothing is measured for them.

        Returns:
            the rest of a sentence about the detector, such as "refines all 1000 boxes, where PyTorch leaves most out,
            which may take ten times as long"; None, the default: hardly more.
        """
        return None
