"""What the toy offers."""

from pose_core.hooks import (
    BackbonePreset,
    CommandSpec,
    ComponentSpec,
    ExtraHead,
    Kind,
    ModelPreset,
    ModelRecipe,
    PluginInfo,
    WeightSpec,
    ZooNetwork,
    hookimpl,
)

PARTS = (
    ("backbone", "toynet", "ToyNet", "network"),
    ("neck", "toyneck", "ToyNeck", "network"),
    ("head", "toyhead", "ToyHead", "head"),
    ("target_generator", "toytargets", "ToyTargets", "head"),
    ("predictor", "toypredictor", "ToyPredictor", "head"),
    ("loss", "toyloss", "ToyLoss", "head"),
    ("input", "toyinput", "ToyInput", "around"),
    ("detector", "toydetector", "ToyDetector", "around"),
    ("exporter", "toyexporter", "ToyExporter", "exporter"),
    ("runtime", "toyruntime", "ToyRuntime", "runtime"),
    ("transform", "toytransform", "ToyTransform", "transform"),
    ("transform", "toyshear", "ToyShear", "transform"),
    ("schedule", "toyschedule", "ToySchedule", "schedule"),
    ("logger", "toylogger", "ToyLogger", "logger"),
    ("engine", "toyengine", "ToyEngine", "engine"),
    ("tracker", "toytracker", "ToyTracker", "tracker"),
    ("filter", "toyfilter", "ToyFilter", "filter"),
    ("reader", "toyreader", "ToyReader", "formats"),
    ("writer", "toywriter", "ToyWriter", "formats"),
    ("importer", "toyimporter", "ToyImporter", "formats"),
)


@hookimpl
def pose_plugin_info():
    return PluginInfo("toykit", "One of everything", "BSD-3-Clause", "1.0", citations=("toy2020paper",))


@hookimpl
def pose_kinds():
    yield Kind("toysmoother", "tracks -> tracks", interface="pose_toykit.commands:ToySmoother")


@hookimpl
def pose_commands():
    yield CommandSpec("toygreet", "pose_toykit.commands:app", "Say hello")


@hookimpl
def pose_components():
    for kind, name, cls, module in PARTS:
        yield ComponentSpec(
            kind, name, f"pose_toykit.config:{cls}Config", f"pose_toykit.{module}:{cls}", "A toy"
        )


@hookimpl
def pose_backbones():
    yield BackbonePreset("toy_4", "toys", {"type": "toykit/toynet"}, "A toy")


@hookimpl
def pose_recipes():
    yield ModelRecipe(
        "toykit_{backbone}",
        "single_animal",
        "{backbone}; toy maps",
        {"model": {"neck": None, "heads": {"keypoints": {"type": "toykit/toyhead", "feature": 0}}}},
    )


@hookimpl
def pose_models():
    yield ModelPreset(
        "toykit_model",
        "single_animal",
        "toys",
        "A toy",
        {
            "model": {
                "backbone": {"type": "toykit/toynet"},
                "heads": {"keypoints": {"type": "toykit/toyhead"}},
            }
        },
    )


@hookimpl
def pose_extra_heads():
    yield ExtraHead(
        "toycorners", "unique_keypoints", {"type": "toykit/toyhead", "unique": True}, ("bottom_up",), "A toy"
    )


@hookimpl
def pose_weights():
    yield WeightSpec(
        "toy_weights",
        "toykit/toy_4",
        "https://example.org/toy.safetensors",
        "0123456789abcdef",
        license="CC0-1.0",
        source="nothing at all",
        converter="pose_toykit.network:convert",
    )


@hookimpl
def pose_zoo():
    yield ZooNetwork(
        "toyzoo",
        "toymodel",
        "https://example.org/toymodel.safetensors",
        license="CC0-1.0",
        source="nothing at all",
        description={
            "skeleton": {"keypoints": ["nose", "tail"]},
            "data": {"source": "nowhere"},
            "model": {
                "name": "toykit_model",
                "backbone": {"type": "toykit/toynet"},
                "heads": {"keypoints": {"type": "toykit/toyhead"}},
            },
        },
        keypoints=("nose", "tail"),
    )
