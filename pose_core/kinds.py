"""The table of kinds: everything that the core knows of a kind of component, one row each.

Looking names up, validating configurations, JSON Schema, ``pose show``, the conformance checks and the
reference pages read it. A new kind is a row here and a file in :mod:`pose_core.interfaces`; a config base in
:mod:`pose_core.specs` only where its components have settings in common. A plugin opens a kind with the hook
``pose_kinds``.
"""

from __future__ import annotations

from collections.abc import Mapping

from pose_core.definitions import Kind

# Strings throughout: the table is read by every listing, and importing what it names would bring in torch.
_SPECS = "pose_core.specs"
_INTERFACES = "pose_core.interfaces"
_CHECKS = "pose_core.testing.checks"

# In the order in which a network runs, then what stands around it; listings and reference pages keep it.
_ROWS = (
    Kind(
        "backbone",
        "image -> feature maps",
        config=f"{_SPECS}:BackboneConfig",
        interface=f"{_INTERFACES}.backbone:Backbone",
        checks=(f"{_CHECKS}.inserts", f"{_CHECKS}.stages"),
        config_checks=(f"{_CHECKS}.backbone_configs",),
        harness=f"{_CHECKS}.harness:BackboneHarness",
    ),
    Kind(
        "neck",
        "feature maps -> feature maps",
        config=f"{_SPECS}:NeckConfig",
        interface=f"{_INTERFACES}.neck:Neck",
        harness=f"{_CHECKS}.harness:NeckHarness",
    ),
    Kind(
        "head",
        "feature maps -> named output tensors",
        config=f"{_SPECS}:HeadConfig",
        interface=f"{_INTERFACES}.head:Head",
        checks=(f"{_CHECKS}.codecs",),
        harness=f"{_CHECKS}.harness:HeadHarness",
        keys=("heads",),
    ),
    Kind(
        "target_generator",
        "labels -> training targets of a head",
        config=f"{_SPECS}:TargetGeneratorConfig",
        interface=f"{_INTERFACES}.codec:TargetGenerator",
    ),
    Kind(
        "predictor",
        "outputs of a head -> keypoints of animals",
        config=f"{_SPECS}:PredictorConfig",
        interface=f"{_INTERFACES}.codec:Predictor",
    ),
    Kind(
        "loss",
        "output, target, weight -> a number",
        config=f"{_SPECS}:LossConfig",
        interface=f"{_INTERFACES}.loss:Loss",
        checks=(f"{_CHECKS}.losses",),
        keys=("losses",),
    ),
    Kind(
        "input",
        "an extra input of a network, such as an initial pose that it refines",
        config=f"{_SPECS}:InputConfig",
        interface=f"{_INTERFACES}.inputs:ExtraInput",
        checks=(f"{_CHECKS}.inputs",),
        keys=("inputs",),
    ),
    Kind(
        "detector",
        "image -> boxes",
        config=f"{_SPECS}:DetectorConfig",
        interface=f"{_INTERFACES}.detector:Detector",
        checks=(f"{_CHECKS}.detectors",),
        harness=f"{_CHECKS}.harness:DetectorHarness",
        keys=("network",),
        listing="detectors",
    ),
    Kind(
        "stage",
        "frames, and what the stages before it found -> more that was found",
        config=f"{_SPECS}:StageConfig",
        interface=f"{_INTERFACES}.stage:Stage",
        # With the key around it: "stages" alone holds whole networks that a model builds on.
        keys=("inference.stages",),
    ),
    Kind(
        "runtime",
        "a network -> the same tensors, computed another way",
        config=f"{_SPECS}:RuntimeConfig",
        interface=f"{_INTERFACES}.runtime:Runtime",
        checks=(f"{_CHECKS}.runtimes",),
        listing="runtimes",
    ),
    Kind(
        "exporter",
        "a network -> a file that other programs compute it from",
        config=f"{_SPECS}:ExporterConfig",
        interface=f"{_INTERFACES}.exporter:Exporter",
        checks=(f"{_CHECKS}.exporters",),
        listing="exporters",
    ),
    Kind(
        "transform",
        "a training image -> the same, changed at random, with its labels",
        config=f"{_SPECS}:TransformConfig",
        interface=f"{_INTERFACES}.transform:Transform",
        checks=(f"{_CHECKS}.transforms",),
        keys=("transforms",),
    ),
    Kind(
        "schedule",
        "progress of a training -> learning rate",
        config=f"{_SPECS}:ScheduleConfig",
        interface=f"{_INTERFACES}.schedule:Schedule",
        checks=(f"{_CHECKS}.schedules",),
    ),
    Kind(
        "logger",
        "what a training measures and draws -> where it is watched",
        config=f"{_SPECS}:LoggerConfig",
        interface=f"{_INTERFACES}.logger:Logger",
        checks=(f"{_CHECKS}.loggers",),
        keys=("loggers",),
    ),
    Kind(
        "tracker",
        "animals of frames -> who is who",
        config=f"{_SPECS}:TrackerConfig",
        interface=f"{_INTERFACES}.tracker:Tracker",
        checks=(f"{_CHECKS}.trackers",),
        listing="trackers",
    ),
    Kind(
        "filter",
        "tracks -> the same, smoothed, or with gaps filled in",
        config=f"{_SPECS}:FilterConfig",
        interface=f"{_INTERFACES}.filter:Filter",
        checks=(f"{_CHECKS}.filters",),
        listing="filters",
    ),
    Kind(
        "engine",
        "a plan of work -> workers, on this machine or others",
        config=f"{_SPECS}:EngineConfig",
        interface=f"{_INTERFACES}.engine:Engine",
        checks=(f"{_CHECKS}.engines",),
        listing="engines",
    ),
    Kind(
        "reader",
        "labelled project on disk -> labelled dataset",
        config=f"{_SPECS}:ReaderConfig",
        interface=f"{_INTERFACES}.reader:Reader",
        # Readers, writers and importers share a module of checks: all of them meet files of strangers.
        checks=(f"{_CHECKS}.formats",),
    ),
    Kind(
        "writer",
        "predictions -> a file, and back",
        config=f"{_SPECS}:WriterConfig",
        interface=f"{_INTERFACES}.writer:Writer",
        checks=(f"{_CHECKS}.formats",),
        listing="writers",
    ),
    Kind(
        "importer",
        "trained model of another tool -> a run",
        config=f"{_SPECS}:ImporterConfig",
        interface=f"{_INTERFACES}.importer:Importer",
        checks=(f"{_CHECKS}.formats",),
    ),
)

KINDS: Mapping[str, Kind] = {row.name: row for row in _ROWS}
"""The kinds of component that the core knows, by name."""
