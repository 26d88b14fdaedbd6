"""Published weights of RTMPose: a file of their form gives backbone and head, keypoint by keypoint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pose_rtmpose.weights import FILES
from torch import Tensor

from pose_core.catalog import get_catalog
from pose_core.model.assemble import PoseModel
from pose_core.runs import start
from pose_core.runs.start import start_from
from pose_core.specs import ModelSpec
from pose_core.structures import Skeleton

CROP = [256, 192]
HALPE = next(file for file in FILES if (file.size, file.skeleton) == ("s", "halpe26"))


def make(keypoints: tuple[str, ...], size: list[int]) -> PoseModel:
    model: dict[str, Any] = {
        "method": "top_down",
        "preprocess": {"size": size},
        "backbone": {"type": "cspnext/cspnext"},
        "heads": {"keypoints": {"type": "rtmpose/simcc"}},
    }
    return PoseModel(ModelSpec.model_validate(model), Skeleton(keypoints))


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """A network for 26 keypoints of random weights, which stands for what would be downloaded; by our names."""
    torch.manual_seed(1)
    state: dict[str, Tensor] = make(HALPE.keypoints, CROP).state_dict()
    theirs = {
        (name if name.startswith("backbone.") else name.replace("heads.keypoints.", "head.")).replace(
            ".norm.", ".bn."
        ): torch.rand_like(value) if value.is_floating_point() else value
        for name, value in state.items()
    }
    # As RTMPose's authors name them, for 26 keypoints in crops 192 wide and 256 high.
    assert theirs["backbone.stage2.0.bn.running_mean"].shape == (128,)
    assert theirs["head.final_layer.weight"].shape == (26, 512, 7, 7)
    assert theirs["head.mlp.0.g"].shape == (1,)
    assert theirs["head.mlp.1.weight"].shape == (256, 48)
    assert theirs["head.gau.uv.weight"].shape == (1152, 256)
    assert theirs["head.gau.res_scale.scale"].shape == (256,)
    assert theirs["head.cls_x.weight"].shape == (384, 256)
    assert theirs["head.cls_y.weight"].shape == (512, 256)
    file = tmp_path / HALPE.url.rpartition("/")[2]
    meta = {"dataset_meta": {"sigmas": np.full(26, 0.026), "num_keypoints": 26}}
    torch.save({"meta": meta, "state_dict": theirs}, file)
    monkeypatch.setattr(start, "fetch", lambda spec: file)
    return dict(zip(state, theirs.values(), strict=True))


def test_rows_name_their_files() -> None:
    for file in FILES:
        assert re.search(rf"rtmpose-{file.size}_simcc-.*-{file.sha256}_\d{{8}}\.pth$", file.url)
        assert len(set(file.keypoints)) == {"coco17": 17, "halpe26": 26}[file.skeleton]
        spec = get_catalog().named_weights(f"rtmpose_{file.size}_{file.skeleton}").definition
        assert (spec.url, spec.license) == (file.url, "Apache-2.0")
    # Left before right; the 26 are the 17 and 9 more.
    assert HALPE.keypoints[:5] == ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    assert HALPE.keypoints[15:22] == (
        *("left_ankle", "right_ankle", "head", "neck", "hip", "left_big_toe", "right_big_toe"),
    )


def test_backbone_and_head_are_taken_by_name(published: dict[str, Tensor]) -> None:
    model = make(("right_hip", "snout", "neck"), CROP)
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    report = start_from(model, "rtmpose_s_halpe26")
    state = model.state_dict()
    whole = [name for name in state if not name.startswith("heads.keypoints.final_layer.")]
    assert all(torch.equal(state[name], published[name]) for name in whole)
    for name in ("heads.keypoints.final_layer.weight", "heads.keypoints.final_layer.bias"):
        assert torch.equal(state[name][0], published[name][HALPE.keypoints.index("right_hip")])
        assert torch.equal(state[name][1], fresh[name][1])
        assert torch.equal(state[name][2], published[name][HALPE.keypoints.index("neck")])
    assert {"  right_hip <- right_hip", "  snout: new", "  neck <- neck"} <= set(report.lines)
    assert any(line.startswith("  not used: nose, left_eye") for line in report.lines)
    assert report.provenance["license"] == "Apache-2.0"


def test_crops_of_another_size_keep_what_fits(published: dict[str, Tensor]) -> None:
    model = make(HALPE.keypoints, [256, 256])
    start_from(model, "rtmpose_s_halpe26")
    state = model.state_dict()
    # The height is the same; the bins along the width and the cells of the map are not.
    for name in (
        "backbone.stem.0.conv.weight",
        "heads.keypoints.gau.uv.weight",
        "heads.keypoints.cls_y.weight",
    ):
        assert torch.equal(state[name], published[name])
    for name in ("heads.keypoints.cls_x.weight", "heads.keypoints.mlp.1.weight"):
        assert state[name].shape != published[name].shape
