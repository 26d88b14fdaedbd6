"""Import trained models of other tools as run folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import yaml
from torch import Tensor, nn

from pose_core.catalog import get_catalog
from pose_core.data.fingerprint import hash_image
from pose_core.data.projects import read_project
from pose_core.data.split import LEARNED
from pose_core.errors import ConfigError, DataError, PluginError, RunError
from pose_core.interfaces import (
    Imported,
    ImportedNetwork,
    ImportedTraining,
    Importer,
    describe_non_finite,
    find_non_finite,
)
from pose_core.io.files import make_folder, write_whole
from pose_core.io.names import find_escaped
from pose_core.model.build import build_model
from pose_core.model.weights import load_into
from pose_core.runs.crop_notes import describe_crops
from pose_core.runs.new_run import check_new_run
from pose_core.runs.run_folder import STAGES, Run
from pose_core.runs.size_notes import SIZES
from pose_core.specs import DetectorRunSpec, ImporterConfig, RunSpec, parse_component
from pose_core.specs.run import RUN_SPECS, AnyRunSpec, RunBase, find_trained, stage_of_run
from pose_core.specs.yaml_file import validate_as
from pose_core.structures import ProjectSplit

S = TypeVar("S", bound=RunBase)


@dataclass(frozen=True)
class ImportedRun:
    """Result of an import.

    Attributes:
        run: the run folder.
        notes: one line for each thing the user should know.
        parameters: of the pose network, trainable ones and others.
    """

    run: Run
    notes: tuple[str, ...]
    parameters: int


def import_model(
    importer: str | Mapping[str, object],
    snapshot: Path | str,
    out: Path | str,
    *,
    config: Path | str | None = None,
    detector: Path | str | None = None,
    data: Path | str | None = None,
) -> ImportedRun:
    """Make a run folder of a model that another tool trained.

    It predicts, evaluates and fine-tunes like any other. Nothing is written before all of it is known to fit.

    Args:
        importer: name of an importer component, or its configuration (``type`` and settings).
        snapshot: file of weights.
        out: the run folder; made if needed.
        config: file that describes the model; found beside the snapshot by default.
        detector: file of weights of the detector of a top-down model.
        data: the labelled project the model was trained on; by default as the model says.

    Raises:
        ConfigError: there is no such importer, or a setting of it is wrong.
        RunError: a file cannot be used, its weights do not fit, or ``out`` holds a run.
        PluginError: the importer or a mapping of weights is broken.
    """
    out = Path(out)
    check_new_run(out)
    settings, reader = _find_importer(importer)
    beside = (None if path is None else Path(path) for path in (config, detector, data))
    found = reader.read(Path(snapshot), *beside)
    if not isinstance(found, Imported):
        raise PluginError(f"importer {settings.type!r} returned {type(found).__name__}, not Imported")

    stages: dict[str, tuple[AnyRunSpec, nn.Module]] = {}
    for name, network in found.stages.items():
        stages[name] = _stage(network, settings.type)
    sections = {name: stage_of_run(its_spec) for name, (its_spec, _) in stages.items()}
    network = replace(found.network, spec={**found.network.spec, "stages": sections})
    spec = _full_name(_spec(network, RunSpec, settings.type))
    model = build_model(spec)
    _load(model, found.network.weights, found.network.source)
    # Weights fit here, but the importer may have read an input size that the network cannot take.
    try:
        model.check_features()
    except ConfigError as error:
        raise RunError(
            f"{found.network.source}: importer {settings.type} made no usable run of it: {error}"
        ) from None

    split = found.split if found.split is not None else ProjectSplit(())
    hashes, more = _hash_learned(spec, split)
    notes = (*found.notes, *split.notes, *more, *describe_crops(spec.data))
    provenance = {
        "imported": {"by": settings.type, **found.provenance},
        # Null rather than absent: unknown, as another tool does not say.
        "seed": None,
        "data_hash": None,
        "data": spec.data.source,
        "split": {
            "train": list(split.train),
            "validation": list(split.validation),
            "test": list(split.test),
        },
        "image_hashes": hashes,
        SIZES: [list(size) for size in found.image_sizes],
        "notes": list(notes),
    }
    for name, (its_spec, finds) in stages.items():
        inner = Run.create(out / STAGES / name, its_spec, provenance)
        inner.save_weights(finds.state_dict(), training={"imported": True})
    # The outer folder is a run once it has its configuration, so it comes last.
    run = Run.create(out, spec, provenance)
    run.save_weights(model.state_dict(), training={"imported": True})
    return ImportedRun(run, notes, sum(p.numel() for p in model.parameters()))


def _hash_learned(spec: RunSpec, split: ProjectSplit) -> tuple[dict[str, list[str]], list[str]]:
    """Hash the images that a network was trained on, by which they are told under other names; with notes."""
    names = {part: getattr(split, part) for part in LEARNED}
    if not any(names.values()):
        return {}, ["the files do not say which images the network was trained on"]
    try:
        dataset = read_project(find_escaped(spec.data.source), spec.data.reader)
    except DataError as error:
        return {}, [f"images that it was trained on are known by their names only: {error}"]
    images = {image.name: image.image for image in dataset.images}
    hashes = {
        part: [hash_image(images[name]) for name in own if name in images] for part, own in names.items()
    }
    return hashes, []


def import_training(
    importer: str | Mapping[str, object],
    config: Path | str,
    out: Path | str,
    *,
    data: Path | str | None = None,
) -> tuple[str, ...]:
    """Write a configuration file for ``pose train`` from what a training of another tool was set to.

    Args:
        importer: name of an importer component, or its configuration (``type`` and settings).
        config: the file of the other tool.
        out: the YAML file to write; an existing one is not replaced.
        data: the labelled project; by default as the file says.

    Returns:
        one line for each thing that is different, or not taken over.

    Raises:
        ConfigError: there is no such importer, or a setting of it is wrong.
        RunError: the file cannot be used, or ``out`` exists.
        PluginError: the importer is broken.
    """
    out = Path(out)
    if out.exists():
        raise RunError(f"{out}: exists; name another file, or remove it")
    settings, reader = _find_importer(importer)
    found = reader.read_training(Path(config), None if data is None else Path(data))
    if not isinstance(found, ImportedTraining):
        raise PluginError(f"importer {settings.type!r} returned {type(found).__name__}, not ImportedTraining")
    make_folder(out.parent)
    # The innermost lists in a line: a schedule may have hundreds of rates.
    text = yaml.safe_dump(
        dict(found.content), sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
    )
    write_whole(out, text)
    return found.notes


def _find_importer(importer: str | Mapping[str, object]) -> tuple[ImporterConfig, Importer]:
    """Settings and importer; an unknown one is named."""
    tool = importer if isinstance(importer, str) else importer.get("type")
    try:
        get_catalog().component("importer", str(tool))
    except ConfigError as error:
        raise ConfigError(f"cannot import models of {tool!r}: {error}") from None
    settings = parse_component("importer", ImporterConfig, importer, "importer")
    reader: Importer = get_catalog().component("importer", settings.type).factory()(settings)
    return settings, reader


def _stage(network: ImportedNetwork, importer: str) -> tuple[AnyRunSpec, nn.Module]:
    """Spec and network of a part that the pose network builds on."""
    its_spec = _spec(network, RUN_SPECS[find_trained(network.spec)], importer)
    finds = build_model(its_spec)
    weights = network.weights
    if isinstance(its_spec, DetectorRunSpec):
        # An importer names parameters as the plugin of the detector does, without the core's wrapper.
        weights = {f"network.{name}": value for name, value in weights.items()}
    _load(finds, weights, network.source)
    return its_spec, finds


def _spec(network: ImportedNetwork, kind: type[S], importer: str) -> S:
    try:
        return validate_as(network.spec, {}, "", kind)
    except ConfigError as error:
        raise RunError(f"{network.source}: importer {importer} made no usable run of it: {error}") from None


def _full_name(spec: RunSpec) -> RunSpec:
    """Give the model its full name, if it is installed with that method."""
    try:
        (model,) = get_catalog().model(spec.model.name, spec.model.method)
    # ValueError: unpacking found several. A model without full name is usable, for its parts are in the spec.
    except (ConfigError, ValueError):
        return spec
    return spec.model_copy(update={"model": spec.model.model_copy(update={"name": model.full_name})})


def _load(model: nn.Module, weights: Mapping[str, Tensor], source: Path) -> None:
    # An importer may read its files in a way of its own.
    if bad := find_non_finite(weights):
        raise RunError(f"{source}: {describe_non_finite(bad)}")
    load_into(model, weights, source)
    model.eval()
