"""Every model and detector that can be named: it builds, has the size it should, and learns at its default
size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pose_core.catalog import Model, get_catalog
from pose_core.errors import ConfigError
from pose_core.interfaces import Labels, Predictions
from pose_core.model.assemble import PoseModel
from pose_core.model.build import build_model
from pose_core.model.detector import DetectorModel
from pose_core.specs import RunSpec
from pose_core.specs.resolve import Layer, choose_model, resolve
from pose_core.structures import Skeleton
from pose_core.testing.checks.check import MODEL
from pose_core.testing.checks.targets import subjects

REPOSITORY = Path(__file__).parent.parent

KEYPOINTS = ["a", "b", "c", "d", "e"]

FRAME = (128, 160)
"""Input of networks that take any size."""

INDIVIDUALS = ["one", "two", "three"]
"""In projects of several animals."""

MILLIONS = {
    ("single_animal", "resnet_50"): 23.78,
    ("single_animal", "resnet_101"): 42.78,
    ("top_down", "top_down_resnet_50"): 23.54,
    ("top_down", "top_down_resnet_101"): 42.53,
    ("single_animal", "hrnet_w18"): 9.56,
    ("single_animal", "hrnet_w32"): 29.31,
    ("single_animal", "hrnet_w48"): 65.33,
    ("top_down", "top_down_hrnet_w32"): 29.31,
    ("top_down", "top_down_hrnet_w48"): 65.33,
    ("single_animal", "cspnext_s"): 4.45,
    ("single_animal", "cspnext_m"): 12.38,
    ("single_animal", "cspnext_x"): 47.74,
    ("top_down", "top_down_cspnext_s"): 4.39,
    ("bottom_up", "dekr_w18"): 9.62,
    ("bottom_up", "dekr_w32"): 29.40,
    ("bottom_up", "dekr_w48"): 65.48,
    ("bottom_up", "dlcrnet_stride16_ms5"): 30.74,
    ("bottom_up", "dlcrnet_stride32_ms5"): 34.34,
    ("top_down", "rtmpose_s"): 5.21,
    ("top_down", "rtmpose_m"): 13.17,
    ("top_down", "rtmpose_x"): 48.74,
    ("conditional_top_down", "ctd_coam_w32"): 47.67,
    ("conditional_top_down", "ctd_coam_w48"): 84.26,
    ("conditional_top_down", "ctd_coam_w48_human"): 117.32,
    ("conditional_top_down", "ctd_prenet_hrnet_w32"): 29.32,
    ("conditional_top_down", "ctd_prenet_hrnet_w48"): 65.34,
    ("conditional_top_down", "ctd_prenet_rtmpose_s"): 5.22,
    ("conditional_top_down", "ctd_prenet_rtmpose_m"): 13.18,
    ("conditional_top_down", "ctd_prenet_rtmpose_x"): 48.75,
    ("conditional_top_down", "ctd_prenet_rtmpose_x_human"): 48.69,
}
"""Millions of parameters of DeepLabCut 3.0.2's models of the same method and name with five keypoints."""

FAMILIES = ("unet", "resnet_18", "hrnet_w18", "cspnext_s", "convnext_tiny", "swin_tiny")
"""The smallest backbone of each family."""

BY_RECIPE = (
    ("single_animal", "{}"),
    ("top_down", "top_down_{}"),
    ("top_down", "top_down_identity_{}"),
    ("centroid", "centroid_{}"),
    ("bottom_up", "{}"),
    ("bottom_up", "identity_{}"),
    ("conditional_top_down", "ctd_prenet_{}"),
)
"""Method and name of what every backbone is."""

RECIPES_OF_ALL = ("{}", "top_down_{}")
"""Recipes that are tried with each family. The others do not ask which one a backbone is of: they add heads of
individuals, a heatmap of one point, or a condition to the image. A convolutional backbone and a transformer stand for
all."""

SMALLEST = (
    *(
        (method, name.format(backbone))
        for method, name in BY_RECIPE
        for backbone in (FAMILIES if name in RECIPES_OF_ALL else ("unet", "swin_tiny"))
    ),
    ("single_animal", "efficientnet_lite0"),
    ("top_down", "rtmpose_s"),
    ("top_down", "animal_tokenpose_base"),
    ("bottom_up", "dekr_w18"),
    ("bottom_up", "dlcrnet_stride16_ms5"),
    ("conditional_top_down", "ctd_prenet_rtmpose_s"),
    ("conditional_top_down", "ctd_coam_w32"),
)
"""Method and name of the smallest model of each family."""

BACKBONES = (
    *("unet", "unet_medium_rf", "unet_large_rf"),
    *("resnet_50", "resnet_101"),
    *("hrnet_w18", "hrnet_w32", "hrnet_w48"),
    *("cspnext_s", "cspnext_m", "cspnext_x"),
    *("convnext_tiny", "convnext_small", "convnext_base", "convnext_large"),
    *("swin_tiny", "swin_small", "swin_base"),
    *("timm", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"),
)

PROMISED = {
    *MILLIONS,
    *SMALLEST,
    *((method, name.format(backbone)) for method, name in BY_RECIPE for backbone in BACKBONES),
}


def spec_of(of: Model, **settings: Any) -> RunSpec:
    several: dict[str, Any] = {} if of.method == "single_animal" else {"individuals": INDIVIDUALS}
    several |= {"identified": True} if of.skeleton_needs == "identity" else {}
    skeleton = {"keypoints": KEYPOINTS, **several}
    return resolve(of, Layer({"skeleton": skeleton, "data": {"source": "nowhere"}}), [Layer(settings)])


def input_size(spec: RunSpec) -> tuple[int, int]:
    return spec.model.preprocess.size or FRAME


def labels(size: tuple[int, int], batch: int = 2, animals: int = 1, k: int = len(KEYPOINTS)) -> Labels:
    height, width = size
    points = torch.rand(batch, animals, k, 2) * torch.tensor([width * 0.6, height * 0.6])
    points = points + torch.tensor([width * 0.2, height * 0.2])
    points[0, 0, 1:2] = torch.nan
    low = points.nan_to_num(1e9).amin(2)
    high = points.nan_to_num(-1e9).amax(2)
    return Labels.from_keypoints(points, boxes=torch.cat([low, high], dim=-1))


def every_model() -> list[Model]:
    return sorted(get_catalog().models(), key=lambda m: (m.full_name, m.method))


def key(model: Model) -> tuple[str, str]:
    return model.method, model.name


def test_every_promised_name_is_listed() -> None:
    assert {key(m) for m in every_model()} >= PROMISED
    detectors = {d.name for d in get_catalog().components("detector")}
    assert detectors >= {"ssdlite", "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn_v2"}


@pytest.mark.parametrize("name", ["identity_unet", "top_down_identity_unet"])
def test_models_of_individuals_are_refused_where_nobody_has_a_name(name: str) -> None:
    model = choose_model(name, multi_animal=True)
    for skeleton in (
        {"individuals": INDIVIDUALS},
        {"individuals": INDIVIDUALS, "identified": False},
        {"individuals": ["one"], "identified": True},
    ):
        data = Layer({"skeleton": {"keypoints": KEYPOINTS, **skeleton}, "data": {"source": "nowhere"}})
        with pytest.raises(ConfigError, match=f"model '{name}' is for projects where .*identified: true"):
            resolve(model, data, [])


def test_every_backbone_is_a_model_of_every_method() -> None:
    models = {key(m) for m in every_model()}
    backbones = {name for method, name in models if method == "single_animal"}
    assert len(backbones) > 10
    for name in backbones:
        assert models >= {(method, recipe.format(name)) for method, recipe in BY_RECIPE}


def named(model: Model) -> str:
    return f"{model.method} {model.name}"


def test_conformance_builds_every_model() -> None:
    """Each is a subject of the plugin that brings it, whose conformance test builds it without memory."""
    plugins = get_catalog().plugins
    answered = {s.label for plugin in plugins for s in subjects(plugin.distribution) if s.kind == MODEL}
    assert answered == {f"{MODEL}/{m.method}/{m.name}" for m in every_model()}
    tested = {path.parent.parent.name for path in REPOSITORY.glob("plugins/*/tests/test_*_conformance.py")}
    assert tested >= {m.plugin.name for m in every_model()}


@pytest.mark.parametrize("model", [m for m in every_model() if key(m) in MILLIONS], ids=named)
def test_models_of_deeplabcut_have_its_size(model: Model) -> None:
    with torch.device("meta"):
        network = build_model(spec_of(model))
    parameters = sum(p.numel() for p in network.parameters())
    assert parameters / 1e6 == pytest.approx(MILLIONS[key(model)], abs=0.0051)


def test_part_affinity_fields_with_the_stages_of_deeplabcut_have_its_size() -> None:
    head = {"stages": 5, "deconv_layers": 2}
    spec = spec_of(choose_model("resnet_50", multi_animal=True), model={"heads": {"keypoints": head}})
    with torch.device("meta"):
        network = build_model(spec)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(26.72, abs=0.0051)


def trains(network: Any, size: tuple[int, int], animals: int = 1) -> None:
    """One step forward and backward; everything that learns gets a finite gradient."""
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    truth = labels(size, animals=animals)
    if isinstance(network, PoseModel):
        truth = labels(size, animals=animals, k=network.skeleton.num_keypoints)
        extra = network.extra_for_training(truth, size)
        losses = network.losses(network(network.normalise(images), **extra), truth)
    else:
        losses = network.losses(images, truth)
    torch.stack(list(losses.values())).sum().backward()
    learning = [p for p in network.parameters() if p.requires_grad]
    without = [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
    assert all(torch.isfinite(p.grad).all() for p in learning if p.grad is not None)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(m, marks=[] if key(m) in SMALLEST else pytest.mark.slow, id=f"{m.method} {m.name}")
        for m in every_model()
    ],
)
def test_models_run_forward_and_backward_at_their_default_size(model: Model) -> None:
    torch.manual_seed(0)
    spec = spec_of(model)
    network = build_model(spec)
    network.check_features()
    size = input_size(spec)
    animals = 1 if model.method == "single_animal" else len(INDIVIDUALS)
    trains(network, size, animals)
    images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    k = 1 if model.method == "centroid" else len(KEYPOINTS)
    truth = labels(size, batch=1, k=k)
    rough = Predictions.none(1, network.skeleton).with_animals(truth.keypoints, torch.ones(1, 1, k))
    found = network.eval().predict(images, rough)
    assert found.keypoints.shape[2:] == (k, 2)
    assert (
        found.keypoints.shape[1] <= len(INDIVIDUALS)
        if model.method in ("bottom_up", "centroid")
        else found.scores.shape == (1, 1)
    )
    if model.skeleton_needs == "identity":
        assert found.identity_scores.shape[-1] == len(INDIVIDUALS)
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
    for model in every_model():
        if model.name not in ("unet", "top_down_unet", "rtmpose_s", "dekr_w18", "ctd_prenet_unet"):
            continue
        spec = spec_of(model)
        network = build_model(spec)
        size = input_size(spec)
        truth = labels(size, animals=2)
        nothing = replace(truth, keypoints=torch.full_like(truth.keypoints, torch.nan))
        images = torch.zeros(2, 3, *size, dtype=torch.uint8)
        extra = network.extra_for_training(nothing, size)
        losses = network.losses(network(network.normalise(images), **extra), nothing)
        assert torch.isfinite(torch.stack(list(losses.values()))).all()
