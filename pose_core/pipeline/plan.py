"""Choose the stages of a run and what supplies them.

The method of the model names the stages. What a stage needs and no stage before it gives is asked of
suppliers: those that the caller named, or else the networks in the folder of the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch

from pose_core.catalog import get_catalog
from pose_core.errors import ConfigError, PluginError, argument
from pose_core.hooks import SupplierSpec
from pose_core.interfaces import Stage, StageContext
from pose_core.model.weights import file_hash
from pose_core.pipeline.crops import Crops
from pose_core.pipeline.detector_boxes import DetectorBoxes, DetectorStage
from pose_core.pipeline.engine import Pipeline
from pose_core.pipeline.given_sources import AnyRun, Source, given_sources, identify_run, open_given
from pose_core.pipeline.networks import RunDetector, RunNetwork
from pose_core.pipeline.stage_configs import BoxesConfig
from pose_core.pipeline.tiles import TiledBoxes, TiledFrames, check_tiles
from pose_core.pipeline.whole_frames import WholeFrames
from pose_core.runs.run_folder import Run
from pose_core.runs.zoo import find_project, list_networks
from pose_core.specs import DetectorRunSpec, RunSpec, StageConfig, TilesSpec, parse_component
from pose_core.specs.resolve import Layer
from pose_core.specs.run import BOXES, CENTRES, describe_unneeded, list_answers
from pose_core.structures import LabelledImage


@dataclass(frozen=True)
class Plan:
    """Stages that predict with a run, and their sources.

    Attributes:
        stages: in order.
        supplied: for each supplier that takes part what tells it from another one: hashes.
        files: the suppliers that were given a file, which is of one video or sequence.
        names: of the stages: the supplier's, or the component's.
        memory: the suppliers whose poses come with each image.
        networks: the pose networks of the stages, those of suppliers included; PyTorch computes them.
        detectors: those that take part, computed by PyTorch as well.
    """

    stages: list[Stage]
    supplied: dict[str, str]
    files: dict[str, Path]
    names: list[str]
    memory: tuple[str, ...] = ()
    networks: tuple[RunNetwork, ...] = ()
    detectors: tuple[RunDetector, ...] = ()


def make_pipeline(
    run: Run,
    device: torch.device,
    batch_size: int,
    sources: Mapping[str, Source],
    labels: Sequence[LabelledImage] | None = None,
) -> tuple[Pipeline, Plan]:
    """Load the networks of a run and build the pipeline around them; PyTorch computes them.

    Args:
        run: of a pose network, with ``spec.inference`` as it is to be used.
        device: where its networks compute.
        batch_size: frames a batch.
        sources: what suppliers are given, by their names.
        labels: the images, by frame number, where those are evaluated.

    Raises:
        ConfigError: nothing supplies what a stage needs, or a source is unknown, not needed, or of the wrong
            form.
        RunError: a run folder is missing or not finished.
        DataError: a file cannot be used.
    """
    plan = plan_stages(run, device, sources, labels)
    inference = run.spec.inference
    return (
        Pipeline(
            plan.stages,
            run.spec.finds,
            device,
            batch_size,
            inference.threshold,
            inference.identity_threshold,
        ),
        plan,
    )


def make_detector_pipeline(
    run: Run[DetectorRunSpec], device: torch.device, batch_size: int
) -> tuple[Pipeline, RunDetector]:
    """Load a detector and build the pipeline that finds boxes with it; PyTorch computes it."""
    skeleton = run.spec.skeleton
    # As many boxes as its project has animals, since no pose network says how many are wanted.
    detector = RunDetector(run, run.load_model(device))
    network = DetectorBoxes(detector.model, skeleton.num_individuals)
    stage = DetectorStage(BoxesConfig(), StageContext(skeleton, device, run.name, boxes=network))
    return Pipeline([stage], skeleton, device, batch_size), detector


def plan_stages(
    run: Run,
    device: torch.device,
    sources: Mapping[str, Source],
    labels: Sequence[LabelledImage] | None = None,
) -> Plan:
    """Choose the stages for a run and make them; see :func:`make_pipeline`."""
    given = given_sources(sources, evaluated=labels is not None)
    planner = _Planner(run, given, labels)
    steps = planner.steps()
    # A missing source is reported first: it may be why another one seems not to be needed. Not where centres are
    # given for it, which would do for crops of another kind.
    centres = [s for s in get_catalog().suppliers(CENTRES) if s.name in given]
    if planner.missing and BOXES in planner.needs_missing and centres:
        raise ConfigError(f"{argument(centres[0].name)}: {describe_unneeded(centres[0], run.spec)}")
    if planner.missing:
        raise ConfigError(planner.missing[0])
    if unused := [name for name in given if name not in planner.suppliers]:
        (supplier,) = (s for s in get_catalog().suppliers() if s.name == unused[0])
        why = _unused_because(supplier, planner.suppliers.values())
        raise ConfigError(f"{argument(unused[0])}: {why or describe_unneeded(supplier, run.spec)}")
    stages: list[Stage] = []
    names: list[str] = []
    for step in steps:
        context = replace(planner.context(step, device), before=tuple(stages))
        made: Stage = get_catalog().component("stage", step.config.type).factory()(step.config, context)
        if not isinstance(made, Stage):
            raise PluginError(
                f"stage {step.config.type!r} makes {type(made).__name__}, not a Stage; it is broken"
            )
        # Such a stage got the earlier ones as ``before`` and runs them itself, where it needs them.
        stages = [made] if made.takes_over else [*stages, made]
        names = [step.name] if made.takes_over else [*names, step.name]
    check_tiles(run.spec, planner.looks_at_frames)
    memory = tuple(
        name for name, s in planner.suppliers.items() if "memory" in s.takes and given.get(name) is True
    )
    return Plan(
        stages,
        planner.identities(),
        planner.files(),
        names,
        memory,
        tuple(planner.networks),
        tuple(planner.detectors),
    )


def labelled_sources(run: Run, sources: Mapping[str, Source]) -> tuple[dict[str, Source], dict[str, Source]]:
    """Add labels to the sources wherever they can supply a need.

    Args:
        run: of a pose network.
        sources: what the caller gives suppliers.

    Returns:
        the sources with the labels wherever nothing else supplies a need, as when a top-down model has no
        detector; and those with the labels in the place of everything that they can supply, empty where they
        are the same.

    Raises:
        ConfigError: a source is unknown or not needed.
    """
    given = given_sources(sources, evaluated=True)
    planner = _Planner(run, given, ())
    planner.steps()
    # Reversed, so that of several suppliers that take labels the first one stays in the dict.
    labelled = {s.gives: s.name for s in reversed(get_catalog().suppliers()) if "labels" in s.takes}
    first: dict[str, Source] = {
        **given,
        **{labelled[need]: True for need in planner.needs_missing if need in labelled},
    }
    # Labelled boxes take the place of centres, too.
    answers = {gives: labelled[need] for need in labelled for gives in list_answers(need, run.spec)}
    rivals = [s for s in planner.suppliers.values() if s.gives in answers and "labels" not in s.takes]
    without = {name: value for name, value in first.items() if name not in {s.name for s in rivals}}
    return first, {**without, **{answers[s.gives]: True for s in rivals}} if rivals else {}


def _unused_because(unused: SupplierSpec, used: Iterable[SupplierSpec]) -> str:
    rivals = [supplier for supplier in used if supplier.gives == unused.gives]
    if not rivals:
        return ""
    return f"{argument(rivals[0].name)} gives {unused.gives}, too; give one of them"


@dataclass(frozen=True)
class _Step:
    """One stage to be made: of the method, or of a supplier."""

    config: StageConfig
    supplier: SupplierSpec | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.supplier.name if self.supplier is not None else self.config.type.rpartition("/")[2]


@dataclass
class _Planner:
    """Puts stages in order, those of suppliers ahead of those that need them.

    Attributes:
        run, given, labels: see :func:`make_pipeline`.
        suppliers: those that take part, by name, once :meth:`steps` was called.
        missing: a message for each need that nothing supplies; ``needs_missing`` has the needs.
        looks_at_frames: whether one of the networks made so far looks at whole frames.
        networks, detectors: see :class:`Plan`; of the stages made so far.
    """

    run: Run
    given: Mapping[str, Path | bool]
    labels: Sequence[LabelledImage] | None
    suppliers: dict[str, SupplierSpec] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    needs_missing: list[str] = field(default_factory=list)
    looks_at_frames: bool = False
    networks: list[RunNetwork] = field(default_factory=list)
    detectors: list[RunDetector] = field(default_factory=list)

    @property
    def spec(self) -> RunSpec:
        return self.run.spec

    def steps(self) -> list[_Step]:
        """The stages in order.

        Raises:
            ConfigError: more than one source supplies what a stage needs.
        """
        steps: list[_Step] = []
        found: set[str] = set()
        for config in self.spec.inference.stages.values():
            self._add(_Step(config), steps, found)
        return steps

    def _add(self, step: _Step, steps: list[_Step], found: set[str]) -> None:
        optional = step.config.can_do_without(self.spec.inference.follow)
        for need in step.config.needs():
            if found.intersection(list_answers(need, self.spec)):
                continue
            supplier = self._supplier(need)
            if supplier is not None:
                self.suppliers[supplier.name] = supplier
                # Recursive, because the stage of a supplier may need something itself.
                self._add(_Step(_make_stage_config(supplier), supplier), steps, found)
            elif need not in optional:
                self.needs_missing.append(need)
                self.missing.append(self._missing(need, step.config))
        steps.append(step)
        found |= set(step.config.gives())

    def _offered(self, need: str) -> list[SupplierSpec]:
        """All suppliers that answer a need."""
        return [s for gives in list_answers(need, self.spec) for s in get_catalog().suppliers(gives)]

    def _supplier(self, need: str) -> SupplierSpec | None:
        offered = self._offered(need)
        named = [supplier for supplier in offered if supplier.name in self.given]
        if len(named) > 1:
            names = " and ".join(argument(supplier.name) for supplier in named)
            raise ConfigError(f"{names}: each of them answers the need of {need}; give one of them")
        # What the user names goes before the network in the folder of the run.
        own = [s for s in offered if "run" in s.takes and s.name in self.run.stages]
        return next(iter([*named, *own]), None)

    def _missing(self, need: str, config: StageConfig) -> str:
        offered = [s for s in self._offered(need) if "labels" not in s.takes]
        ways = [argument(s.name, s.metavar) for s in offered]
        if need in config.can_do_without(follow=True) and self.spec.skeleton.num_individuals == 1:
            ways.append(f"{argument('follow', True)} (one animal that stays in view)")
        project = find_project(self.run)
        if project is not None and (own := list_networks(project, "boxes")):
            names = " or ".join(name.rpartition("/")[2] for name in own)
            # The zoo has what a stranger to it would have to train.
            ways = [
                argument(s.name, names) if s.trains == "boxes" else way
                for s, way in zip(offered, ways, strict=True)
            ]
        if not ways:
            return f"{self.run.name} needs {need}, and no installed plugin has a source of them"
        return f"{self.run.name} needs {need}, and nothing supplies them: add {' or '.join(ways)}"

    def context(self, step: _Step, device: torch.device) -> StageContext:
        """Collect what the stage may use."""
        base = self._limits(device)
        if step.supplier is None:
            return self._with_network(base, self.run)
        name, value = step.supplier.name, self.given.get(step.supplier.name)
        if "labels" in step.supplier.takes:
            return replace(base, origin=argument(name), labels=self.labels)
        if value is True:
            return replace(base, origin=argument(name, True), memory=name)
        if isinstance(value, Path) and self._is_file(step.supplier, value):
            return replace(base, origin=argument(name, str(value)), file=value)
        run = self.nested(name)
        origin = argument(name, str(run.path))
        # Its inputs would need a source of their own, and a source is named for one run only.
        if isinstance(run.spec, RunSpec) and run.spec.model.inputs:
            inputs = ", ".join(run.spec.model.inputs)
            raise ConfigError(
                f"{origin}: {run.name} needs {inputs} of another model; name a run that needs none"
            )
        context = self._with_network(replace(base, origin=origin), run)
        if isinstance(run.spec, RunSpec) and run.stages:
            # By what lies in its folder alone: what the caller names is for the run that predicts.
            inner = run.of(RunSpec)
            if (tiles := self._take_tiles()) is not None:
                inner = inner.with_changes([Layer({"inference": {"tiles": tiles.model_dump()}})])
            plan = plan_stages(inner, device, {})
            self.networks += plan.networks
            self.detectors += plan.detectors
            return replace(context, inner=tuple(plan.stages))
        return context

    def _with_network(self, base: StageContext, run: AnyRun) -> StageContext:
        """Add the network of a run to the context, as it sees frames."""
        device = base.device
        if isinstance(run.spec, DetectorRunSpec):
            opened = run.of(DetectorRunSpec)
            detector = RunDetector(opened, opened.load_model(device))
            self.detectors.append(detector)
            clip = self.spec.model.preprocess.extent is None
            boxes = DetectorBoxes(detector.model, base.max_animals, clip)
            if (tiles := self._take_tiles()) is not None:
                return replace(base, boxes=TiledBoxes(boxes, tiles, base.max_animals))
            return replace(base, boxes=boxes)
        spec, network = run.spec, run.of(RunSpec).load_model(device)
        self.networks.append(RunNetwork(run.of(RunSpec), network))
        preprocess = spec.model.decided_preprocess()
        if preprocess.view == "animal":
            return replace(base, network=network, crops=Crops(network, preprocess, spec.inference.crops))
        frames = WholeFrames(network, preprocess)
        if (tiles := self._take_tiles()) is not None:
            # Of tiles with an animal each the best one is meant, whatever the limit.
            most = 1 if get_catalog().method(spec.model.method).animals == "one" else base.max_animals
            return replace(base, network=network, frames=TiledFrames(frames, network.device, tiles, most))
        return replace(base, network=network, frames=frames)

    def _take_tiles(self) -> TilesSpec | None:
        """The tiles in which a network looks at frames; a mark that there is one."""
        self.looks_at_frames = True
        return self.spec.inference.tiles

    def nested(self, name: str) -> AnyRun:
        """Open the run of a supplier: as given, or in the folder of the run."""
        value = self.given.get(name)
        return self.run.stages[name] if value is None else self._opened[name]

    # Cached: making the stage and telling its supplier from others ask for the same run.
    @cached_property
    def _opened(self) -> dict[str, AnyRun]:
        chosen = [name for name, s in self.suppliers.items() if "run" in s.takes]
        paths = {name: value for name in chosen if isinstance(value := self.given.get(name), Path)}
        project = find_project(self.run)
        return {
            n: open_given(n, p, project) for n, p in paths.items() if not self._is_file(self.suppliers[n], p)
        }

    def _is_file(self, supplier: SupplierSpec, path: Path) -> bool:
        """Whether a supplier is given a file, not the folder of a run.

        Raises:
            ConfigError: it does not take what it is given.
        """
        if "run" in supplier.takes and (path.is_dir() or "file" not in supplier.takes):
            return False
        if path.is_dir():
            raise ConfigError(f"{argument(supplier.name, str(path))}: is a folder; name a file")
        return True

    def _limits(self, device: torch.device) -> StageContext:
        inference, preprocess = self.spec.inference, self.spec.model.decided_preprocess()
        return StageContext(
            skeleton=self.spec.finds,
            device=device,
            origin=self.run.name,
            max_animals=max_animals(self.spec),
            threshold=inference.threshold,
            follow=inference.follow,
            follow_threshold=inference.follow_threshold,
            min_box=preprocess.min_box,
            centre=preprocess.centre,
        )

    def files(self) -> dict[str, Path]:
        """Select the suppliers that were given files."""
        given = {name: self.given.get(name) for name in self.suppliers}
        return {
            name: value
            for name, value in given.items()
            if isinstance(value, Path) and self._is_file(self.suppliers[name], value)
        }

    def identities(self) -> dict[str, str]:
        """Hash what decides about the results of each supplier."""
        files = self.files()
        found: dict[str, str] = {}
        for name, supplier in self.suppliers.items():
            if "labels" in supplier.takes:
                found[name] = "labels"
            elif self.given.get(name) is True:
                found[name] = "memory"
            elif name in files:
                found[name] = f"file {file_hash(files[name])}"
            else:
                found[name] = identify_run(self.nested(name))
        return found


def _make_stage_config(supplier: SupplierSpec) -> StageConfig:
    try:
        return parse_component("stage", StageConfig, supplier.stage)
    except ConfigError as error:
        raise PluginError(f"supplier {supplier.name!r}: {error}; its plugin is broken") from None


def max_animals(spec: RunSpec) -> int | None:
    """Limit the animals of a frame; None for any number."""
    most = spec.inference.max_animals
    return spec.skeleton.num_individuals if most == "project" else most
