"""Import trained models of other tools as run folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import yaml
from torch import Tensor, nn

from pose_core.catalog import ZooEntry, get_catalog
from pose_core.data.fingerprint import hash_image
from pose_core.data.projects import read_project
from pose_core.data.split import LEARNED
from pose_core.errors import ConfigError, DataError, PluginError, RunError, WeightsError, argument, command
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
from pose_core.runs.published import describe_origin, list_candidates, read_published
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
        run: the run folder, of a pose network or of a detector.
        notes: one line for each thing the user should know.
        parameters: of the network, trainable ones and others.
    """

    run: Run[AnyRunSpec]
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
    project: str | None = None,
) -> ImportedRun:
    """Make a run folder of a model that another tool trained.

    It predicts, evaluates and fine-tunes like any other. Nothing is written before all of it is known to fit.

    Args:
        importer: name of an importer component, or its configuration (``type`` and settings).
        snapshot: file of weights. One that a zoo publishes is known by its name, and described by the zoo.
        out: the run folder; made if needed.
        config: file that describes the model; found beside the snapshot by default.
        detector: file of weights of the detector of a top-down model.
        data: the labelled project the model was trained on; by default as the model says.
        project: the project of a zoo that publishes the snapshot, or ``project/network``, where the file does not
            have its name. Which network of the project it is, is found by trying.

    Raises:
        ConfigError: there is no such importer or project, or a setting of it is wrong.
        RunError: a file cannot be used, its weights do not fit, or ``out`` holds a run.
        PluginError: the importer or a mapping of weights is broken.
    """
    out = Path(out)
    check_new_run(out)
    settings, reader = _find_importer(importer)
    if project is not None and config is not None:
        raise ConfigError(
            f"{argument('project', project)}: says what the file is, and {argument('config')} does, too; give one"
        )

    def read(file: Path, among: Sequence[ZooEntry], found_detector: Path | None) -> _Network:
        if not among:
            beside = (None if path is None else Path(path) for path in (config, found_detector, data))
            return _assemble(reader.read(file, *beside), settings.type)

        def read_as(entry: ZooEntry) -> Imported:
            # What the user says of the importer goes before what the zoo says.
            said = {"type": importer} if isinstance(importer, str) else importer
            _, own = _find_importer({**entry.definition.importer, **said})
            return read_published(entry, file, own, None if data is None else Path(data))

        return _try_each(file, among, read_as, settings.type)

    chosen = list_candidates(settings.type, Path(snapshot), project, "poses") if config is None else []
    finder = None if detector is None else Path(detector)
    finders = [] if finder is None else list_candidates(settings.type, finder, project, "boxes")
    # A published detector has a description of its own, which the importer of the pose network does not know.
    network = read(Path(snapshot), chosen, None if finders else finder)
    if finder is not None and finders:
        network = network.with_stage("detector", read(finder, finders, None))
    elif finder is not None and chosen:
        raise RunError(
            f"{finder}: is no detector of the zoo of {Path(snapshot).name}; name one by {argument('detector')} "
            f"of {command('predict')}, which takes the run of any detector"
        )
    return network.write(out, settings.type)


def import_published(entry: ZooEntry, file: Path, out: Path) -> ImportedRun:
    """Make a run folder of a file that a zoo publishes.

    Args:
        entry: what the zoo says of it.
        file: on this machine.
        out: the run folder; made if needed.

    Raises:
        RunError: the file holds another network.
        ConfigError: an importer or a component is not installed.
        PluginError: what the zoo says of it is wrong.
    """
    kind = entry.definition.importer
    name, reader = "", None
    if kind:
        settings, reader = _find_importer(kind)
        name = settings.type
    found = _try_each(file, [entry], lambda each: read_published(each, file, reader), name)
    return found.write(out, name or entry.plugin.name)


@dataclass(frozen=True)
class _Network:
    """An imported network with its weights, before anything is written.

    Attributes:
        found: what was read.
        spec, model: of the network; of a pose network without those of its stages.
        stages: the networks that it builds on.
        published: what a zoo says of it; None for others.
        origins: what zoos say of stages.
    """

    found: Imported
    spec: AnyRunSpec
    model: nn.Module
    stages: Mapping[str, tuple[AnyRunSpec, nn.Module]]
    published: ZooEntry | None = None
    origins: Mapping[str, ZooEntry] = field(default_factory=dict)

    def with_stage(self, name: str, network: _Network) -> _Network:
        """Add a network that it builds on."""
        stages = {**self.stages, name: (network.spec, network.model)}
        origins = {**self.origins, **({name: network.published} if network.published is not None else {})}
        return replace(self, stages=stages, origins=origins)

    def write(self, out: Path, importer: str) -> ImportedRun:
        """Write the run folder."""
        found, spec = self.found, self.spec
        if isinstance(spec, RunSpec) and self.stages:
            sections = {name: stage_of_run(its_spec) for name, (its_spec, _) in self.stages.items()}
            network = replace(found.network, spec={**found.network.spec, "stages": sections})
            spec = _full_name(_spec(network, RunSpec, importer))
        split = found.split if found.split is not None else ProjectSplit(())
        hashes, more = ({}, []) if self.published is not None else _hash_learned(spec, split)
        notes = (*found.notes, *split.notes, *more, *describe_crops(spec.data))
        provenance: dict[str, object] = {
            "imported": {"by": importer, **found.provenance},
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
        if self.published is not None and not self.published.definition.importer:
            # Else the listings of what a run uses would look for an importer.
            del provenance["imported"]

        def tell_origin(published: ZooEntry | None) -> dict[str, object]:
            return {
                **provenance,
                **({"weights": describe_origin(published)} if published is not None else {}),
            }

        for name, (its_spec, finds) in self.stages.items():
            inner = Run.create(out / STAGES / name, its_spec, tell_origin(self.origins.get(name)))
            inner.save_weights(finds.state_dict(), training={"imported": True})
        # The outer folder is a run once it has its configuration, so it comes last.
        run = Run.create(out, spec, tell_origin(self.published))
        run.save_weights(self.model.state_dict(), training={"imported": True})
        return ImportedRun(run, notes, sum(p.numel() for p in self.model.parameters()))


def _assemble(found: object, importer: str, published: ZooEntry | None = None) -> _Network:
    """Build the networks that an importer found, and load their weights."""
    if not isinstance(found, Imported):
        raise PluginError(f"importer {importer!r} returned {type(found).__name__}, not Imported")
    stages = {name: _stage(network, importer) for name, network in found.stages.items()}
    if find_trained(found.network.spec) == "boxes":
        return _Network(found, *_stage(found.network, importer), stages, published)
    spec = _full_name(_spec(found.network, RunSpec, importer))
    model = build_model(spec)
    _load(model, found.network.weights, found.network.source)
    # Weights fit here, but the importer may have read an input size that the network cannot take.
    try:
        model.check_features()
    except ConfigError as error:
        raise RunError(
            f"{found.network.source}: importer {importer} made no usable run of it: {error}"
        ) from None
    return _Network(found, spec, model, stages, published)


def _try_each(
    file: Path, among: Sequence[ZooEntry], read: Callable[[ZooEntry], Imported], importer: str
) -> _Network:
    """Take a file for each of several published networks; the first whose weights fit is it."""
    reasons = []
    for entry in among:
        try:
            return _assemble(read(entry), importer, entry)
        except (RunError, WeightsError) as error:
            reasons.append(f"{error}")
    names = ", ".join(entry.name for entry in among)
    what = f"none of {names}" if len(among) > 1 else f"not the network {names}"
    raise RunError(f"{file}: is {what}: {reasons[0].removeprefix(f'{file}: ')}")


def _hash_learned(spec: AnyRunSpec, split: ProjectSplit) -> tuple[dict[str, list[str]], list[str]]:
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
