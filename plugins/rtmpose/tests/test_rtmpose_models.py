"""The presets (on the installed ``cspnext`` plugin, which this distribution requires), and heads of DeepLabCut."""

from __future__ import annotations

import copy
import importlib
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from pose_core.catalog import Catalog, get_catalog
from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, Labels
from pose_core.model.assemble import PoseModel
from pose_core.specs import AnyHead, Feature, ModelSpec
from pose_core.structures import Skeleton

SKELETON = Skeleton(tuple(f"k{i}" for i in range(5)))
SIZES = {"rtmpose_s": 256, "rtmpose_m": 256, "rtmpose_x": 384}


def make_spec(name: str) -> ModelSpec:
    (model,) = get_catalog().model(name)
    assert model.method == "top_down"
    (layer,) = model.layers
    return ModelSpec.model_validate({**layer["model"], "name": model.full_name, "method": model.method})


@pytest.mark.parametrize(("name", "millions"), [("rtmpose_s", 5.21), ("rtmpose_m", 13.17), ("rtmpose_x", 48.74)])
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
    labels = Labels(
        keypoints=torch.rand(2, 1, 5, 2) * (size - 1),
        occluded=torch.zeros(2, 1, 5, dtype=torch.bool),
        boxes=torch.full((2, 1, 4), torch.nan),
        areas=torch.full((2, 1), torch.nan),
        identity=torch.full((2, 1), -1),
        unique_keypoints=torch.zeros(2, 0, 2),
    )
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


# What DeepLabCut 3.0.2 writes, with the crop of its human preset, which is no square.
HEAD: dict[str, Any] = {
    "type": "RTMCCHead",
    "weight_init": "RTMPose",
    "target_generator": {
        "type": "SimCCGenerator",
        "input_size": [288, 384],
        "smoothing_type": "gaussian",
        "sigma": [6.0, 6.93],
        "simcc_split_ratio": 2.0,
        "label_smooth_weight": 0.0,
        "normalize": False,
    },
    "criterion": {
        axis: {"type": "KLDiscreteLoss", "use_target_weight": True, "beta": 10.0, "label_softmax": True}
        for axis in ("x", "y")
    },
    "predictor": {
        "type": "SimCCPredictor",
        "simcc_split_ratio": 2.0,
        "sigma": [6.0, 6.93],
        "decode_beta": 150.0,
        "apply_softmax": True,
        "normalize_outputs": False,
    },
    "input_size": [288, 384],
    "in_channels": 16,
    "out_channels": 5,
    "in_featuremap_size": [9, 12],
    "simcc_split_ratio": 2.0,
    "final_layer_kernel_size": 7,
    "gau_cfg": {
        "hidden_dims": 256,
        "s": 128,
        "expansion_factor": 2,
        "dropout_rate": 0,
        "drop_path": 0.0,
        "act_fn": "SiLU",
        "use_rel_bias": False,
        "pos_enc": False,
    },
}


def convert(part: dict[str, Any], **about: Any) -> Any:
    definition = get_catalog().component("deeplabcut/head", "RTMCCHead").definition
    module, _, function = definition.factory.partition(":")
    known = {
        "num_keypoints": 5,
        "num_unique": 0,
        "num_individuals": 1,
        "input_size": (384, 288),
        "multi_animal": False,
        "as_trained": False,
    }
    return getattr(importlib.import_module(module), function)(part, {**known, **about})


@pytest.mark.parametrize("as_trained", [False, True])
def test_a_head_of_deeplabcut_becomes_ours(as_trained: bool) -> None:
    config, rename = convert(HEAD, as_trained=as_trained)
    spec = TypeAdapter(AnyHead).validate_python(config)
    spec.check((Feature(16, 32),), (384, 288))
    head = BuildContext(skeleton=SKELETON, features=(Feature(16, 32),), input_size=(384, 288)).build("head", spec)
    state = head.state_dict()
    assert {rename(key) for key in state} == set(state)
    assert state["cls_x.weight"].shape == (576, 256)
    assert state["cls_y.weight"].shape == (768, 256)
    assert spec.grid_offset == 0
    assert spec.target_generator.sigma == (6.0, 6.93)
    assert spec.target_generator.rounded is as_trained
    assert spec.predictor.decode == ("argmax" if as_trained else "fit")
    assert spec.predictor.beta == ((900.0, pytest.approx(1039.5)) if as_trained else None)
    with pytest.raises(KeyError):
        rename("gau.w")


def test_crops_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^input_size: .* 288 wide and 384 high.* 256 wide and 256 high"):
        convert(HEAD, input_size=(256, 256))
    convert(HEAD, input_size=None)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("gau_cfg.use_rel_bias", True, r"^gau_cfg\.use_rel_bias: True cannot be imported; False can"),
        ("gau_cfg.pos_enc", True, r"^gau_cfg\.pos_enc"),
        ("gau_cfg.expansion_factor", 1.5, r"^gau_cfg\.expansion_factor: 1\.5"),
        ("gau_cfg.novelty", 1, r"^gau_cfg\.novelty: no setting"),
        ("target_generator.normalize", True, r"^target_generator\.normalize"),
        ("target_generator.sigma", [1, 2, 3], r"^target_generator\.sigma"),
        ("predictor.simcc_split_ratio", 3.0, r"^predictor\.simcc_split_ratio"),
        ("criterion.x.label_softmax", False, r"^criterion\.x\.label_softmax"),
        ("criterion.y.beta", 5.0, r"^criterion\.y\.label_beta"),
        ("simcc_split_ratio", 2.5, r"^simcc_split_ratio: 2\.5"),
        ("final_layer_kernel_size", None, r"^final_layer_kernel_size: is missing"),
    ],
)
def test_what_cannot_be_represented_is_named(path: str, value: Any, message: str) -> None:
    part = copy.deepcopy(HEAD)
    *outer, last = path.split(".")
    section = part
    for key in outer:
        section = section[key]
    if value is None:
        del section[last]
    else:
        section[last] = value
    with pytest.raises(ValueError, match=message) as caught:
        convert(part)
    assert "\n" not in str(caught.value)


def test_a_missing_backbone_is_named() -> None:
    installed = Catalog([record for record in get_catalog().plugins if record.name != "cspnext"])
    with pytest.raises(ConfigError, match="it needs pose-cspnext, which is not installed: pip install pose-cspnext"):
        installed.model("rtmpose_s")
