"""DeepLabCut's RTMCCHead under our names."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pose_deeplabcut.networks import rtmpose
from pydantic import TypeAdapter

from pose_core.interfaces import BuildContext
from pose_core.specs import AnyHead, Feature
from pose_core.structures import Skeleton

SKELETON = Skeleton(tuple(f"k{i}" for i in range(5)))

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
    known = {
        "num_keypoints": 5,
        "num_unique": 0,
        "num_individuals": 1,
        "input_size": (384, 288),
        "multi_animal": False,
        "as_trained": False,
    }
    return rtmpose.head(part, {**known, **about})


@pytest.mark.parametrize("as_trained", [False, True])
def test_a_head_of_deeplabcut_becomes_ours(as_trained: bool) -> None:
    config, rename = convert(HEAD, as_trained=as_trained)
    spec = TypeAdapter(AnyHead).validate_python(config)
    spec.check((Feature(16, 32),), (384, 288))
    head = BuildContext(skeleton=SKELETON, features=(Feature(16, 32),), input_size=(384, 288)).build(
        "head", spec
    )
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
