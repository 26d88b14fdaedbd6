"""Where the ImageNet weights of an HRNet come from."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from pose_hrnet.weights import from_imagenet
from pydantic import TypeAdapter
from safetensors.torch import save_file

from pose_core.catalog import get_catalog
from pose_core.errors import DownloadError, WeightsError
from pose_core.interfaces import Backbone, BuildContext
from pose_core.specs import AnyBackbone
from pose_core.structures import Skeleton

(RECORD,) = (record for record in get_catalog().plugins if record.name == "hrnet")


def make(with_weights: bool = False, **config: Any) -> Backbone:
    spec = TypeAdapter(AnyBackbone).validate_python({"type": "hrnet/hrnet", **config})
    network: Backbone = BuildContext(skeleton=Skeleton(("a",)), pretrained=with_weights).build(
        "backbone", spec
    )
    return network


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, nothing in any cache; the folder where weights can be put by hand."""
    for variable in ("HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("POSE_CACHE", str(tmp_path))
    monkeypatch.setenv("POSE_OFFLINE", "1")
    folder = tmp_path / "weights"
    folder.mkdir()
    return folder


def test_offline_auto_warns_in_one_line_and_goes_on(offline: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="pose_core"):
        make(with_weights=True, width=18)
    (record,) = caplog.records
    line = record.getMessage()
    assert "\n" not in line
    assert "timm/hrnet_w18.ms_aug_in1k" in line
    assert "POSE_OFFLINE is set" in line
    assert "random weights" in line
    assert str(offline / "hrnet_w18.ms_aug_in1k.safetensors") in line


def test_offline_required_is_an_error_that_says_what_to_do(offline: Path) -> None:
    with pytest.raises(
        DownloadError, match=r"hrnet_w18\.ms_aug_in1k\.safetensors, or use .*pretrained.*False"
    ):
        make(with_weights=True, width=18, pretrained=True)


def test_nothing_is_asked_for_without_need(offline: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(with_weights=True, width=18, pretrained=False)
    make(with_weights=False, width=18, pretrained=True)
    assert not caplog.records


@pytest.mark.parametrize("branches", ["first", "incremental"])
def test_weights_put_by_hand_are_used(offline: Path, branches: str) -> None:
    torch.manual_seed(1)
    source = timm.create_model("hrnet_w18", pretrained=False).state_dict()
    save_file(source, offline / "hrnet_w18.ms_aug_in1k.safetensors")
    network = make(with_weights=True, width=18, pretrained=True, branches=branches)
    for key, value in network.state_dict().items():
        assert torch.equal(value, source[key.removeprefix("model.")]), key


def test_files_that_do_not_fit_are_named(offline: Path) -> None:
    path = offline / "hrnet_w18.ms_aug_in1k.safetensors"
    save_file({"conv1.weight": torch.zeros(64, 3, 3, 3)}, path)
    with pytest.raises(
        WeightsError, match=r"hrnet_w18\.ms_aug_in1k\.safetensors: holds the weights of another network"
    ):
        make(with_weights=True, width=18)
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(
        WeightsError, match=r"hrnet_w18\.ms_aug_in1k\.safetensors: not a readable safetensors file"
    ):
        make(with_weights=True, width=18)


@pytest.mark.parametrize("width", [18, 32, 48])
def test_named_weights_fit_their_preset(width: int) -> None:
    (spec,) = (w for w in RECORD.definitions["pose_weights"] if w.name == f"hrnet_w{width}_imagenet")
    (preset,) = (p for p in RECORD.definitions["pose_backbones"] if f"hrnet/{p.name}" == spec.model)
    assert get_catalog().named_weights(spec.name).converter() is from_imagenet
    assert re.fullmatch(r"[0-9a-f]{8}", spec.sha256)
    assert spec.url.endswith(f"w{width}-{spec.sha256}.pth")
    with torch.device("meta"):
        published = timm.create_model(f"hrnet_w{width}", pretrained=False).state_dict()
        own = make(**preset.backbone).state_dict()
    converted = from_imagenet(published)
    assert {key: value.shape for key, value in converted.items()} == {
        key: value.shape for key, value in own.items()
    }
