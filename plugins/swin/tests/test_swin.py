"""The Swin Transformer backbone, its presets, and torchvision's weights in it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pose_swin import network as network_module
from pose_swin.config import VARIANTS, SwinConfig
from pose_swin.weights import FILES, from_imagenet
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from torchvision import models

from pose_core.catalog import get_catalog
from pose_core.errors import DownloadError
from pose_core.interfaces import Backbone, BuildContext, torchvision_file
from pose_core.specs import AnyBackbone, AnyNeck, Feature
from pose_core.structures import Skeleton

SKELETON = Skeleton(("a",))
PRESETS = [
    preset
    for record in get_catalog().plugins
    if record.name == "swin"
    for preset in record.definitions["pose_backbones"]
]
SMALL = {
    "embed_dim": 8,
    "depths": [1, 2, 2, 1],
    "num_heads": [1, 1, 2, 2],
    "window_size": 3,
    "pretrained": False,
}
LETTERS = {"tiny": "t", "small": "s", "base": "b"}
SIZES = ["tiny", *(pytest.param(size, marks=pytest.mark.slow) for size in ("small", "base"))]
# Of the encoder and of a whole network: stem of stride 2, maps before the stages, a middle block and a full
# decoder to stride 2 without norms, one layer for 13 keypoints; bilinear and with transposed convolutions.
# The network for gray images has two channels of the stem's kernel fewer.
COUNTS = {
    "tiny": (27_516_282, 87_574_951, 94_626_631),
    "small": (48_834_186, 108_892_855, 115_944_535),
    "base": (86_739_128, 193_506_885, 206_042_565),
}


def make(fetch: bool = False, **config: Any) -> tuple[SwinConfig, Backbone]:
    spec = TypeAdapter(AnyBackbone).validate_python({"type": "swin/swin", **config})
    assert isinstance(spec, SwinConfig)
    network: Backbone = BuildContext(SKELETON, pretrained=fetch).build("backbone", spec)
    return spec, network


def count(*parts: nn.Module) -> int:
    return sum(p.numel() for part in parts for p in part.parameters())


def randomised(model: nn.Module) -> dict[str, Tensor]:
    """Values for all weights; the tables of positions stay."""
    generator = torch.Generator().manual_seed(1)
    state = {}
    for name, tensor in model.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator)
        # Of the size that keeps maps of the same height from layer to layer.
        values = noise / max(tensor[0].numel(), 1) ** 0.5 if tensor.dim() > 1 else 1 + 0.1 * noise
        state[name] = values if tensor.is_floating_point() else tensor
    return state


def published(size: str) -> Any:
    model = getattr(models, f"swin_{LETTERS[size]}")(weights=None).eval()
    model.load_state_dict(randomised(model))
    return model


def at_every_second_pixel(stem: nn.Module, images: Tensor) -> Tensor:
    """A stem of stride 4 at the positions of one of stride 2: cells begin one pixel before the image."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    height, width = images.shape[-2] // 2, images.shape[-1] // 2
    cells: Tensor = stem(torch.zeros(1, 3, 4, 4))
    found = torch.empty(len(images), height, width, cells.shape[-1])
    for y in (0, 1):
        for x in (0, 1):
            # Two pixels further each; what is left over at the end is no whole cell.
            moved = padded[..., 2 * y :, 2 * x :]
            found[:, y::2, x::2] = stem(moved)[:, : (height + 1 - y) // 2, : (width + 1 - x) // 2]
    return found


@pytest.mark.parametrize("size", list(VARIANTS))
def test_names_and_shapes_are_torchvisions(size: str) -> None:
    with torch.device("meta"):
        _, network = make(size=size)
        theirs = getattr(models, f"swin_{LETTERS[size]}")(weights=None).state_dict()
    ours = network.state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in from_imagenet(theirs).items()}
    assert len(theirs) - len(ours) == 2
    if size == "tiny":
        assert len(ours) == 183


@pytest.mark.parametrize("size", SIZES)
def test_weights_of_torchvision_give_its_maps(size: str) -> None:
    theirs = published(size)
    weights = from_imagenet(theirs.state_dict())
    spec, network = make(size=size, out_features=[1, 2, 3, 4])
    network.load_state_dict(weights)
    images = torch.randn(1, 3, 32, 64)
    wanted = []
    with torch.no_grad():
        x = images
        for i, entry in enumerate(theirs.features):
            x = entry(x)
            if i % 2:
                wanted.append((theirs.norm(x) if i == 7 else x).permute(0, 3, 1, 2))
        found = network.eval()(images)
    for ours, its, feature in zip(found, wanted, spec.features(), strict=True):
        assert ours.shape == (1, feature.channels, 32 // feature.stride, 64 // feature.stride)
        torch.testing.assert_close(ours, its)
    # Weights that all but vanish would show nothing.
    assert wanted[-1].std() > 0.1

    del network
    _, twice_as_fine = make(size=size, stem_patch_stride=2)
    twice_as_fine.load_state_dict(weights)
    with torch.no_grad():
        cells = at_every_second_pixel(theirs.features[0], images)
        last = theirs.norm(theirs.features[1:](cells)).permute(0, 3, 1, 2)
        (found,) = twice_as_fine.eval()(images)
    assert found.shape[2:] == (2, 4)
    torch.testing.assert_close(found, last)


def test_maps_before_the_stages() -> None:
    torch.manual_seed(0)
    spec, network = make(**SMALL, stem_patch_stride=2, out_features=[1, 2, 3, 4], taps="before")
    assert [(f.channels, f.stride) for f in spec.features()] == [
        *((8, 2), (16, 4), (32, 8), (64, 16)),
        (64, 16),
    ]
    _, after = make(**SMALL, stem_patch_stride=2, out_features=[1, 2, 3, 4])
    after.load_state_dict(network.state_dict())
    images = torch.randn(2, 3, 32, 64)
    with torch.no_grad():
        before, behind = network.eval()(images), after.eval()(images)
        torch.testing.assert_close(before[4], behind[3])
        for stage in (1, 2, 3, 4):
            x = network.features[2 * stage - 1](before[stage - 1].permute(0, 2, 3, 1))
            x = network.norm(x) if stage == 4 else x
            torch.testing.assert_close(x.permute(0, 3, 1, 2), behind[stage - 1])


@pytest.mark.parametrize("size", list(COUNTS))
def test_parameters_with_a_full_decoder(size: str) -> None:
    encoder, bilinear, transposed = COUNTS[size]
    counts = {}
    with torch.device("meta"):
        spec, network = make(size=size, stem_patch_stride=2, out_features=[1, 2, 3, 4], taps="before")
        for up in ("bilinear", "transposed3"):
            neck = TypeAdapter(AnyNeck).validate_python(
                {
                    "type": "unet/decoder",
                    "outputs": [2],
                    "widths": "full",
                    "middle_convs": 2,
                    "norm": "none",
                    "up": up,
                }
            )
            (feature,) = neck.features(spec.features())
            decoder = BuildContext(SKELETON, spec.features()).build("neck", neck)
            counts[up] = count(network, decoder, nn.Conv2d(feature.channels, 13, 1))
    two_channels = 2 * 16 * spec.decided_embed()
    assert neck.size_multiple(spec.features()) == 32
    assert count(network) - two_channels == encoder
    assert counts["bilinear"] - two_channels == bilinear
    assert counts["transposed3"] - two_channels == transposed


def test_the_presets_are_mostly_encoder() -> None:
    for preset in PRESETS:
        with torch.device("meta"):
            spec, network = make(**preset.backbone)
            neck = TypeAdapter(AnyNeck).validate_python(preset.spec["model"]["neck"])
            decoder = BuildContext(SKELETON, spec.features()).build("neck", neck)
        assert spec.features()[0].stride == 4
        assert [f.stride for f in neck.features(spec.features())] == [4]
        assert count(decoder) < 0.15 * count(network)


def test_later_stages_are_not_built() -> None:
    torch.manual_seed(0)
    _, whole = make(**SMALL, out_features=[2, 4])
    spec, part = make(**SMALL, out_features=[2])
    assert spec.size_multiple() == 8
    part.load_state_dict({k: v for k, v in whole.state_dict().items() if k in part.state_dict()})
    assert max(int(name.split(".")[1]) for name in part.state_dict()) == 3
    images = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(part.eval()(images)[0], whole.eval()(images)[0])


def test_blocks_are_left_out_at_random_in_training_only() -> None:
    torch.manual_seed(0)
    _, network = make(**SMALL, drop_path_rate=0.9)
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert len({network(images)[0].sum().item() for _ in range(20)}) > 1
        assert len({network.eval()(images)[0].sum().item() for _ in range(3)}) == 1


def test_an_insert_gets_the_maps_of_its_stage() -> None:
    spec, network = make(**SMALL, out_features=[1, 2, 3, 4])
    network.eval()
    seen: dict[str, tuple[int, ...]] = {}

    def doubled(name: str) -> Any:
        def change(maps: list[Tensor]) -> list[Tensor]:
            seen[name] = tuple(maps[0].shape[1:])
            return [2 * m for m in maps]

        return change

    images = torch.randn(1, 3, 32, 64)
    plain = network(images)
    changed = network(images, inserts={name: doubled(name) for name in spec.insert_points()})
    assert seen == {
        f"stage{i}": (f.channels, 32 // f.stride, 64 // f.stride) for i, f in enumerate(spec.features(), 1)
    }
    torch.testing.assert_close(changed[0], 2 * plain[0])


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, no files; the folder where torch keeps weights."""
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "pose"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("POSE_OFFLINE", "1")
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_published_weights_are_loaded_into_a_stem_of_stride_2(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = published("tiny").state_dict()
    torch.save(theirs, cache / FILES["tiny"])
    monkeypatch.setattr(
        network_module,
        "torchvision_file",
        lambda name, what: replace(torchvision_file(name, what), sha256=""),
    )
    _, network = make(fetch=True, stem_patch_stride=2)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name


def test_without_a_network_training_starts_from_random_weights(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        make(fetch=True, out_features=[1])
    assert "Swin-tiny" in caplog.text
    assert "training starts from random weights" in caplog.text


def test_files_are_those_of_torchvision() -> None:
    offered = {w.name: w.definition for w in get_catalog().weights() if w.plugin.name == "swin"}
    assert set(offered) == {f"swin_{size}_imagenet" for size in VARIANTS}
    for size in VARIANTS:
        published_as = getattr(models, f"Swin_{LETTERS[size].upper()}_Weights").IMAGENET1K_V1
        assert offered[f"swin_{size}_imagenet"].url == published_as.url
        assert torchvision_file(FILES[size], "").url == published_as.url
        assert offered[f"swin_{size}_imagenet"].sha256 == torchvision_file(FILES[size], "").sha256


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"size": "large"}, "size"),
        ({"depths": [1, 1]}, "depths"),
        ({"window_size": 8}, "no published weights .* window_size 8"),
        ({"num_heads": [5, 6, 12, 24]}, "num_heads: 5 heads cannot share the 96 channels of stage 1"),
        ({"depths": [1, 1, 1, 1]}, "there are no published weights for embed_dim 96"),
        ({"patch_size": 8}, "no published weights .* patch_size 8"),
        ({"patch_size": 2, "stem_patch_stride": 4, "pretrained": False}, "does not cover the image"),
        ({"stem_padding": 2}, "does not cover the image"),
        ({"out_features": [4, 3]}, "increasing order"),
        ({"taps": "between"}, "taps"),
        ({"freeze_bn": True}, "freeze_bn"),
    ],
)
def test_mistakes_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(AnyBackbone).validate_python({"type": "swin", **config})


def test_the_settings_of_a_published_size_have_its_weights() -> None:
    spec, _ = make(size="small", depths=[2, 2, 6, 2], out_features=[1])
    assert spec.published() == "tiny"


def test_required_weights_that_cannot_be_had_are_an_error(cache: Path) -> None:
    with pytest.raises(DownloadError, match="Swin-tiny"):
        make(fetch=True, pretrained=True)


def test_features_are_declared() -> None:
    spec, _ = make(**SMALL, out_features=[1, 4])
    assert spec.features() == (Feature(8, 4), Feature(64, 32))
    assert spec.size_multiple() == 32
