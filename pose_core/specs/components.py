"""Fields that hold a component: looked up by ``type``, validated by the config class its plugin names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PositiveInt,
    SerializeAsAny,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from pose_core.catalog import Component, get_catalog
from pose_core.catalog.merge import merge
from pose_core.errors import PluginError, PoseError, described
from pose_core.specs.base import Spec


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature map that a backbone or neck puts out.

    Attributes:
        channels: C of the (B, C, h, w) tensor.
        stride: input pixels per cell; h is about H / stride.
        tokens: True for what is no map but one vector a keypoint: a (B, K, C) tensor. ``stride`` is then that of the
            map the tokens were made from.
    """

    channels: int
    stride: int
    tokens: bool = False


def declared(name: str, ask: Callable[[], object]) -> tuple[Feature, ...]:
    """The features that a config says its network puts out, checked, since everything else is built on them.

    Args:
        name: of the component, for the message.
        ask: its ``features``.

    Raises:
        ValueError: as the config raises it, where it cannot take what comes in.
        PluginError: it answers with something else than features, or fails.
    """
    try:
        answer = ask()
    except (ValueError, PoseError):
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {described(error)}"
        raise PluginError(f"{name}: its config cannot say its features ({why}); the plugin is broken") from error
    features = tuple(answer) if isinstance(answer, (tuple, list)) else ()
    if not features or not all(isinstance(f, Feature) and f.channels > 0 and f.stride > 0 for f in features):
        raise PluginError(
            f"{name}: its config says features {answer!r:.80}, not a tuple of Feature; the plugin is broken"
        )
    return features


def choose_feature(features: Sequence[Feature], index: int | None) -> int:
    """Which feature map a head or neck uses, for a config field called ``feature``.

    Args:
        features: those that arrive.
        index: what the user wrote, from 0; None: the first one, which is the finest.

    Raises:
        ValueError: the choice does not exist or is no map.
    """
    choices = ", ".join(f"{i} ({f.channels} channels, stride {f.stride})" for i, f in enumerate(features))
    chosen = index or 0
    if not 0 <= chosen < len(features):
        raise ValueError(f"feature: there is no feature map {chosen}; there are {choices}")
    if features[chosen].tokens:
        raise ValueError(f"feature: {chosen} holds keypoint tokens, and a feature map is needed here")
    return chosen


class ComponentConfig(Spec):
    """Base of all component configs."""

    type: str = Field("", description="Which component: namespace/name, or the bare name while it is unique.")

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, value: Any) -> Any:
        return cls.onto_defaults(value)

    @classmethod
    def onto_defaults(cls, value: Any) -> Any:
        """What a user writes of a nested component is merged with its default: ``predictor: {sigmoid: true}``
        need not repeat the type, and ``losses: {locref: {weight: 0.1}}`` keeps the other losses."""
        if not isinstance(value, dict):
            return value
        defaults = {
            name: field.default
            for name, field in cls.model_fields.items()
            if isinstance(field.default, dict) and isinstance(value.get(name), dict)
        }
        return {**value, **merge(defaults, {name: value[name] for name in defaults})}

    @classmethod
    def example(cls) -> Mapping[str, Any]:
        """Settings that make the component small and quick, for the conformance checks: ``{"depth": 18}``. By default
        none; a component whose settings have no defaults must give an example."""
        return {}


class BackboneConfig(ComponentConfig):
    """Base of backbone configs. The features must be known without torch."""

    def features(self) -> tuple[Feature, ...]:
        """Channels and stride of each feature map that the network puts out, from fine to coarse."""
        raise NotImplementedError(f"{type(self).__name__} has no features(): return (Feature(channels, stride), ...)")

    def extra_inputs(self) -> tuple[str, ...]:
        """Names of the inputs beside the image; they arrive by keyword and come from ``model.inputs``."""
        return ()

    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this; images are padded to it."""
        return max(f.stride for f in self.features())


class NeckConfig(ComponentConfig):
    """Base of neck configs."""

    def features(self, features: Sequence[Feature]) -> tuple[Feature, ...]:
        """What comes out for these incoming features.

        Raises:
            ValueError: the neck cannot take them; say which field to change.
        """
        raise NotImplementedError(f"{type(self).__name__} has no features(): return (Feature(channels, stride), ...)")

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        """Refuse feature maps (or an input size, (height, width); None where it is not fixed) that it cannot take.

        Raises:
            ValueError: one line that names the field to change.
        """


class HeadConfig(ComponentConfig):
    """Base of head configs."""

    def check(self, features: Sequence[Feature], input_size: tuple[int, int] | None) -> None:
        """Refuse feature maps (or an input size, (height, width)) that the head cannot take.

        Raises:
            ValueError: one line that names the field to change.
        """

    def predicts_several(self) -> bool:
        """Whether the head finds several animals in one input of the network; by default one."""
        return False

    def predicts_unique(self) -> bool:
        """Whether the head finds the keypoints that exist once a frame; by default those of animals only."""
        return False

    def predicts_identity(self) -> bool:
        """Whether the head tells which individual an animal is."""
        return False


class TargetGeneratorConfig(ComponentConfig):
    """Base of target generator configs."""


class PredictorConfig(ComponentConfig):
    """Base of predictor configs."""


class LossConfig(ComponentConfig):
    """Base of loss configs."""

    weight: float = Field(1.0, ge=0.0, description="Factor of this loss in the sum of all losses.")


class InputConfig(ComponentConfig):
    """Base of the configs of extra inputs (conditions ...)."""


class DetectorConfig(ComponentConfig):
    """Base of detector configs."""

    size: tuple[PositiveInt, PositiveInt] | None = Field(
        None,
        description="(height, width) in pixels that frames are fitted into, their aspect ratio kept; null: frames are "
        "shown at full resolution.",
    )
    threshold: float = Field(0.2, ge=0, le=1, description="Boxes with a lower score are not reported.")
    excess: float = Field(
        0.0,
        ge=0,
        description="Pixels of the frame by which its boxes are larger than the animals, on each side; they are taken "
        "off. For imported detectors, which were trained on boxes with a margin.",
    )

    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this; images are padded to it."""
        return 32

    def defaults(self) -> Mapping[str, Any]:
        """What training it wants where the user says nothing, a partial :class:`DetectorSpec`:
        ``{"train": {"batch_size": 4}}``."""
        return {}

    def trainable(self) -> bool:
        """Whether it learns from the project's boxes; False for one that is used as it was pretrained."""
        return True


class StageConfig(ComponentConfig):
    """Base of the configs of stages."""

    def needs(self) -> tuple[str, ...]:
        """What the stages before it must have found: ``boxes``, ``poses``, ``centres``, or a word of the plugin."""
        return ()

    def gives(self) -> tuple[str, ...]:
        """What it finds, in the same words."""
        return ("poses",)

    def can_do_without(self, follow: bool) -> tuple[str, ...]:
        """Those of its needs that it uses where something supplies them, and can do without.

        Args:
            follow: whether it starts from what was found in the frame before.
        """
        return ()


class ReaderConfig(ComponentConfig):
    """Base of the configs of labelled-project readers."""


class WriterConfig(ComponentConfig):
    """Base of the configs of prediction writers."""


class ImporterConfig(ComponentConfig):
    """Base of the configs of importers of trained models."""


_describing: set[str] = set()
"""Kinds whose components are being put into a JSON Schema."""


class NamedComponent:
    """Marks a field as holding a component of ``kind``."""

    def __init__(self, kind: str, base: type[ComponentConfig]) -> None:
        self.kind = kind
        self.base = base

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._resolve,
            serialization=core_schema.wrap_serializer_function_ser_schema(
                lambda value, nxt: value.model_dump(), schema=core_schema.any_schema()
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        components = get_catalog().components(self.kind)
        names = [name for component in components for name in (component.full_name, component.name)]
        if self.kind in _describing:
            # A component within another of its kind, which might go on for ever: only its name is told here.
            return {"anyOf": [{"enum": names}, {"type": "object", "properties": {"type": {"enum": names}}}]}
        _describing.add(self.kind)
        try:
            return self._described(components, names, handler)
        finally:
            _describing.remove(self.kind)

    def _described(
        self, components: Sequence[Component], names: Sequence[str], handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """One choice for each type; one for a name alone; and one without a type, for files that change a few settings
        of what the model's preset names."""
        choices: list[JsonSchemaValue] = []
        settings: dict[str, list[JsonSchemaValue]] = {}
        for component in components:
            choice = handler(component.config_class().__pydantic_core_schema__)
            resolved = dict(handler.resolve_ref_schema(choice))
            for name, setting in resolved["properties"].items():
                if setting not in settings.setdefault(name, []):
                    settings[name].append(setting)
            own = [component.full_name, component.name]
            resolved["properties"] = {**resolved["properties"], "type": {"enum": own}}
            resolved["required"] = sorted({*resolved.get("required", []), "type"})
            resolved["description"] = component.definition.summary
            choices.append(resolved)
        if not choices:
            return {"type": "object", "properties": {"type": {"type": "string"}}}
        partial: JsonSchemaValue = {
            "type": "object",
            "description": f"Settings of the {self.kind} that the model's preset names.",
            "properties": {name: {"anyOf": found} for name, found in settings.items() if name != "type"},
            "additionalProperties": False,
        }
        return {"oneOf": [*choices, {"enum": list(names)}, partial]}

    def _resolve(self, value: Any) -> ComponentConfig:
        if isinstance(value, self.base) and value.type:
            return value
        if isinstance(value, str):
            value = {"type": value}
        if not isinstance(value, dict):
            raise PydanticCustomError(
                "component", "must be the name of a {kind} or a mapping with its type", {"kind": self.kind}
            )
        name = value.get("type")
        if not isinstance(name, str) or not name:
            raise PydanticCustomError("component", "needs 'type', the name of a {kind}", {"kind": self.kind})
        try:
            component = get_catalog().component(self.kind, name)
            config_class = component.config_class()
        except PoseError as error:
            raise PydanticCustomError("component", "{reason}", {"reason": str(error)}) from None
        if not (isinstance(config_class, type) and issubclass(config_class, self.base)):
            raise PydanticCustomError(
                "component",
                "config {config} of {name} is not a subclass of {base}; the plugin is broken",
                {"config": component.definition.config, "name": component.full_name, "base": self.base.__name__},
            )
        # A ValidationError raised here keeps its locations: pydantic nests them under this field's path.
        return config_class.model_validate({**value, "type": component.full_name})


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
AnyImporter = Annotated[SerializeAsAny[ImporterConfig], NamedComponent("importer", ImporterConfig)]
AnyReader = Annotated[SerializeAsAny[ReaderConfig], NamedComponent("reader", ReaderConfig)]
AnyWriter = Annotated[SerializeAsAny[WriterConfig], NamedComponent("writer", WriterConfig)]
