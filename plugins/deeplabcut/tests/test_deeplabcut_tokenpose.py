"""DeepLabCut's TokenPose under our names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pose_deeplabcut.networks import tokenpose
from pydantic import TypeAdapter

from pose_core.catalog import get_catalog
from pose_core.interfaces import BuildContext
from pose_core.specs import AnyHead, AnyNeck, Feature
from pose_core.structures import Skeleton

ABOUT = {
    "num_keypoints": 5,
    "num_unique": 0,
    "num_individuals": 1,
    "input_size": (256, 256),
    "multi_animal": False,
    "as_trained": False,
}
# As version 3.0.2 writes them for animaltokenpose_base.
NECK: dict[str, Any] = {
    "type": "Transformer",
    "feature_size": [64, 64],
    "patch_size": [4, 4],
    "num_keypoints": 5,
    "channels": 32,
    "dim": 192,
    "heads": 8,
    "depth": 6,
}
HEAD: dict[str, Any] = {
    "type": "TransformerHead",
    "target_generator": {
        "type": "HeatmapPlateauGenerator",
        "num_heatmaps": 5,
        "pos_dist_thresh": 17,
        "heatmap_mode": "KEYPOINT",
        "generate_locref": False,
    },
    "criterion": {"type": "WeightedBCECriterion"},
    "predictor": {"type": "HeatmapPredictor", "location_refinement": False},
    "dim": 192,
    "hidden_heatmap_dim": 384,
    "heatmap_dim": 4096,
    "apply_multi": True,
    "heatmap_size": [64, 64],
    "apply_init": True,
    "head_stride": 1,
}


def reference_neck() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a snapshot."""
    shapes: dict[str, tuple[int, ...]] = {
        "keypoint_token": (1, 5, 192),
        "pos_embedding": (1, 256, 192),
        "patch_to_embedding.weight": (192, 512),
        "patch_to_embedding.bias": (192,),
    }
    for block in (1, 2, 3):
        for layer in range(6):
            attention, mlp = (f"transformer{block}.layers.{layer}.{part}.fn." for part in (0, 1))
            for part in (attention, mlp):
                shapes |= {f"{part}norm.weight": (192,), f"{part}norm.bias": (192,)}
            shapes |= {
                f"{attention}fn.to_qkv.weight": (576, 192),
                f"{attention}fn.to_out.0.weight": (192, 192),
                f"{attention}fn.to_out.0.bias": (192,),
                f"{mlp}fn.net.0.weight": (3, 192),
                f"{mlp}fn.net.0.bias": (3,),
                f"{mlp}fn.net.3.weight": (192, 3),
                f"{mlp}fn.net.3.bias": (192,),
            }
    return shapes


REFERENCE_HEAD = {
    "mlp_head.0.weight": (576,),
    "mlp_head.0.bias": (576,),
    "mlp_head.1.weight": (4096, 576),
    "mlp_head.1.bias": (4096,),
}


def test_every_weight_has_its_place() -> None:
    mapping = {
        kind: get_catalog().component(f"deeplabcut/{kind}", name).factory()
        for kind, name in (("neck", "Transformer"), ("head", "TransformerHead"))
    }
    neck_config, neck_name = mapping["neck"](NECK, ABOUT)
    head_config, head_name = mapping["head"](HEAD, ABOUT)
    neck_spec = TypeAdapter(AnyNeck).validate_python(neck_config)
    head_spec = TypeAdapter(AnyHead).validate_python(head_config)
    features = (Feature(32, 4),)
    context = BuildContext(skeleton=Skeleton(tuple("abcde")), features=features, input_size=(256, 256))
    with torch.device("meta"):
        neck = context.build("neck", neck_spec)
        head = context.with_features(neck_spec.features(features)).build("head", head_spec)
    for part, rename, reference in ((neck, neck_name, reference_neck()), (head, head_name, REFERENCE_HEAD)):
        own = {name: tuple(tensor.shape) for name, tensor in part.state_dict().items()}
        assert {rename(key): shape for key, shape in reference.items()} == own
    assert len(reference_neck()) == 202


@pytest.mark.parametrize(
    "key",
    [
        "transformer4.layers.0.0.fn.norm.weight",
        "transformer1.layers.6.0.fn.norm.weight",
        "transformer1.layers.0.0.fn.fn.net.0.weight",
        "norm.weight",
    ],
)
def test_unknown_weights_are_told(key: str) -> None:
    for rename in (tokenpose.neck(NECK, ABOUT)[1], tokenpose.head(HEAD, ABOUT)[1]):
        with pytest.raises(KeyError):
            rename(key)


def test_configs() -> None:
    config, _ = tokenpose.neck(NECK, ABOUT)
    assert (config["mlp_width"], config["positions"]) == (3, "later_blocks")
    config, _ = tokenpose.neck(
        {**NECK, "mlp_dim": 576, "pos_embedding_type": "sine", "dropout": 0.1, "emb_dropout": 0.2}, ABOUT
    )
    assert (config["mlp_width"], config["positions"]) == (576, "first_layer")
    assert (config["dropout"], config["embedding_dropout"]) == (0.1, 0.2)
    head, _ = tokenpose.head(HEAD, ABOUT)
    assert (head["stride"], head["grid_offset"], head["predictor"]["sigmoid"]) == (4, 2.0, True)
    assert head["target_generator"] == {"type": "heatmap/plateau", "radius": 17.0}
    assert head["losses"] == {"heatmap": {"type": "heatmap/bce", "weight": 1.0}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_keypoints": 4}, "num_keypoints: 4 for 5 body parts"),
        ({"feature_size": [60, 64]}, "feature_size: 60 x 64 cells do not divide an input of 256 x 256"),
        ({"feature_size": [32, 64]}, "feature_size: 32 x 64 cells"),
        ({"pos_embedding_type": "learnable"}, "pos_embedding_type: learnable cannot be imported"),
        ({"mlp_dimm": 3}, "mlp_dimm: no setting of Transformer"),
    ],
)
def test_necks_that_cannot_be_imported(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        tokenpose.neck({**NECK, **change}, ABOUT)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"hidden_heatmap_dim": 1152},
            "hidden_heatmap_dim: 1152 cannot be imported, it makes a hidden layer",
        ),
        ({"predictor": {"type": "HeatmapPredictor"}}, "predictor.location_refinement"),
        ({"predictor": {"type": "SimCCPredictor"}}, "predictor: SimCCPredictor"),
        ({"criterion": {"type": "KLDiscreteLoss"}}, "criterion: KLDiscreteLoss"),
        (
            {"target_generator": {"type": "SimCCGenerator", "pos_dist_thresh": 17}},
            "target_generator: SimCCGenerator",
        ),
        ({"heatmap_size": [48, 48]}, "heatmap_size: 48 x 48 cells"),
        ({"stride": 4}, "stride: no setting of TransformerHead"),
    ],
)
def test_heads_that_cannot_be_imported(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        tokenpose.head({**HEAD, **change}, ABOUT)


def test_input_size_must_be_known() -> None:
    for convert, part in ((tokenpose.neck, NECK), (tokenpose.head, HEAD)):
        with pytest.raises(ValueError, match="without a fixed input size"):
            convert(part, {**ABOUT, "input_size": None})
