"""The two directions of a head's code: labels -> targets, outputs -> keypoints.

Both run batched on the model's device. Neither loops in Python over images, animals, keypoints or pixels,
except where an algorithm is sequential by nature (assembling animals), and then over small arrays only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from pose_core.interfaces.context import BuildContext, Grid
from pose_core.interfaces.tensors import Labels, Predictions, Target
from pose_core.specs import PredictorConfig, TargetGeneratorConfig


# Modules, though most have no parameters: their buffers move with the model to its device.
class TargetGenerator(nn.Module, ABC):
    """Labels -> targets of a head's outputs. Made as ``factory(config, context, grid)``."""

    def __init__(self, config: TargetGeneratorConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    @abstractmethod
    def forward(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        """Args:
            labels: of the batch, in pixels of the network's input.
            outputs: what the head put out; only shapes and device are to be used.

        Returns:
            a target for every output that has a loss.
        """


class Predictor(nn.Module, ABC):
    """Outputs of a head -> animals. Made as ``factory(config, context, grid)``.

    Attributes:
        exportable: whether :meth:`forward` is arithmetic of tensors alone, so that exported files can hold it:
            no branch and no number of results depends on values, nothing leaves torch.
    """

    exportable: ClassVar[bool] = False

    def __init__(self, config: PredictorConfig, context: BuildContext, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    @abstractmethod
    def forward(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """Args:
            outputs: what the head put out.
            found: all that the heads before this one found, candidates included; ``Predictions.none`` for the
                first.

        Returns:
            what takes the place of ``found``: extended by what this head knows, regrouped, or with fewer
            animals. Who an animal is goes into ``identity_scores``; the core names all animals of a frame.
        """

    def find_candidates(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions | None:
        """What :meth:`forward` chooses among or puts together, for pictures (``pose show-maps``).

        Args:
            outputs, found: as of :meth:`forward`.

        Returns:
            candidates as animals, with one keypoint or several; None, by default, if there are none but those
            in ``found``.
        """
        return None
