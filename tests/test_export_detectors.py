"""Exports of detectors, beside the pose network of a top-down run or alone: boxes are proven."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tiny_detector import make_detector, make_top_down
from traced_exporter import TracedExporter

import pose_core
from pose_core.errors import ConfigError, PluginError
from pose_core.exporting import export_run
from pose_core.model.torch_exporter import TorchExporter
from pose_core.runs.run_folder import Run
from pose_core.specs import DetectorRunSpec, ExporterConfig
from tests.conftest import PoseCommand

NO_FORM = {"size": None, "resize": "torchvision", "type": "torchvision/fasterrcnn_mobilenet_v3_large_fpn"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> type[TracedExporter]:
    """An exporter that takes little time, in the place of every other."""

    class Quick(TracedExporter):
        pass

    monkeypatch.setattr(export_run, "make_exporter", lambda content: (Quick(ExporterConfig()), "test/traced"))
    return Quick


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_the_detector_of_a_run_lies_beside_the_pose_network(
    quick: type[TracedExporter], tmp_path: Path, blob_project: Path
) -> None:
    run = make_top_down(tmp_path / "run", blob_project)
    made = pose_core.export(run, "traced", tmp_path / "out")
    assert made.contract["finds"] == "poses"
    assert made.contract["stages"] == ["detector"]
    assert not any("detector" in sentence for sentence in made.contract["outside"])
    below = made.stages["detector"]
    assert (below.contract["finds"], below.contract["version"]) == ("boxes", 1)
    (image,) = below.contract["network"]["inputs"]
    assert image["shape"] == [None, 128, 160, 3]
    shapes = {put["name"]: put["shape"] for put in below.contract["network"]["outputs"]}
    assert shapes == {"boxes": [None, 100, 4], "scores": [None, 100]}
    assert below.contract["view"] | {"sees": "frame", "size": [128, 160]} == below.contract["view"]
    proof = below.proof
    assert proof["images"] == proof["images"] | {"of": "validation", "used": 7, "there": 7}
    assert (proof["pictures"], proof["batches"]) == (7, [1, 3])
    assert proof["boxes"]["compared"] > 20
    assert 0 <= proof["largest"] <= 0.01


def test_a_detector_alone_answers_its_example(
    quick: type[TracedExporter], tmp_path: Path, blob_project: Path
) -> None:
    run = make_detector(tmp_path / "run", blob_project, excess=1.5)
    made = pose_core.export(run, "traced", tmp_path / "out")
    assert made.contract["use"] == {"threshold": 0.4, "excess": 1.5}
    assert not made.stages
    folder = tmp_path / "out" / "example"
    expected = read(folder / "expected.json")
    given = np.asarray(cv2.imread(str(folder / "input.png"))[..., ::-1], np.uint8)
    tensor = torch.from_numpy(np.ascontiguousarray(given))[None]
    boxes, scores = TracedExporter(ExporterConfig()).open(tmp_path / "out" / "network.traced")([tensor])
    found = torch.cat([boxes[0], scores[0, :, None]], 1)[scores[0] > 0].numpy()
    np.testing.assert_allclose(found, expected["input"]["boxes"], atol=1e-3)
    # As the first stage of a top-down run finds them.
    outer = make_top_down(tmp_path / "outer", blob_project, excess=1.5)
    estimator = pose_core.load(outer, settings={"inference.max_animals": None})
    frame = np.ascontiguousarray(cv2.imread(str(folder / "frame.png"))[..., ::-1])
    (answer,) = estimator.predict([np.asarray(frame, np.uint8)])
    wanted = np.array(expected["frame"]["boxes"])[:, :4]
    near = np.abs(answer.instances.boxes[:, None] - wanted[None]).max(2).min(1)
    assert len(near) > 2
    assert near.max() <= 1e-3


@pytest.mark.parametrize("moved", [0.06, -3.0])
def test_a_file_that_finds_other_boxes_is_refused_and_leaves_nothing(
    quick: type[TracedExporter], tmp_path: Path, blob_project: Path, moved: float
) -> None:
    run = make_detector(tmp_path / "run", blob_project)
    # The detector sees 64 pixels as 128.
    quick.moved = moved * 2
    with pytest.raises(PluginError, match=r"traced: torchvision/ssdlite: .*nothing was exported"):
        pose_core.export(run, "traced", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_what_cannot_be_in_a_file_is_said(
    quick: type[TracedExporter], tmp_path: Path, blob_project: Path
) -> None:
    made = pose_core.export(
        make_top_down(tmp_path / "run", blob_project, **NO_FORM), "traced", tmp_path / "out"
    )
    assert made.contract["stages"] == []
    assert any("offers no form that files can hold; give boxes" in line for line in made.contract["outside"])
    with pytest.raises(ConfigError, match=r"fasterrcnn.*offers no form that files can hold"):
        pose_core.export(make_detector(tmp_path / "alone", blob_project, **NO_FORM), "traced", tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_one_size_is_promised_where_any_is_taken(
    quick: type[TracedExporter], tmp_path: Path, blob_project: Path
) -> None:
    run = make_detector(tmp_path / "run", blob_project, size=None)
    made = pose_core.export(run, "traced", tmp_path / "out")
    (image,) = made.contract["network"]["inputs"]
    assert image["shape"] == [None, 64, 64, 3]
    assert made.proof["left_out"] == []


def test_nothing_found_is_a_note(quick: type[TracedExporter], tmp_path: Path, blob_project: Path) -> None:
    made = pose_core.export(
        make_detector(tmp_path / "run", blob_project, threshold=1.0), "traced", tmp_path / "o"
    )
    assert made.proof["boxes"] == {"compared": 0, "mean": None, "largest": None}


# torch takes half a minute to trace SSDLite.
@pytest.mark.slow
def test_torch_writes_detectors_and_names_the_operators_that_it_needs(
    pose: PoseCommand, tmp_path: Path, blob_project: Path
) -> None:
    run = make_detector(tmp_path / "run", blob_project)
    done = pose("export", run, "--to", "torch", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "boxes" in done.stdout
    needs = read(tmp_path / "out" / "contract.json")["network"]["needs"]
    assert needs["operators"] == "torchvision"
    run_file = TorchExporter(ExporterConfig()).open(tmp_path / "out" / "network.pt2")
    pixels = torch.randint(0, 256, (3, 128, 160, 3), dtype=torch.uint8)
    boxes, scores = run_file([pixels])
    wanted, true = Run.open(run, DetectorRunSpec).load_model().predict(pixels.permute(0, 3, 1, 2))
    most = true.shape[1]
    torch.testing.assert_close(scores[:, :most], true, rtol=0, atol=1e-5)
    torch.testing.assert_close(boxes[:, :most], wanted, rtol=0, atol=1e-3, equal_nan=True)
