"""What models cost: what plugins say of it, what the listing shows, and what is measured here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pose_core.catalog import get_catalog
from pose_core.catalog.model_costs import FILE, ModelCost, read_costs
from pose_core.catalog.origins import describe_origins
from pose_core.errors import PluginError
from pose_core.inspection.measure_models import build_network, measure_models
from pose_core.plugins import find_beside


def test_every_model_of_ours_says_what_it_costs() -> None:
    models = [m for m in get_catalog().models() if m.plugin.first_party]
    costs = read_costs(models)
    assert models
    assert [m.full_name for m in models if (m.full_name, m.method) not in costs] == []
    listed = {(m.full_name, m.method) for m in models}
    assert [key for key in costs if key not in listed] == [], "of a model that there is not"
    assert all(c.gflops > 0 and c.relative_time > 0 and c.parameters > 1000 for c in costs.values())


@pytest.mark.parametrize("name", ["unet", "top_down_unet", "cspnext_s", "identity_unet", "ctd_prenet_unet"])
def test_what_is_said_is_what_is_built(name: str) -> None:
    for model in get_catalog().model(name):
        said = read_costs([model])[model.full_name, model.method]
        assert said.parameters == sum(p.numel() for p in build_network(model).parameters())


def test_a_network_of_known_size_is_counted() -> None:
    """Sun et al. (2019) give HRNet-W32 at 256 x 192 as 7.1 GFLOPs of multiply-adds, without the first layers
    of some counts; here they are two operations each, at 256 x 256."""
    (model,) = get_catalog().model("top_down_hrnet_w32")
    cost = read_costs([model])[model.full_name, "top_down"]
    assert cost.gflops == pytest.approx(2 * 7.1 * 256 / 192, rel=0.1)


@pytest.mark.long
def test_measuring_through_the_command_and_through_python(pose: Any) -> None:
    models = get_catalog().model("top_down_unet")
    (row,) = json.loads(pose("models", "top_down_unet", "--measure", "--json").stdout)
    (cost,) = measure_models(models)
    assert cost == ModelCost(**{**row, "relative_time": cost.relative_time})
    assert row["relative_time"] > 0


def test_the_listing_shows_costs_and_origin(pose: Any) -> None:
    header, *lines = pose("models", "resnet_50").stdout.splitlines()
    assert header.split()[:8] == ["NAME", "METHOD", "PLUGIN", "PARAMS", "GFLOPS", "TIME", "INPUT", "ORIGIN"]
    assert lines
    assert all("256x256" in line and "He 2016" in line and "M " in line for line in lines)
    rows = json.loads(pose("models", "--plugin", "unet", "--json").stdout)
    assert {row["plugin"] for row in rows} == {"unet"}
    assert all(row["parameters"] > 0 and row["input"] and row["origin"] for row in rows)


def test_origin_is_the_architecture_first() -> None:
    models = get_catalog().model("top_down_hrnet_w32")
    assert list(describe_origins(models).values()) == ["Sun 2019, Xiao 2018"]


def test_names_that_are_not_there(pose: Any) -> None:
    result = pose("models", "--plugin", "nothing")
    assert result.returncode == 2
    assert "'nothing' is not one of" in result.stderr
    assert "resnet_51" in pose.refuses("models", "resnet_51")


@pytest.mark.parametrize("content", ["{", "[{}]", '[{"name": "a", "colour": 1}]', "3"])
def test_a_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    monkeypatch.setattr("pose_core.catalog.model_costs.find_beside", lambda plugin, file: tmp_path / file)
    with pytest.raises(
        PluginError,
        match=r"model_costs.json of plugin unet cannot be read: .*to make it again",
    ):
        read_costs(get_catalog().model("unet"))


def test_a_plugin_without_the_file_has_no_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pose_core.catalog.model_costs.find_beside", lambda plugin, file: None)
    assert read_costs(get_catalog().model("unet")) == {}
    monkeypatch.undo()
    (model, *_) = get_catalog().model("unet")
    assert find_beside(model.plugin, "no such file") is None
