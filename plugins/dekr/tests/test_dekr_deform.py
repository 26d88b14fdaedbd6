"""Deformable convolution: ours is torchvision's; adaptive blocks start as ordinary ones."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_dekr.deform import affine_taps, deformed_by_torch, deformed_by_torchvision, regular_taps
from pose_dekr.layers import AdaptiveBlock
from torch import Tensor


def case(
    seed: int, batch: int, groups: int, width: int, size: tuple[int, int], far: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    taps = [far * normal(batch, groups, 9, *size) for _ in range(2)]
    return normal(batch, groups * width, *size), *taps, normal(groups * width, width, 3, 3)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    batch=st.integers(1, 3),
    groups=st.integers(1, 4),
    width=st.integers(1, 5),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    far=st.sampled_from([0.3, 3.0, 30.0]),
)
def test_values_and_gradients_are_those_of_torchvision(
    seed: int, batch: int, groups: int, width: int, size: tuple[int, int], far: float
) -> None:
    inputs = case(seed, batch, groups, width, size, far)
    found = []
    for compute in (deformed_by_torch, deformed_by_torchvision):
        leaves = [x.clone().requires_grad_() for x in inputs]
        result = compute(*leaves)
        weights = torch.linspace(-1, 2, result.numel(), dtype=result.dtype).view_as(result)
        found.append([result.detach(), *torch.autograd.grad((result * weights).sum(), leaves)])
    for ours, theirs in zip(*found, strict=True):
        scale = max(1.0, float(theirs.abs().max()))
        assert float((ours - theirs).abs().max()) <= 1e-10 * scale


def test_regular_taps_make_an_ordinary_convolution() -> None:
    x, rows, columns, weight = case(0, 2, 3, 4, (7, 5), 0.0)
    regular = regular_taps(x)
    rows, columns = rows + regular[0].view(9, 1, 1), columns + regular[1].view(9, 1, 1)
    expected = F.conv2d(x, weight, padding=1, groups=3)
    for compute in (deformed_by_torch, deformed_by_torchvision):
        torch.testing.assert_close(compute(x, rows, columns, weight), expected, rtol=1e-10, atol=1e-10)


def test_taps_are_an_affine_image_of_the_regular_ones() -> None:
    matrix, shift = torch.randn(2, 8, 3, 4), torch.randn(2, 4, 3, 4)
    rows, columns = affine_taps(matrix, shift)
    regular = torch.stack(regular_taps(matrix))
    for keypoint in range(2):
        a = matrix[1, 4 * keypoint : 4 * keypoint + 4, 2, 3].view(2, 2)
        expected = a @ regular + shift[1, 2 * keypoint : 2 * keypoint + 2, 2, 3][:, None]
        torch.testing.assert_close(torch.stack([rows, columns])[:, 1, keypoint, :, 2, 3], expected)


@pytest.mark.parametrize("deform", ["torch", "torchvision"])
def test_a_block_starts_as_an_ordinary_one(deform: str) -> None:
    torch.manual_seed(0)
    block = AdaptiveBlock(3, 5, deform).eval()
    x = torch.randn(2, 15, 6, 8)
    ordinary = F.conv2d(x, block.adapt_conv.weight, padding=1, groups=3) / (1 + block.bn.eps) ** 0.5
    torch.testing.assert_close(block(x), torch.relu(ordinary + x), rtol=1e-4, atol=1e-4)
    assert (block.bn.weight == 1).all()


def test_branches_share_nothing() -> None:
    torch.manual_seed(0)
    block = AdaptiveBlock(3, 5, "torch").eval()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(1, 15, 6, 8)
    changed = x.clone()
    changed[:, 5:10] += 1
    same = (block(x) == block(changed))[0].view(3, 5, 6, 8)
    assert same[0].all()
    assert same[2].all()
    assert not same[1].all()


def test_half_precision_places_taps_exactly() -> None:
    x, rows, columns, weight = (t.float() for t in case(1, 1, 1, 2, (4, 2000), 2.0))
    exact = deformed_by_torch(x, rows, columns, weight)
    half = deformed_by_torch(x.half(), rows, columns, weight)
    assert float((half - exact).abs().max()) < 0.05
