"""What a user can write about conditions and conditioned networks. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from pose_core.specs import AnyBackbone, BackboneConfig, Feature, InputConfig, Spec, StageConfig

CONDITIONS = "conditions"
"""Name of the extra input."""

Encoding = Literal["stacked", "coloured"]
Probability = Annotated[float, Field(ge=0, le=1)]
Colour = tuple[Probability, Probability, Probability]


class ErrorsConfig(Spec):
    """How the conditions of training err (PoseFix, Moon et al. 2019). What is left of the probabilities is
    good."""

    jitter: Probability = Field(
        0.16, description="Probability of a keypoint a little off: keypoint similarity 0.5-0.85."
    )
    swap: Probability = Field(
        0.08, description="Probability of the same or the mirrored keypoint of another animal in the crop."
    )
    inversion: Probability = Field(
        0.03,
        description="Probability of the mirrored keypoint of the same animal; of any of its keypoints where "
        "the "
        "skeleton has no symmetry.",
    )
    miss: Probability = Field(
        0.10, description="Probability of a keypoint far off: keypoint similarity 0.1-0.5."
    )
    missing: float = Field(0.1, ge=0, lt=1, description="Probability that a keypoint is not there at all.")
    shift: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Largest shift of the pose as a whole, relative to the root of the animal's area: the "
        "pose of an "
        "earlier frame lies behind. Without it a network that tracks falls behind a moving animal, frame by "
        "frame.",
    )
    turn: float = Field(
        15.0,
        ge=0,
        le=180,
        description="Largest rotation of the pose as a whole about its middle, either way, degrees.",
    )
    sigma: PositiveFloat | dict[str, PositiveFloat] = Field(
        0.1, description="OKS sigma of every keypoint, or by keypoint name; makes distances of similarities."
    )

    @model_validator(mode="after")
    def _kinds_are_a_distribution(self) -> ErrorsConfig:
        total = self.jitter + self.swap + self.inversion + self.miss
        if total > 1 + 1e-9:
            raise PydanticCustomError(
                "errors",
                "jitter, swap, inversion and miss add up to {total}, which is above 1",
                {"total": f"{total:g}"},
            )
        return self


class ConditionsConfig(InputConfig):
    """A initial pose, drawn (BUCTD, Zhou et al. 2023)."""

    encoding: Encoding = Field(
        "stacked",
        description="stacked: one map a keypoint. coloured: three maps, a colour a keypoint. The backbone's "
        "must be "
        "the same.",
    )
    rendering: Literal["exact", "deeplabcut"] = Field(
        "exact",
        description="exact: Gaussians at the very positions. deeplabcut: as imported networks were trained, "
        "of whole "
        "pixels, one pixel up and to the left, cut off, and scaled by the highest of all.",
    )
    sigma: float = Field(
        2.6, gt=0, description="Standard deviation of the Gaussians, pixels of the network's input."
    )
    peak: float = Field(1.0, gt=0, description="Height of the Gaussians.")
    radius: int = Field(
        7, ge=1, description="rendering: deeplabcut. Pixels beyond which the Gaussians are cut off."
    )
    colours: tuple[Colour, ...] | None = Field(
        None,
        description="encoding: coloured. Red, green and blue in [0, 1] of each keypoint; null: the rainbow's.",
    )
    errors: ErrorsConfig = Field(default_factory=ErrorsConfig, description="Of the conditions in training.")

    @model_validator(mode="after")
    def _colours_are_used(self) -> ConditionsConfig:
        if self.colours is not None and self.encoding != "coloured":
            raise PydanticCustomError("colours", "colours: only for encoding: coloured; leave them out")
        return self


class PreNetConfig(BackboneConfig):
    """Convolutions of image and conditions, added up to an image for any backbone (BUCTD, Zhou et al.
    2023)."""

    backbone: AnyBackbone = Field(description="Gets the sum in the place of the image.")
    encoding: Encoding = Field("stacked", description="Of the conditions, as in model.inputs.conditions.")
    gain: NonNegativeFloat = Field(
        0.1,
        description="Height of the conditions at the start, in standard deviations: blobs fill so little of "
        "an image "
        "that with 1 they would outshine it.",
    )

    @classmethod
    def example(cls) -> Mapping[str, object]:
        """A backbone of the presets, made small."""
        return {"backbone": {"type": "cspnext/cspnext", "deepen": 0.1, "widen": 0.125}}

    def features(self) -> tuple[Feature, ...]:
        """Those of the backbone within."""
        return tuple(self.backbone.features())

    def extra_inputs(self) -> tuple[str, ...]:
        """Conditions, and what the backbone within takes."""
        return tuple(dict.fromkeys((CONDITIONS, *self.backbone.extra_inputs())))

    def size_multiple(self) -> int:
        """That of the backbone within."""
        return self.backbone.size_multiple()


class CoamConfig(BackboneConfig):
    """Another backbone with conditional attention in it (CoAM; BUCTD, Zhou et al. 2023). Needs a fixed input
    size."""

    backbone: AnyBackbone = Field(
        description="Whose feature maps attend; one with insert points, such as hrnet/hrnet."
    )
    at: tuple[str, ...] = Field(
        ("transition2",),
        min_length=1,
        description="Insert points of the backbone at which all feature maps attend to the conditions.",
    )
    attention: Literal["dual", "channel"] = Field(
        "dual",
        description="dual: over positions and over channels, added. channel: over channels, multiplied.",
    )
    heads: int = Field(1, ge=1, description="Of the attention.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Of the attention weights.")
    encoding: Encoding = Field("stacked", description="Of the conditions, as in model.inputs.conditions.")
    transposed: bool = Field(
        False,
        description="Conditions are resized to (width, height) in the place of (height, width), as imported "
        "networks "
        "of oblong crops were trained.",
    )

    @classmethod
    def example(cls) -> Mapping[str, object]:
        """A backbone with insert points, made small."""
        return {"backbone": {"type": "hrnet/hrnet", "width": 18}}

    @model_validator(mode="after")
    def _points_exist(self) -> CoamConfig:
        points = self.backbone.insert_points()
        if not points:
            raise PydanticCustomError(
                "backbone",
                "backbone: {name} has no insert points, at which attention could be put; use hrnet/hrnet",
                {"name": self.backbone.type},
            )
        if len(set(self.at)) != len(self.at):
            raise PydanticCustomError("at", "at: each insert point can be named once only")
        if unknown := [point for point in self.at if point not in points]:
            raise PydanticCustomError(
                "at",
                "at: {name} has no insert point {unknown}; it has {points}",
                {"name": self.backbone.type, "unknown": unknown[0], "points": ", ".join(points)},
            )
        return self

    def features(self) -> tuple[Feature, ...]:
        """Those of the backbone within."""
        return tuple(self.backbone.features())

    def extra_inputs(self) -> tuple[str, ...]:
        """Conditions, and what the backbone within takes."""
        return tuple(dict.fromkeys((CONDITIONS, *self.backbone.extra_inputs())))

    def size_multiple(self) -> int:
        """What divides into whole cells at every insert point that is used."""
        strides = {f.stride for point in self.at for f in self.backbone.insert_points()[point]}
        return math.lcm(self.backbone.size_multiple(), *strides)


class RefineConfig(StageConfig):
    """A network that refines poses, each in a crop around it."""

    threshold: Probability = Field(
        0.2, description="Keypoints of initial poses with a lower score are not shown to the network."
    )
    duplicate: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Of two poses more similar than this (OKS with sigma 0.1) that with the higher score is "
        "kept.",
    )
    search_every: PositiveInt | None = Field(
        10,
        description="inference.follow: the whole frame is searched in every so many-th frame even when no "
        "animal is "
        "missing; an animal that is found and not followed yet takes the place of one that is followed and "
        "not found. "
        "null: never.",
    )

    def needs(self) -> tuple[str, ...]:
        """Initial poses."""
        return ("poses",)


class InitialPosesConfig(StageConfig):
    """Poses of another network, or of a file."""
