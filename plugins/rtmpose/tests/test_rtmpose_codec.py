"""Encoding and decoding of coordinate classification undo each other."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_rtmpose.config import default_sigma
from pose_rtmpose.predictor import fit_position
from pydantic import TypeAdapter
from torch import Tensor

from pose_core.interfaces import BuildContext, Grid, Labels, Predictions, Predictor, Target, TargetGenerator
from pose_core.specs import AnyPredictor, AnyTargetGenerator
from pose_core.structures import Skeleton

NAN = math.nan
CONTEXT = BuildContext(skeleton=Skeleton(("a", "b", "c")))


def grid_of(split_ratio: int = 2, offset: float | None = None) -> Grid:
    cells = Grid.cells(1 / split_ratio)
    return cells if offset is None else Grid(cells.stride, offset)


def make_targets(grid: Grid, **config: Any) -> TargetGenerator:
    spec = TypeAdapter(AnyTargetGenerator).validate_python({"type": "rtmpose/simcc", **config})
    made: TargetGenerator = CONTEXT.build("target_generator", spec, grid)
    return made


def make_predictor(grid: Grid, **config: Any) -> Predictor:
    spec = TypeAdapter(AnyPredictor).validate_python({"type": "rtmpose/simcc", **config})
    made: Predictor = CONTEXT.build("predictor", spec, grid)
    return made


def encode(keypoints: Tensor, size: tuple[int, int], grid: Grid, **config: Any) -> dict[str, Target]:
    """Targets of keypoints (B, N, K, 2) for inputs of this (height, width)."""
    shape = (keypoints.shape[0], keypoints.shape[2])
    outputs = {
        "x": torch.zeros(*shape, round(size[1] / grid.stride)),
        "y": torch.zeros(*shape, round(size[0] / grid.stride)),
    }
    targets = make_targets(grid, **config)(Labels.from_keypoints(keypoints), outputs)
    for name, target in targets.items():
        assert target.value.shape == outputs[name].shape
        assert target.value.dtype == target.weight.dtype == torch.float32
    return targets


def decode(targets: dict[str, Target], grid: Grid, **config: Any) -> Predictions:
    outputs = {name: target.value for name, target in targets.items()}
    found = Predictions.none(len(outputs["x"]), CONTEXT.skeleton)
    return make_predictor(grid, **config)(outputs, found)


def test_sigmas_are_those_of_rtmpose() -> None:
    assert [round(default_sigma(size, 2), 2) for size in (192, 256, 288, 384)] == [4.9, 5.66, 6.0, 6.93]
    assert default_sigma(256, 4) == 2 * default_sigma(256, 2)
    assert default_sigma(16, 1) == 2.0


@given(
    size=st.one_of(
        st.sampled_from([(256, 256), (384, 384), (384, 288), (192, 256)]),
        st.tuples(st.integers(1, 12).map(lambda n: 32 * n), st.integers(1, 12).map(lambda n: 32 * n)),
    ),
    split_ratio=st.sampled_from([1, 2, 3, 4]),
    offset=st.sampled_from([None, None, 0.0]),
    places=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=3),
    constant=st.floats(-20, 20),
)
@settings(max_examples=150, deadline=None)
def test_decode_undoes_encode(
    size: tuple[int, int],
    split_ratio: int,
    offset: float | None,
    places: list[tuple[float, float]],
    constant: float,
) -> None:
    grid = grid_of(split_ratio, offset)
    # Anywhere in the image: from the outer edge of the first pixel to that of the last.
    keypoints = torch.tensor(places) * torch.tensor([size[1], size[0]]) - 0.5
    targets = encode(keypoints[None, None], size, grid)
    assert all(torch.equal(target.weight, torch.ones(1, 3, 1)) for target in targets.values())
    # The loss does not see what is added to all bins, so a network may add anything.
    targets = {name: Target(target.value + constant, target.weight) for name, target in targets.items()}
    found = decode(targets, grid)
    assert found.keypoints.shape == (1, 1, 3, 2)
    assert (found.keypoints[0, 0] - keypoints).abs().max() < 0.1
    assert found.keypoint_scores.min() > 0.8
    assert found.keypoint_scores.max() <= 1


def test_every_position_of_a_row_is_decoded() -> None:
    grid = grid_of()
    for size in (256, 384):
        x = torch.linspace(-0.5, size - 0.5, 3 * 701).view(-1, 1, 3)
        keypoints = torch.stack([x, x.flip(0)], dim=-1)
        found = decode(encode(keypoints, (size, size), grid), grid)
        error = (found.keypoints - keypoints).abs()
        assert error.max() < 0.01
        inner = ((keypoints > 5) & (keypoints < size - 6)).all(-1)
        assert error[inner].max() < 0.001


@pytest.mark.parametrize("sigma", [2.0, 5.66, [4.0, 9.0], 20.0])
@pytest.mark.parametrize("beta", [1.0, 10.0, 30.0])
def test_any_sigma_and_beta(sigma: float | list[float], beta: float) -> None:
    grid = grid_of()
    keypoints = torch.rand(60, 1, 3, 2, generator=torch.Generator().manual_seed(0)) * 127
    found = decode(encode(keypoints, (128, 128), grid, sigma=sigma), grid, sigma=sigma, beta=beta)
    assert (found.keypoints - keypoints).abs().max() < 0.1


def test_values_are_gaussians() -> None:
    grid = grid_of()
    targets = encode(
        torch.tensor([[[[10.3, 20.0], [0.0, 0.0], [1.0, 1.0]]]]), (64, 96), grid, sigma=[4.0, 5.0]
    )
    for axis, (centre, sigma, count) in {"x": (10.3, 4.0, 192), "y": (20.0, 5.0, 128)}.items():
        away = (grid.centres(count) - centre) * 2
        torch.testing.assert_close(targets[axis].value[0, 0], torch.exp(-(away**2) / (2 * sigma**2)))


def test_rounded_targets_and_argmax_are_those_of_the_reference() -> None:
    grid = grid_of(offset=0.0)
    keypoints = torch.tensor([[[[10.2, 20.3], [30.75, 5.0], [31.5, 0.1]]]])
    targets = encode(keypoints, (64, 64), grid, rounded=True)
    assert torch.equal(targets["x"].value.argmax(-1), torch.tensor([[20, 62, 63]]))
    assert torch.equal(targets["x"].value.amax(-1), torch.ones(1, 3))
    found = decode(targets, grid, decode="argmax")
    assert torch.equal(found.keypoints, torch.tensor([[[[10.0, 20.5], [31.0, 5.0], [31.5, 0.0]]]]))


def test_rounding_loses_at_most_half_a_bin() -> None:
    grid = grid_of()
    keypoints = torch.rand(200, 1, 3, 2, generator=torch.Generator().manual_seed(0)) * 63
    error = (decode(encode(keypoints, (64, 64), grid), grid, decode="argmax").keypoints - keypoints).abs()
    assert 0.2 < error.max() <= 0.251


def test_what_is_unlabelled_or_outside_has_weight_0() -> None:
    keypoints = torch.tensor(
        [
            [[[NAN, NAN], [5.0, 6.0], [-0.6, 5.0]]],
            [[[95.4, 63.4], [95.6, 5.0], [5.0, 63.6]]],
            [[[math.inf, 5.0], [5.0, NAN], [-0.5, -0.5]]],
        ]
    )
    targets = encode(keypoints, (64, 96), grid_of())
    wanted = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 1]]).float()[..., None]
    for target in targets.values():
        assert torch.equal(target.weight, wanted)
        assert torch.isfinite(target.value).all()


def test_the_first_animal_counts() -> None:
    keypoints = torch.rand(2, 3, 3, 2) * 60
    keypoints[1, 0, 1] = NAN
    several, first = (encode(k, (64, 64), grid_of()) for k in (keypoints, keypoints[:, :1]))
    for axis in ("x", "y"):
        assert torch.equal(several[axis].value, first[axis].value)
        assert torch.equal(several[axis].weight, first[axis].weight)
    assert several["x"].weight[1, 1] == 0
    nobody = encode(torch.zeros(2, 0, 3, 2), (64, 64), grid_of())
    assert torch.equal(nobody["x"].weight, torch.zeros(2, 3, 1))


@pytest.mark.parametrize("decoding", ["fit", "argmax"])
@pytest.mark.parametrize("score", ["mass", "peak"])
def test_flat_outputs_have_low_scores(decoding: str, score: str) -> None:
    flat = {"x": torch.zeros(2, 3, 512), "y": torch.full((2, 3, 768), 7.0)}
    predictor = make_predictor(grid_of(), decode=decoding, score=score)
    found = predictor(flat, Predictions.none(2, CONTEXT.skeleton))
    assert torch.isfinite(found.keypoints).all()
    assert found.keypoint_scores.max() < 0.05


def test_the_lower_score_of_both_axes_counts() -> None:
    grid = grid_of()
    targets = encode(torch.full((1, 1, 3, 2), 40.0), (64, 64), grid)
    sure = {name: target.value for name, target in targets.items()}
    for axis in ("x", "y"):
        found = make_predictor(grid)({**sure, axis: 0.1 * sure[axis]}, Predictions.none(1, CONTEXT.skeleton))
        assert found.keypoint_scores.max() < 0.3
        assert found.keypoint_scores.min() >= 0


def test_peak_is_the_softmax_of_the_highest_bin() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = {
        "x": torch.randn(2, 3, 64, generator=generator),
        "y": torch.randn(2, 3, 48, generator=generator),
    }
    predictor = make_predictor(grid_of(offset=0.0), decode="argmax", score="peak", beta=[2.0, 0.5])
    found = predictor(outputs, Predictions.none(2, CONTEXT.skeleton))
    x, y = (2.0 * outputs["x"]).softmax(-1), (0.5 * outputs["y"]).softmax(-1)
    torch.testing.assert_close(found.keypoint_scores[:, 0], torch.minimum(x.amax(-1), y.amax(-1)))
    torch.testing.assert_close(found.keypoints[:, 0], torch.stack([x.argmax(-1), y.argmax(-1)], dim=-1) / 2)


@given(seed=st.integers(0, 10**6), noise=st.sampled_from([0.003, 0.01, 0.03]))
@settings(max_examples=30, deadline=None)
def test_noise_moves_the_fit_less_than_the_highest_bin(seed: int, noise: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    centre = 20 + torch.rand(1, 300, generator=generator) * 472
    sigma = default_sigma(256, 2)
    output = torch.exp(-((torch.arange(512) - centre[..., None]) ** 2) / (2 * sigma**2))
    output += noise * torch.randn(output.shape, generator=generator)
    logits = 10 * output
    highest = logits.argmax(-1)
    error = (fit_position(logits, highest, sigma, 10.0) - centre).square().mean().sqrt()
    assert error < 0.35 * (highest - centre).square().mean().sqrt()
    # In pixels a quarter of the noise's size in hundredths: 0.03 px for noise of one hundredth of the peak.
    assert 0.5 * error < 4 * noise


def test_a_second_hump_is_ignored() -> None:
    grid = grid_of()
    first = encode(torch.full((1, 1, 3, 2), 40.2), (128, 128), grid)
    second = encode(torch.full((1, 1, 3, 2), 90.0), (128, 128), grid)
    both = {name: Target(first[name].value + 0.8 * second[name].value, first[name].weight) for name in first}
    found = decode(both, grid)
    torch.testing.assert_close(found.keypoints, torch.full((1, 1, 3, 2), 40.2), atol=0.01, rtol=0)
    assert found.keypoint_scores.max() < 0.95


def test_half_precision_outputs_are_read() -> None:
    grid = grid_of()
    targets = encode(torch.full((1, 1, 3, 2), 40.2), (128, 128), grid)
    half = {name: Target(target.value.half(), target.weight) for name, target in targets.items()}
    assert (decode(half, grid).keypoints - 40.2).abs().max() < 0.1
