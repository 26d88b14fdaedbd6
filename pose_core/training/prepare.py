"""Everything that is decided before the first step: data, model, split, and the values of ``auto``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from pose_core.catalog import get_catalog
from pose_core.catalog.merge import merge
from pose_core.data.augment import Augmenter
from pose_core.data.auto_sizes import auto_crop, auto_scale
from pose_core.data.boxes import auto_min_box
from pose_core.data.dataset import labelled_animals
from pose_core.data.projects import read_with
from pose_core.data.split import Split, make_split
from pose_core.errors import ConfigError, DataError
from pose_core.runs.run_folder import DetectorRun, Run
from pose_core.runs.start import NONE, run_of
from pose_core.specs import (
    CUSTOM,
    AnyDetector,
    AnyReader,
    DetectorConfig,
    DetectorRunSpec,
    DetectorSpec,
    ReaderConfig,
    RunSpec,
    TrainSpec,
)
from pose_core.specs.extra_heads import needs_of
from pose_core.specs.resolve import Layer, choose_model, file_layer, resolve, set_layer
from pose_core.specs.yaml_file import Loc, validate, validate_as
from pose_core.structures import LabelledDataset

STEPS = 6000
"""Optimiser steps of ``train.epochs: auto``."""

STEPS_BETWEEN_VALIDATIONS = 100


S = TypeVar("S", RunSpec, DetectorRunSpec)


@dataclass(frozen=True)
class Prepared(Generic[S]):
    """A training that can start.

    Attributes:
        spec: the configuration, every ``auto`` decided.
        dataset: the labelled project.
        split: rows of ``dataset.images`` by part.
        notes: what the user should know, a line each.
        reader: full name of the reader of the project.
    """

    spec: S
    dataset: LabelledDataset
    split: Split
    notes: tuple[str, ...]
    reader: str


def prepare(
    source: Path,
    model: str | None = None,
    *,
    detector: str | None = None,
    config: Path | None = None,
    assignments: Sequence[str] = (),
    options: Layer | None = None,
) -> Prepared[RunSpec]:
    """Read the data and make the configuration of a run.

    Args:
        source: the labelled project.
        model: name of a model; may be left out when the file names one (``model.name``) or describes one, and when
            ``train.weights`` is a run folder, whose model is taken then.
        detector: name of a detector for a top-down model, or the folder of a trained one.
        config: the user's YAML file.
        assignments: ``--set`` options.
        options: options with a name of their own; they win over ``--set``.

    Raises:
        ConfigError: a name, key or value is wrong.
        DataError: the project cannot be used.
        RunError: the folder of the detector cannot be used.
    """
    user, wanted = _user_layers(config, assignments, options)
    dataset, reader = read_with(source, _reader(wanted))
    overruled: list[str] = []
    if config is not None:
        user[0], overruled = _of_this_project(user[0], dataset, source)
    if model is None and (layer := _model_of_weights(wanted)) is not None:
        user.insert(0, layer)
        wanted = merge(layer.content, wanted)
    model_part = wanted.get("model") if isinstance(wanted.get("model"), dict) else {}
    assert isinstance(model_part, dict)
    if model is None and isinstance(model_part.get("name"), str) and model_part["name"] != CUSTOM:
        model = model_part["name"]
    preset = None
    if model is not None:
        preset = choose_model(model, dataset.multi_animal, model_part.get("method"))
    below = [_project_layer(dataset, source), _detector_layer(wanted, detector)]
    added: list[str] = []
    spec = resolve(preset, Layer(merge(below[0].content, below[1].content)), user, added)
    _check_detector_name(spec.detector.network.type if spec.detector is not None else None, detector)
    if dataset.multi_animal and get_catalog().method(spec.model.method).animals == "one":
        raise ConfigError(
            f"model.method: {spec.model.method} finds one animal a frame, but the project has several individuals"
        )
    split = _split(dataset, spec)
    spec = _decide(spec, dataset, split)
    notes = (
        *overruled,
        *dataset.notes,
        *split.notes,
        *Augmenter(spec.augmentation, spec.skeleton).notes,
        *added,
        *_without_head(spec),
    )
    return Prepared(spec, dataset, split, notes, reader)


def _without_head(spec: RunSpec) -> list[str]:
    name, notes, needs = spec.model.name, [], needs_of(spec.skeleton)
    if "unique_keypoints" in needs and not spec.model.predicts_unique():
        unique = spec.skeleton.unique_keypoints
        listed = f"{', '.join(unique)} {'is' if len(unique) == 1 else 'are'}"
        notes.append(
            f"{name} has no head for keypoints that exist once a frame: {listed} neither learned nor predicted"
        )
    if "identity" in needs and not spec.model.predicts_identity():
        listed = ", ".join(spec.skeleton.individuals)
        notes.append(f"{name} has no head for identities: it finds animals, but not which of {listed} they are")
    return notes


def prepare_detector(
    source: Path,
    detector: str,
    *,
    config: Path | None = None,
    assignments: Sequence[str] = (),
    options: Layer | None = None,
) -> Prepared[DetectorRunSpec]:
    """The same for a detector by itself.

    Args:
        source: the labelled project.
        detector: its name.
        config: the user's YAML file, as the ``config.yaml`` of a detector's run.
        assignments, options: as of :func:`prepare`.

    Raises:
        ConfigError: a name, key or value is wrong.
        DataError: the project cannot be used.
    """
    user, wanted = _user_layers(config, assignments, options)
    if "detector" in wanted:
        where = next((f" ({place})" for layer in user for at, place in layer.origin.items() if at[0] == "detector"), "")
        raise ConfigError(
            "detector: where a detector is trained alone, its settings stand at the top: write train.epochs or "
            f"network.size, without 'detector.'{where}"
        )
    dataset, reader = read_with(source, _reader(wanted))
    overruled: list[str] = []
    if config is not None:
        user[0], overruled = _of_this_project(user[0], dataset, source)
    network = merge({"type": detector}, _mapping(wanted.get("network"), "network"))
    content = merge(_project_layer(dataset, source).content, merge(_component_defaults(network), {"network": network}))
    origin: dict[Loc, str] = {}
    for layer in user:
        content = merge(content, layer.content)
        origin.update(layer.origin)
    spec = validate_as(content, origin, "", DetectorRunSpec)
    _check_detector_name(spec.network.type, detector)
    split = _split(dataset, spec)
    notes = (*overruled, *dataset.notes, *split.notes)
    return Prepared(_decide_detector(spec, dataset, split), dataset, split, notes, reader)


def names_a_model(config: Path | None, assignments: Sequence[str]) -> bool:
    """Whether the user's file or ``--set`` options say anything about a pose network.

    Raises:
        ConfigError: the file cannot be read.
    """
    return "model" in _user_layers(config, assignments, None)[1]


def detector_of(prepared: Prepared[RunSpec]) -> Prepared[DetectorRunSpec]:
    """The training of the detector that belongs to a top-down model: the same data, the same split.

    Raises:
        ValueError: the model has none.
    """
    spec = prepared.spec
    if spec.detector is None:
        raise ValueError("the model has no detector")
    content = {
        **spec.detector.model_dump(mode="json"),
        **spec.model_dump(mode="json", include={"skeleton", "data", "evaluation", "metadata"}),
    }
    return replace(prepared, spec=validate_as(content, {}, "", DetectorRunSpec), notes=())  # type: ignore[return-value,arg-type]


def _user_layers(
    config: Path | None, assignments: Sequence[str], options: Layer | None
) -> tuple[list[Layer], dict[str, Any]]:
    """File and command line, in this order, and what they say together."""
    user = [file_layer(config)] if config is not None else []
    user.append(set_layer(assignments))
    if options is not None:
        user.append(options)
    wanted: dict[str, Any] = {}
    for layer in user:
        wanted = merge(wanted, layer.content)
    return user, wanted


def _model_of_weights(wanted: dict[str, Any]) -> Layer | None:
    """The model of the run whose weights are the start, for a user who names no model."""
    weights = _mapping(wanted.get("train"), "train").get("weights")
    run = run_of(weights) if isinstance(weights, str) else None  # anything else is refused when all is validated
    model = _mapping(wanted.get("model"), "model")
    if run is None or "name" in model or "type" in _mapping(model.get("backbone"), "model.backbone"):
        return None
    return Layer({"model": Run.open(run).spec.model.model_dump(mode="json")})


_FACTS = ("keypoints", "individuals", "identified", "unique_keypoints")
"""What of a skeleton only the labels can say; limbs and left/right pairs may be written in a file."""


def _of_this_project(layer: Layer, dataset: LabelledDataset, source: Path) -> tuple[Layer, list[str]]:
    """A user's file without what it says about another project, as the config.yaml of a run does; and a note on that.

    The project is the one that is named on the command line.
    """
    content, project = dict(layer.content), _project_layer(dataset, source).content
    dropped: list[str] = []
    if isinstance(content.get("data"), dict) and "source" in content["data"]:
        content["data"] = {key: value for key, value in content["data"].items() if key != "source"}
        if Path(str(layer.content["data"]["source"])).resolve() != source.resolve():
            dropped.append("data.source")
    if isinstance(content.get("metadata"), dict) and content.pop("metadata") != dataset.metadata:
        dropped.append("metadata")
    if isinstance(skeleton := content.get("skeleton"), dict):
        own = {key: list(value) if isinstance(value, tuple) else value for key, value in project["skeleton"].items()}
        differing = [key for key in _FACTS if key in skeleton and skeleton[key] != own[key]]
        content["skeleton"] = {key: value for key, value in skeleton.items() if key not in _FACTS}
        if "keypoints" in differing:  # then its limbs and pairs are of other keypoints, too
            del content["skeleton"]
        dropped += [f"skeleton.{key}" for key in differing]
    notes = [f"{', '.join(dropped)}: taken from {source}, not from the configuration file"] if dropped else []
    return Layer(content, layer.origin), notes


def _project_layer(dataset: LabelledDataset, source: Path) -> Layer:
    return Layer(
        {
            "skeleton": dataclasses.asdict(dataset.skeleton),
            "data": {"source": str(source.resolve())},
            "metadata": dataset.metadata,
        }
    )


# What is said for the pose network holds for the detector too, unless detector.train says otherwise.
_SHARED = ("seed", "device", "workers", "cache", "loggers", "precision")


def _detector_layer(wanted: dict[str, Any], detector: str | None) -> Layer:
    """What is known of the detector before the user's own words about it."""
    part = _mapping(wanted.get("detector"), "detector")
    if detector is None and not part:
        return Layer({})
    if detector is not None and (folder := Path(detector)).is_dir():
        if part:
            raise ConfigError(f"detector: cannot be changed, {folder} is trained; leave the section out")
        trained = DetectorRun.open(folder).spec.model_dump(mode="json")
        return Layer({"detector": {key: trained[key] for key in DetectorSpec.model_fields}})
    network = _mapping(part.get("network"), "detector.network")
    if detector is not None:
        network = merge({"type": detector}, network)
    train = _mapping(wanted.get("train"), "train")
    shared: dict[str, Any] = {"train": {key: train[key] for key in _SHARED if key in train}}
    if train.get("weights") == NONE:
        shared["train"]["weights"] = NONE
    content = merge(_component_defaults(network), merge(shared, {"network": network} if network else {}))
    return Layer({"detector": content})


def _component_defaults(network: dict[str, Any]) -> dict[str, Any]:
    """What a detector's config says about its training; nothing where it is wrong, which is reported later."""
    adapter: TypeAdapter[DetectorConfig] = TypeAdapter(AnyDetector)
    try:
        return dict(adapter.validate_python(network).defaults())
    except ValidationError:
        return {}


def _check_detector_name(used: str | None, asked: str | None) -> None:
    if used is None or asked is None or Path(asked).is_dir():
        return
    if used != asked and used.rpartition("/")[2] != asked:
        raise ConfigError(f"--detector {asked}: the configuration file names {used}; leave one of them out")


def _mapping(value: Any, key: str) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, str):
        return {"type": value}
    if not isinstance(value, dict):
        raise ConfigError(f"{key}: must hold keys and values, not {value!r}")
    return value


def _split(dataset: LabelledDataset, spec: RunSpec | DetectorRunSpec) -> Split:
    return make_split(
        dataset, spec.data.split, spec.train.seed if spec.data.split.seed is None else spec.data.split.seed
    )


def _reader(wanted: dict[str, Any]) -> ReaderConfig | None:
    data = wanted.get("data")
    reader = data.get("reader") if isinstance(data, dict) else None
    if reader is None:
        return None
    adapter: TypeAdapter[ReaderConfig] = TypeAdapter(AnyReader)
    try:
        return adapter.validate_python(reader)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(map(str, ("data", "reader", *first["loc"])))
        raise ConfigError(f"{path}: {first['msg']}") from None


def _decide(spec: RunSpec, dataset: LabelledDataset, split: Split) -> RunSpec:
    """Replace every ``auto`` by what the training images call for."""
    decided: dict[str, Any] = {}
    preprocess = spec.model.preprocess
    scale = preprocess.scale
    if scale == "auto":
        # With a fixed input size the frame or the crop is fitted into it, and the scale has nothing to say.
        scale = auto_scale(dataset, split.train) if preprocess.size is None else 1.0
        decided = merge(decided, {"model": {"preprocess": {"scale": scale}}})
    if preprocess.min_box == "auto":
        least = auto_min_box(dataset, split.train) if preprocess.view == "animal" else 0.0
        decided = merge(decided, {"model": {"preprocess": {"min_box": least}}})
    if spec.augmentation.crop.size == "auto":
        size = preprocess.size or auto_crop(dataset, split.train, scale, spec.model.backbone.size_multiple())
        decided = merge(decided, {"augmentation": {"crop": {"size": size}}})
    samples = len(split.train)
    if preprocess.view == "animal":
        samples = sum(labelled_animals(dataset.images[row]) for row in split.train)
        if not samples:
            raise DataError(
                f"{dataset.root}: no training image shows an animal with a labelled keypoint, which {spec.model.name} "
                "learns from; label some, or choose other training images (data.split)"
            )
    decided = merge(decided, {"train": _decide_train(spec.train, samples)})
    if spec.detector is not None:
        decided = merge(decided, {"detector": _decide_detecting(spec.detector, dataset, split)})
    return validate(merge(spec.model_dump(mode="json"), decided), {})


def _decide_detector(spec: DetectorRunSpec, dataset: LabelledDataset, split: Split) -> DetectorRunSpec:
    decided = _decide_detecting(spec, dataset, split)
    return validate_as(merge(spec.model_dump(mode="json"), decided), {}, "", DetectorRunSpec)


def _decide_detecting(spec: DetectorSpec, dataset: LabelledDataset, split: Split) -> dict[str, Any]:
    decided: dict[str, Any] = {"train": _decide_train(spec.train, len(split.train))}
    if spec.min_box == "auto":
        decided["min_box"] = auto_min_box(dataset, split.train)
    if spec.augmentation.crop.size == "auto":
        decided["augmentation"] = {"crop": {"size": spec.network.size}}
    return decided


def _decide_train(spec: TrainSpec, samples: int) -> dict[str, Any]:
    """Epochs and validations for so many samples an epoch."""
    steps_an_epoch = max(1, math.ceil(samples / (spec.batch_size * spec.devices)))
    decided: dict[str, Any] = {}
    if spec.epochs == "auto":
        decided["epochs"] = max(10, math.ceil(STEPS / steps_an_epoch))
    if spec.validate_every == "auto":
        # Not limited by the epochs: a run may be resumed with more of them, and must then be the same otherwise.
        decided["validate_every"] = max(1, round(STEPS_BETWEEN_VALIDATIONS / steps_an_epoch))
    return decided
