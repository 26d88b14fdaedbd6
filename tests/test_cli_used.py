"""``pose cite``, ``pose licenses`` and ``pose plugins --verbose``: what a configuration or a run uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pose_core.specs.used import used_by


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def names(path: Path) -> set[str]:
    return {component.full_name for component in used_by(path).components}


def test_defaults_are_used_too(tmp_path: Path) -> None:
    used = names(write(tmp_path, "model: {name: unet}"))
    assert {"unet/unet", "heatmap/heatmap", "heatmap/gaussian", "heatmap/subpixel", "heatmap/mse"} <= used
    assert "paf/paf" not in used


def test_what_the_file_says_counts(tmp_path: Path) -> None:
    path = write(tmp_path, "model: {name: unet, heads: {keypoints: {predictor: argmax}}}")
    assert "heatmap/argmax" in names(path)
    assert "heatmap/subpixel" not in names(path)


def test_every_work_is_cited_once(pose: Any, tmp_path: Path) -> None:
    path = write(tmp_path, "model: {name: top_down_resnet_50}\ndetector: {network: ssdlite}")
    text = pose("cite", path).stdout
    keys = [line.partition("{")[2].rstrip(",") for line in text.splitlines() if line.startswith("@")]
    assert len(keys) == len(set(keys))
    assert {"pose_core", "he2016resnet", "wu2018groupnorm", "mathis2018deeplabcut", "liu2016ssd"} <= set(keys)
    assert not any("paf" in key or "cao2017" in key for key in keys)
    assert text.count("{") == text.count("}")


def test_licences_of_code_and_weights(pose: Any, tmp_path: Path) -> None:
    path = write(tmp_path, "model: {name: resnet_50}\n")
    rows = json.loads(pose("licenses", path, "--json").stdout)
    assert {"pose-core", "pose-resnet", "pose-heatmap"} == {r["name"].split()[0] for r in rows if r["what"] == "code"}
    (weights,) = (r for r in rows if r["what"] == "weights")
    assert (weights["name"], weights["license"]) == ("resnet/resnet_50_imagenet", "Apache-2.0")
    path = write(tmp_path, "model: {name: resnet_50, backbone: {pretrained: false}}\n")
    assert not used_by(path).weights


def test_a_run_tells_where_its_weights_came_from(pose: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "detector").mkdir(parents=True)
    (run / "config.yaml").write_text("model: {name: unet/unet, method: single_animal}")
    (run / "detector" / "config.yaml").write_text("network: {type: torchvision/ssdlite, pretrained: false}")
    about = {"weights": "best", "name": "lab/best", "license": "CC-BY-4.0", "source": "a laboratory"}
    (run / "provenance.json").write_text(json.dumps({"weights": about}))
    rows = json.loads(pose("licenses", run, "--json").stdout)
    assert rows[-1] == {"what": "weights", "name": "lab/best", "license": "CC-BY-4.0", "source": "a laboratory"}
    assert any(r["name"].startswith("pose-torchvision") for r in rows)
    (run / "provenance.json").write_text("{")
    assert "provenance.json: damaged" in pose.refuses("cite", run)


def test_refusals(pose: Any, tmp_path: Path) -> None:
    assert "not a run folder" in pose.refuses("cite", tmp_path)
    assert "cannot be read" in pose.refuses("licenses", tmp_path / "absent.yaml")
    path = write(tmp_path, "model: {name: unet, backbone: {filters: 0}}")
    assert "backbone.filters" in pose.refuses("cite", path)
    path = write(tmp_path, "model: {backbone: {type: nobody/net}}")
    assert "its plugin 'nobody' is not installed" in pose.refuses("cite", path)


def test_plugins_tell_hooks_and_time(pose: Any) -> None:
    rows = {r["name"]: r for r in json.loads(pose("plugins", "--verbose", "--json").stdout)}
    assert rows["unet"]["hooks"] == {"pose_components": 1, "pose_backbones": 3}
    assert all(r["load_seconds"] > 0 for r in rows.values() if r["status"] == "active")
    assert "backbones 3" in pose("plugins", "--verbose").stdout
    assert "load_seconds" not in json.loads(pose("plugins", "--json").stdout)[0]
