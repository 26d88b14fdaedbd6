"""The U-Net with SLEAP's settings: parameters, outputs of several strides, stems, transposed convolutions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_unet.config import UNetConfig
from pose_unet.layers import Transposed3
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from pose_core.interfaces import Backbone, BuildContext
from pose_core.specs import AnyBackbone, Feature
from pose_core.structures import Skeleton

KEYPOINTS = 13
PLAIN = {"norm": "none", "output_stride": 2}
# Filters, rate and coarsest stride; parameters with one and with three channels of the image, and with
# transposed convolutions (of one channel); the channels of the head's feature map.
COUNTS = [
    ({"filters": 32, "rate": 1.5, "max_stride": 16}, 1_295_669, 1_296_245, 1_468_265, 48),
    ({"filters": 32, "rate": 2.0, "max_stride": 16}, 7_809_965, 7_810_541, 8_584_557, 64),
    ({"filters": 24, "rate": 1.5, "max_stride": 32}, 1_686_069, 1_686_501, 1_915_087, 36),
]


def make(**config: Any) -> tuple[UNetConfig, Backbone]:
    spec = TypeAdapter(AnyBackbone).validate_python({"type": "unet/unet", **config})
    assert isinstance(spec, UNetConfig)
    network: Backbone = BuildContext(skeleton=Skeleton(("a",))).build("backbone", spec)
    return spec, network


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("config", "gray", "rgb", "transposed", "channels"), COUNTS)
def test_parameters_are_sleaps(
    config: dict[str, Any], gray: int, rgb: int, transposed: int, channels: int
) -> None:
    with torch.device("meta"):
        spec, network = make(**config, **PLAIN)
        _, other = make(**config, **PLAIN, up="transposed3")
    head = (channels + 1) * KEYPOINTS
    assert spec.features() == (Feature(channels, 2),)
    assert count(network) + head == rgb
    # The first kernel of a network for gray images sees one channel of three.
    two_channels = 2 * 9 * config["filters"]
    assert rgb - gray == two_channels
    assert count(other) - two_channels + head == transposed


@pytest.mark.parametrize("crop", ["first", "last"])
def test_transposed_convolutions_leave_out_one_end(crop: str) -> None:
    torch.manual_seed(0)
    layer = Transposed3(3, 5, crop)
    x = torch.randn(2, 3, 4, 6)
    everything = F.conv_transpose2d(x, layer.weight, layer.bias, stride=2)
    assert everything.shape[2:] == (9, 13)
    wanted = everything[..., 1:, 1:] if crop == "first" else everything[..., :-1, :-1]
    torch.testing.assert_close(layer(x), wanted.relu())
    assert not torch.equal(everything[..., 1:, 1:], everything[..., :-1, :-1])


def test_both_crops_hold_the_same_weights() -> None:
    _, first = make(filters=4, up="transposed3")
    _, last = make(filters=4, up="transposed3", crop="last")
    last.load_state_dict(first.state_dict())
    images = torch.randn(1, 3, 32, 32)
    assert not torch.allclose(first.eval()(images)[0], last.eval()(images)[0])


@settings(max_examples=25, deadline=None)
@given(
    st.sets(st.sampled_from([1, 2, 4, 8, 16]), min_size=1),
    st.sampled_from(["bilinear", "transposed", "transposed3"]),
    st.booleans(),
)
def test_outputs_are_the_strides_that_are_asked_for(strides: set[int], up: str, middle: bool) -> None:
    outputs = tuple(sorted(strides))
    spec, network = make(
        filters=2, max_stride=16, outputs=outputs, up=up, middle_block=middle, convs_per_block=1
    )
    assert tuple(f.stride for f in spec.features()) == outputs
    with torch.no_grad():
        maps = network(torch.randn(1, 3, 32, 48))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (f.channels, 32 // f.stride, 48 // f.stride) for f in spec.features()
    ]


def test_an_output_does_not_depend_on_the_others() -> None:
    torch.manual_seed(0)
    _, network = make(filters=4, outputs=[2, 8, 16], norm="none")
    images = torch.randn(1, 3, 32, 32)
    together = network(images)
    for i, stride in enumerate((2, 8, 16)):
        _, alone = make(filters=4, output_stride=stride, norm="none")
        own = alone.state_dict()
        alone.load_state_dict({k: v for k, v in network.state_dict().items() if k in own})
        torch.testing.assert_close(alone(images)[0], together[i])


def test_stem_of_blocks_with_a_finest_level_of_its_own() -> None:
    spec, network = make(filters=4, rate=2, stem_stride=2, stem="convolutions", max_stride=16, norm="none")
    assert [f.channels for f in spec.levels()] == [8, 16, 32, 64]
    stem = [m for m in network.stem.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.kernel_size) for m in stem] == [(3, 4, (7, 7)), (4, 4, (7, 7))]


def test_stem_of_blocks_that_is_the_finest_level() -> None:
    spec, network = make(
        filters=4,
        rate=2,
        stem_stride=2,
        stem="convolutions_only",
        max_stride=32,
        output_stride=1,
        norm="none",
    )
    assert spec.levels() == tuple(Feature(4 * 2**i, 2 ** (i + 1)) for i in range(5))
    assert not list(network.encoder[0].parameters())
    # A block at stride 1 joins nothing, since the stem puts out stride 2, and has one convolution fewer.
    convolutions = [
        [(m.in_channels, m.out_channels) for m in block.modules() if isinstance(m, nn.Conv2d)]
        for block in network.decoder
    ]
    assert convolutions == [
        [(64 + 32, 32), (32, 32)],
        [(32 + 16, 16), (16, 16)],
        [(16 + 8, 8), (8, 8)],
        [(8 + 4, 4), (4, 4)],
        [(4, 4)],
    ]
    (found,) = network(torch.randn(1, 3, 32, 64))
    assert found.shape == (1, 4, 32, 64)


@pytest.mark.parametrize("stem", ["convolutions", "convolutions_only"])
@pytest.mark.parametrize("stem_stride", [2, 4])
def test_stems_of_blocks_learn_and_put_out_what_they_declare(stem: str, stem_stride: int) -> None:
    spec, network = make(filters=2, stem=stem, stem_stride=stem_stride, outputs=[1, 4, 16])
    maps: list[Tensor] = network(torch.randn(2, 3, 32, 48))
    assert [(m.shape[1], 32 // m.shape[2]) for m in maps] == [(f.channels, f.stride) for f in spec.features()]
    torch.stack([m.square().mean() for m in maps]).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_encoder_and_decoder_have_convolutions_apart() -> None:
    _, network = make(filters=4, convs_per_block=3, decoder_convs=1, output_stride=4)
    assert [len(block) for block in network.encoder] == [3, 3, 3, 3, 3]
    assert [len(block) for block in network.decoder] == [1, 1]


def test_what_is_written_out_is_read_again() -> None:
    spec, _ = make(outputs=[2, 16])
    assert spec.output_stride == 2
    assert TypeAdapter(AnyBackbone).validate_python(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"outputs": []}, "outputs must be different powers of 2"),
        ({"outputs": [8, 4]}, "in increasing order"),
        ({"outputs": [3]}, "outputs must be different powers of 2"),
        ({"outputs": [4, 32]}, r"outputs \[4, 32\] must go from output_stride 4 to max_stride 16"),
        ({"outputs": [2], "output_stride": 4}, r"outputs \[2\] must go from output_stride 4"),
        ({"crop": "last"}, "crop: last is for up: transposed3 only"),
        ({"stem": "convolutions"}, "stem: convolutions needs stem_stride 2 or 4"),
        ({"stem": "convolutions", "stem_stride": 4, "max_stride": 2, "output_stride": 1}, "stem_stride 4"),
    ],
)
def test_mistakes_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(AnyBackbone).validate_python({"type": "unet", **config})
