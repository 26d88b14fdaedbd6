"""Bases of the configs of each kind of component, and the fields that hold one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import (
    Field,
    PositiveInt,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
)

from pose_core.definitions import Content
from pose_core.specs.component_config import ComponentConfig, prefix_errors
from pose_core.specs.features import Feature
from pose_core.specs.named_component import NamedComponent


class BackboneConfig(ComponentConfig):
    """Base of backbone configs. The features must be known without torch."""

    def features(self) -> tuple[Feature, ...]:
        """Channels and stride of each feature map that the network puts out, from fine to coarse."""
        raise NotImplementedError(
            f"{type(self).__name__} has no features(): return (Feature(channels, stride), ...)"
        )

    def extra_inputs(self) -> tuple[str, ...]:
        """Names of the inputs beside the image; they arrive by keyword and come from ``model.inputs``."""
        return ()

    def insert_points(self) -> Mapping[str, tuple[Feature, ...]]:
        """List where a backbone around this one may read or change feature maps.

        See :mod:`pose_core.interfaces.backbone`.

        Returns:
            the feature maps that pass at each insert point, from fine to coarse. The names are identifiers;
            the points are passed in this order.
        """
        return {}

    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this; images are padded to it."""
        # Right for strides that divide one another, which is the rule; others override it.
        return max(f.stride for f in self.features())


class NeckConfig(ComponentConfig):
    """Base of neck configs."""

    def features(self, features: Sequence[Feature]) -> tuple[Feature, ...]:
        """Describe the features that come out for these incoming ones.

        Raises:
            ValueError: the neck cannot take them; say which field to change.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no features(): return (Feature(channels, stride), ...)"
        )

    def size_multiple(self, features: Sequence[Feature]) -> int:
        """Height and width of the network's input must be multiples of this and of the backbone's; for a neck
        that makes maps coarser than those that come in."""
        return 1

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        """Refuse feature maps (or an input size, (height, width); None where it is not fixed) that it cannot
        take.

        Raises:
            ValueError: one line that names the field to change.
        """


class TargetGeneratorConfig(ComponentConfig):
    """Base of target generator configs."""

    def check_stride(self, stride: float) -> None:
        """Refuse settings that do not fit cells of this size, such as blobs that fall between them.

        Args:
            stride: pixels of the network's input a cell.

        Raises:
            ValueError: one line that begins with the field to change (``sigma: ...``); the key at which the
                target generator stands is added by who asks (:func:`prefix_errors`).
        """

    def teaches_absent(self) -> bool:
        """Whether an unlabelled keypoint is taught as absent; by default it is unknown and has weight 0."""
        return False


class LossConfig(ComponentConfig):
    """Base of loss configs."""

    weight: float = Field(1.0, ge=0.0, description="Factor of this loss in the sum of all losses.")

    def compares_logits(self) -> bool:
        """Whether the output is a logit: the loss holds the sigmoid (or softmax), and a predictor has to
        apply it."""
        return False


class PredictorConfig(ComponentConfig):
    """Base of predictor configs."""

    def decided(self, *, logits: bool) -> PredictorConfig:
        """This config with what it left open decided by the head.

        Args:
            logits: whether the heatmaps are logits.
        """
        return self

    def predicts_several(self) -> bool:
        """Whether it gives several animals of one input, for heads whose predictor decides that."""
        return False

    def groups_candidates(self) -> bool:
        """Whether it makes animals of the candidates that the heads before it found; by default it finds, or
        describes, animals itself."""
        return False


class HeadConfig(ComponentConfig):
    """Base of head configs.

    A head config has the fields ``target_generator`` (``AnyTargetGenerator``), ``predictor``
    (``AnyPredictor``) and ``losses`` (``dict[str, AnyLoss]``, by output), each with its default.

    Attributes:
        heatmap_output: name of the output that holds heatmaps, if the head has one.
        needs_view: the view of the network that the head needs (``frame``, ``animal``); None: either.
    """

    heatmap_output: ClassVar[str | None] = None
    needs_view: ClassVar[str | None] = None

    if TYPE_CHECKING:
        # Declared by each head, because inherited fields would come first in files and in validation.
        target_generator: TargetGeneratorConfig
        predictor: PredictorConfig
        losses: dict[str, LossConfig]

    @field_validator("losses", mode="before", check_fields=False)
    @classmethod
    def _every_output_has_a_loss(cls, given: object, info: ValidationInfo) -> object:
        """Refuse losses of outputs that the head does not have, and give the others in the order of the
        outputs."""
        defaults = cls.model_fields["losses"].get_default()
        if not isinstance(given, dict) or not isinstance(defaults, dict):
            return given
        outputs = cls.output_names(info.data)
        # onto_defaults has merged in the losses of all outputs, also of those that are switched off: what
        # equals its default was not written by the user.
        unknown = sorted(str(n) for n in given if n not in outputs and given[n] != defaults.get(n))
        if unknown:
            known = (
                f"its outputs are {', '.join(outputs)}"
                if len(outputs) > 1
                else f"its only output is {outputs[0]}"
            )
            raise ValueError(f"the head has no output {', '.join(unknown)}; {known}")
        # The order is that of the outputs, not of the file: the losses are added up in it, and sums of
        # floats depend on the order.
        return {name: given.get(name, defaults[name]) for name in outputs}

    @classmethod
    def output_names(cls, settings: Content) -> tuple[str, ...]:
        """Names of the outputs that have a loss; by default those of the field ``losses``.

        Args:
            settings: the validated fields that stand before ``losses``, for heads whose outputs depend on
                them.
        """
        return tuple(cls.model_fields["losses"].get_default())

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        """Refuse feature maps (or an input size, (height, width)) that the head cannot take.

        Raises:
            ValueError: one line that names the field to change.
        """

    def predicts_several(self) -> bool:
        """Whether the head finds several animals in one input of the network; by default its predictor says
        so, and one without a predictor, which decodes for itself, finds one."""
        return "predictor" in type(self).model_fields and self.predictor.predicts_several()

    def groups_candidates(self) -> bool:
        """Whether the head makes animals of the candidates of the heads before it, so that it cannot be the
        first; by default its predictor says so."""
        return "predictor" in type(self).model_fields and self.predictor.groups_candidates()

    def predicts_unique(self) -> bool:
        """Whether the head finds the keypoints that exist once a frame; by default those of animals only."""
        return False

    def predicts_identity(self) -> bool:
        """Whether the head tells which individual an animal is."""
        return False

    def check_stride(self, stride: float) -> None:
        """Refuse a target generator that does not fit cells of this size, for :meth:`check`.

        Args:
            stride: pixels of the network's input a cell of the outputs.

        Raises:
            ValueError: one line that names the field to change.
        """
        with prefix_errors("target_generator"):
            self.target_generator.check_stride(stride)

    def heatmaps_are_logits(self) -> bool:
        """Whether the loss of the heatmaps compares logits; False without heatmaps."""
        return self.heatmap_output is not None and self.losses[self.heatmap_output].compares_logits()

    def decided_predictor(self) -> PredictorConfig:
        """The predictor with what it leaves open decided: whether it has to apply a sigmoid."""
        return self.predictor.decided(logits=self.heatmaps_are_logits())


class InputConfig(ComponentConfig):
    """Base of the configs of extra inputs, such as an initial pose that a network refines."""


class DetectorConfig(ComponentConfig):
    """Base of detector configs."""

    size: tuple[PositiveInt, PositiveInt] | None = Field(
        None,
        description="(height, width) in pixels that frames are fitted into, their aspect ratio kept; null: "
        "frames are "
        "shown at full resolution.",
    )
    threshold: float = Field(0.2, ge=0, le=1, description="Boxes with a lower score are not reported.")
    excess: float = Field(
        0.0,
        ge=0,
        description="Pixels of the frame by which its boxes are larger than the animals, on each side; they "
        "are taken "
        "off. For imported detectors, which were trained on boxes with a margin.",
    )

    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this; images are padded to it."""
        return 32

    def defaults(self) -> Content:
        """Training defaults of the detector, a partial :class:`DetectorSpec`:
        ``{"train": {"batch_size": 4}}``."""
        return {}

    def trainable(self) -> bool:
        """Whether it learns from the project's boxes; False for one that is used as it was pretrained."""
        return True


class StageConfig(ComponentConfig):
    """Base of the configs of stages."""

    def needs(self) -> tuple[str, ...]:
        """List what the stages before it must have found: ``boxes``, ``poses``, ``centres``, or a word of the
        plugin."""
        return ()

    def gives(self) -> tuple[str, ...]:
        """List what it finds, in the same words."""
        return ("poses",)

    def can_do_without(self, follow: bool) -> tuple[str, ...]:
        """Those of its needs that it uses where something supplies them, and can do without.

        Args:
            follow: whether it starts from what was found in the frame before.
        """
        return ()


class ExporterConfig(ComponentConfig):
    """Base of the configs of exporters."""


class RuntimeConfig(ComponentConfig):
    """Base of the configs of runtimes."""


class ReaderConfig(ComponentConfig):
    """Base of the configs of labelled-project readers."""


class WriterConfig(ComponentConfig):
    """Base of the configs of prediction writers."""


class ImporterConfig(ComponentConfig):
    """Base of the configs of importers of trained models."""


AnyBackbone = Annotated[SerializeAsAny[BackboneConfig], NamedComponent("backbone", BackboneConfig)]
AnyNeck = Annotated[SerializeAsAny[NeckConfig], NamedComponent("neck", NeckConfig)]
AnyHead = Annotated[SerializeAsAny[HeadConfig], NamedComponent("head", HeadConfig)]
AnyTargetGenerator = Annotated[
    SerializeAsAny[TargetGeneratorConfig], NamedComponent("target_generator", TargetGeneratorConfig)
]
AnyPredictor = Annotated[SerializeAsAny[PredictorConfig], NamedComponent("predictor", PredictorConfig)]
AnyLoss = Annotated[SerializeAsAny[LossConfig], NamedComponent("loss", LossConfig)]
AnyInput = Annotated[SerializeAsAny[InputConfig], NamedComponent("input", InputConfig)]
AnyDetector = Annotated[SerializeAsAny[DetectorConfig], NamedComponent("detector", DetectorConfig)]
AnyStage = Annotated[SerializeAsAny[StageConfig], NamedComponent("stage", StageConfig)]
AnyRuntime = Annotated[SerializeAsAny[RuntimeConfig], NamedComponent("runtime", RuntimeConfig)]
AnyImporter = Annotated[SerializeAsAny[ImporterConfig], NamedComponent("importer", ImporterConfig)]
AnyReader = Annotated[SerializeAsAny[ReaderConfig], NamedComponent("reader", ReaderConfig)]
AnyWriter = Annotated[SerializeAsAny[WriterConfig], NamedComponent("writer", WriterConfig)]
