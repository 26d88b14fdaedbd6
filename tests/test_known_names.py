"""The table of known names is up to date, and what the catalogue says with it of names that are not
installed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pose_core.catalog import Catalog, get_catalog
from pose_core.catalog.composition import Composer
from pose_core.catalog.known_names import known_names
from pose_core.errors import ConfigError
from pose_core.hooks import BackbonePreset, ComponentSpec, ModelPreset, PluginInfo
from pose_core.plugins import ACTIVE, DISABLED, PluginRecord
from pose_core.plugins.definition_checks import MalformedError, check_definitions
from pose_core.specs.resolve import choose_model
from pose_core.specs.run_plugins import check_plugins

ROOT = Path(__file__).parent.parent


def plugin(name: str, status: str = ACTIVE, **definitions: tuple[Any, ...]) -> PluginRecord:
    info = PluginInfo(name, "toy", "MIT", "1.3")
    return PluginRecord(name, f"pose-{name}", "1.0", "toy", status, info=info, definitions=definitions)


def component(name: str, kind: str = "backbone", **more: Any) -> ComponentSpec:
    return ComponentSpec(kind, name, "toy.config:Config", "toy.network:Network", "toy", **more)


def without(*names: str) -> Catalog:
    """The catalogue of this repository without some plugins."""
    return Catalog([r for r in get_catalog().plugins if r.name not in names])


def test_the_table_is_up_to_date(load_tool: Any) -> None:
    tool = load_tool("known_names")
    assert tool.FILE.read_text(encoding="utf-8") == tool.text(), "run 'make tables'"


def test_two_plugins_of_ours_never_share_a_name(load_tool: Any) -> None:
    table = {"a": "one"}
    with pytest.raises(ValueError, match="'a' is offered by one and by two"):
        load_tool("known_names").once(table, "a", "two")


def test_a_model_knows_what_it_needs() -> None:
    (model,) = get_catalog().model("dekr_w32")
    assert model.needs == ("dekr", "heatmap", "hrnet")
    (model,) = get_catalog().model("ctd_prenet_unet")
    assert model.needs == ("buctd", "heatmap", "unet")
    for model in get_catalog().models():
        assert {model.plugin.name} <= set(model.needs) <= {r.name for r in get_catalog().plugins}


def test_needs_follow_the_layer_that_wins() -> None:
    composer = Composer([plugin("a", pose_components=(component("h", "head", requires=("c",)),))])
    head = {"model": {"heads": {"keypoints": {"type": "a/h", "losses": {"x": "b/l"}}}}}
    assert composer.needs(head) == {"a", "b", "c"}
    assert composer.needs(head, {"model": {"heads": {"keypoints": {"type": "d/h"}}}}) == {"d"}
    assert composer.needs(head, {"model": {"heads": {"keypoints": None}}}) == set()
    assert composer.needs({"model": {"backbone": "bare"}}) == set()


def test_a_model_that_lacks_a_plugin_is_not_listed() -> None:
    mine = plugin(
        "mine",
        pose_components=(component("net"), component("head", "head", requires=("other",))),
        pose_models=tuple(
            ModelPreset(
                name, "top_down", "toys", "toy", {"model": {"backbone": "mine/net", "heads": {"k": head}}}
            )
            for name, head in (("whole", {"type": "mine/nothing"}), ("lacking", {"type": "mine/head"}))
        ),
    )
    catalog = Catalog([mine])
    # A mistake in a plugin's own names is not hidden: using the model says what is wrong.
    assert [m.name for m in catalog.models()] == ["whole"]
    assert [m.name for m in catalog.incomplete()] == ["lacking"]
    with pytest.raises(ConfigError, match=r"its plugin 'other' is not installed$"):
        catalog.model("lacking")
    catalog = Catalog([mine, plugin("other")])
    assert [m.name for m in catalog.models()] == ["lacking", "whole"]
    catalog = Catalog([mine, replace(plugin("other", DISABLED), reason="for a reason")])
    with pytest.raises(ConfigError, match="its plugin 'other' is disabled: for a reason") as caught:
        catalog.model("lacking")
    assert "pip install" not in str(caught.value)


def test_recipes_that_are_known_make_models_of_any_backbone() -> None:
    preset = BackbonePreset("toy_8", "toys", {"type": "toy/toy"}, "toy")
    catalog = Catalog([plugin("toy", pose_components=(component("toy"),), pose_backbones=(preset,))])
    with pytest.raises(
        ConfigError, match=r"no model .toy_8. is installed; it needs .*, pip install ./plugins/heatmap$"
    ):
        catalog.model("toy_8")
    with pytest.raises(ConfigError, match=r"pip install ./plugins/buctd ./plugins/heatmap$"):
        catalog.model("ctd_prenet_toy_8")
    assert "pip install ./plugins/heatmap" in catalog.advice_on_methods(("single_animal",))
    with pytest.raises(ConfigError, match=r"no installed plugin offers any$"):
        catalog.model("toy_9")


def test_a_model_that_is_there_for_another_method(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = without("paf")
    with pytest.raises(
        ConfigError, match=r"it is as single_animal; as bottom_up it needs .*pip install ./plugins/paf"
    ):
        catalog.model("resnet_50", "bottom_up")
    monkeypatch.setattr("pose_core.specs.resolve.get_catalog", lambda: catalog)
    with pytest.raises(
        ConfigError, match=r"several individuals; for several it needs pose-paf.*pip install ./plugins/paf"
    ):
        choose_model("resnet_50", multi_animal=True)


def test_kinds_that_plugins_open_are_known_too() -> None:
    message = (
        r"comes with pose-deeplabcut, which is not installed: "
        r"in a clone of pose_core, pip install ./plugins/deeplabcut"
    )
    with pytest.raises(ConfigError, match=message):
        without("deeplabcut").component("deeplabcut/backbone", "HRNet")


def test_what_a_component_requires_is_known_to_be_missing() -> None:
    for plugin, missing in (
        (
            "hrnet",
            "it needs pose-hrnet, which is not installed: in a clone of pose_core, pip install ./plugins/hrnet",
        ),
        ("unet", ""),
    ):
        catalog = without(plugin)
        assert catalog.advice_on_requirements(catalog.component("deeplabcut/backbone", "HRNet")) == missing


def test_an_extra_head_that_lacks_a_plugin_is_not_given() -> None:
    assert set(get_catalog().extra_heads("bottom_up")) == {"unique_keypoints", "identity"}
    assert without("heatmap").extra_heads("bottom_up") == {}


def test_strangers_of_the_same_name_are_not_confused() -> None:
    with pytest.raises(ConfigError, match=r"its plugin 'nobody' is not installed$"):
        without("unet").component("backbone", "nobody/unet")


@pytest.mark.parametrize("requires", ["heatmap", {"heatmap"}, (1,)])
def test_requires_is_a_tuple_of_namespaces(requires: Any) -> None:
    with pytest.raises(MalformedError, match=r"requires of ComponentSpec 'net' must be"):
        check_definitions({"pose_components": (component("net", requires=requires),)})


@pytest.mark.parametrize("more", [{"spec": "text"}, {"overrides": {"top_down": []}}])
def test_layers_of_a_preset_are_mappings(more: dict[str, Any]) -> None:
    preset = BackbonePreset("toy", "toys", {"type": "toy/toy"}, "toy", **more)
    with pytest.raises(MalformedError, match=r"must be a mapping|must hold keys and values"):
        check_definitions({"pose_backbones": (preset,)})


@pytest.mark.parametrize(
    ("plugins", "message"),
    [
        ({"lab": "lab-nets 2.1"}, r"its plugin 'lab' is not installed \(it came with lab-nets\)$"),
        ({"lab": "x; rm -rf ~ 1"}, "its plugin 'lab' is not installed$"),
        ({}, "its plugin 'lab' is not installed$"),
        ([], "its plugin 'lab' is not installed$"),
    ],
)
def test_a_run_remembers_the_distributions(plugins: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "model: {backbone: {type: lab/net}, heads: {k: {type: heatmap/heatmap}}}"
    )
    (tmp_path / "provenance.json").write_text(json.dumps({"plugins": plugins}))
    with pytest.raises(ConfigError, match=message):
        check_plugins(tmp_path)


def test_all_that_is_known_is_a_name_of_ours() -> None:
    folders = {path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")}
    assert set(known_names().distributions) == folders
    assert set(known_names().distributions.values()) == {f"pose-{name}" for name in folders}
