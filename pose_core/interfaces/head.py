"""Head: feature maps -> named outputs, with the codec and the losses that belong to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from pose_core.errors import ConfigError
from pose_core.interfaces.calibration import Calibration
from pose_core.interfaces.codec import Predictor, TargetGenerator
from pose_core.interfaces.context import BuildContext
from pose_core.interfaces.keypoints import KeypointAxis
from pose_core.interfaces.loss import Loss
from pose_core.interfaces.map_view import MapView
from pose_core.interfaces.tensors import Labels, Predictions, Target
from pose_core.specs import HeadConfig, LossConfig


class Head(nn.Module, ABC):
    """Feature maps -> named outputs.

    A subclass builds its layers and then sets ``target_generator``, ``predictor`` and ``losses`` with
    :meth:`set_codec`. One loss belongs to one output, by name. A head that overrides :meth:`loss` and
    :meth:`decode` does without, and its losses and decoding cannot be exchanged by name.
    """

    target_generator: TargetGenerator
    predictor: Predictor
    losses: nn.ModuleDict
    loss_weights: dict[str, float]
    logits: frozenset[str] = frozenset()
    """Outputs whose loss compares logits."""

    def __init__(self, config: HeadConfig, context: BuildContext) -> None:
        super().__init__()

    def set_codec(
        self,
        target_generator: TargetGenerator,
        predictor: Predictor,
        losses: Mapping[str, LossConfig],
        context: BuildContext,
    ) -> None:
        """Take over the codec and build the losses, by output name."""
        self.target_generator = target_generator
        self.predictor = predictor
        self.losses = nn.ModuleDict({name: context.build("loss", config) for name, config in losses.items()})
        # Apart from the losses: a loss needs no weight of its own, and each is reported weighted.
        self.loss_weights = {name: config.weight for name, config in losses.items()}
        self.logits = frozenset(name for name, config in losses.items() if config.compares_logits())

    @abstractmethod
    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        """Args:
            features: feature maps (B, C, h, w) as declared by neck or backbone.

        Returns:
            output tensors by name, batch first.
        """

    def keypoint_axes(self) -> Mapping[str, Sequence[KeypointAxis]]:
        """The parameters and buffers (names as in ``state_dict``) that have axes over keypoints, and these
        axes.

        Weights trained on other keypoints are taken over along these axes, matched by the names of the
        keypoints; everything else must agree in shape.
        """
        return {}

    def describe_maps(self) -> Mapping[str, MapView]:
        """How pictures show the outputs, by name.

        An output that is not among them is shown by its shape and its name (``pose show-maps`` and
        ``pose show-batch``), which does for scores of keypoints and offsets to them.
        """
        return {}

    def calibrate(self, data: Calibration) -> dict[str, Any]:
        """Decide values of the config by the data; asked once, when the network is trained.

        Returns:
            a partial config of the head (``{"predictor": {"threshold": 0.2}}``), which is written to the
            run's configuration; nothing by default.
        """
        return {}

    def targets(self, labels: Labels, outputs: Mapping[str, Tensor]) -> dict[str, Target]:
        """The targets of the outputs, by name.

        Args:
            labels: as of :meth:`loss`.
            outputs: of :meth:`forward`; only shapes and device are used.
        """
        made: dict[str, Target] = self.target_generator(labels, outputs)
        return made

    def loss(self, outputs: Mapping[str, Tensor], labels: Labels) -> dict[str, Tensor]:
        """The weighted losses by output name, scalars.

        Args:
            outputs: of :meth:`forward`.
            labels: of the animals to be found; in crops of the one that the crop is about.

        Raises:
            ConfigError: a loss is for an output that the head does not have.
            KeyError: the target generator made no target for an output that has a loss.
        """
        if unknown := sorted(set(self.losses) - set(outputs)):
            raise ConfigError(
                f"losses: the head has no output {unknown[0]!r}; its outputs are {', '.join(outputs)}"
            )
        # Once for all outputs: generators paint heatmaps and offsets from the same boxes and blobs.
        targets = self.targets(labels, outputs)
        result: dict[str, Tensor] = {}
        for name, module in self.losses.items():
            assert isinstance(module, Loss)
            result[name] = module(outputs[name], *targets[name]) * self.loss_weights[name]
        return result

    def can_export_decoding(self) -> bool:
        """Tell whether exported files can hold :meth:`decode`: it is that of an exportable predictor."""
        return type(self).decode is Head.decode and self.predictor.exportable

    def decode(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
        """Add what this head finds to what those before it found.

        Heads are decoded in the order of the configuration.

        Args:
            outputs: of :meth:`forward`, float32.
            found: all animals of the heads before this one, candidates (animals with one keypoint) included,
                in pixels of the network's input; ``Predictions.none`` for the first.

        Returns:
            what takes the place of ``found``: the animals extended, regrouped, or fewer of them.
        """
        extended: Predictions = self.predictor(outputs, found)
        return extended
