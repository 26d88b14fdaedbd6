"""Every model and detector that can be named: it builds, has the size it should, and learns at its default size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from pose_core.catalog import Model, get_catalog
from pose_core.interfaces import Labels
from pose_core.model.assemble import PoseModel
from pose_core.model.detector import DetectorModel
from pose_core.model.run_folder import build_model
from pose_core.specs import RunSpec
from pose_core.specs.resolve import Layer, choose_model, resolve
from pose_core.structures import Skeleton

KEYPOINTS = ["a", "b", "c", "d", "e"]

FRAME = (128, 160)
"""Input of networks that take any size."""

MILLIONS = {
    "resnet_50": 23.78,
    "resnet_101": 42.78,
    "top_down_resnet_50": 23.54,
    "top_down_resnet_101": 42.53,
    "hrnet_w18": 9.56,
    "hrnet_w32": 29.31,
    "hrnet_w48": 65.33,
    "top_down_hrnet_w32": 29.31,
    "top_down_hrnet_w48": 65.33,
    "cspnext_s": 4.45,
    "cspnext_m": 12.38,
    "cspnext_x": 47.74,
    "top_down_cspnext_s": 4.39,
    "dekr_w18": 9.62,
    "dekr_w32": 29.40,
    "dekr_w48": 65.48,
    "rtmpose_s": 5.21,
    "rtmpose_m": 13.17,
    "rtmpose_x": 48.74,
}
"""Parameters of DeepLabCut 3.0.2's models of the same name with five keypoints."""

SMALLEST = (
    "unet",
    "resnet_18",
    "hrnet_w18",
    "cspnext_s",
    "top_down_unet",
    "top_down_resnet_18",
    "top_down_hrnet_w18",
    "top_down_cspnext_s",
    "rtmpose_s",
    "animal_tokenpose_base",
    "dekr_w18",
)

PROMISED = {
    *MILLIONS,
    *SMALLEST,
    *(f"{prefix}{name}" for prefix in ("", "top_down_") for name in ("hrnet_w18", "hrnet_w32", "hrnet_w48")),
    *(f"top_down_cspnext_{size}" for size in "smx"),
}


def spec_of(model: Model) -> RunSpec:
    return resolve(model, Layer({"skeleton": {"keypoints": KEYPOINTS}, "data": {"source": "nowhere"}}), [])


def input_size(spec: RunSpec) -> tuple[int, int]:
    return spec.model.preprocess.size or FRAME


def labels(size: tuple[int, int], batch: int = 2) -> Labels:
    height, width = size
    points = torch.rand(batch, 1, len(KEYPOINTS), 2) * torch.tensor([width * 0.6, height * 0.6])
    points = points + torch.tensor([width * 0.2, height * 0.2])
    points[0, 0, 1] = torch.nan
    low = points.nan_to_num(1e9).amin(2)
    high = points.nan_to_num(-1e9).amax(2)
    return Labels(
        keypoints=points,
        occluded=torch.zeros(batch, 1, len(KEYPOINTS), dtype=torch.bool),
        boxes=torch.cat([low, high], dim=-1),
        areas=torch.full((batch, 1), torch.nan),
        identity=torch.full((batch, 1), -1),
        unique_keypoints=torch.zeros(batch, 0, 2),
    )


def every_model() -> list[Model]:
    return sorted(get_catalog().models(), key=lambda m: m.full_name)


def test_every_promised_name_is_listed() -> None:
    assert {m.name for m in every_model()} >= PROMISED
    detectors = {d.name for d in get_catalog().components("detector")}
    assert detectors >= {"ssdlite", "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn_v2"}


def test_every_backbone_is_a_top_down_model() -> None:
    models = every_model()
    backbones = {m.name for m in models if m.method == "single_animal"}
    assert len(backbones) > 10
    assert {f"top_down_{name}" for name in backbones} <= {m.name for m in models if m.method == "top_down"}


@pytest.mark.parametrize("model", every_model(), ids=lambda m: m.name)
def test_every_model_is_built_without_memory_and_has_its_size(model: Model) -> None:
    with torch.device("meta"):
        network = build_model(spec_of(model))
    parameters = sum(p.numel() for p in network.parameters())
    assert parameters > 1000
    if model.name in MILLIONS:
        assert parameters / 1e6 == pytest.approx(MILLIONS[model.name], abs=0.0051)


def trains(network: Any, size: tuple[int, int]) -> None:
    """One step forward and backward; everything that learns gets a finite gradient."""
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    truth = labels(size)
    if isinstance(network, PoseModel):
        losses = network.losses(network(network.normalise(images)), truth)
    else:
        losses = network.losses(images, truth)
    torch.stack(list(losses.values())).sum().backward()
    learning = [p for p in network.parameters() if p.requires_grad]
    without = [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
    assert all(torch.isfinite(p.grad).all() for p in learning if p.grad is not None)


@pytest.mark.parametrize(
    "name",
    [*SMALLEST, *(pytest.param(m.name, marks=pytest.mark.slow) for m in every_model() if m.name not in SMALLEST)],
)
def test_models_run_forward_and_backward_at_their_default_size(name: str) -> None:
    torch.manual_seed(0)
    spec = spec_of(choose_model(name, multi_animal=False))
    network = build_model(spec)
    network.check_features()
    size = input_size(spec)
    trains(network, size)
    images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    found = network.eval().predict(images)
    assert found.keypoints.shape == (1, 1, len(KEYPOINTS), 2)
    assert ((found.keypoint_scores >= 0) & (found.keypoint_scores <= 1)).all()


@pytest.mark.parametrize(
    "name",
    [
        "ssdlite",
        pytest.param("fasterrcnn_mobilenet_v3_large_fpn", marks=pytest.mark.slow),
        pytest.param("fasterrcnn_resnet50_fpn_v2", marks=pytest.mark.slow),
    ],
)
def test_detectors_run_forward_and_backward_at_their_default_size(name: str) -> None:
    torch.manual_seed(0)
    component = get_catalog().component("detector", name)
    config = component.config_class().model_validate({"type": component.full_name})
    network = DetectorModel(config, Skeleton(tuple(KEYPOINTS)))
    size = config.size
    assert size is not None
    trains(network, size)
    boxes, scores = network.eval().predict(torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8))
    assert boxes.shape[:2] == scores.shape
    assert not torch.isnan(boxes[scores > 0]).any()


def test_labels_without_any_keypoint_give_a_finite_loss_in_every_family() -> None:
    for name in ("unet", "top_down_unet", "rtmpose_s"):
        spec = spec_of(choose_model(name, multi_animal=False))
        network = build_model(spec)
        size = input_size(spec)
        truth = labels(size)
        nothing = replace(truth, keypoints=torch.full_like(truth.keypoints, torch.nan))
        images = torch.zeros(2, 3, *size, dtype=torch.uint8)
        losses = network.losses(network(network.normalise(images)), nothing)
        assert torch.isfinite(torch.stack(list(losses.values()))).all()
