"""DeepLabCut's DEKRHead under our names: weights, settings, decoding."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pose_deeplabcut.networks import dekr
from pydantic import TypeAdapter
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from pose_core.interfaces import BuildContext, Head, Predictions
from pose_core.specs import AnyHead, AnyPredictor, AnyTargetGenerator, Feature
from pose_core.structures import Skeleton

FEATURE = Feature(30, 4)


def make_head(k: int = 3, features: tuple[Feature, ...] = (FEATURE,), **config: Any) -> Head:
    spec = TypeAdapter(AnyHead).validate_python({"type": "dekr/dekr", "heatmap_channels": 8, **config})
    spec.check(features, None)
    skeleton = Skeleton(tuple(f"k{i}" for i in range(k)), individuals=("a", "b"))
    head: Head = BuildContext(skeleton=skeleton, features=features).build("head", spec)
    return head


def randomise(module: nn.Module) -> None:
    """Values that let a signal through every part, taps that are a little off."""
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            continue
        fan = math.prod(tensor.shape[1:]) if tensor.dim() > 1 else 1
        tensor.normal_(std=fan**-0.5 if tensor.dim() > 1 else 0.2)
        if (
            name.endswith(("running_var", "bn.weight", "1.weight", "bn1.weight", "bn2.weight"))
            and tensor.dim() == 1
        ):
            tensor.abs_().add_(0.5)


class PlainBlock(nn.Module):
    """An adaptive block of one keypoint, as the paper describes it, by torchvision; names as in the
    reference."""

    def __init__(self, width: int) -> None:
        super().__init__()
        grid = [[-1, -1, -1, 0, 0, 0, 1, 1, 1], [-1, 0, 1, -1, 0, 1, -1, 0, 1]]
        self.register_buffer("regular_matrix", torch.tensor(grid, dtype=torch.float32))
        self.transform_matrix_conv = nn.Conv2d(width, 4, 3, padding=1)
        self.translation_conv = nn.Conv2d(width, 2, 3, padding=1)
        self.adapt_conv = nn.Conv2d(width, width, 3, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        batch, _, h, w = x.shape
        grid = self.regular_matrix
        a = self.transform_matrix_conv(x).view(batch, 2, 2, h, w)
        taps = torch.einsum("bijhw,jt->btihw", a, grid) + self.translation_conv(x)[:, None]
        offset = (taps - grid.t()[None, :, :, None, None]).flatten(1, 2)
        return F.relu(self.bn(deform_conv2d(x, offset, self.adapt_conv.weight, padding=1)) + x)


class PlainResidual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + x)


def plain_transition(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())


class PlainHead(nn.Module):
    """The same network with a module for each keypoint, computed one after the other; names as in the
    reference."""

    def __init__(self, channels: int, k: int, width: int, each: int, blocks: int) -> None:
        super().__init__()
        self.heatmap_head, self.offset_head = nn.Module(), nn.Module()
        self.heatmap_head.transition_heatmap = plain_transition(channels, width)
        self.heatmap_head.head_heatmap = nn.ModuleList(
            [nn.Sequential(PlainResidual(width)), nn.Conv2d(width, k + 1, 1)]
        )
        self.offset_head.transition_offset = plain_transition(channels, k * each)
        self.offset_head.offset_feature_layers = nn.ModuleList(
            [nn.Sequential(*(PlainBlock(each) for _ in range(blocks))) for _ in range(k)]
        )
        self.offset_head.offset_final_layer = nn.ModuleList([nn.Conv2d(each, 2, 1) for _ in range(k)])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        heat, offset = self.heatmap_head, self.offset_head
        maps = heat.head_heatmap[1](heat.head_heatmap[0](heat.transition_heatmap(x)))
        branches = offset.transition_offset(x).chunk(len(offset.offset_final_layer), dim=1)
        layers = zip(offset.offset_feature_layers, offset.offset_final_layer, branches, strict=True)
        return {"heatmap": maps, "offset": torch.cat([last(blocks(b)) for blocks, last, b in layers], dim=1)}


ABOUT = {
    "num_keypoints": 3,
    "num_individuals": 4,
    "features": (FEATURE,),
    "slot": "bodypart",
    "as_trained": True,
}


def section(**changes: Any) -> dict[str, Any]:
    """``model.heads.bodypart`` of a pytorch_config.yaml; ``a__b`` changes key b of section a."""
    part: dict[str, Any] = {
        "type": "DEKRHead",
        "weight_init": "dekr",
        "target_generator": {
            "type": "DEKRGenerator",
            "num_joints": 3,
            "pos_dist_thresh": 17,
            "bg_weight": 0.1,
        },
        "criterion": {
            "heatmap": {"type": "DEKRHeatmapLoss", "weight": 1},
            "offset": {"type": "DEKROffsetLoss", "weight": 0.03},
        },
        "predictor": {
            "type": "DEKRPredictor",
            "apply_sigmoid": False,
            "use_heatmap": False,
            "clip_scores": True,
            "num_animals": 4,
            "keypoint_score_type": "combined",
            "max_absorb_distance": 75,
            "nms_threshold": 0.05,
            "apply_pose_nms": True,
        },
        "heatmap_config": {
            "channels": [30, 8, 4],
            "num_blocks": 1,
            "dilation_rate": 1,
            "final_conv_kernel": 1,
        },
        "offset_config": {
            "channels": [30, 15, 3],
            "num_offset_per_kpt": 5,
            "num_blocks": 2,
            "dilation_rate": 1,
            "final_conv_kernel": 1,
        },
    }
    for key, value in changes.items():
        *outer, last = key.split("__")
        inner = part
        for name in outer:
            inner = inner[name]
        inner[last] = value
    return part


@pytest.mark.parametrize("deform", ["torch", "torchvision"])
def test_weights_of_the_reference_compute_the_same(deform: str) -> None:
    torch.manual_seed(0)
    plain = PlainHead(30, 3, 8, 5, 2).eval()
    randomise(plain)
    for block in (m for m in plain.modules() if isinstance(m, PlainBlock)):
        grid = [[-1, -1, -1, 0, 0, 0, 1, 1, 1], [-1, 0, 1, -1, 0, 1, -1, 0, 1]]
        block.regular_matrix.copy_(torch.tensor(grid))
    config, rename, put_together = dekr.head(section(), ABOUT)
    renamed = {rename(key): value for key, value in plain.state_dict().items()}
    assert sum(rename(key) is None for key in plain.state_dict()) == 6, "the regular grids"
    renamed.pop(None)
    head = make_head(**{**config, "deform": deform}).eval()
    head.load_state_dict(put_together({k: v for k, v in renamed.items() if k is not None}))
    feature = torch.randn(2, 30, 9, 11)
    ours, theirs = head([feature]), plain(feature)
    for name, expected in theirs.items():
        assert ((ours[name] - expected).abs().max() / expected.abs().max()).item() < 1e-5
    assert sum(p.numel() for p in head.parameters()) == sum(p.numel() for p in plain.parameters())
    assert head.grid.offset == 2.0


def test_pieces_come_in_any_order() -> None:
    pieces = {f"offset_head.maps.bias[{k}]": torch.full((2,), float(k)) for k in (10, 2, 0, 1, *range(3, 10))}
    assert dekr.arrange(pieces)["offset_head.maps.bias"].tolist() == [
        float(k) for k in range(11) for _ in range(2)
    ]


@pytest.mark.parametrize(
    "key",
    [
        "heatmap_head.head_heatmap.2.weight",
        "heatmap_head.head_heatmap.0.1.conv1.weight",
        "offset_head.offset_feature_layers.3.0.bn.weight",
        "offset_head.offset_feature_layers.0.2.bn.weight",
        "offset_head.offset_final_layer.3.bias",
        "anything",
    ],
)
def test_other_keys_are_unknown(key: str) -> None:
    with pytest.raises(KeyError):
        dekr.head(section(), ABOUT)[1](key)


@pytest.mark.parametrize(
    ("changes", "about", "message"),
    [
        ({"dropout": 1}, {}, "dropout: no setting of DEKRHead"),
        (
            {"offset_config__dilation_rate": 2},
            {},
            r"offset_config\.dilation_rate: 2 cannot be imported; 1 can",
        ),
        ({"heatmap_config__channels": [30, 8, 7]}, {}, "channels do not fit 3 body parts"),
        ({"heatmap_config__channels": [31, 8, 4]}, {}, "31 from a backbone with 30 channels"),
        (
            {"predictor__type": "HeatmapPredictor"},
            {},
            "HeatmapPredictor cannot be imported; DEKRPredictor can",
        ),
        ({"predictor__speed": 3}, {}, r"predictor\.speed: no setting of DEKRPredictor"),
        ({"target_generator__type": "SimCC"}, {}, "target_generator: SimCC cannot be imported"),
        (
            {"criterion__offset": {"type": "WeightedMSE"}},
            {},
            r"criterion\.offset: WeightedMSE cannot be imported",
        ),
        ({}, {"slot": "identity"}, "identity heads cannot be imported"),
    ],
)
def test_what_is_no_such_head_is_refused(
    changes: dict[str, Any], about: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        dekr.head(section(**changes), {**ABOUT, **about})


def test_decoding_as_trained_and_ours() -> None:
    trained = dekr.head(section(), ABOUT)[0]["predictor"]
    ours = dekr.head(section(), {**ABOUT, "as_trained": False})[0]["predictor"]
    assert trained["suppression"] == "at_once"
    assert trained["pose_nms_joints"] == 1
    assert trained["threshold"] == 0
    assert "suppression" not in ours
    for config in (trained, ours):
        TypeAdapter(AnyPredictor).validate_python(config)
    refined = dekr.head(section(predictor__use_heatmap=True, predictor__apply_pose_nms=False), ABOUT)[0][
        "predictor"
    ]
    assert refined["refine"] == 300
    assert refined["pose_nms"] == 0
    TypeAdapter(AnyTargetGenerator).validate_python(dekr.head(section(), ABOUT)[0]["target_generator"])


def test_two_poses_that_share_one_keypoint_as_trained() -> None:
    """What the reference does with poses that touch, in numbers: observed from version 3.0.2."""
    heat, offset = torch.zeros(1, 4, 12, 16), torch.zeros(1, 6, 12, 16)
    heat[0, 3, 3, 4], heat[0, 3, 8, 11] = 0.9, 0.5
    heat[0, :3] = 0.5
    for row, column, poses in ((3, 4, ((4, 3), (2, 1), (6, 5))), (8, 11, ((4, 3), (14, 10), (12, 6)))):
        for k, (x, y) in enumerate(poses):
            offset[0, 2 * k, row, column], offset[0, 2 * k + 1, row, column] = column - x, row - y
    outputs = {"heatmap": heat, "offset": offset}
    skeleton = Skeleton(("a", "b", "c"), individuals=("x", "y", "z", "w"))
    found = {}
    for as_trained in (True, False):
        head = make_head(**dekr.head(section(), {**ABOUT, "as_trained": as_trained})[0])
        found[as_trained] = head.decode(outputs, Predictions.none(1, skeleton))
    assert (found[True].scores > 0).sum() == 1, "one keypoint in common is enough there"
    assert (found[False].scores > 0).sum() == 2
    assert found[True].keypoints[0, 0].tolist() == [[18, 14], [10, 6], [26, 22]]
    torch.testing.assert_close(found[True].keypoint_scores[0, 0], torch.full((3,), 0.45))
