"""The spec of a model: what its network sees, of which parts it is made, and that they fit together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from pose_core.catalog import get_catalog
from pose_core.catalog.merge import ContentDict
from pose_core.errors import ConfigError
from pose_core.specs.base import Spec
from pose_core.specs.components import AnyBackbone, AnyHead, AnyInput, AnyNeck
from pose_core.specs.decided import Preprocess, make_auto_error
from pose_core.specs.features import Feature, ask_features

CUSTOM = "custom"
"""Name of a model that is no preset."""

Size = Annotated[tuple[int, int], Field(description="(height, width) in pixels")]


class PreprocessSpec(Spec):
    """Resizing and normalisation of images, the same in training and inference."""

    scale: float | Literal["auto"] = Field(
        "auto",
        description="Whole frames: factor by which they are resized. auto: animals come out about 60 pixels "
        "long.",
    )
    size: Size | None = Field(
        None,
        description="Fixed input size (height, width); required for crops and for networks of fixed size.",
    )
    margin: float = Field(
        0.25,
        ge=0,
        description="Crops: free space around the box, as a fraction of its longer side, on each side.",
    )
    min_box: float | Literal["auto"] = Field(
        "auto",
        description="Crops: boxes are enlarged to be at least so long, pixels of the frame, for a few "
        "keypoints "
        "do not span an animal; auto: half as long as the median animal.",
    )
    margin_pixels: float = Field(
        0.0,
        ge=0,
        description="Crops: free space around the box in pixels of the frame, beside margin.",
    )
    extent: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["auto"] | None = Field(
        None,
        description="Crops: side of the square of frame pixels that they show, whatever the size of the box, of "
        "which only the centre counts; auto: what the animals of the labels need; null: the box and its margin.",
    )
    centre: str = Field(
        "box",
        min_length=1,
        description="Where the centre of an animal is, for crops of fixed extent and centroid models: box, "
        "keypoints (the mean of those labelled), or the name of a keypoint (the mean where it is missing).",
    )
    half_pixel: bool = Field(
        True,
        description="Keypoints move with the centres of pixels when a frame or crop is resized by s, as the "
        "pixels do: x' = (x + 0.5) s - 0.5; false: x' = x s, as imported models were trained.",
    )
    label_offset: float = Field(
        0.0,
        allow_inf_nan=False,
        description="Crops: pixels of the network's input by which images lay to the right of and below their "
        "labels at the centre of the crop, when an imported model was trained; what it finds is moved back.",
    )
    label_zoom: float = Field(
        1.0,
        gt=0,
        allow_inf_nan=False,
        description="Crops: how many times larger images were than their labels, about the centre of the crop, "
        "when an imported model was trained; likewise.",
    )
    mean: tuple[float, float, float] = Field(
        (0.485, 0.456, 0.406), description="Subtracted from RGB in [0, 1] (ImageNet's mean by default)."
    )
    std: tuple[float, float, float] = Field((0.229, 0.224, 0.225), description="Divisor after the mean.")

    @model_validator(mode="before")
    @classmethod
    def _view_follows(cls, value: object) -> object:
        if isinstance(value, dict) and "view" in value:
            why = PydanticCustomError("view", "follows from model.method; leave it out")
            raise ValidationError.from_exception_data(
                # A ValueError would be placed at the whole section; this one is placed at the key.
                "PreprocessSpec",
                [InitErrorDetails(type=why, loc=("view",), input=None)],
            )
        return value

    @model_validator(mode="after")
    def _sizes(self) -> PreprocessSpec:
        if isinstance(self.scale, float) and not 0 < self.scale <= 8:
            raise PydanticCustomError("scale", "scale must be above 0 and at most 8")
        return self


def _allow_null(schema: ContentDict) -> None:
    """Allow null in a file in the place of a head; see :mod:`pose_core.specs.extra_heads`."""
    # The field has no null: when it is validated, heads that were left out are gone.
    schema["additionalProperties"] = {"anyOf": [schema["additionalProperties"], {"type": "null"}]}


class ModelSpec(Spec):
    """A network: backbone, optional neck, heads; and what comes before and after it."""

    name: str = Field(CUSTOM, description="Name of the preset it came from.")
    method: str = Field(
        "single_animal",
        description="How animals are found: single_animal, bottom_up, top_down, or one of a plugin.",
    )
    preprocess: PreprocessSpec = Field(
        default_factory=PreprocessSpec, description="Image -> input of the network."
    )
    backbone: AnyBackbone
    neck: AnyNeck | None = Field(None, description="Between backbone and heads; null: none.")
    heads: dict[str, AnyHead] = Field(
        description="Heads by name. They are decoded in this order, each refining what the ones before it "
        "found. Null "
        "instead of a head that the model would have leaves it out.",
        json_schema_extra=_allow_null,
    )
    inputs: dict[str, AnyInput] = Field(
        default_factory=dict, description="Where the extra inputs of the backbone come from, by input name."
    )

    @field_validator("method")
    @classmethod
    def _method_is_installed(cls, name: str) -> str:
        try:
            return get_catalog().method(name).name
        # Braces in the text would be taken for fields of the template, so it is passed as a value.
        except ConfigError as error:
            raise PydanticCustomError("method", "{reason}", {"reason": str(error)}) from None

    @property
    def view(self) -> str:
        """The network's view: the whole ``frame``, or a crop around one ``animal``; the method says it."""
        return get_catalog().method(self.method).view

    def learns_centres(self) -> bool:
        """Whether the network learns one point an animal, not its keypoints; the method says it."""
        return get_catalog().method(self.method).learns == "centres"

    def decided_preprocess(self) -> Preprocess:
        """Decide how images become inputs: no ``auto`` is left.

        Raises:
            ConfigError: one is not decided yet.
        """
        written, view = self.preprocess, self.view
        if written.scale == "auto":
            raise make_auto_error("model.preprocess.scale")
        # Whole frames have no boxes, and imported models say nothing about them.
        min_box = 0.0 if view == "frame" else written.min_box
        if min_box == "auto":
            raise make_auto_error("model.preprocess.min_box")
        if written.extent == "auto":
            raise make_auto_error("model.preprocess.extent")
        return Preprocess(
            view,
            written.scale,
            written.size,
            written.margin,
            min_box,
            written.margin_pixels,
            written.half_pixel,
            written.mean,
            written.std,
            written.extent,
            written.centre,
            written.label_offset,
            written.label_zoom,
        )

    def head_features(self) -> tuple[Feature, ...]:
        """Features that the heads get: those of the neck, or of the backbone without one."""
        features = ask_features(self.backbone.type, self.backbone.features)
        neck = self.neck
        return features if neck is None else ask_features(neck.type, lambda: neck.features(features))

    def size_multiple(self) -> int:
        """Height and width of the network's input must be multiples of this; images are padded to it."""
        backbone = self.backbone.size_multiple()
        if self.neck is None:
            return backbone
        return math.lcm(backbone, self.neck.size_multiple(self.backbone.features()))

    def predicts_unique(self) -> bool:
        """Whether a head finds the keypoints that exist once a frame."""
        return any(head.predicts_unique() for head in self.heads.values())

    def predicts_identity(self) -> bool:
        """Whether a head tells which individual an animal is."""
        return any(head.predicts_identity() for head in self.heads.values())

    @model_validator(mode="after")
    def _parts_fit(self) -> ModelSpec:
        errors: list[InitErrorDetails] = []

        def add(loc: tuple[str, ...], message: str) -> None:
            # Errors of a part are placed at that part, so that the message names the YAML field.
            errors.append(
                InitErrorDetails(type=PydanticCustomError("part", "{m}", {"m": message}), loc=loc, input=None)
            )

        if not self.heads:
            add(("heads",), "needs at least one head")
        wanted, given = set(self.backbone.extra_inputs()), set(self.inputs)
        for name in sorted(wanted - given):
            add(("inputs",), f"backbone {self.backbone.type} needs an input {name!r}")
        for name in sorted(given - wanted):
            add(("inputs", name), f"backbone {self.backbone.type} takes no input of this name")
        try:
            if self.neck is not None:
                # Before its features are asked: a neck may fail to compute features of maps that it cannot
                # take.
                self.neck.check(
                    ask_features(self.backbone.type, self.backbone.features), self.preprocess.size
                )
            features = self.head_features()
        except ValueError as error:
            add(("neck",), str(error))
        else:
            for name, head in self.heads.items():
                try:
                    head.check(features, self.preprocess.size)
                except ValueError as error:
                    add(("heads", name), str(error))
        for loc, message in find_contradictions(self):
            add(loc, message)
        if errors:
            raise ValidationError.from_exception_data("ModelSpec", errors)
        return self


def find_contradictions(model: ModelSpec) -> Iterator[tuple[tuple[str, ...], str]]:
    """Find settings that the method cannot predict with: key and reason."""
    method = get_catalog().method(model.method)
    if method.view == "animal" and model.preprocess.size is None:
        yield ("preprocess", "size"), f"{method.name} looks at crops: give their (height, width)"
    if method.view == "frame" and model.preprocess.extent is not None:
        yield (
            ("preprocess", "extent"),
            f"is for crops, and {method.name} looks at whole frames; leave it out",
        )
    for key, neutral in (("label_offset", 0.0), ("label_zoom", 1.0)):
        if method.view == "frame" and getattr(model.preprocess, key) != neutral:
            yield ("preprocess", key), f"is for crops, and {method.name} looks at whole frames; leave it out"
    if method.learns == "keypoints" and model.preprocess.extent is None and model.preprocess.centre != "box":
        yield (
            ("preprocess", "centre"),
            "is for crops of fixed extent and for centroid models; set preprocess.extent, or leave it out",
        )
    # A file that names a preset and another method would get the preset's network with a decoding that it
    # was not made for.
    same_name = [m for m in get_catalog().models() if model.name in (m.name, m.full_name)]
    if same_name and all(m.method != method.name for m in same_name):
        others = " or ".join(dict.fromkeys(m.method for m in same_name))
        yield ("method",), f"{model.name} is a model of {others}, not of {method.name}; leave the method out"
    several = [name for name, head in model.heads.items() if head.predicts_several()]
    if method.heads == "one":
        for name in several:
            yield (
                ("heads", name),
                (
                    f"{model.heads[name].type} finds several animals in one input; {method.name} takes one from "
                    "each"
                ),
            )
    for number, (name, head) in enumerate(model.heads.items()):
        if head.needs_view not in (None, method.view):
            sees = "crops" if method.view == "animal" else "whole frames"
            yield (
                ("heads", name),
                f"{head.type} does not work in a network that looks at {sees}, as {method.name} does",
            )
        if head.groups_candidates() and not number:
            yield (
                ("heads", name),
                (
                    f"{head.type} groups the candidates of the heads before it, and is the first; put a head "
                    "that finds some before it"
                ),
            )
    if method.heads == "several" and model.heads and not several:
        yield ("heads",), f"{method.name} needs a head that finds several animals, and none of these does"
    for name in sorted(set(model.inputs) - set(method.inputs)):
        fill = [m.name for m in get_catalog().methods() if name in m.inputs]
        advice = f"methods that do are {', '.join(fill)}" if fill else "no installed method does"
        yield ("inputs", name), f"{method.name} does not fill this input; {advice}"
    for name in sorted(set(method.inputs) - set(model.inputs)):
        yield ("inputs",), f"{method.name} fills an input {name!r}, and this network takes none of that name"
