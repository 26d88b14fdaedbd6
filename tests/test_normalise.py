"""Bytes become the same floats by looking them up as by arithmetic, in either layout of memory."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_core.model.normalise import normalise

sides = st.integers(1, 9)
statistics = st.lists(st.floats(0.5, 255.0, width=32), min_size=3, max_size=3)


@settings(deadline=None)
@given(st.integers(0, 3), sides, sides, statistics, statistics, st.booleans(), st.booleans())
def test_it_is_arithmetic_to_the_bit(
    count: int,
    height: int,
    width: int,
    means: list[float],
    deviations: list[float],
    stored_last: bool,
    wanted_last: bool,
) -> None:
    shape = (count, height, width, 3) if stored_last else (count, 3, height, width)
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    if stored_last:
        images = images.permute(0, 3, 1, 2)
    before = images.clone()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (means, deviations))
    floats = normalise(images, mean, std, channels_last=wanted_last)
    assert torch.equal(floats, (images.float() - mean) / std)
    assert floats.dtype == torch.float32
    layout = torch.channels_last if wanted_last else torch.contiguous_format
    assert floats.is_contiguous(memory_format=layout)
    assert torch.equal(images, before)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_part_of_a_larger_batch(channels_last: bool) -> None:
    frames = torch.randint(0, 256, (4, 8, 10, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    mean, std = torch.full((1, 3, 1, 1), 100.0), torch.full((1, 3, 1, 1), 50.0)
    part = frames[1:3, :, 2:7, 3:9]
    floats = normalise(part, mean, std, channels_last=channels_last)
    assert torch.equal(floats, (part.float() - mean) / std)
