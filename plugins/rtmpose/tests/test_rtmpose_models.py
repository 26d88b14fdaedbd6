"""The presets (on the installed ``cspnext`` plugin, which this distribution requires)."""

from __future__ import annotations

import pytest
import torch

from pose_core.catalog import Catalog, get_catalog
from pose_core.errors import ConfigError
from pose_core.interfaces import Labels
from pose_core.model.assemble import PoseModel
from pose_core.specs import ModelSpec
from pose_core.structures import Skeleton

SKELETON = Skeleton(tuple(f"k{i}" for i in range(5)))
SIZES = {"rtmpose_s": 256, "rtmpose_m": 256, "rtmpose_x": 384}


def make_spec(name: str) -> ModelSpec:
    (model,) = get_catalog().model(name)
    assert model.method == "top_down"
    return ModelSpec.model_validate(
        {**model.spec()["model"], "name": model.full_name, "method": model.method}
    )


@pytest.mark.parametrize(
    ("name", "millions"), [("rtmpose_s", 5.21), ("rtmpose_m", 13.17), ("rtmpose_x", 48.74)]
)
def test_presets_have_the_parameters_of_the_reference(name: str, millions: float) -> None:
    spec = make_spec(name)
    assert spec.preprocess.size == (SIZES[name], SIZES[name])
    with torch.device("meta"):
        model = PoseModel(spec, SKELETON)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


def run_once(name: str) -> None:
    torch.manual_seed(0)
    spec = make_spec(name)
    model = PoseModel(spec, SKELETON)
    size = SIZES[name]
    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    outputs = model(model.normalise(images))
    assert outputs["keypoints"]["x"].shape == outputs["keypoints"]["y"].shape == (2, 5, 2 * size)
    labels = Labels.from_keypoints(torch.rand(2, 1, 5, 2) * (size - 1))
    torch.stack(list(model.losses(outputs, labels).values())).sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
    found = model.eval().predict(images)
    assert found.keypoints.shape == (2, 1, 5, 2)
    assert torch.isfinite(found.keypoints).all()


def test_the_smallest_preset_runs_forward_and_backward() -> None:
    run_once("rtmpose_s")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rtmpose_m", "rtmpose_x"])
def test_the_other_presets_run_forward_and_backward(name: str) -> None:
    run_once(name)


def test_a_missing_backbone_is_named() -> None:
    installed = Catalog([record for record in get_catalog().plugins if record.name != "cspnext"])
    with pytest.raises(
        ConfigError,
        match=r"it needs pose-cspnext, which is not installed: in a clone of pose_core, pip install ./plugins/cspnext",
    ):
        installed.model("rtmpose_s")
