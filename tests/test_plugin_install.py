"""Plugins of strangers, installed with pip: a good one works, broken ones cost nobody anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from throw_away_plugins import install, with_site

GOOD = {
    "plugin.py": """
from pose_core.hooks import BackbonePreset, ComponentSpec, PluginInfo, hookimpl

@hookimpl
def pose_plugin_info():
    return PluginInfo(namespace="maxpool", summary="A toy", license="MIT", hook_api="1.0")

@hookimpl
def pose_components():
    yield ComponentSpec(
        "backbone", "maxpool", "pose_maxpool.config:MaxPoolConfig", "pose_maxpool.network:MaxPool", "Toy"
    )

@hookimpl
def pose_backbones():
    yield BackbonePreset("maxpool_8", "toys", {"type": "maxpool/maxpool", "stride": 8}, "Max pooling by 8")
""",
    "config.py": """
from pose_core.specs import BackboneConfig, Feature

class MaxPoolConfig(BackboneConfig):
    stride: int = 8

    def features(self):
        return (Feature(3, self.stride),)
""",
    "network.py": """
from torch.nn.functional import max_pool2d
from pose_core.interfaces import Backbone

class MaxPool(Backbone):
    def __init__(self, config, context):
        super().__init__(config, context)
        self.stride = config.stride

    def forward(self, images):
        return [max_pool2d(images, self.stride)]
""",
}

INFO = """
from pose_core.hooks import BackbonePreset, ComponentSpec, PluginInfo, hookimpl

@hookimpl
def pose_plugin_info():
    return PluginInfo(namespace="{entry}", summary="A toy", license="MIT", hook_api="{api}")
"""

BROKEN = {
    "raises": ("raises", {"plugin.py": "raise RuntimeError('the licence server is down')"}),
    "newer": ("newer", {"plugin.py": INFO.format(entry="newer", api="7.0")}),
    "clashes": ("unet", {"plugin.py": INFO.format(entry="unet", api="1.0")}),
    "malformed": (
        "malformed",
        {
            "plugin.py": INFO.format(entry="malformed", api="1.0")
            + "@hookimpl\ndef pose_components():\n    yield ComponentSpec('backbone', 'x', 'no colon', "
            "'a:b', 's')\n"
        },
    ),
}


@pytest.mark.long
def test_a_strangers_backbone_is_listed_and_trains(pose: Any, tmp_path: Path, blob_project: Path) -> None:
    install(tmp_path, "maxpool", "maxpool", GOOD)
    env = with_site(tmp_path)
    rows = [r for r in json.loads(pose("models", "--json", env=env).stdout) if r["plugin"] == "maxpool"]
    assert {r["distribution"] for r in rows} == {"pose-maxpool"}
    assert {(r["method"], r["name"]) for r in rows} == {
        ("single_animal", "maxpool_8"),
        ("bottom_up", "maxpool_8"),
        ("bottom_up", "identity_maxpool_8"),
        ("top_down", "top_down_identity_maxpool_8"),
        ("top_down", "top_down_maxpool_8"),
        ("conditional_top_down", "ctd_prenet_maxpool_8"),
        ("centroid", "centroid_maxpool_8"),
    }
    process = pose(
        "train",
        blob_project,
        "--model",
        "maxpool_8",
        "--out",
        "run",
        "--epochs",
        "1",
        "--device",
        "cpu",
        env=env,
    )
    assert process.returncode == 0, process.stderr
    assert "maxpool/maxpool" in (tmp_path / "run" / "config.yaml").read_text()
    # Without the plugin the run, which knows its distribution, says what is missing.
    assert "its plugin 'maxpool' is not installed (it came with pose-maxpool)" in pose.refuses(
        "evaluate", "run"
    )


@pytest.mark.long
def test_an_exception_of_a_plugin_names_it_below_the_traceback(
    pose: Any, tmp_path: Path, blob_project: Path
) -> None:
    wrong = GOOD["network.py"].replace(
        "[max_pool2d(images, self.stride)]", "[max_pool2d(images, self.strid)]"
    )
    install(tmp_path, "maxpool", "maxpool", {**GOOD, "network.py": wrong})
    process = pose("train", blob_project, "--model", "maxpool_8", "--out", "run", env=with_site(tmp_path))
    assert process.returncode == 1
    *_, error, note = process.stderr.splitlines()
    assert error.startswith("AttributeError: 'MaxPool' object has no attribute 'strid'")
    file = tmp_path / "site" / "pose_maxpool" / "network.py"
    assert note == (
        f"this is a defect of the plugin maxpool (pose-maxpool 0.3.0), in {file}:11; please tell its "
        "authors, with "
        "the lines above"
    )


def test_broken_plugins_cost_nobody_anything(pose: Any, tmp_path: Path) -> None:
    for name, (entry, files) in BROKEN.items():
        install(tmp_path, name, entry, files)
    env = with_site(tmp_path)
    rows = {r["distribution"]: r for r in json.loads(pose("plugins", "--json", env=env).stdout)}
    found = {name: (rows[f"pose-{name}"]["status"], rows[f"pose-{name}"]["reason"]) for name in BROKEN}
    assert found["raises"][0] == "failed"
    assert "the licence server is down" in found["raises"][1]
    assert found["newer"][0] == "incompatible"
    assert "install a newer pose_core" in found["newer"][1]
    assert found["clashes"] == (
        "failed",
        "the namespace 'unet' is taken by pose-unet; rename the entry point",
    )
    assert found["malformed"][0] == "failed"
    assert "must be 'package.module:Class', not 'no colon'" in found["malformed"][1]
    names = {r["name"] for r in json.loads(pose("models", "--json", env=env).stdout)}
    assert {"unet", "resnet_50"} <= names, "everything else goes on working"
    strict = pose.refuses("models", env={**env, "POSE_STRICT_PLUGINS": "1"})
    assert all(name in strict for name in ("raises", "newer", "pose-clashes", "malformed"))


@pytest.mark.parametrize("name", ["heatmap", "resnet", "unet", "deeplabcut", "coco"])
def test_the_core_works_without_any_one_plugin(pose: Any, name: str) -> None:
    env = {"POSE_DISABLE_PLUGINS": name}
    assert pose("models", env=env).returncode == 0
    rows = {r["name"]: r["status"] for r in json.loads(pose("plugins", "--json", env=env).stdout)}
    assert rows.pop(name) == "disabled"
    assert set(rows.values()) == {"active"}
