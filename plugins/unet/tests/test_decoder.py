"""The decoder of a U-Net on the feature maps of other backbones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_unet.decoder_config import DecoderConfig
from pydantic import TypeAdapter, ValidationError
from torch import nn

from pose_core.catalog import get_catalog
from pose_core.interfaces import Backbone, BuildContext, Neck
from pose_core.model.assemble import PoseModel
from pose_core.specs import AnyBackbone, AnyNeck, Feature, ModelSpec
from pose_core.structures import Skeleton

SKELETON = Skeleton(("a", "b"))
PYRAMID = (Feature(64, 4), Feature(128, 8), Feature(256, 16), Feature(512, 32))
BACKBONES: list[dict[str, Any]] = [
    {"type": "resnet/resnet", "depth": 18, "output_stride": 32, "out_features": [1, 2, 3, 4]},
    # Its last two stages have the same stride.
    {"type": "resnet/resnet", "depth": 18, "output_stride": 16, "out_features": [1, 2, 3, 4]},
    {"type": "hrnet/hrnet", "width": 18, "branches": "all"},
    {"type": "cspnext/cspnext", "deepen": 0.1, "widen": 0.125, "out_features": [1, 2, 3, 4]},
    {"type": "unet/unet", "filters": 4, "outputs": [4, 16]},
]


def config_of(**settings: Any) -> DecoderConfig:
    config = TypeAdapter(AnyNeck).validate_python({"type": "unet/decoder", **settings})
    assert isinstance(config, DecoderConfig)
    return config


def build(features: tuple[Feature, ...], **settings: Any) -> tuple[DecoderConfig, Neck]:
    config = config_of(**settings)
    neck: Neck = BuildContext(SKELETON, features).build("neck", config)
    return config, neck


def maps_of(features: tuple[Feature, ...], height: int, width: int) -> list[torch.Tensor]:
    return [torch.randn(2, f.channels, height // f.stride, width // f.stride) for f in features]


def widths_of(config: DecoderConfig, features: tuple[Feature, ...]) -> list[tuple[int, int, int]]:
    """Stride, channels and convolutions of each block."""
    return [(b.output.stride, b.output.channels, b.convolutions) for b in config.blocks(features)]


def test_it_is_light_by_default() -> None:
    assert widths_of(config_of(), PYRAMID) == [(16, 128, 2), (8, 64, 2), (4, 32, 2)]
    thin = (Feature(18, 4), Feature(36, 8), Feature(72, 16), Feature(144, 32))
    assert widths_of(config_of(), thin) == [(16, 36, 2), (8, 32, 2), (4, 18, 2)]


def test_it_is_as_wide_as_the_maps_that_are_joined() -> None:
    assert widths_of(config_of(widths="full"), PYRAMID) == [(16, 256, 2), (8, 128, 2), (4, 64, 2)]


def test_a_middle_block_is_joined_with_the_coarsest_map() -> None:
    config, neck = build(PYRAMID, widths="full", middle_convs=2, outputs=[4, 64])
    assert config.start(PYRAMID) == Feature(1024, 64)
    assert widths_of(config, PYRAMID) == [(32, 512, 2), (16, 256, 2), (8, 128, 2), (4, 64, 2)]
    assert config.features(PYRAMID) == (Feature(64, 4), Feature(1024, 64))
    assert config.size_multiple(PYRAMID) == 64
    fine, coarse = neck(maps_of(PYRAMID, 128, 64))
    assert fine.shape == (2, 64, 32, 16)
    assert coarse.shape == (2, 1024, 2, 1)


def test_finer_than_the_backbone_there_is_nothing_to_join() -> None:
    config = config_of(outputs=[1])
    assert widths_of(config, PYRAMID) == [(16, 128, 2), (8, 64, 2), (4, 32, 2), (2, 32, 1), (1, 32, 1)]
    # Between two maps, too, and where nothing was joined yet.
    assert widths_of(config_of(), (Feature(64, 4), Feature(512, 32))) == [
        (16, 256, 1),
        (8, 256, 1),
        (4, 32, 2),
    ]


@settings(max_examples=40, deadline=None)
@given(
    strides=st.sets(st.sampled_from([2, 4, 8, 16, 32]), min_size=1, max_size=4),
    outputs=st.sets(st.sampled_from([1, 2, 4, 8, 16]), min_size=1, max_size=3),
    up=st.sampled_from(["bilinear", "transposed", "transposed3"]),
    norm=st.sampled_from(["batch", "group", "none"]),
    convs=st.integers(1, 3),
    middle=st.integers(0, 2),
    widths=st.sampled_from(["half", "full"]),
)
def test_maps_are_as_declared(
    strides: set[int], outputs: set[int], up: str, norm: str, convs: int, middle: int, widths: str
) -> None:
    features = tuple(Feature(2 * s, s) for s in sorted(strides))
    wanted = tuple(sorted(outputs))
    options = {"up": up, "norm": norm, "convs_per_block": convs, "middle_convs": middle, "widths": widths}
    config = config_of(outputs=wanted, **options)
    start = config.start(features).stride
    if max(wanted) > start or (wanted == (start,) and not middle):
        with pytest.raises(ValueError, match=r"^outputs: "):
            config.check(features, None)
        return
    config, neck = build(features, outputs=wanted, **options)
    multiple = max(config.size_multiple(features), max(strides))
    height, width = multiple, 2 * multiple
    made = neck(maps_of(features, height, width))
    assert [tuple(m.shape[1:]) for m in made] == [
        (f.channels, height // f.stride, width // f.stride) for f in config.features(features)
    ]
    torch.stack([m.square().mean() for m in made]).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in neck.parameters())


@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda b: f"{b['type']}-{b.get('output_stride', '')}")
def test_it_serves_every_backbone_that_puts_out_a_pyramid(backbone: dict[str, Any]) -> None:
    torch.manual_seed(0)
    spec = TypeAdapter(AnyBackbone).validate_python(backbone)
    network: Backbone = BuildContext(SKELETON).build("backbone", spec)
    features = spec.features()
    config, neck = build(features, outputs=[4, 8])
    side = spec.size_multiple()
    made = neck(network(torch.randn(2, 3, side, 2 * side)))
    assert [(m.shape[1], side // m.shape[2]) for m in made] == [
        (f.channels, f.stride) for f in config.features(features)
    ]
    torch.stack([m.square().mean() for m in made]).sum().backward()
    missing = [
        name
        for part in (network, neck)
        for name, p in part.named_parameters()
        if p.requires_grad and p.grad is None
    ]
    assert not missing


def test_of_two_maps_of_one_stride_the_first_is_joined() -> None:
    features = (Feature(8, 4), Feature(16, 8), Feature(24, 8))
    (block, *_) = config_of(middle_convs=1).blocks(features)
    assert (block.skip, block.skip_channels, block.output.stride) == (1, 16, 8)
    (block,) = config_of().blocks(features)
    assert (block.skip, block.output.stride) == (0, 4)


def test_images_are_padded_for_the_coarsest_map_of_the_neck() -> None:
    backbone = {"type": "unet/unet", "filters": 2, "max_stride": 8, "outputs": [4, 8]}
    spec = ModelSpec.model_validate(
        {
            "backbone": backbone,
            "neck": {"type": "unet/decoder", "middle_convs": 1},
            "heads": {"keypoints": {"type": "heatmap/heatmap"}},
        }
    )
    assert spec.backbone.size_multiple() == 8
    assert spec.size_multiple() == 16
    network = PoseModel(spec, SKELETON)
    assert network.size_multiple == 16
    found = network.eval().predict(torch.zeros(1, 3, 48, 80, dtype=torch.uint8))
    assert found.keypoints.shape == (1, 1, 2, 2)


def test_weights_are_named_by_part() -> None:
    _, neck = build(PYRAMID[:2], middle_convs=1, up="transposed3", norm="none", convs_per_block=1)
    assert list(neck.state_dict()) == [
        f"{part}.{kind}"
        for part in ("middle.0.0", "up.0", "up.1", "decoder.0.0.0", "decoder.1.0.0")
        for kind in ("weight", "bias")
    ]


def test_the_decoder_of_the_unet_is_the_same() -> None:
    torch.manual_seed(0)
    spec = TypeAdapter(AnyBackbone).validate_python({"type": "unet/unet", "filters": 4, "norm": "none"})
    whole: Any = BuildContext(SKELETON).build("backbone", spec)
    features = spec.encoder_maps()
    _, neck = build(features, widths="full", norm="none", outputs=[4])
    neck.load_state_dict({k: v for k, v in whole.state_dict().items() if k.startswith(("up.", "decoder."))})
    images = torch.randn(1, 3, 32, 48)
    maps, x = [], images
    for i, block in enumerate(whole.encoder):
        x = block(nn.functional.max_pool2d(x, 2) if i else x)
        maps.append(x)
    assert torch.equal(neck(maps)[0], whole(images)[0])


def test_it_is_listed() -> None:
    assert get_catalog().component("neck", "decoder").full_name == "unet/decoder"


@pytest.mark.parametrize(
    ("settings", "features", "message"),
    [
        ({}, PYRAMID[:1], "outputs: the coarsest map that comes in has stride 4 already"),
        ({"outputs": [32]}, PYRAMID, "outputs: the coarsest map that comes in has stride 32 already"),
        ({"outputs": [4, 64]}, PYRAMID, "outputs: 64 is not among the strides"),
        (
            {"outputs": [4]},
            (Feature(8, 6), Feature(8, 12)),
            "outputs: 4 is not among the strides .* 3, 6, 12",
        ),
        (
            {"widths": [32, 16]},
            PYRAMID,
            "widths: 2 are given, and there are 3 blocks, of the strides 16, 8, 4",
        ),
        ({}, (Feature(24, 4, tokens=True),), "keypoint tokens"),
    ],
)
def test_maps_that_do_not_suit_are_refused(
    settings: dict[str, Any], features: tuple[Feature, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        config_of(**settings).check(features, None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"outputs": [8, 4]}, "in increasing order"),
        ({"crop": "last", "up": "transposed"}, "crop: last is for up: transposed3 only"),
        ({"widths": [0]}, "widths"),
        ({"middle": True}, "middle"),
    ],
)
def test_mistakes_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config_of(**settings)
