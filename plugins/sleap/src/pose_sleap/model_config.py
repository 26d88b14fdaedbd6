"""What SLEAP-NN's training configuration says of a model: read, checked, and completed with its defaults."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pose_core.errors import DataError, RunError
from pose_core.io.files import is_file
from pose_core.io.text import read_text
from pose_core.specs import parse_yaml
from pose_core.structures import Skeleton
from pose_sleap.model_keys import CENTROID, CROPS, HEADS, REFUSED_TYPES, SECTIONS, Key
from pose_sleap.networks import CONVNEXT_SIZES, SWIN_SIZES, Network
from pose_sleap.slp_skeleton import SlpSkeleton

CONFIGS = ("training_config.yaml", "initial_config.yaml")
"""What a model folder has: the resolved configuration, and as it was given."""

_BACKBONES = ("unet", "convnext", "swint")
_MOST = 1 << 20


@dataclass(frozen=True)
class Section:
    """A part of the file, with its place for messages.

    Attributes:
        path: of the file.
        at: keys that lead here, joined by dots; empty for the whole file.
        content: of this section.
    """

    path: Path
    at: str
    content: Mapping[str, Any]

    def error(self, message: str, key: str = "") -> RunError:
        """Make an error that names file and key."""
        at = ".".join(part for part in (self.at, key) if part)
        return RunError(f"{self.path}: {at + ': ' if at else ''}{message}")

    def section(self, key: str) -> Section:
        """Return the section of a key; empty where it is missing or null."""
        value = self.content.get(key)
        if value is not None and not isinstance(value, Mapping):
            raise self.error(f"must hold keys and values, not {_short(value)}", key)
        return Section(self.path, f"{self.at}.{key}" if self.at else key, value or {})

    def values(self, keys: tuple[Key, ...], closed: bool = False) -> dict[str, Any]:
        """Return the values of keys, checked, with the defaults of those that are missing.

        Args:
            closed: whether other keys are refused, as they may change a network.
        """
        known = {key.name for key in keys}
        if closed and (unknown := sorted(set(map(str, self.content)) - known)):
            raise self.error("is no key of sleap-nn 0.3.5, and it is not known what it changes", unknown[0])
        return {key.name: self._value(key) for key in keys}

    def _value(self, key: Key) -> Any:
        value = self.content.get(key.name, key.default)
        if value is None and key.default is not None and key.kind not in ("any", "text"):
            value = key.default
        if value is not None and (problem := _CHECKS[key.kind](value)):
            raise self.error(f"must be {problem}, not {_short(value)}", key.name)
        if key.only is not None and value not in key.only:
            allowed = " or ".join(_short(each) for each in key.only if each is not None)
            raise self.error(f"is {_short(value)}, and only {allowed} can be imported: {key.why}", key.name)
        return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def _is_number(value: object) -> bool:
    # Too large a whole number has no float.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30


def _are_names(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(isinstance(name, str) and name.strip() for name in value)
        and len(set(value)) == len(value)
    )


def _are_pairs(value: object) -> bool:
    return isinstance(value, list | tuple) and all(_are_names(pair) and len(pair) == 2 for pair in value)


def _is_stride(value: object) -> bool:
    return _is_whole(value) and value in (1, 2, 4, 8, 16, 32, 64, 128, 256)


_CHECKS: Mapping[str, Any] = {
    "stride": lambda value: "" if _is_stride(value) else "a power of 2 up to 256",
    "count": lambda value: "" if _is_whole(value) else "a whole number",
    "number": lambda value: "" if _is_number(value) else "a number",
    "flag": lambda value: "" if isinstance(value, bool) else "true or false",
    "text": lambda value: "" if isinstance(value, str) else "text",
    "names": lambda value: "" if _are_names(value) else "a list of different names",
    "pairs": lambda value: "" if _are_pairs(value) else "a list of pairs of names",
    "any": lambda value: "",
}


@dataclass(frozen=True)
class ModelConfig:
    """What the file says of the model.

    Attributes:
        whole: the whole file.
        model_type: the key of ``head_configs``.
        network: backbone and decoder, with the strides that the heads read.
        backbone: all settings of the backbone.
        heads: settings of each head by its key (``confmaps`` ...), in the order of their weights.
        preprocessing: ``data_config.preprocessing``.
        skeleton: nodes, edges and pairs; None where the file has none.
        version: of sleap-nn; (0, 0) where the file does not say.
        notes: what a reader of the file already noted.
    """

    whole: Section
    model_type: str
    network: Network
    backbone: Mapping[str, Any]
    heads: Mapping[str, Mapping[str, Any]]
    preprocessing: Mapping[str, Any]
    skeleton: SlpSkeleton | None
    version: tuple[int, int] = (0, 0)
    notes: tuple[str, ...] = field(default=())

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the individuals that a head tells apart."""
        for head in self.heads.values():
            if "classes" in head:
                return tuple(head["classes"] or ())
        return ()

    @property
    def sees_crops(self) -> bool:
        """Whether the network looks at crops."""
        return self.model_type in CROPS

    @property
    def finds_centres(self) -> bool:
        """Whether the network finds one point an animal."""
        return self.model_type == CENTROID


def find_config(folder: Path) -> Path:
    """Find the configuration in a model folder.

    Raises:
        RunError: there is none.
    """
    for name in CONFIGS:
        if is_file(folder / name):
            return folder / name
    raise RunError(f"{folder}: has no {' or '.join(CONFIGS)}; name the folder of a model of SLEAP")


def load_config(path: Path) -> Section:
    """Read the file; nothing in it is run.

    Raises:
        RunError: it cannot be read, or is no YAML.
    """
    try:
        content = parse_yaml(read_text(path))
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror or error})") from None
    except DataError as error:
        raise RunError(str(error)) from None
    except yaml.YAMLError as error:
        problem = " ".join(str(getattr(error, "problem", None) or "damaged").split())
        raise RunError(f"{path}: is no YAML ({problem}); copy it again") from None
    if not isinstance(content, Mapping) or "model_config" not in content:
        raise RunError(f"{path}: has no model_config; name a training configuration of SLEAP-NN")
    return Section(path, "", content)


def describe_model(whole: Section) -> ModelConfig:
    """Read what the network follows from.

    Raises:
        RunError: it is of a kind that cannot be imported; the message says why.
    """
    model = whole.section("model_config")
    keras = bool(model.content.get("keras"))
    model_type, heads = _read_heads(model)
    kind, backbone = _read_backbone(model, keras)
    preprocessing = whole.section("data_config").section("preprocessing")
    values = preprocessing.values(SECTIONS["data_config.preprocessing"])
    tiling = preprocessing.section("tiling")
    if tiling.content.get("enabled"):
        raise tiling.error("is true; models that see tiles of frames cannot be imported", "enabled")
    if not 0 < values["scale"] <= 8:
        raise preprocessing.error(f"must be above 0 and at most 8, not {_short(values['scale'])}", "scale")
    skeleton = _read_skeleton(whole)
    names = heads["confmaps"].get("part_names")
    if names and skeleton is not None and set(names) - set(skeleton.nodes):
        raise model.error(
            f"names {', '.join(sorted(set(names) - set(skeleton.nodes)))}, and the skeleton has "
            f"{', '.join(skeleton.nodes)}",
            f"head_configs.{model_type}.confmaps.part_names",
        )
    strides = _find_strides(model, model_type, kind, backbone, heads, keras)
    notes = whole.content.get("notes") if keras else None
    return ModelConfig(
        whole,
        model_type,
        Network(kind, backbone, strides, keras),
        backbone,
        heads,
        values,
        skeleton,
        _read_version(whole.content.get("sleap_nn_version")),
        tuple(map(str, notes)) if isinstance(notes, list | tuple) else (),
    )


def _find_one(section: Section, known: tuple[str, ...], what: str) -> str:
    """Name the one key that is not null."""
    found = [str(key) for key, value in section.content.items() if value is not None]
    if len(found) != 1:
        raise section.error(
            f"has {' and '.join(found) or 'none'}; a model has one {what} of {', '.join(known)}"
        )
    return found[0]


def _read_heads(model: Section) -> tuple[str, dict[str, dict[str, Any]]]:
    section = model.section("head_configs")
    model_type = _find_one(section, tuple(HEADS), "type")
    if model_type in REFUSED_TYPES:
        raise section.error(f"cannot be imported: it {REFUSED_TYPES[model_type]}", model_type)
    if model_type not in HEADS:
        raise section.error(f"is no type of model that is known; those are {', '.join(HEADS)}", model_type)
    inner = section.section(model_type)
    heads = {}
    for name in HEADS[model_type]:
        if not isinstance(inner.content.get(name), Mapping):
            raise inner.error("is missing", name)
        heads[name] = inner.section(name).values(
            SECTIONS[f"model_config.head_configs.TYPE.{name}"], closed=True
        )
    for name in ("class_maps", "class_vectors"):
        if name in heads and len(heads[name]["classes"] or ()) < 2:
            raise inner.section(name).error("names no two classes; an identity model needs them", "classes")
    if more := sorted(set(map(str, inner.content)) - set(HEADS[model_type])):
        raise inner.error("is no head of this type of model", more[0])
    return model_type, heads


def _read_backbone(model: Section, keras: bool) -> tuple[str, dict[str, Any]]:
    section = model.section("backbone_config")
    kind = _find_one(section, _BACKBONES, "backbone")
    inner = section.section(kind)
    if kind == "pretrained":
        name = inner.content.get("model_name") or "one that it does not name"
        raise section.error(f"needs the Hugging Face encoder {name}, which cannot be imported", kind)
    if kind not in _BACKBONES:
        raise section.error(f"is no backbone that is known; those are {', '.join(_BACKBONES)}", kind)
    values = inner.values(SECTIONS[f"model_config.backbone_config.{kind}"], closed=True)
    if kind == "unet":
        if values["filters"] < 1 or values["filters_rate"] < 1:
            raise inner.error(f"must be at least 1, not {_short(values['filters'])}", "filters")
        if values["stem_stride"] == 4 and not keras:
            raise inner.error(
                "is 4, and such a network fails in SLEAP-NN; there is nothing to import", "stem_stride"
            )
        if not 2 <= values["convs_per_block"] <= 8:
            raise inner.error(
                f"is {values['convs_per_block']}, and such a network fails in SLEAP-NN", "convs_per_block"
            )
        return kind, values
    sizes = CONVNEXT_SIZES if kind == "convnext" else SWIN_SIZES
    if values["model_type"] not in sizes and not _has_arch(kind, values["arch"]):
        wanted = "depths and channels" if kind == "convnext" else "embed, depths and num_heads"
        raise inner.error(
            f"is {_short(values['model_type'])}, neither of {', '.join(sizes)} nor described by arch ({wanted})",
            "model_type",
        )
    if not 1 <= values["convs_per_block"] <= 8:
        raise inner.error(f"must be 1 to 8, not {values['convs_per_block']}", "convs_per_block")
    for name in ("patch_size", "window_size"):
        # As SLEAP-NN's older files have them: one number for each axis.
        if isinstance(inner.content.get(name), list):
            raise inner.error("must be one number", name)
    return kind, values


def _has_arch(kind: str, arch: object) -> bool:
    if not isinstance(arch, Mapping):
        return False
    lists = ("depths", "channels") if kind == "convnext" else ("depths", "num_heads")
    return all(
        isinstance(arch.get(name), list | tuple)
        and len(arch[name]) == 4
        and all(_is_whole(n) and 0 < n <= 1 << 14 for n in arch[name])
        for name in lists
    ) and (kind == "convnext" or (_is_whole(arch.get("embed")) and 0 < arch["embed"] <= 1 << 14))


def _find_strides(
    model: Section,
    model_type: str,
    kind: str,
    backbone: dict[str, Any],
    heads: Mapping[str, Mapping[str, Any]],
    keras: bool,
) -> tuple[int, ...]:
    """Strides of the maps that the heads read, fine to coarse."""
    spatial = {name: int(head["output_stride"]) for name, head in heads.items() if name != "class_vectors"}
    # As SLEAP-NN does before training.
    if kind == "unet":
        backbone["max_stride"] = max([int(backbone["max_stride"]), *spatial.values()])
    coarsest = Network(kind, backbone, (), keras).coarsest
    for name, stride in spatial.items():
        if stride > coarsest:
            raise model.error(
                f"is {stride}, and the coarsest map has stride {coarsest}",
                f"head_configs.{model_type}.{name}.output_stride",
            )
    return tuple(sorted({*spatial.values(), *([coarsest] if "class_vectors" in heads else [])}))


def _read_skeleton(whole: Section) -> SlpSkeleton | None:
    """The first skeleton; nodes, edges and pairs by name."""
    data = whole.section("data_config")
    skeletons = data.content.get("skeletons")
    if not skeletons:
        return None
    # A mapping by names, or a list.
    first = next(iter(skeletons.values())) if isinstance(skeletons, Mapping) else None
    if isinstance(skeletons, list):
        first = skeletons[0]
    try:
        if not isinstance(first, Mapping):
            raise TypeError("no keys and values")
        nodes = tuple(_name(node) for node in first["nodes"])
        edges = tuple(_pair(edge) for edge in first.get("edges") or ())
        pairs = tuple(_pair(pair) for pair in first.get("symmetries") or ())
        Skeleton(nodes, edges, pairs)
        return SlpSkeleton(str(first.get("name") or ""), nodes, edges, pairs)
    except KeyError as error:
        raise data.error(f"a skeleton lacks {error}", "skeletons") from None
    except (TypeError, ValueError, IndexError) as error:
        raise data.error(f"is no list of skeletons ({error})", "skeletons") from None


def _name(node: Any) -> str:
    name = node["name"] if isinstance(node, Mapping) else node
    if not isinstance(name, str):
        raise TypeError(f"a node is called {_short(name)}")
    return name


def _pair(pair: Any) -> tuple[str, str]:
    ends = (pair["source"], pair["destination"]) if isinstance(pair, Mapping) else tuple(pair)
    if len(ends) != 2:
        raise ValueError(f"{_short(pair)} is no pair of nodes")
    return _name(ends[0]), _name(ends[1])


def _read_version(value: object) -> tuple[int, int]:
    found = re.match(r"(\d{1,6})\.(\d{1,6})", value) if isinstance(value, str) else None
    return (0, 0) if found is None else (int(found.group(1)), int(found.group(2)))


def crop_side(config: ModelConfig) -> float:
    """Side of the square of frame pixels that a crop shows.

    Raises:
        RunError: the file does not say.
    """
    side = config.preprocessing["crop_size"]
    if not side or not math.isfinite(side):
        raise config.whole.error(
            "is missing; SLEAP writes it into training_config.yaml when it trains",
            "data_config.preprocessing.crop_size",
        )
    return float(side)
