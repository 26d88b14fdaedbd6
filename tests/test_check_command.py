"""``pose check`` and the assignment for tests: what they report, and how strict they are about expected
failures."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from pose_core.catalog import Catalog, get_catalog
from pose_core.cli.check import check
from pose_core.errors import ConfigError
from pose_core.testing import parametrize_with_checks
from pose_core.testing.checks import checks_of_level_0
from pose_core.testing.checks.targets import Subject, answers_for
from pose_core.testing.conformance import Item, items, run


def test_the_command_checks_a_plugin(pose: Any) -> None:
    process = pose("check", "pose-unet", "--level", "0")
    assert process.returncode == 0, process.stdout + process.stderr
    lines = process.stdout.splitlines()
    assert "passed  unet plugin_is_active" in lines
    assert lines[-1].endswith("0 failed, 0 skipped")


def test_the_command_prints_json(pose: Any) -> None:
    process = pose("check", "heatmap", "--level", "0", "--json")
    rows = json.loads(process.stdout)
    assert process.returncode == 0
    assert {"id", "check", "subject", "plugin", "level", "status", "reason", "seconds"} <= set(rows[0])
    assert {r["status"] for r in rows} == {"passed"}
    assert "config_is_strict[head/heatmap]" in {r["id"] for r in rows}


def test_the_command_fails_with_1_and_refuses_with_2(pose: Any, tmp_path: Path) -> None:
    process = pose("check", "unet", "--level", "0", env={"POSE_DISABLE_PLUGINS": "unet"})
    assert process.returncode == 1
    failed, what_to_do = process.stdout.splitlines()[:2]
    assert failed.startswith("failed  unet plugin_is_active: unet is disabled")
    assert what_to_do.startswith("        The plugin loads and its hooks return")
    assert "no plugin, component or model 'pose-nothing' is installed" in pose.refuses(
        "check", "pose-nothing"
    )
    lost = {"POSE_DISABLE_PLUGINS": "hrnet"}
    assert "its plugin 'hrnet' is disabled" in pose.refuses("check", "hrnet_w32", env=lost)
    process = pose("check", "dekr_w32", "--level", "0", env=lost)
    assert process.returncode == 0
    (line,) = [row for row in process.stdout.splitlines() if "model_resolves" in row]
    assert line.startswith(
        "skipped dekr model_resolves[model/bottom_up/dekr_w32]: its plugin 'hrnet' is disabled"
    )
    (tmp_path / "bad.json").write_text("[]")
    assert "holds no stored outputs" in pose.refuses(
        "check", "unet", "--level", "2", "--reference", "bad.json"
    )
    assert "has no backbone, neck or head" in pose.refuses("check", "pose-coco", "--store", "x.json")


def test_a_component_or_a_model_can_be_named() -> None:
    assert {i.subject.label for i in items("heatmap/mse", [0])} == {"loss/mse"}
    assert {i.subject.label for i in items("top_down_unet", [0])} == {"model/top_down/top_down_unet"}


@pytest.mark.long
def test_outputs_are_stored_and_compared(pose: Any) -> None:
    assert pose("check", "pose-unet", "--store", "unet.json").returncode == 0
    rows = json.loads(pose("check", "pose-unet", "--level", "2", "--reference", "unet.json", "--json").stdout)
    assert [r["status"] for r in rows if r["check"] == "outputs_are_as_stored"] == ["passed", "passed"]
    given = pose("check", "unet/unet", "--level", "0", "--reference", "unet.json")
    assert "passed  unet outputs_are_as_stored[backbone/unet]" in given.stdout, (
        "a file that is given is compared with"
    )


def test_what_a_plugin_raises_is_placed_once_and_brings_no_advice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pose_unet.network

    def broken(*_: object) -> None:
        raise KeyError("no such block")

    monkeypatch.setattr(pose_unet.network.UNet, "forward", lambda self, images: broken())
    # The line that raises must be the plugin's, so a plugin's folder is said to be this one.
    monkeypatch.setattr("pose_core.plugins.attribution._find_folder", lambda record: Path(__file__).parent)
    with pytest.raises(typer.Exit):
        check("unet/unet")
    lines = capsys.readouterr().out.splitlines()
    failed = [line for line in lines if line.startswith("failed")]
    first, *others = [line for line in failed if "features_are_as_declared" in line or "raises as in" in line]
    assert re.search(r"KeyError: 'no such block' \(test_check_command\.py:\d+\)$", first)
    assert len(others) > 3
    assert all(line.endswith(": raises as in features_are_as_declared") for line in others)
    assert not [line for line in lines if line.startswith("        The maps have the number")]


def test_a_plugin_does_not_answer_for_what_else_is_installed() -> None:
    catalog = get_catalog()
    unet = next(r for r in catalog.plugins if r.name == "unet")
    stranger = replace(unet, name="mynet", distribution="pose-mynet", first_party=False)
    other = replace(stranger, name="other", distribution="pose-other")
    with_both = Catalog([*catalog.plugins, stranger, other])
    assert answers_for(stranger, ("mynet", "heatmap"), with_both)
    assert not answers_for(stranger, ("mynet", "other"), with_both)
    assert not answers_for(unet, ("unet", "other"), with_both)


def test_a_stranger_cannot_take_the_namespace_of_a_plugin_of_the_core() -> None:
    catalog = get_catalog()
    unet = next(r for r in catalog.plugins if r.name == "unet")
    subject = Subject(
        "plugin", "", replace(unet, first_party=False), Catalog([replace(unet, first_party=False)])
    )
    outcome = run(
        Item(next(c for c in checks_of_level_0(get_catalog().kinds) if c.name == "names_are_free"), subject)
    )
    assert "the namespace 'unet' is that of pose-unet, by the authors of the core" in outcome.reason


def _call(function: Any, id: str) -> None:
    (mark,) = function.pytestmark
    (item,) = [p.values[0] for p in mark.args[1] if p.id == id]
    function(item)


def test_unknown_expected_failures_are_errors() -> None:
    with pytest.raises(ConfigError, match="there is no check no_such_check"):
        parametrize_with_checks("pose-unet", {"no_such_check": "why"}, levels=[0])
    with pytest.raises(ConfigError, match="no reason is given for plugin_is_active"):
        parametrize_with_checks("pose-unet", {"plugin_is_active": " "}, levels=[0])
    with pytest.raises(ConfigError, match="no plugin, component or model 'pose-nothing'"):
        parametrize_with_checks("pose-nothing")


def test_large_components_are_marked_slow() -> None:
    with pytest.raises(ConfigError, match="it has no backbone/nothing"):
        parametrize_with_checks("pose-unet", slow=["backbone/nothing"])
    test = parametrize_with_checks("pose-unet", slow=["backbone/unet"])
    (mark,) = test.pytestmark  # type: ignore[attr-defined]
    late = {p.id for p in mark.args[1] if p.marks}
    assert "learns_one_batch[backbone/unet]" in late
    assert not late & {"config_is_strict[backbone/unet]", "plugin_is_active"}


def test_an_expected_failure_that_passes_is_an_error() -> None:
    test = parametrize_with_checks("pose-unet", {"check_plugin_is_active": "it does not load"}, levels=[0])
    with pytest.raises(pytest.fail.Exception, match=r"is expected to fail .* but passes; remove the entry"):
        _call(test, "plugin_is_active")


def test_failures_are_reported_or_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    test = parametrize_with_checks("pose-unet", levels=[0])
    expected = parametrize_with_checks("pose-unet", {"plugin_is_active": "no disk"}, levels=[0])
    skipped = parametrize_with_checks("pose-unet", {"summaries_are_one_line": "silent"}, levels=[0])
    (mark,) = test.pytestmark  # type: ignore[attr-defined]
    record = mark.args[1][0].values[0].subject.plugin
    for key, value in (("status", "failed"), ("reason", "the disk is gone"), ("info", None)):
        monkeypatch.setitem(record.__dict__, key, value)
    with pytest.raises(pytest.fail.Exception, match="the disk is gone\nThe plugin loads"):
        _call(test, "plugin_is_active")
    with pytest.raises(pytest.xfail.Exception, match="no disk"):
        _call(expected, "plugin_is_active")
    with pytest.raises(pytest.skip.Exception, match="the plugin did not load"):
        _call(test, "summaries_are_one_line")
    with pytest.raises(pytest.fail.Exception, match="but does not apply"):
        _call(skipped, "summaries_are_one_line")
