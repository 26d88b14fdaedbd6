"""Show a head its trained network's outputs, to decide values of its config."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from pose_core.interfaces.codec import Predictor
from pose_core.interfaces.tensors import Labels


class Calibration(ABC):
    """The labelled images as the trained network sees them.

    Attributes:
        seed: of the training; for whatever is drawn.
    """

    seed: int

    @abstractmethod
    def training(self) -> Iterator[tuple[Mapping[str, Tensor], Labels]]:
        """The head's outputs and the labels of training images, batch by batch, without augmentation; some
        hundred images, spread over all of them."""

    @abstractmethod
    def errors(self, predictors: Sequence[Predictor]) -> list[float]:
        """For each predictor the mean error on the validation images (the training images, where there are
        none) if the head had it instead of its own; pixels, the lower the better. What chooses the best
        weights, too."""
