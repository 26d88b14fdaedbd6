"""Read DeepLabCut's pytorch_config.yaml of a trained model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pose_core.errors import RunError, argument
from pose_core.specs import parse_yaml

NAME = "pytorch_config.yaml"

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
"""Default normalisation of images: mean and standard deviation of RGB in [0, 1]."""
_UNIT_RANGE = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}
_BYTES = {"mean": [0.0, 0.0, 0.0], "std": [1 / 255, 1 / 255, 1 / 255]}

# Steps of data.inference that this file reads, or that change nothing in a single image.
_HANDLED = {"normalize_images", "scale_to_unit_range", "auto_padding", "top_down_crop", "collate"}
CONDITIONAL = "conditional_top_down"
_METHODS = {
    **dict.fromkeys(("bu", "bottomup"), "bottom_up"),
    **dict.fromkeys(("td", "topdown"), "top_down"),
    **dict.fromkeys(("ctd", "condtopdown"), CONDITIONAL),
}
_OF_SEVERAL = ("DEKRPredictor", "PartAffinityFieldPredictor")
"""Predictors that put the poses of several animals together."""
_OUR_NAMES = {"animaltokenpose_base": "animal_tokenpose_base"}


@dataclass(frozen=True)
class Section:
    """A section of the file, with its place for messages.

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
        at = ".".join(p for p in (self.at, key) if p)
        return RunError(f"{self.path}: {at + ': ' if at else ''}{message}")

    def section(self, key: str) -> Section:
        """Return a required section.

        Raises:
            RunError: it is missing or not a mapping.
        """
        found = self.optional(key)
        if found is None:
            raise self.error(f"missing; give the {NAME} of the model as {argument('config')}", key)
        return found

    def optional(self, key: str) -> Section | None:
        """Return a section; None if it is missing or empty."""
        value = self.content.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.error(f"must hold keys and values, not {value!r}", key)
        return Section(self.path, f"{self.at}.{key}" if self.at else key, value)

    def text(self, key: str) -> str:
        """Return a required text.

        Raises:
            RunError: it is missing or not text.
        """
        value = self.content.get(key)
        if not isinstance(value, str) or not value:
            raise self.error("missing" if value is None else f"must be text, not {value!r}", key)
        return value

    def names(self, key: str, required: bool = False) -> tuple[str, ...]:
        """Return a list of different names; empty if it is missing."""
        value = self.content.get(key)
        value = [] if value is None else value
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.error("must be a list of names", key)
        names = tuple(str(name) for name in value)
        if len(set(names)) < len(names) or not all(name.strip() for name in names):
            raise self.error("has a name twice or an empty one", key)
        if required and not names:
            raise self.error("is empty", key)
        return names

    def size(self, key: str) -> int:
        """Return a whole number above 0."""
        value = self.content.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.error(f"must be a whole number above 0, not {value!r}", key)
        return value

    def size_or(self, key: str, default: int) -> int:
        """Return a whole number above 0; the default where it is missing."""
        return default if self.content.get(key) is None else self.size(key)

    def pixels(self, key: str, default: float) -> float:
        """Return a number of pixels, not negative."""
        value = self.content.get(key, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            raise self.error(f"must be a number of pixels, not {value!r}", key)
        return float(value)

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number; YAML has ``1e-05`` as text, which is one to DeepLabCut.

        Raises:
            RunError: it is none, or missing without a default.
        """
        value = self.content.get(key, default)
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise self.error("missing" if value is None else f"must be a number, not {value!r}", key)
        return number

    def positive(self, key: str, default: float | None = None) -> float:
        """Return a number above 0."""
        number = self.number(key, default)
        if number <= 0:
            raise self.error(f"must be above 0, not {number:g}", key)
        return number

    def whole_numbers(self, key: str) -> list[int]:
        """Return a required list of whole numbers from 0."""
        value = self.content.get(key)
        if not isinstance(value, Sequence) or not all(
            isinstance(each, int) and not isinstance(each, bool) and each >= 0 for each in value
        ):
            raise self.error(f"must be a list of whole numbers, not {value!r}", key)
        return list(value)


@dataclass(frozen=True)
class ModelConfig:
    """The parts of the file that describe the model.

    Attributes:
        whole: the whole file.
        net_type: DeepLabCut's name of the architecture.
        method: pose_core's name of the method, a key of ``pose_core.hooks.METHODS``.
        keypoints, unique_keypoints, individuals: names.
        identified: True if individuals are the same animals in every frame.
        project_path: path of the project at training; None if it was removed from the file.
        preprocess: ``model.preprocess`` of a run.
        detector_margin: pixels by which boxes were larger than the animals at training, on each side.
    """

    whole: Section
    net_type: str
    method: str
    keypoints: tuple[str, ...]
    unique_keypoints: tuple[str, ...]
    individuals: tuple[str, ...]
    identified: bool
    project_path: Path | None
    preprocess: Mapping[str, Any]
    detector_margin: float

    @property
    def model(self) -> Section:
        """The section of the network's parts."""
        return self.whole.section("model")

    @property
    def zoo(self) -> Section | None:
        """What is said of a network of the model zoo; None for others."""
        return self.whole.optional("zoo")

    @property
    def zoo_edges(self) -> tuple[tuple[str, str], ...]:
        """Pairs of keypoints that the skeleton of a network of the model zoo joins."""
        pairs = [] if self.zoo is None else self.zoo.content.get("skeleton") or []
        if self.zoo is not None and not (
            isinstance(pairs, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in pairs)
        ):
            raise self.zoo.error("must be a list of pairs of body parts", "skeleton")
        return tuple((str(first), str(second)) for first, second in pairs)

    @property
    def multi_animal(self) -> bool:
        """True if a frame can hold several animals."""
        return len(self.individuals) > 1

    @property
    def context(self) -> bool:
        """True if crops show the surroundings of a box that has another aspect ratio than the crop."""
        crop = self.whole.section("data").section("inference").optional("top_down_crop")
        default = self.method != CONDITIONAL
        return default if crop is None else bool(crop.content.get("crop_with_context", default))

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(height, width) of the crops of a top-down or conditional network."""
        size = self.preprocess.get("size")
        return None if size is None else (size[0], size[1])

    @property
    def name(self) -> str:
        """The name of this model in pose_core."""
        name = _OUR_NAMES.get(self.net_type, self.net_type)
        head = self.model.section("heads").optional("bodypart")
        # DeepLabCut calls a backbone with heatmaps by the backbone's name, whether it sees frames or crops.
        heatmaps = head is not None and head.content.get("type") == "HeatmapHead"
        crops = self.method == "top_down" and not name.startswith("top_down_")
        return f"top_down_{name}" if heatmaps and crops else name


def find_model_config(snapshot: Path, given: Path | None) -> Path:
    """Find the description of a snapshot: the given one, or the one beside it.

    Raises:
        RunError: there is none.
    """
    path = given if given is not None else snapshot.parent / NAME
    if path.is_dir():
        path = path / NAME
    if not path.is_file():
        if given is not None:
            raise RunError(f"{path}: no such file; {argument('config')} must be the {NAME} of the model")
        raise RunError(
            f"{snapshot}: has no {NAME} beside it, which describes the network; give it as "
            f"{argument('config')}"
        )
    return path


def load_model_config(path: Path) -> ModelConfig:
    """Read a pytorch_config.yaml.

    Raises:
        RunError: it is not such a file, or describes what cannot be imported; names file and key.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise RunError(
            f"{path}: is not valid YAML{where}; give the {NAME} of the model as {argument('config')}"
        ) from None
    if not isinstance(content, dict):
        raise RunError(
            f"{path}: is not a {NAME} of DeepLabCut 3; give that of the model as {argument('config')}"
        )
    return parse_model_config(path, content)


def parse_model_config(path: Path, content: Mapping[str, Any]) -> ModelConfig:
    """Parse the content of a pytorch_config.yaml; ``path`` is for messages."""
    whole = Section(path, "", content)
    for key in ("model", "metadata", "data"):
        whole.section(key)
    metadata = whole.section("metadata")
    method = whole.content.get("method")
    if str(method).lower() not in _METHODS:
        raise whole.error(
            f"models of method {method!r} cannot be imported by this version of pose-deeplabcut; it imports "
            "bu (bottom-up), td (top-down) and ctd (conditional top-down)",
            "method",
        )
    individuals = metadata.names("individuals", required=True)
    ours = _METHODS[str(method).lower()]
    # DeepLabCut calls a network for one animal bottom-up as well. One that puts animals together is of the
    # other method here, too, even where its project has a single animal.
    if ours == "bottom_up" and len(individuals) == 1 and _find_predictor(whole) not in _OF_SEVERAL:
        ours = "single_animal"
    project = metadata.content.get("project_path")
    data = whole.section("data")
    return ModelConfig(
        whole=whole,
        net_type=whole.text("net_type"),
        method=ours,
        keypoints=metadata.names("bodyparts", required=True),
        unique_keypoints=metadata.names("unique_bodyparts"),
        individuals=individuals,
        identified=bool(metadata.content.get("with_identity")),
        project_path=Path(str(project)) if project else None,
        preprocess=_preprocess(data, ours),
        detector_margin=data.pixels("bbox_margin", 20) if ours == "top_down" else 0.0,
    )


def _find_predictor(whole: Section) -> object:
    """What reads the poses of the animals out of the maps; None where the file does not say."""
    found: object = whole.section("model").content
    for key in ("heads", "bodypart", "predictor", "type"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def read_normalisation(data: Section) -> dict[str, list[float]]:
    """Read mean and standard deviation of RGB in [0, 1] at inference.

    Args:
        data: section ``data`` of the network or of the detector.

    Raises:
        RunError: inference changes images in another way, too.
    """
    if (colours := data.content.get("colormode", "RGB")) != "RGB":
        raise data.error(f"must be RGB, not {colours!r}", "colormode")
    inference = data.section("inference")
    done = sorted(str(k) for k, v in inference.content.items() if v and k not in _HANDLED)
    if done:
        raise inference.error(
            "changes images in a way that cannot be imported; only normalisation can", done[0]
        )
    normalised, unit = (bool(inference.content.get(k)) for k in ("normalize_images", "scale_to_unit_range"))
    if normalised and unit:
        raise inference.error("cannot be imported together with normalize_images", "scale_to_unit_range")
    # With neither, the network was trained on bytes from 0 to 255.
    return dict(IMAGENET if normalised else _UNIT_RANGE if unit else _BYTES)


def _preprocess(data: Section, method: str) -> dict[str, Any]:
    levels = read_normalisation(data)
    if method not in ("top_down", CONDITIONAL):
        return {"scale": 1.0, **levels}
    crop = data.section("inference").section("top_down_crop")
    # Every conditional model has crops without context; the importer notes what that means.
    if method == "top_down" and not crop.content.get("crop_with_context", True):
        raise crop.error(
            "crops without context (black beside the box) cannot be imported", "crop_with_context"
        )
    return {
        "scale": 1.0,
        "size": [crop.size("height"), crop.size("width")],
        "margin": 0.0,
        "margin_pixels": data.pixels("bbox_margin", 20) + crop.pixels("margin", 0),
        # DeepLabCut has no smallest box: boxes are as large as the keypoints span.
        "min_box": 0.0,
        # DeepLabCut moves keypoints into the crop by x' = x s, but pixels by (x + 1/2) s - 1/2.
        "half_pixel": False,
        **levels,
    }
