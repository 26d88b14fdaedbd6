"""Extra inputs of a network, such as an initial pose that it refines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from pose_core.interfaces.context import BuildContext
from pose_core.interfaces.tensors import Labels, Predictions
from pose_core.specs import InputConfig


class ExtraInput(nn.Module, ABC):
    """Makes one extra input of the backbone, batched and on the model's device.

    Attributes:
        exportable: whether :meth:`for_inference` is arithmetic of tensors alone, as of a
            :class:`~pose_core.interfaces.Predictor`; an exported file then takes poses.
    """

    exportable: ClassVar[bool] = False

    def __init__(self, config: InputConfig, context: BuildContext) -> None:
        super().__init__()

    @abstractmethod
    def for_training(self, labels: Labels, image_size: tuple[int, int]) -> Tensor:
        """The input made from labels (with whatever imperfection the network should learn to mend).

        Args:
            labels: of the batch; in crops the first animal is the one the crop is about.
            image_size: (H, W) of the network's input.
        """

    @abstractmethod
    def for_inference(self, found: Predictions, image_size: tuple[int, int]) -> Tensor:
        """The input made from what an earlier stage found.

        Args:
            found: in pixels of the network's input; in crops N is 1.
            image_size: (H, W) of the network's input.
        """
