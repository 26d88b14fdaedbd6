"""What training_config.json of SLEAP up to 1.4 may say of models that can be imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

_BACKBONES = ("leap", "hourglass", "resnet", "pretrained_encoder")
_COARSEST = 256

Stride = Annotated[int, Field(ge=1, le=_COARSEST)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


class _Section(BaseModel):
    """Keys that are not read here say how the model was trained."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class UNet(_Section):
    """``model.backbone.unet``; ``kernel_size`` and ``convs_per_block`` are no options of SLEAP's Keras U-Net."""

    stem_stride: Stride | None = None
    max_stride: Stride
    output_stride: Stride
    filters: int = Field(ge=1, le=1 << 14)
    filters_rate: float = Field(ge=1, le=8)
    middle_block: Literal[True] = True
    up_interpolate: bool = False
    stacks: Literal[1] = 1

    @field_validator("stem_stride", "max_stride", "output_stride")
    @classmethod
    def _check_stride(cls, value: int | None) -> int | None:
        if value is not None and value & (value - 1):
            raise ValueError(f"{value} is no power of 2")
        return value


class _Map(_Section):
    output_stride: Stride
    sigma: float = Field(5.0, gt=0)
    loss_weight: float | None = Field(None, ge=0)


class Confmaps(_Map):
    """Confidence maps."""

    part_names: Names | None = None
    anchor_part: str | None = None
    offset_refinement: bool = False


class _Fields(_Map):
    edges: Annotated[tuple[tuple[str, str], ...], Field(min_length=1)] | None = None


class _ClassMaps(_Map):
    classes: Names


class _ClassVectors(_Section):
    classes: Names
    num_fc_layers: int = Field(1, ge=1, le=16)
    num_fc_units: int = Field(64, ge=1, le=1 << 16)
    global_pool: Literal[True] = True
    output_stride: Stride
    loss_weight: float | None = Field(None, ge=0)


class _Grouped(_Section):
    confmaps: Confmaps
    pafs: _Fields


class _Classified(_Section):
    confmaps: Confmaps
    class_maps: _ClassMaps


class _CropsClassified(_Section):
    confmaps: Confmaps
    class_vectors: _ClassVectors


class _Heads(_Section):
    single_instance: Confmaps | None = None
    centroid: Confmaps | None = None
    centered_instance: Confmaps | None = None
    multi_instance: _Grouped | None = None
    multi_class_bottomup: _Classified | None = None
    multi_class_topdown: _CropsClassified | None = None


class _Backbone(_Section):
    unet: UNet | None = None


class _Model(_Section):
    backbone: _Backbone
    heads: _Heads


class _Preprocessing(_Section):
    ensure_rgb: bool = False
    ensure_grayscale: bool = False
    imagenet_mode: None = None
    input_scaling: float = Field(1.0, gt=0, le=16)
    target_height: int | None = Field(None, ge=1)
    target_width: int | None = Field(None, ge=1)


class _Cropping(_Section):
    center_on_part: str | None = None
    crop_size: int | None = Field(None, ge=1)


class _Labels(_Section):
    skeletons: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]


class Data(_Section):
    """``data``."""

    labels: _Labels
    preprocessing: _Preprocessing
    instance_cropping: _Cropping = _Cropping()


class TrainingConfig(_Section):
    """The file."""

    data: Data
    model: _Model

    @field_validator("model", mode="before")
    @classmethod
    def _refuse_backbones(cls, value: Any, info: ValidationInfo) -> Any:
        """Name another backbone; that ``unet`` is missing would say less."""
        backbones = value.get("backbone") if isinstance(value, Mapping) else None
        if isinstance(backbones, Mapping) and not backbones.get("unet"):
            others = [name for name in _BACKBONES if backbones.get(name)]
            raise ValueError(
                f"its backbone is {' and '.join(others) or 'none'}, and of SLEAP's Keras models only those with "
                "a U-Net can be imported"
            )
        return value
