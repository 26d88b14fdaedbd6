"""Online hard keypoint mining: the hardest keypoints of each image count, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, Loss
from pose_core.specs import LossConfig, parse_component
from pose_core.structures import Skeleton


def make(content: str | dict[str, Any]) -> Loss:
    config = parse_component("loss", LossConfig, content)
    made: Loss = BuildContext(Skeleton(("nose",))).build("loss", config)
    return made


def maps(seed: int, keypoints: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    output, target = (torch.rand(3, keypoints, 5, 4, generator=generator) for _ in range(2))
    labelled = torch.rand(3, keypoints, 1, 1, generator=generator) > 0.4
    return output, target, labelled.float()


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 8), st.sampled_from(["mse", "bce"]))
def test_it_is_the_loss_of_the_hardest_labelled_keypoints(
    seed: int, keypoints: int, hardest: int, kind: str
) -> None:
    output, target, weight = maps(seed, keypoints)
    loss = make({"type": "ohkm", "hardest": hardest, "loss": kind})(output, target, weight)
    plain = make({"type": f"heatmap/{kind}"})
    # By hand, one map at a time: what each labelled keypoint costs, the largest of each image, their mean.
    chosen: list[float] = []
    for image in range(3):
        costs = [
            float(plain(output[image, k], target[image, k], torch.ones(5, 4)))
            for k in range(keypoints)
            if weight[image, k] > 0
        ]
        chosen += sorted(costs, reverse=True)[:hardest]
    expected = sum(chosen) / len(chosen) if chosen else 0.0
    assert float(loss) == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_only_the_hardest_keypoints_have_a_gradient() -> None:
    output, target, weight = torch.zeros(1, 3, 5, 4), torch.zeros(1, 3, 5, 4), torch.ones(1, 3, 1, 1)
    output[:, 0], output[:, 1], output[:, 2] = 0.1, 0.9, 0.5
    output.requires_grad_()
    make({"type": "ohkm", "hardest": 1})(output, target, weight).backward()
    assert output.grad is not None
    assert output.grad.flatten(2).any(-1).tolist() == [[False, True, False]]


def test_a_head_of_logits_knows_it() -> None:
    for kind in ("mse", "bce"):
        config = parse_component("loss", LossConfig, {"type": "ohkm", "loss": kind})
        assert config.compares_logits() == (kind == "bce")
    with pytest.raises(ConfigError, match="hardest: must be greater than 0"):
        parse_component("loss", LossConfig, {"type": "ohkm", "hardest": 0})
