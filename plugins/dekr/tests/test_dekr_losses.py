"""The loss of offsets."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from pose_dekr.config import OffsetLossConfig
from pose_dekr.losses import OffsetLoss

from pose_core.interfaces import BuildContext
from pose_core.structures import Skeleton


def offset_loss(beta: float) -> OffsetLoss:
    return OffsetLoss(OffsetLossConfig(beta=beta), BuildContext(skeleton=Skeleton(keypoints=("a", "b"))))


@given(st.floats(0.01, 2), st.floats(-5, 5), st.floats(0.1, 3))
def test_it_is_quadratic_near_zero_and_linear_beyond(beta: float, error: float, weight: float) -> None:
    target = torch.zeros(1, 4, 3, 3)
    value = offset_loss(beta)(target + error, target, torch.full_like(target, weight))
    size = abs(error)
    expected = size**2 / (2 * beta) if size < beta else size - beta / 2
    torch.testing.assert_close(value, torch.tensor(expected), rtol=1e-4, atol=1e-6)


def test_what_has_no_weight_does_not_count() -> None:
    target, weight = torch.zeros(1, 4, 3, 3), torch.zeros(1, 4, 3, 3)
    output = torch.full_like(target, torch.inf)
    assert offset_loss(1.0)(output, target, weight) == 0
    output[..., 0, 0], weight[..., 0, 0] = 2.0, 1.0
    assert offset_loss(1.0)(output, target, weight) == 1.5
