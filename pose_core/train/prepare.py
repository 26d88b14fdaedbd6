"""Everything that is decided before the first step: data, model, split, and the values of ``auto``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pose_core.data.augment import Augmenter
from pose_core.data.auto import auto_crop, auto_scale
from pose_core.data.projects import read_project
from pose_core.data.split import Split, make_split
from pose_core.errors import ConfigError
from pose_core.specs import CUSTOM, AnyReader, ReaderConfig, RunSpec
from pose_core.specs.merge import merge
from pose_core.specs.resolve import Layer, choose_model, file_layer, resolve, set_layer
from pose_core.specs.yaml_file import validate
from pose_core.structures import LabelledDataset

STEPS = 6000
"""Optimiser steps of ``train.epochs: auto``."""

STEPS_BETWEEN_VALIDATIONS = 100


@dataclass(frozen=True)
class Prepared:
    """A training that can start.

    Attributes:
        spec: the configuration, every ``auto`` decided.
        dataset: the labelled project.
        split: rows of ``dataset.images`` by part.
        notes: what the user should know, a line each.
    """

    spec: RunSpec
    dataset: LabelledDataset
    split: Split
    notes: tuple[str, ...]


def prepare(
    source: Path,
    model: str | None = None,
    *,
    config: Path | None = None,
    assignments: Sequence[str] = (),
    options: Layer | None = None,
) -> Prepared:
    """Read the data and make the configuration of a run.

    Args:
        source: the labelled project.
        model: name of a model; may be left out when the file names one (``model.name``) or describes one.
        config: the user's YAML file.
        assignments: ``--set`` options.
        options: options with a name of their own; they win over ``--set``.

    Raises:
        ConfigError: a name, key or value is wrong.
        DataError: the project cannot be used.
    """
    user = [file_layer(config)] if config is not None else []
    user.append(set_layer(assignments))
    if options is not None:
        user.append(options)
    wanted: dict[str, Any] = {}
    for layer in user:
        wanted = merge(wanted, layer.content)
    dataset = read_project(source, _reader(wanted))
    model_part = wanted.get("model") if isinstance(wanted.get("model"), dict) else {}
    assert isinstance(model_part, dict)
    if model is None and isinstance(model_part.get("name"), str) and model_part["name"] != CUSTOM:
        model = model_part["name"]
    preset = None
    if model is not None:
        preset = choose_model(model, dataset.multi_animal, model_part.get("method"))
    spec = resolve(
        preset,
        Layer(
            {
                "skeleton": dataclasses.asdict(dataset.skeleton),
                "data": {"source": str(source.resolve())},
                "metadata": dataset.metadata,
            }
        ),
        user,
    )
    if spec.model.method == "single_animal" and dataset.multi_animal:
        raise ConfigError(
            "model.method: single_animal finds one animal a frame, but the project has several individuals"
        )
    split = make_split(
        dataset, spec.data.split, spec.train.seed if spec.data.split.seed is None else spec.data.split.seed
    )
    spec = _decide(spec, dataset, split)
    notes = (*dataset.notes, *split.notes, *Augmenter(spec.augmentation, spec.skeleton).notes)
    return Prepared(spec, dataset, split, notes)


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
    if spec.augmentation.crop.size == "auto":
        size = preprocess.size or auto_crop(dataset, split.train, scale, spec.model.backbone.size_multiple())
        decided = merge(decided, {"augmentation": {"crop": {"size": size}}})
    steps_an_epoch = math.ceil(len(split.train) / (spec.train.batch_size * spec.train.devices))
    epochs = spec.train.epochs
    if epochs == "auto":
        epochs = max(10, math.ceil(STEPS / steps_an_epoch))
        decided = merge(decided, {"train": {"epochs": epochs}})
    if spec.train.validate_every == "auto":
        # Not limited by the epochs: a run may be resumed with more of them, and must then be the same otherwise.
        every = max(1, round(STEPS_BETWEEN_VALIDATIONS / steps_an_epoch))
        decided = merge(decided, {"train": {"validate_every": every}})
    return validate(merge(spec.model_dump(mode="json"), decided), {})
