"""Methods are rows that plugins offer; what contradicts one is refused at its key. A stranger's works like
ours."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from throw_away_plugins import install, with_site

from pose_core.catalog import Catalog, get_catalog
from pose_core.errors import ConfigError
from pose_core.formats.parquet import ParquetPredictions
from pose_core.hooks import MethodSpec, ModelPreset, PluginInfo, SupplierSpec
from pose_core.plugins import ACTIVE, PluginRecord
from pose_core.plugins.definition_checks import MalformedError, check_definitions
from pose_core.specs import RunSpec
from pose_core.specs.resolve import Layer, choose_model, rank_methods, resolve

SKELETON = {"keypoints": ["nose", "left", "right", "tail"], "edges": [["nose", "left"], ["nose", "tail"]]}
METHOD = MethodSpec("tiles", "large frames", "frame", "several", "any", {"tiles": {"type": "toy/tiles"}})
SUPPLIER = SupplierSpec("arena", "boxes", {"type": "toy/arena"}, ("file",), "FILE", "The arena.")


def resolved(name: str, method: str | None = None, **user: Any) -> RunSpec:
    data = {"skeleton": {**SKELETON, "individuals": ["one", "two"]}, "data": {"source": "nowhere"}}
    (model,) = get_catalog().model(name, method)
    return resolve(model, Layer(data), [Layer(user)])


def test_the_core_and_plugins_offer_methods() -> None:
    methods = {m.name: m for m in get_catalog().methods()}
    assert set(methods) == {"single_animal", "bottom_up", "top_down", "conditional_top_down", "centroid"}
    assert {name for name, method in methods.items() if method.learns == "centres"} == {"centroid"}
    assert methods["conditional_top_down"].inputs == ("conditions",)
    assert get_catalog().method("core/top_down").view == "animal"
    with pytest.raises(ConfigError, match=r"no method 'topdown' is installed; did you mean top_down"):
        get_catalog().method("topdown")


@pytest.mark.parametrize(
    ("name", "user", "message"),
    [
        (
            "top_down_unet",
            {"method": "bottom_up"},
            "model.method: unet/top_down_unet is a model of top_down, not of",
        ),
        (
            "top_down_unet",
            {"method": "single_animal"},
            "model.method: unet/top_down_unet is a model of top_down, not",
        ),
        (
            "unet",
            {"method": "conditional_top_down"},
            "model.method: unet/unet is a model of bottom_up or single_animal",
        ),
        (
            "unet",
            {"method": "sideways"},
            "model.method: no method 'sideways' is installed; there are bottom_up",
        ),
        (
            "top_down_unet",
            {"heads": {"more": {"type": "paf"}}},
            "model.heads.more: paf/paf finds several animals in one input; top_down takes one from each",
        ),
        (
            "dekr_w32",
            {"heads": {"keypoints": {"type": "heatmap"}}},
            "model.heads: bottom_up needs a head that finds several animals, and none of these does",
        ),
        (
            "ctd_prenet_unet",
            {"name": "custom", "method": "top_down"},
            (
                "model.inputs.conditions: top_down does not fill this input; methods that do are "
                "conditional_top_down"
            ),
        ),
        (
            "top_down_unet",
            {"name": "custom", "method": "conditional_top_down"},
            (
                "model.inputs: conditional_top_down fills an input 'conditions', and this network takes none of "
                "that name"
            ),
        ),
    ],
)
def test_what_contradicts_the_method_is_refused_by_key(name: str, user: dict[str, Any], message: str) -> None:
    if "name" not in user:
        with pytest.raises(ConfigError, match=re.escape(message)):
            resolved(name, get_catalog().model(name)[-1].method, model=user)
        return
    # A name of the user's own: what a preset says does not decide.
    model = resolved(name).model_dump(mode="json")
    model["model"] |= user
    model["inference"].pop("stages")
    with pytest.raises(ConfigError, match=re.escape(message)):
        resolve(None, Layer({}), [Layer(model)])


def test_the_preferred_method_follows_from_the_rows() -> None:
    assert rank_methods(multi_animal=False) == [
        "single_animal",
        "top_down",
        "bottom_up",
        "conditional_top_down",
        "centroid",
    ]
    # What finds parts of animals comes last.
    assert rank_methods(multi_animal=True) == ["bottom_up", "top_down", "conditional_top_down", "centroid"]
    assert choose_model("unet", multi_animal=False).method == "single_animal"
    assert choose_model("unet", multi_animal=True).method == "bottom_up"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "method name 'a/b' must be a word"),
        ({"view": "window"}, "view of method 'tiles' must be frame or animal, not 'window'"),
        ({"animals": "many"}, "animals of method 'tiles' must be one or several"),
        ({"heads": ""}, "heads of method 'tiles' must be one or several or any"),
        ({"learns": "boxes"}, "learns of method 'tiles' must be keypoints or centres, not 'boxes'"),
        ({"stages": {}}, "must name the stages that predict"),
        ({"stages": {"a.b": {"type": "x/y"}}}, "stage 'a.b' of method 'tiles'"),
        ({"stages": {"tiles": {"overlap": 3}}}, "stage 'tiles' of method 'tiles' must say its component"),
        ({"inputs": "conditions"}, "inputs of MethodSpec 'tiles' must be a tuple"),
    ],
)
def test_a_malformed_method_is_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    check_definitions({"pose_methods": (METHOD,)})
    with pytest.raises(MalformedError, match=re.escape(message)):
        check_definitions({"pose_methods": (replace(METHOD, **changes),)})
    with pytest.raises(MalformedError, match="method 'tiles' is defined twice"):
        check_definitions({"pose_methods": (METHOD, METHOD)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "my-arena"}, "must be a word that Python takes for a name"),
        ({"gives": ""}, "must say what it gives"),
        ({"stage": {}}, "must say its component"),
        ({"takes": ()}, "must take some of 'run', 'file' and 'memory', or 'labels'"),
        ({"takes": ("url",)}, "must take some of 'run', 'file' and 'memory', or 'labels'"),
        ({"takes": ("file", "labels")}, "must take some of 'run', 'file' and 'memory', or 'labels'"),
    ],
)
def test_a_malformed_supplier_is_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    check_definitions({"pose_suppliers": (SUPPLIER,)})
    with pytest.raises(MalformedError, match=re.escape(message)):
        check_definitions({"pose_suppliers": (replace(SUPPLIER, **changes),)})


def record(name: str, **definitions: tuple[Any, ...]) -> PluginRecord:
    info = PluginInfo(name, "toy", "MIT", "1.0")
    return PluginRecord(name, f"pose-{name}", "1.0", "toy", ACTIVE, info=info, definitions=definitions)


def test_two_plugins_with_methods_and_suppliers_of_one_name() -> None:
    mine = record("mine", pose_methods=(METHOD,), pose_suppliers=(SUPPLIER,))
    other = record("other", pose_methods=(replace(METHOD, view="animal"),))
    catalog = Catalog([mine, other])
    assert [s.name for s in catalog.suppliers("boxes")] == ["arena"]
    assert catalog.suppliers("poses") == ()
    assert catalog.method("other/tiles").view == "animal"
    with pytest.raises(ConfigError, match="method 'tiles' is ambiguous: write mine/tiles or other/tiles"):
        catalog.method("tiles")
    assert "method name 'tiles' is ambiguous; write 'other/tiles'" in catalog.notes()["other"]


def test_a_model_whose_method_nobody_offers_is_named() -> None:
    preset = ModelPreset("toy", "topdown", "toys", "a typing error", {"model": {}})
    catalog = Catalog([record("mine", pose_models=(preset,), pose_methods=(METHOD,))])
    said = "model 'toy' has method 'topdown', which no plugin offers; methods are tiles"
    assert catalog.models() == ()
    assert catalog.notes() == {"mine": said}
    with pytest.raises(ConfigError, match=f"{said}; correct the plugin pose-mine"):
        catalog.model("toy")
    # One that is known to come with another plugin is no mistake.
    preset = replace(preset, method="conditional_top_down")
    catalog = Catalog([record("mine", pose_models=(preset,))])
    assert catalog.notes() == {}
    with pytest.raises(
        ConfigError,
        match=r"it needs pose-buctd, which is not installed: in a clone of pose_core, pip install ./plugins/buctd",
    ):
        catalog.model("toy")


TILES = {
    "plugin.py": """
from pose_core.hooks import ComponentSpec, MethodSpec, ModelRecipe, PluginInfo, SupplierSpec, hookimpl

@hookimpl
def pose_plugin_info():
    return PluginInfo(namespace="tiles", summary="Large frames in tiles", license="MIT", hook_api="1.0")

@hookimpl
def pose_components():
    yield ComponentSpec("stage", "tiles", "pose_tiles.config:TilesConfig", "pose_tiles.stage:TilesStage", "Tiles")
    yield ComponentSpec("stage", "grid", "pose_tiles.config:GridConfig", "pose_tiles.stage:GridStage", "A grid")

@hookimpl
def pose_methods():
    yield MethodSpec(
        "tiled",
        "one animal in a large frame, which is looked at in tiles",
        view="frame",
        animals="one",
        heads="any",
        stages={"tiles": {"type": "tiles/tiles", "overlap": 16}},
    )

@hookimpl
def pose_suppliers():
    yield SupplierSpec("grid", "tiles/grid", {"type": "tiles/grid"}, ("file",), "FILE", "How many tiles there are.")

@hookimpl
def pose_recipes():
    heads = {"keypoints": {"type": "heatmap/heatmap"}}
    yield ModelRecipe("tiled_{backbone}", "tiled", "{backbone}, in tiles", {"model": {"heads": heads}})
""",
    "config.py": """
from pydantic import Field
from pose_core.specs import StageConfig

class TilesConfig(StageConfig):
    columns: int = Field(2, ge=1, description="Tiles beside each other.")
    overlap: int = Field(8, ge=0, description="Pixels of the network's input that neighbours share.")

    def needs(self):
        return ("tiles/grid",)

    def can_do_without(self, follow):
        return ("tiles/grid",)

class GridConfig(StageConfig):
    def gives(self):
        return ("tiles/grid",)
""",
    "stage.py": """
from dataclasses import replace
import torch
from pose_core.interfaces import Predictions, Stage, StageResult

class GridStage(Stage):
    def __init__(self, config, context):
        self.columns = int(context.file.read_text())

    def run(self, group, view, found):
        return found

class TilesStage(Stage):
    def __init__(self, config, context):
        self.frames, self.network = context.whole_frames(), context.network
        self.columns, self.overlap = config.columns, config.overlap
        for stage in context.before:
            self.columns = stage.columns

    def view(self, width, height):
        return self.frames.view(width, height)

    def run(self, group, view, found):
        width, multiple = view.images.shape[-1], self.network.size_multiple
        step = -(-width // self.columns // multiple) * multiple
        looks = []
        for left in range(0, width, step):
            tile = view.images[..., left : min(left + step + self.overlap, width)]
            to_view = torch.eye(3).numpy()
            to_view[0, 2] = left
            looks.append(self.network.predict(tile).through(to_view))
        every = Predictions.merge(looks)
        best = every.scores.argmax(dim=1)
        one = every.select(torch.arange(len(best)), best)
        return StageResult(replace(one, unique_keypoints=every.unique_keypoints).through(view.to_frame))
""",
}


@pytest.mark.long  # a training, an evaluation and a prediction: 40 s
def test_a_method_with_a_stage_of_its_own_trains_is_evaluated_and_predicts(
    pose: Any, tmp_path: Path, blob_project: Path, tiny_settings: tuple[str, ...]
) -> None:
    install(tmp_path, "tiles", "tiles", TILES)
    env = with_site(tmp_path)
    rows = {row["name"]: row["method"] for row in json.loads(pose("models", "--json", env=env).stdout)}
    assert rows["tiled_unet"] == "tiled"
    assert "--grid FILE" in pose("predict", "--help", env=env).stdout
    settings = [word for setting in tiny_settings for word in ("--set", setting)]
    common = ["train", blob_project, "--model", "tiled_unet", "--out", "run", "--device", "cpu", *settings]
    refused = pose.refuses(*common, "--set", "inference.stages.tile.columns=3", env=env)
    assert "inference.stages.tile: tiled has no stage of this name; its stages are tiles" in refused
    refused = pose.refuses(*common, "--set", "inference.stages.tiles.colums=3", env=env)
    assert "inference.stages.tiles.colums: unknown key; did you mean columns?" in refused
    process = pose(*common, "--epochs", "1", "--set", "inference.stages.tiles.columns=3", env=env)
    assert process.returncode == 0, process.stderr
    assert "columns: 3" in (tmp_path / "run" / "config.yaml").read_text()

    process = pose("evaluate", "run", "--json", "--device", "cpu", env=env)
    assert process.returncode == 0, process.stderr
    measured = json.loads(process.stdout)
    tested = list(ParquetPredictions(tmp_path / measured["folder"] / "predictions.parquet"))
    images = [frame.image for frame in tested]
    process = pose("predict", "run", *images, "--out", "out", "--device", "cpu", env=env)
    assert process.returncode == 0, process.stderr
    found = list(ParquetPredictions(tmp_path / process.stdout.strip()))
    assert [len(frame.instances) for frame in found] == [1] * len(images)
    for one, other in zip(found, tested, strict=True):
        np.testing.assert_array_equal(one.instances.keypoints, other.instances.keypoints)

    # Its supplier is an option: one tile is what the whole frame would be, and other numbers than three
    # tiles.
    (tmp_path / "grid.txt").write_text("1")
    process = pose(
        "predict", "run", *images, "--out", "whole", "--device", "cpu", "--grid", "grid.txt", env=env
    )
    assert process.returncode == 0, process.stderr
    whole = list(ParquetPredictions(tmp_path / process.stdout.strip()))
    assert any(
        (a.instances.keypoints != b.instances.keypoints).any() for a, b in zip(whole, found, strict=True)
    )
