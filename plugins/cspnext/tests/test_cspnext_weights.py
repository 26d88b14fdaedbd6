"""Published weights of CSPNeXt: files of their form fit the presets."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from pose_cspnext.weights import FILES, INERT, from_openmmlab
from pydantic import TypeAdapter

from pose_core.catalog import get_catalog
from pose_core.errors import WeightsError
from pose_core.interfaces import Backbone, BuildContext, read_tensors
from pose_core.specs import AnyBackbone
from pose_core.structures import Skeleton

(RECORD,) = (record for record in get_catalog().plugins if record.name == "cspnext")


def make(size: str) -> Backbone:
    (preset,) = (p for p in RECORD.definitions["pose_backbones"] if p.name == f"cspnext_{size}")
    spec = TypeAdapter(AnyBackbone).validate_python(dict(preset.backbone))
    network: Backbone = BuildContext(skeleton=Skeleton(("a",))).build("backbone", spec)
    return network


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.size}-{file.images}")
def test_names_end_with_their_checksum(file: object) -> None:
    (spec,) = (w for w in RECORD.definitions["pose_weights"] if w.url == file.url)  # type: ignore[attr-defined]
    assert re.search(rf"-{spec.sha256}(_\d{{8}})?\.pth$", spec.url)
    assert get_catalog().named_weights(spec.name).converter() is from_openmmlab
    assert spec.license == "Apache-2.0"


def test_a_file_of_openmmlab_is_taken_over(tmp_path: Path) -> None:
    """Its batch norms are called bn; beside the weights it describes the data set, in arrays."""
    torch.manual_seed(0)
    published, own = make("s"), make("s")
    state = {
        f"backbone.{name.replace('.norm.', '.bn.')}": value for name, value in published.state_dict().items()
    }
    # As RTMPose's authors name them.
    assert state["backbone.stem.0.conv.weight"].shape == (16, 3, 3, 3)
    assert state["backbone.stage4.1.conv2.bn.running_var"].shape == (512,)
    assert state["backbone.stage4.2.blocks.0.conv2.depthwise_conv.bn.weight"].shape == (256,)
    assert state["backbone.stage1.1.attention.fc.bias"].shape == (64,)
    state["head.final_layer.weight"] = torch.zeros(17, 512, 1, 1)
    file = tmp_path / "cspnext.pth"
    meta = {"epoch": 210, "dataset_meta": {"sigmas": np.array([0.026, 0.025]), "first": np.float32(1)}}
    torch.save({"meta": meta, "state_dict": state}, file)
    own.load_state_dict(from_openmmlab(read_tensors(file, INERT).tensors))
    for name, value in published.state_dict().items():
        assert torch.equal(own.state_dict()[name], value), name
    with pytest.raises(WeightsError, match="holds objects that only running its code could make"):
        read_tensors(file)
