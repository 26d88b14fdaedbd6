"""DeepLabCut's identity heads under our names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pose_deeplabcut.networks.heatmap import head
from pydantic import TypeAdapter

from pose_core.interfaces import BuildContext
from pose_core.specs import AnyHead, Feature
from pose_core.structures import Skeleton

INDIVIDUALS = ("ann", "bob", "cat")

SKELETON = Skeleton(("nose", "tail"), individuals=INDIVIDUALS, identified=True)


def make_head(
    skeleton: Skeleton = SKELETON, features: tuple[Feature, ...] = (Feature(6, 8),), **more: Any
) -> Any:
    config = TypeAdapter(AnyHead).validate_python({"type": "heatmap/identity", **more})
    config.check(features, None)
    return BuildContext(skeleton=skeleton, features=features).build("head", config)


THEIRS: dict[str, Any] = {
    "type": "HeatmapHead",
    "weight_init": "normal",
    "predictor": {"type": "IdentityPredictor", "apply_sigmoid": True},
    "target_generator": {
        "type": "HeatmapPlateauGenerator",
        "num_heatmaps": 3,
        "pos_dist_thresh": 17,
        "heatmap_mode": "INDIVIDUAL",
        "gradient_masking": False,
        "generate_locref": False,
    },
    "criterion": {"heatmap": {"type": "WeightedBCECriterion", "weight": 1.0}},
    "heatmap_config": {"channels": [6, 3], "kernel_size": [3], "strides": [2]},
}


def test_a_head_of_deeplabcut_is_taken_over() -> None:
    config, rename = head(THEIRS, {"slot": "identity", "features": (Feature(6, 16),)})
    assert config["type"] == "heatmap/identity"
    network = make_head(features=(Feature(6, 16),), **{k: v for k, v in config.items() if k != "type"})
    assert {
        rename(key) for key in ("heatmap_head.deconv_layers.0.weight", "heatmap_head.deconv_layers.0.bias")
    } == set(network.state_dict())
    with pytest.raises(KeyError):
        rename("locref_head.deconv_layers.0.weight")
    assert network([torch.zeros(1, 6, 16, 16)])["identity"].shape == (1, 3, 33, 33)
    assert (network.grid.stride, network.grid.offset, network.target_generator.radius) == (8, 4, 17)
    assert network.predictor.sigmoid


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"predictor": {"type": "HeatmapPredictor"}}, "IdentityPredictor can"),
        ({"predictor": {"type": "IdentityPredictor", "apply_sigmoid": False}}, "apply_sigmoid: must be true"),
        ({"predictor": {"type": "IdentityPredictor", "more": 1}}, "predictor.more"),
        ({"target_generator": {"type": "HeatmapPlateauGenerator", "heatmap_mode": "KEYPOINT"}}, "INDIVIDUAL"),
        ({"criterion": {"type": "WeightedMSECriterion"}}, "WeightedBCECriterion"),
        ({"locref_config": THEIRS["heatmap_config"]}, "locref_config"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_other_heads_of_deeplabcut_are_refused_in_a_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        head({**THEIRS, **changes}, {"slot": "identity", "features": (Feature(6, 16),)})
    assert "\n" not in str(caught.value)


def test_a_transposed_convolution_of_one_cell_is_an_ordinary_one() -> None:
    # The head of the model zoo's HRNets: what it computes is what torch computes with their weights.
    theirs: dict[str, Any] = {
        "type": "HeatmapHead",
        "predictor": {"type": "HeatmapPredictor", "apply_sigmoid": False, "location_refinement": False},
        "target_generator": {"type": "HeatmapGaussianGenerator", "pos_dist_thresh": 17},
        "criterion": {"heatmap": {"type": "WeightedMSECriterion", "weight": 1.0}},
        "heatmap_config": {"channels": [6, 2], "kernel_size": [1], "strides": [1]},
    }
    about = {"slot": "bodypart", "features": (Feature(6, 4),)}
    config, rename, arrange = head(theirs, about)  # type: ignore[misc]
    torch.manual_seed(0)
    weights = {
        "heatmap_head.deconv_layers.0.weight": torch.randn(6, 2, 1, 1),
        "heatmap_head.deconv_layers.0.bias": torch.randn(2),
    }
    network = make_head(Skeleton(("nose", "tail")), (Feature(6, 4),), **config)
    network.load_state_dict(arrange({str(rename(name)): value for name, value in weights.items()}))
    features = torch.randn(1, 6, 8, 8)
    ours = network([features])["heatmap"]
    torch.testing.assert_close(ours, torch.nn.functional.conv_transpose2d(features, *weights.values()))
    # Cell j is centred at (j + 1/2) stride, as in all of DeepLabCut's heads.
    assert (network.grid.stride, network.grid.offset) == (4, 2)
    with pytest.raises(KeyError):
        rename("locref_head.deconv_layers.0.weight")
    with pytest.raises(ValueError, match="locref_config: cannot be imported beside a single layer of kernel"):
        head({**theirs, "locref_config": theirs["heatmap_config"]}, about)
