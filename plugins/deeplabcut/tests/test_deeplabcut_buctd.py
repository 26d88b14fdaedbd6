"""DeepLabCut's conditional networks become ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pose_deeplabcut.networks.buctd import coam, conditions, prenet
from pydantic import TypeAdapter
from torch import Tensor

from pose_core.errors import RunError
from pose_core.interfaces import BuildContext, Predictions
from pose_core.runs.importing import import_model
from pose_core.runs.run_folder import Run
from pose_core.specs import AnyBackbone
from pose_core.structures import Skeleton

ENCODER = {"type": "StackedKeypointEncoder", "num_joints": 3, "kernel_size": [15, 15]}
COAM = {
    "type": "HRNetCoAM",
    "base_model_name": "hrnet_w18",
    "pretrained": True,
    "coam_modules": [2],
    "att_heads": 1,
    "freeze_bn_stats": False,
    "freeze_bn_weights": False,
    "channel_att_only": False,
    "kpt_encoder": ENCODER,
    "img_size": [64, 64],
}
CSPNEXT = {"type": "CSPNeXt", "model_name": "cspnext_s", "deepen_factor": 0.33, "widen_factor": 0.5}
PRENET = {"type": "CondPreNet", "backbone": CSPNEXT, "kpt_encoder": ENCODER, "img_size": [64, 64]}
NAMES = ("a", "b", "c")


def within(kind: str, key: str) -> Any:
    return (
        {"type": "cspnext/cspnext", "deepen": 0.33, "widen": 0.5},
        {"x": "y", "unused": None}.__getitem__,
        None,
    )


ABOUT = {"input_size": (64, 64), "part": within}


def test_coam_has_the_keys_of_the_reference() -> None:
    config, rename = coam(COAM, ABOUT)
    spec = TypeAdapter(AnyBackbone).validate_python(config)
    with torch.device("meta"):
        network = BuildContext(skeleton=Skeleton(NAMES), input_size=(64, 64)).build("backbone", spec)
    added = [
        f"coam_stages.1.att_layers.{branch}.{kind}_attention_module.{layer}.{tensor}"
        for branch in range(3)
        for kind, layers in (
            ("position", "cnn cnn_cond pa.fc_q pa.fc_k pa.fc_v pa.fc_o"),
            ("channel", "cnn cnn_cond pa.fc_o"),
        )
        for layer in layers.split()
        for tensor in ("weight", "bias")
    ]
    assert len(added) == 54
    ours = {name for name in network.state_dict() if not name.startswith("backbone.")}
    assert {rename(key) for key in added} == ours
    within = [name.removeprefix("backbone.") for name in network.state_dict() if name.startswith("backbone.")]
    assert [rename(name) for name in within] == [f"backbone.{name}" for name in within]
    for key in (
        "coam_stages.1.att_layers.0.other.cnn.weight",
        "classifier.weight",
        "model.classifier.weight",
    ):
        with pytest.raises(KeyError):
            rename(key)


def test_oblong_crops_are_taken_over_as_they_were_trained() -> None:
    config, _ = coam({**COAM, "img_size": [96, 64]}, {**ABOUT, "input_size": (96, 64)})
    assert config["transposed"]
    assert not coam(COAM, ABOUT)[0]["transposed"]
    torch.manual_seed(0)
    spec = TypeAdapter(AnyBackbone).validate_python(config)
    network: Any = BuildContext(skeleton=Skeleton(NAMES), input_size=(96, 64)).build("backbone", spec).eval()
    branch = network.attention["transition2"][0]
    torch.nn.init.normal_(branch.channel.out.weight)
    x, maps = torch.randn(1, 18, 24, 16), torch.rand(1, 3, 96, 64)
    small = torch.nn.functional.interpolate(maps, size=(16, 24), mode="bilinear", antialias=True)
    expected = x + branch.position(x, small) + branch.channel(x, small)
    torch.testing.assert_close(branch(x, maps), expected)


def test_prenet_asks_for_what_is_within() -> None:
    config, rename, arrange = prenet(PRENET, ABOUT)
    assert config["backbone"]["type"] == "cspnext/cspnext"
    assert rename("backbone.x") == "backbone.y"
    assert rename("backbone.unused") is None
    assert rename("rgb_preNet.2.weight") == "image.2.weight"
    assert rename("rgb_preNet.3.running_var") == "image.3.running_var"
    assert rename("cond_preNet.0.bias") == "conditions.0.bias"
    for key in (
        "backbone.z",
        "rgb_preNet.4.weight",
        "rgb_preNet.0.running_var",
        "cond_preNet.2.weight",
        "other",
    ):
        with pytest.raises(KeyError):
            rename(key)
    weights = {"image.0.bias": torch.zeros(1), "backbone.y": torch.ones(1)}
    assert arrange(weights) == weights


def test_arrangements_of_what_is_within_are_made() -> None:
    def joins(given: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"joined": torch.cat([given["p"], given["q"]])}

    about = {**ABOUT, "part": lambda kind, key: ({"type": "cspnext/cspnext"}, str, joins)}
    _, _, arrange = prenet(PRENET, about)
    found = arrange(
        {"backbone.p": torch.zeros(1), "backbone.q": torch.ones(1), "image.0.bias": torch.zeros(2)}
    )
    assert {key: len(value) for key, value in found.items()} == {"backbone.joined": 2, "image.0.bias": 2}
    with pytest.raises(KeyError, match=r"backbone\.q"):
        arrange({"backbone.p": torch.zeros(1)})


def test_conditions_are_rendered_as_at_training() -> None:
    assert conditions(COAM, ABOUT) == {
        "conditions": {
            "type": "buctd/conditions",
            "encoding": "stacked",
            "rendering": "deeplabcut",
            "sigma": 2.6,
            "radius": 7,
            "peak": 255.0,
        }
    }
    coloured = {
        "type": "ColoredKeypointEncoder",
        "num_joints": 1,
        "kernel_size": [11, 11],
        "colors": [[255, 0, 51]],
    }
    found = conditions({**COAM, "kpt_encoder": coloured}, ABOUT)["conditions"]
    assert found["encoding"] == "coloured"
    assert found["colours"] == [[1.0, 0.0, 0.2]]
    assert (found["radius"], found["sigma"]) == (5, 2.0)


@pytest.mark.parametrize(
    ("function", "part", "message"),
    [
        (coam, {**COAM, "base_model_name": "hrnet_w64"}, "base_model_name: hrnet_w64"),
        (coam, {**COAM, "selfatt_coam_modules": [1]}, "selfatt_coam_modules"),
        (coam, {**COAM, "coam_modules": [4]}, "coam_modules"),
        (coam, {**COAM, "img_size": [128, 64]}, r"img_size: \[128, 64\] differs"),
        (coam, {**COAM, "new": 1}, "new: no setting"),
        (prenet, {**PRENET, "new": 1}, "new: no setting"),
        (prenet, {**PRENET, "kpt_encoder": {"type": "Other"}}, "kpt_encoder.type: Other"),
        (conditions, {**COAM, "kpt_encoder": {**ENCODER, "kernel_size": [15, 11]}}, "kernel_size"),
        (conditions, {**COAM, "kpt_encoder": {**ENCODER, "kernel_size": [7, 7]}}, "kernel_size"),
        (conditions, {**COAM, "kpt_encoder": {**ENCODER, "new": 1}}, "kpt_encoder.new"),
    ],
)
def test_what_cannot_be_imported_is_named(function: Any, part: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        function(part, ABOUT)
    assert "\n" not in str(error.value)


def snapshot(folder: Path, **backbone: Any) -> tuple[Path, dict[str, Tensor]]:
    """A file of weights with the names of the reference, and its description."""
    description = {
        "method": "ctd",
        "net_type": "ctd_prenet_cspnext_s",
        "metadata": {"bodyparts": list(NAMES), "unique_bodyparts": [], "individuals": ["x", "y"]},
        "data": {
            "bbox_margin": 25,
            "colormode": "RGB",
            "inference": {
                "normalize_images": True,
                "top_down_crop": {"width": 64, "height": 64, "crop_with_context": False},
            },
        },
        "model": {
            "backbone": {**PRENET, **backbone},
            "heads": {
                "bodypart": {
                    "type": "HeatmapHead",
                    "predictor": {
                        "type": "HeatmapPredictor",
                        "apply_sigmoid": False,
                        "location_refinement": False,
                    },
                    "target_generator": {
                        "type": "HeatmapGaussianGenerator",
                        "num_heatmaps": 3,
                        "pos_dist_thresh": 17,
                    },
                    "criterion": {"type": "WeightedMSECriterion", "weight": 1.0},
                    "heatmap_config": {
                        "channels": [512],
                        "kernel_size": [],
                        "strides": [],
                        "final_conv": {"out_channels": 3, "kernel_size": 1},
                    },
                }
            },
        },
    }
    (folder / "pytorch_config.yaml").write_text(yaml.safe_dump(description))
    spec = TypeAdapter(AnyBackbone).validate_python(
        {"type": "buctd/prenet", "backbone": {"type": "cspnext/cspnext", "deepen": 0.33, "widen": 0.5}}
    )
    torch.manual_seed(0)
    ours = BuildContext(skeleton=Skeleton(NAMES)).build("backbone", spec).state_dict()
    theirs = {"image.": "rgb_preNet.", "conditions.": "cond_preNet.", "backbone.": "backbone."}
    weights = {
        "backbone."
        + next(new + key.removeprefix(old) for old, new in theirs.items() if key.startswith(old)): value
        for key, value in ours.items()
    }
    for name, shape in (("weight", (3, 512, 1, 1)), ("bias", (3,))):
        weights[f"heads.bodypart.heatmap_head.final_conv.{name}"] = torch.randn(shape)
    path = folder / "snapshot-best-010.pt"
    torch.save({"model": weights, "metadata": {"epoch": 10}}, path)
    return path, ours


def test_a_snapshot_becomes_a_run(tmp_path: Path) -> None:
    path, weights = snapshot(tmp_path)
    done = import_model("deeplabcut", path, tmp_path / "run")
    assert any("black beside the box" in note for note in done.notes)
    run = Run.open(tmp_path / "run")
    model = run.load_model()
    for key, value in weights.items():
        assert torch.equal(model.backbone.state_dict()[key], value), key
    spec = run.spec.model
    assert spec.method == "conditional_top_down"
    assert (spec.preprocess.size, spec.preprocess.margin, spec.preprocess.margin_pixels) == (
        (64, 64),
        0.0,
        25.0,
    )
    assert spec.inputs["conditions"].model_dump()["rendering"] == "deeplabcut"
    found = Predictions.none(1, run.spec.skeleton).with_animals(
        torch.rand(1, 1, 3, 2) * 60, torch.ones(1, 1, 3)
    )
    predicted = model.predict(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), found)
    assert predicted.keypoints.shape == (1, 1, 3, 2)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({"backbone": {**CSPNEXT, "arch": "P6"}}, "model.backbone.backbone: arch: P6 cannot be imported"),
        (
            {"backbone": {"type": "Mamba"}},
            "model.backbone.backbone: is a Mamba, which no installed plugin takes over",
        ),
        ({"backbone": None}, "model.backbone.backbone: missing"),
        ({"kpt_encoder": None}, "model.backbone: is not as DeepLabCut 3.0.2 writes it"),
    ],
)
def test_what_is_wrong_within_is_named(tmp_path: Path, backbone: dict[str, Any], message: str) -> None:
    path, _ = snapshot(tmp_path, **backbone)
    with pytest.raises(RunError) as error:
        import_model("deeplabcut", path, tmp_path / "run")
    assert message in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_conditional_model_has_no_detector(tmp_path: Path) -> None:
    path, _ = snapshot(tmp_path)
    with pytest.raises(RunError, match="starts from rough poses and has no detector"):
        import_model("deeplabcut", path, tmp_path / "run", detector=path)
