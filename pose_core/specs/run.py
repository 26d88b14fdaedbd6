"""The spec of a run: everything that decides what a trained model is and does.

``"auto"`` values are decided once, from the data, when training starts; the run folder holds the decided
numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from pose_core.catalog import get_catalog
from pose_core.catalog.merge import ContentDict, merge
from pose_core.definitions import Content
from pose_core.errors import ConfigError, setting
from pose_core.hooks import MethodSpec, SupplierSpec
from pose_core.specs.base import Spec
from pose_core.specs.components import AnyDetector
from pose_core.specs.data import DataSpec
from pose_core.specs.decided import make_auto_error
from pose_core.specs.model import ModelSpec
from pose_core.specs.train import AugmentationSpec, CropSpec, TrainSpec
from pose_core.specs.use import EvaluationSpec, InferenceSpec
from pose_core.structures import Skeleton


class DetectorAugmentationSpec(AugmentationSpec):
    """Random changes of the images that a detector learns from. Boxes stay upright: by default nothing is
    rotated."""

    rotation: float = Field(
        0.0, ge=0, le=180, description="Largest rotation either way, degrees; boxes grow with it."
    )
    scale: tuple[float, float] = Field((0.7, 1.4), description="Smallest and largest zoom.")
    # A mirrored animal is still an animal, whatever its keypoints are called.
    flip: float = Field(0.5, ge=0, le=1, description="Probability of mirroring.")
    translation: float = Field(
        0.2, ge=0, le=1, description="Largest shift as a fraction of the image's size."
    )
    crop: CropSpec = Field(
        CropSpec(size=None), description="Windows around animals; size: null shows whole frames."
    )


class NetworkSpec(Spec):
    """A network of a run, and how it is trained: what all of them have in common."""

    trains: str
    augmentation: AugmentationSpec = Field(default_factory=AugmentationSpec)
    train: TrainSpec = Field(default_factory=TrainSpec)

    @property
    def name(self) -> str:
        """Name of the network in messages."""
        raise NotImplementedError

    def builds_on(self) -> Mapping[str, NetworkSpec]:
        """The networks that it builds on, by the name of what they supply; none by default."""
        return {}

    def trainable(self) -> bool:
        """Whether the network learns from the project."""
        return True


class PoseNetworkSpec(NetworkSpec):
    """A pose network, its training, and how it predicts."""

    # First in the file: a reader of config.yaml needs it to know which spec follows.
    trains: Literal["poses"] = Field("poses", description="What the network learns.")
    model: ModelSpec
    stages: dict[str, AnyNetworkSpec] = Field(
        default_factory=dict,
        description="The networks that the model builds on, by the names of the suppliers that use them: "
        "detector "
        "finds the boxes of a top-down model.",
    )
    inference: InferenceSpec = Field(default_factory=InferenceSpec)

    @property
    def name(self) -> str:
        """Name of the model, as it was called at training."""
        return self.model.name

    def builds_on(self) -> Mapping[str, NetworkSpec]:
        """Those under ``stages``."""
        return self.stages

    @model_validator(mode="before")
    @classmethod
    def _has_the_stages_of_its_method(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        # Here too, not only in validate_as: a spec may be made in Python, and networks under stages are
        # validated by themselves.
        content = with_stages(value)
        method = _find_method(content)
        stages = _read_section(content, "inference").get("stages", {}) if method is not None else {}
        for name in stages if isinstance(stages, Mapping) else ():
            if method is not None and name not in method.stages:
                message = (
                    f"{method.name} has no stage of this name; its stages are {', '.join(method.stages)}"
                )
                reason = PydanticCustomError("stage", "{m}", {"m": message})
                error = InitErrorDetails(type=reason, loc=("inference", "stages", str(name)), input=None)
                # By key; a ValueError of a before-validator is placed at the whole section.
                raise ValidationError.from_exception_data("RunSpec", [error])
        return content

    @model_validator(mode="after")
    def _stages_are_needed(self) -> PoseNetworkSpec:
        errors = [
            InitErrorDetails(
                type=PydanticCustomError("stage", "{m}", {"m": problem}), loc=("stages", name), input=None
            )
            for name, stage in self.stages.items()
            if (problem := _find_problem(name, stage, self)) is not None
        ]
        if errors:
            raise ValidationError.from_exception_data("stages", errors)
        return self


class DetectorSpec(NetworkSpec):
    """A detector and its training."""

    trains: Literal["boxes"] = Field("boxes", description="What the network learns.")
    network: AnyDetector
    min_box: float | Literal["auto"] = Field(
        "auto", description="Boxes it learns are at least so long; as model.preprocess.min_box."
    )
    centre: str = Field(
        "box",
        min_length=1,
        description="Where the middle of the boxes that it learns is; as model.preprocess.centre.",
    )
    augmentation: DetectorAugmentationSpec = Field(default_factory=DetectorAugmentationSpec)

    @property
    def name(self) -> str:
        """Full name of the detector."""
        return self.network.type

    def decided_min_box(self) -> float:
        """Length of the smallest boxes it learns, pixels of the image.

        Raises:
            ConfigError: it is not decided yet.
        """
        if self.min_box == "auto":
            raise make_auto_error("min_box")
        return self.min_box

    def trainable(self) -> bool:
        """Whether it learns from the project's boxes, or is used as it was pretrained."""
        return self.network.trainable()


def find_trained(section: object) -> str:
    """Find what the network of a section learns: by its key ``trains``, or by the key that describes it."""
    # pydantic asks with validated sections as well, when it serializes the union.
    if isinstance(section, NetworkSpec):
        return section.trains
    if not isinstance(section, Mapping):
        return "poses"
    return str(section.get("trains", "boxes" if "network" in section else "poses"))


AnyNetworkSpec = Annotated[
    Annotated[PoseNetworkSpec, Tag("poses")] | Annotated[DetectorSpec, Tag("boxes")],
    Discriminator(
        find_trained,
        custom_error_type="trains",
        custom_error_message="trains: must be poses or boxes",
    ),
]
# The class holds itself through a union that can only be written below it.
PoseNetworkSpec.model_rebuild()


BOXES, CENTRES = "boxes", "centres"
"""Needs of stages, and what suppliers give."""

LEARNS: Mapping[str, str] = {"poses": "a pose network", "boxes": "a detector"}
"""Names, for messages, of the networks that learn this."""


def run_suppliers() -> dict[str, SupplierSpec]:
    """List the suppliers that take the run of a network, by name: they may stand under ``stages``."""
    return {supplier.name: supplier for supplier in get_catalog().suppliers() if "run" in supplier.takes}


def needs_of_method(name: str) -> list[str]:
    """List what the stages of a method need of a source outside them, with their settings as the method has
    them."""
    found: list[str] = []
    given: set[str] = set()
    for stage in InferenceSpec(stages=dict(get_catalog().method(name).stages)).stages.values():
        found += [need for need in stage.needs() if need not in given and need not in found]
        given |= set(stage.gives())
    return found


def find_supplier(name: str) -> SupplierSpec:
    """Find the supplier of that name that takes the run of a network.

    Raises:
        ConfigError: there is none.
    """
    suppliers = run_suppliers()
    if name not in suppliers:
        raise ConfigError(
            f"{name}: is no network that a model builds on; there are {', '.join(suppliers) or 'none'}"
        )
    return suppliers[name]


def find_unneeded(name: str, spec: PoseNetworkSpec) -> str | None:
    """Say why a model has no use for a network of this name; None where it has.

    Raises:
        ConfigError: there is no supplier of that name.
    """
    supplier = find_supplier(name)
    needs = {need for stage in spec.inference.stages.values() for need in stage.needs()}
    if any(supplier.gives in list_answers(need, spec) for need in needs):
        return None
    return describe_unneeded(supplier, spec)


def list_answers(need: str, spec: PoseNetworkSpec) -> tuple[str, ...]:
    """List what a supplier may give where a stage has a need: the need itself, and for crops of fixed extent, of
    which only the centre of a box counts, ``centres`` in the place of ``boxes``."""
    return (need, CENTRES) if need == BOXES and spec.model.preprocess.extent is not None else (need,)


def describe_unneeded(supplier: SupplierSpec, spec: PoseNetworkSpec) -> str:
    """Say why a model has no use for a supplier."""
    needs = {need for stage in spec.inference.stages.values() for need in stage.needs()}
    if supplier.gives == CENTRES and BOXES in needs:
        return (
            f"gives centres, and the crops of {spec.name} are as large as boxes; a model trained with "
            f"{setting('model.preprocess.extent=auto')} needs centres only"
        )
    return f"{spec.name} needs no {supplier.gives}; leave it out"


def _find_problem(name: str, network: NetworkSpec, spec: PoseNetworkSpec) -> str | None:
    """Why a network under ``stages`` does not suit the model; None where it does."""
    if name not in run_suppliers():
        return f"is no network that a model builds on; there are {', '.join(run_suppliers()) or 'none'}"
    if problem := find_unneeded(name, spec):
        return problem
    trains = find_supplier(name).trains
    # Empty: the supplier takes the run of any network.
    if trains not in ("", network.trains):
        return f"needs {LEARNS[trains]}, not {LEARNS[network.trains]}"
    return None


def with_stages(content: Content) -> Content:
    """Put the stages of its method below what the content of a run spec says of them.

    What is wrong in it is left for validation to say.
    """
    method, inference = _find_method(content), _read_section(content, "inference")
    if method is None or not isinstance(settings := inference.get("stages", {}), Mapping):
        return content
    # _read_section makes an empty mapping of a wrong value, and merging would cover it up.
    if not isinstance(content.get("inference", {}), Mapping | InferenceSpec):
        return content
    return {**content, "inference": {**inference, "stages": merge(method.stages, settings)}}


def _find_method(content: Content) -> MethodSpec | None:
    """The method that the content of a run spec names; None where there is none of that name."""
    name = _read_section(content, "model").get("method", ModelSpec.model_fields["method"].default)
    try:
        return get_catalog().method(str(name))
    except ConfigError:
        return None


def _read_section(content: Content, key: str) -> Content:
    """A section as keys and values; empty where it is something else."""
    section = content.get(key)
    if isinstance(section, Spec):
        return section.model_dump(mode="json")
    return section if isinstance(section, Mapping) else {}


class RunBase(NetworkSpec):
    """Sections that the runs of all networks have."""

    version: Literal[1] = Field(1, description="Version of this format.")
    skeleton: Skeleton
    data: DataSpec
    evaluation: EvaluationSpec = Field(default_factory=EvaluationSpec)
    metadata: dict[str, str] = Field(
        default_factory=dict, description="What the reader noted for writers of the same family."
    )
    untrained_keypoints: tuple[str, ...] = Field(
        (),
        description="Keypoints that are never predicted; those that no training image has a label of are added "
        "when training starts.",
    )
    replayed_keypoints: tuple[str, ...] = Field(
        (),
        description="Keypoints that the project does not have, which train.replay keeps; set when training starts.",
    )

    @property
    def finds(self) -> Skeleton:
        """Skeleton of the animals that the network finds; by default the project's."""
        return self.skeleton

    @model_validator(mode="after")
    def _names_are_keypoints(self) -> RunBase:
        known = (*self.skeleton.keypoints, *self.skeleton.unique_keypoints)
        for key in ("untrained_keypoints", "replayed_keypoints"):
            if unknown := [name for name in getattr(self, key) if name not in known]:
                message = f"{key}: no keypoint is called {', '.join(unknown)}"
                raise PydanticCustomError("keypoint", "{m}", {"m": message})
        return self


CENTRE = "centre"
"""Name of the keypoint that a network of centres finds."""


class RunSpec(PoseNetworkSpec, RunBase):
    """The run of a pose network: data, model, the networks it builds on, training, inference, evaluation."""

    @property
    def finds(self) -> Skeleton:
        """Skeleton of the animals that the network finds: the project's, or one point an animal."""
        if not self.model.learns_centres():
            return self.skeleton
        # No landmarks: told anew, a centre that hardly moves would be one. Who an animal is, its point does
        # not tell.
        return Skeleton((CENTRE,), individuals=self.skeleton.individuals, landmarks=())


class DetectorRunSpec(DetectorSpec, RunBase):
    """The run of a detector."""


AnyRunSpec = RunSpec | DetectorRunSpec

RUN_SPECS: Mapping[str, type[RunSpec] | type[DetectorRunSpec]] = {"poses": RunSpec, "boxes": DetectorRunSpec}
"""The spec of a run by what its network learns."""

OF_THE_RUN = tuple(name for name in RunBase.model_fields if name not in NetworkSpec.model_fields)
"""Keys that a run has beside those of its network, which the networks under ``stages`` share with it."""


def run_of_stage(spec: RunBase, name: str) -> AnyRunSpec:
    """The spec of a run of a network that the run builds on: the same data and skeleton."""
    section = spec.builds_on()[name]
    content: ContentDict = {
        **spec.model_dump(mode="json", include=set(OF_THE_RUN)),
        # Plain values are validated again: the section has a class of its own, without the keys of a run.
        **section.model_dump(mode="json"),
    }
    return RUN_SPECS[section.trains].model_validate(content)


def stage_of_run(spec: RunBase) -> ContentDict:
    """The section under ``stages`` that a run of its own becomes, plain values."""
    return spec.model_dump(mode="json", exclude=set(OF_THE_RUN))
