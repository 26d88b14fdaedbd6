"""Read training_config.json of SLEAP up to 1.4, whose models are of Keras, as SLEAP-NN's configuration.

Both describe the same networks in other words: ``multi_instance`` is ``bottomup`` there, ``instance_cropping``
lies with the preprocessing, and a skeleton is a list of names instead of a graph that jsonpickle wrote. The
JSON is read as plain values; nothing that it names is made or run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from pose_core.errors import DataError, RunError
from pose_core.io.files import parse_json
from pose_core.io.text import read_text
from pose_sleap.slp_skeleton import SlpSkeleton, parse_object_graph

CONFIG = "training_config.json"
MODEL_TYPES = {
    "single_instance": "single_instance",
    "centroid": "centroid",
    "centered_instance": "centered_instance",
    "multi_instance": "bottomup",
    "multi_class_bottomup": "multi_class_bottomup",
    "multi_class_topdown": "multi_class_topdown",
}
"""Types of models, as SLEAP and SLEAP-NN call them."""
_BACKBONES = ("leap", "hourglass", "resnet", "pretrained_encoder")
_KERNEL, _CONVOLUTIONS = 3, 2
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


class _Confmaps(_Map):
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
    confmaps: _Confmaps
    pafs: _Fields


class _Classified(_Section):
    confmaps: _Confmaps
    class_maps: _ClassMaps


class _CropsClassified(_Section):
    confmaps: _Confmaps
    class_vectors: _ClassVectors


class _Heads(_Section):
    single_instance: _Confmaps | None = None
    centroid: _Confmaps | None = None
    centered_instance: _Confmaps | None = None
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


class _Data(_Section):
    labels: _Labels
    preprocessing: _Preprocessing
    instance_cropping: _Cropping = _Cropping()


class _File(_Section):
    data: _Data
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


@dataclass(frozen=True)
class KerasConfig:
    """What a training_config.json says of a model.

    Attributes:
        path: of the file.
        unet: its backbone.
        model_type: as SLEAP-NN calls it.
        heads: SLEAP-NN's configuration of the heads: ``confmaps`` first.
        crop_size: side of a crop in pixels of the scaled frame; None where none is said.
        scaling: of frames, before crops are cut.
        offsets: whether the network also puts out offsets, which decoding here does without.
    """

    path: Path
    unet: UNet
    model_type: str
    heads: Mapping[str, Mapping[str, Any]]
    crop_size: int | None
    scaling: float
    offsets: bool
    _data: _Data
    _skeletons: tuple[SlpSkeleton, ...]

    def describe(self, in_channels: int, crop_side: int | None) -> dict[str, Any]:
        """Describe the model in the form of SLEAP-NN's ``training_config.yaml``.

        Args:
            in_channels: 1 or 3.
            crop_side: of the network's input, for models of crops; None where the weights do not say.
        """
        preprocessing = self._data.preprocessing
        # SLEAP scales the frame and cuts crops of it; SLEAP-NN cuts crops of the frame and scales these.
        side = crop_side or self.crop_size
        crop = side / self.scaling if side is not None and self.model_type in CROPS else None
        return {
            "model_config": {
                "keras": True,
                "backbone_config": {
                    "unet": {
                        **self.unet.model_dump(),
                        "in_channels": in_channels,
                        "kernel_size": _KERNEL,
                        "convs_per_block": _CONVOLUTIONS,
                    }
                },
                "head_configs": {self.model_type: {name: dict(head) for name, head in self.heads.items()}},
            },
            "data_config": {
                "preprocessing": {
                    "ensure_rgb": preprocessing.ensure_rgb,
                    "ensure_grayscale": preprocessing.ensure_grayscale,
                    "scale": self.scaling,
                    "max_height": preprocessing.target_height,
                    "max_width": preprocessing.target_width,
                    "crop_size": int(crop) if crop is not None and crop.is_integer() else crop,
                },
                "skeletons": [_describe_skeleton(skeleton) for skeleton in self._skeletons],
            },
        }


CROPS = ("centered_instance", "multi_class_topdown")
"""Types of models that see crops."""


def read_keras_config(path: Path) -> KerasConfig:
    """Read a training_config.json.

    Raises:
        RunError: it is no such file, or of a model that cannot be imported; one line with the reason.
    """
    try:
        content = _File.model_validate(parse_json(read_text(path)))
        skeletons = tuple(parse_object_graph(graph) for graph in content.data.labels.skeletons)
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror or error})") from None
    except DataError as error:
        raise RunError(str(error)) from None
    except ValidationError as error:
        raise RunError(f"{path}: {_explain(error)}") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path}: is damaged, or no training configuration of SLEAP ({error or type(error).__name__})"
        ) from None
    found = [name for name in MODEL_TYPES if getattr(content.model.heads, name) is not None]
    if len(found) != 1:
        raise RunError(
            f"{path}: model.heads has {' and '.join(found) or 'none'} of {', '.join(MODEL_TYPES)}; a model has one"
        )
    unet = content.model.backbone.unet
    # The validator of the file has refused every other backbone.
    assert unet is not None
    _check_strides(path, unet)
    heads = _describe_heads(content, found[0], skeletons[0])
    _check_heads(path, heads, unet, skeletons[0])
    return KerasConfig(
        path=path,
        unet=unet,
        model_type=MODEL_TYPES[found[0]],
        heads=heads,
        crop_size=content.data.instance_cropping.crop_size,
        scaling=content.data.preprocessing.input_scaling,
        offsets=_find_confmaps(getattr(content.model.heads, found[0])).offset_refinement,
        _data=content.data,
        _skeletons=skeletons,
    )


def _explain(error: ValidationError) -> str:
    """Put the first thing that is wrong in one line."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if where.endswith("unet.middle_block"):
        return f"{where} is false: such a network has no bottleneck, and is not known here"
    if where.endswith("unet.stacks"):
        return f"{where} is {first['input']!r}: only a single U-Net can be imported"
    if where.endswith("imagenet_mode"):
        return (
            f"{where} is {first['input']!r}: frames normalised for an encoder of ImageNet are not known here"
        )
    if where.endswith("global_pool"):
        return f"{where} is false: class vectors of an input of one size are not known here"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message[:1].lower()}{message[1:]}" if where else message


def _check_strides(path: Path, unet: UNet) -> None:
    stem = unet.stem_stride or 1
    if unet.output_stride > unet.max_stride or stem > unet.max_stride:
        raise RunError(
            f"{path}: model.backbone.unet: max_stride {unet.max_stride} is the finest of its strides"
        )
    if unet.output_stride < stem:
        raise RunError(
            f"{path}: model.backbone.unet: output_stride {unet.output_stride} is finer than stem_stride {stem}; such "
            "a decoder is not known here"
        )


def _find_confmaps(head: Any) -> _Confmaps:
    return head if isinstance(head, _Confmaps) else _Confmaps.model_validate(head.confmaps)


def _describe_heads(content: _File, name: str, skeleton: SlpSkeleton) -> dict[str, dict[str, Any]]:
    """Describe the heads as SLEAP-NN does, by the names that it has for them."""
    head = getattr(content.model.heads, name)
    found = _find_confmaps(head)
    confmaps = found.model_dump(exclude={"offset_refinement"})
    confmaps["part_names"] = None if name == "centroid" else list(found.part_names or skeleton.nodes)
    if name in ("centroid", "centered_instance", "multi_class_topdown"):
        # In training it alone decides where crops and centroids are.
        anchor = content.data.instance_cropping.center_on_part
        confmaps["anchor_part"] = anchor
        confmaps["centroid_method"] = "bbox_center" if anchor is None else "anchor"
        confmaps["centroid_fallback"] = "bbox_center"
    heads = {"confmaps": confmaps}
    for other in ("pafs", "class_maps", "class_vectors"):
        if hasattr(head, other):
            heads[other] = getattr(head, other).model_dump(mode="json")
    if "pafs" in heads:
        heads["pafs"]["edges"] = heads["pafs"]["edges"] or [list(edge) for edge in skeleton.edges]
    return heads


def _check_heads(
    path: Path, heads: Mapping[str, Mapping[str, Any]], unet: UNet, skeleton: SlpSkeleton
) -> None:
    """Refuse heads of other nodes or strides than there are."""
    nodes = set(skeleton.nodes)
    confmaps = heads["confmaps"]
    used = {*(confmaps["part_names"] or ()), *filter(None, [confmaps["anchor_part"]])}
    used |= {node for edge in heads.get("pafs", {}).get("edges", ()) for node in edge}
    if unknown := sorted(used - nodes):
        raise RunError(
            f"{path}: a head has {', '.join(unknown)}, and the skeleton has {', '.join(skeleton.nodes)}"
        )
    if confmaps["part_names"] and len(set(confmaps["part_names"])) < len(confmaps["part_names"]):
        raise RunError(f"{path}: the heads' part_names have a node twice")
    if "pafs" in heads and not heads["pafs"]["edges"]:
        raise RunError(f"{path}: model.heads.multi_instance.pafs has no edges, and neither has the skeleton")
    for name, head in heads.items():
        stride = head["output_stride"]
        finest = unet.max_stride if name == "class_vectors" else unet.output_stride
        if stride & (stride - 1) or not finest <= stride <= unet.max_stride:
            raise RunError(
                f"{path}: {name} has output_stride {stride}, and the network has maps of strides {finest} to "
                f"{unet.max_stride}"
            )


def _describe_skeleton(skeleton: SlpSkeleton) -> dict[str, Any]:
    return {
        "name": skeleton.name,
        "nodes": [{"name": node} for node in skeleton.nodes],
        "edges": [
            {"source": {"name": first}, "destination": {"name": second}} for first, second in skeleton.edges
        ],
        "symmetries": [[{"name": first}, {"name": second}] for first, second in skeleton.pairs],
    }
