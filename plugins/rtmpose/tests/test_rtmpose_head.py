"""The SimCC head: layers, configuration, training."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pose_rtmpose.config import SimccHeadConfig, SimccPredictorConfig
from pydantic import TypeAdapter, ValidationError
from torch import nn

from pose_core.errors import ConfigError
from pose_core.interfaces import BuildContext, Grid, Head, Labels, Predictions
from pose_core.specs import AnyHead, Feature
from pose_core.structures import Skeleton

NAN = math.nan
SKELETON = Skeleton(("a", "b", "c", "d"))
FEATURE = Feature(6, 16)


def make_config(**config: Any) -> SimccHeadConfig:
    spec = TypeAdapter(AnyHead).validate_python({"type": "rtmpose/simcc", **config})
    assert isinstance(spec, SimccHeadConfig)
    return spec


def make_head(
    size: tuple[int, int] = (64, 96),
    features: tuple[Feature, ...] = (FEATURE,),
    skeleton: Skeleton = SKELETON,
    **config: Any,
) -> Head:
    spec = make_config(**config)
    spec.check(features, size)
    head: Head = BuildContext(skeleton=skeleton, features=features, input_size=size).build("head", spec)
    return head


@pytest.mark.parametrize("split_ratio", [1, 2, 3])
def test_shapes(split_ratio: int) -> None:
    head = make_head(split_ratio=split_ratio)
    outputs = head([torch.randn(2, 6, 4, 6)])
    assert outputs["x"].shape == (2, 4, 96 * split_ratio)
    assert outputs["y"].shape == (2, 4, 64 * split_ratio)
    assert head.predictor.grid == head.target_generator.grid == Grid.cells(1 / split_ratio)
    found = head.decode(outputs, Predictions.none(2, SKELETON))
    assert found.keypoints.shape == (2, 1, 4, 2)


def test_parameters_have_the_names_and_shapes_of_the_reference() -> None:
    head = make_head((256, 384), (Feature(512, 32),))
    assert {name: tuple(value.shape) for name, value in head.state_dict().items()} == {
        "final_layer.weight": (4, 512, 7, 7),
        "final_layer.bias": (4,),
        "mlp.0.g": (1,),
        "mlp.1.weight": (256, 96),
        "gau.gamma": (2, 128),
        "gau.beta": (2, 128),
        "gau.ln.g": (1,),
        "gau.uv.weight": (1152, 256),
        "gau.o.weight": (256, 512),
        "gau.res_scale.scale": (256,),
        "cls_x.weight": (768, 256),
        "cls_y.weight": (512, 256),
    }


def test_keypoint_axes_are_those_that_depend_on_the_keypoints() -> None:
    more = Skeleton(("a", "b", "c", "d", "e"))
    head, other = make_head(), make_head(skeleton=more)
    shapes = {name: value.shape for name, value in other.state_dict().items()}
    differ = {name for name, value in head.state_dict().items() if value.shape != shapes[name]}
    assert set(head.keypoint_axes()) == differ
    for name, (axis,) in head.keypoint_axes().items():
        assert head.state_dict()[name].shape[axis.axis] == len(axis.entries) == 4
        assert shapes[name][axis.axis] == 5


def test_gated_attention_is_the_formula_of_the_paper() -> None:
    head = make_head(
        hidden=8, attention=3, expansion=2
    ).double()  # squared sums of large numbers: too many for float32
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    unit = head.get_submodule("gau")
    tokens = torch.randn(1, 4, 8, dtype=torch.float64)
    p = dict(unit.named_parameters())
    rows = tokens[0]
    normed = rows / rows.square().mean(-1, keepdim=True).sqrt() * p["ln.g"]
    uvz = nn.functional.silu(normed @ p["uv.weight"].T)
    u, v, z = uvz[:, :16], uvz[:, 16:32], uvz[:, 32:]
    q, k = z * p["gamma"][0] + p["beta"][0], z * p["gamma"][1] + p["beta"][1]
    weights = torch.relu(q @ k.T / math.sqrt(3)) ** 2
    wanted = rows * p["res_scale.scale"] + (u * (weights @ v)) @ p["o.weight"].T
    torch.testing.assert_close(unit(tokens)[0], wanted)


def test_size_must_be_fixed_and_fit() -> None:
    with pytest.raises(ValueError, match=r"^the head needs inputs of one size: set model\.preprocess\.size"):
        make_config().check((FEATURE,), None)
    with pytest.raises(
        ValueError, match=r"^model\.preprocess\.size: \[64, 100\] .* multiples of 16.*\[64, 96\]"
    ):
        make_config().check((FEATURE,), (64, 100))
    with pytest.raises(ConfigError, match="needs inputs of one size"):
        BuildContext(skeleton=SKELETON, features=(FEATURE,)).build("head", make_config())


def test_narrow_targets_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^target_generator\.sigma: 1\.5 bins .* at least 1\.9 with beta 10"
    ):
        make_config(target_generator={"sigma": [5, 1.5]}).check((FEATURE,), (64, 64))
    make_config(target_generator={"sigma": 1.5}, losses={a: {"beta": 1} for a in "xy"}).check(
        (FEATURE,), (64, 64)
    )
    with pytest.raises(ValueError, match=r"^target_generator\.sigma: 2 bins"):
        make_config(losses={"y": {"beta": 30}}).check((FEATURE,), (32, 64))
    for size in (16, 64, 256, 1024):
        make_config(split_ratio=1).check((FEATURE,), (size, size))


def test_choice_of_the_feature_map() -> None:
    features = (Feature(4, 8), FEATURE)
    maps = [torch.zeros(1, 4, 8, 8), torch.zeros(1, 6, 4, 4)]
    assert make_head((64, 64), features)(maps)["x"].shape == (1, 4, 128), "of the finest"
    with pytest.raises(ValueError, match=r"no feature map 2; .*0 \(4 channels, stride 8\), 1 \(6 channels"):
        make_config(feature=2).check(features, (64, 64))
    with pytest.raises(ValueError, match="keypoint tokens"):
        make_config().check((Feature(192, 4, tokens=True),), (64, 64))
    head = make_head((64, 64), features, feature=1)
    assert head(maps)["x"].shape == (1, 4, 128)


@pytest.mark.parametrize(
    "config",
    [
        {"kernel": 6},
        {"split_ratio": 0},
        {"losses": {"heatmap": {"type": "rtmpose/kl"}}},
        {"target_generator": {"sigma": [1, 2, 3]}},
        {"target_generator": {"sigma": 0}},
        {"predictor": {"decode": "mean"}},
    ],
)
def test_bad_values_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(config))):
        make_config(**config)


def test_the_predictor_follows_losses_and_targets() -> None:
    decided = make_config(
        losses={"x": {"beta": 4.0}}, target_generator={"type": "rtmpose/simcc", "sigma": 7}
    ).decided_predictor()
    assert isinstance(decided, SimccPredictorConfig)
    assert decided.beta == (4.0, 10.0)
    assert decided.sigma == 7
    own = make_config(predictor={"beta": 3.0, "sigma": [4, 5]}).decided_predictor()
    assert isinstance(own, SimccPredictorConfig)
    assert own.beta == 3.0
    assert own.sigma == (4, 5)


def test_grid_offset_of_imported_weights() -> None:
    head = make_head(grid_offset=0.0)
    assert head.predictor.grid == head.target_generator.grid == Grid(0.5, 0.0)


def test_config_survives_a_round_trip() -> None:
    config = make_config(losses={"y": {"weight": 2}}, target_generator={"sigma": [4, 5]}, grid_offset=0)
    dumped = config.model_dump(mode="json")
    assert dumped["type"] == "rtmpose/simcc"
    assert TypeAdapter(AnyHead).validate_python(dumped) == config


def test_outputs_are_exact_in_mixed_precision() -> None:
    head = make_head()
    feature = torch.randn(2, 6, 4, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = head([feature])
    assert outputs["x"].dtype == outputs["y"].dtype == torch.float32


def test_it_starts_without_an_opinion() -> None:
    torch.manual_seed(0)
    head = make_head((256, 256), (Feature(512, 32),))
    with torch.no_grad():
        outputs = head([torch.randn(4, 512, 8, 8)])
    for output in outputs.values():
        # With the loss's beta: every bin is about as likely as any other, whatever the scale of the features.
        assert (10 * output).std() < 0.3
    tokens = torch.randn(2, 12, 256)
    assert (head.get_submodule("gau")(tokens) - tokens).square().mean().sqrt() < 0.3


def test_gradient_reaches_everything_and_only_labels_count() -> None:
    generator = torch.Generator().manual_seed(0)
    head = make_head()
    feature = torch.randn(3, 6, 4, 6, generator=generator, requires_grad=True)
    keypoints = torch.rand(3, 1, 4, 2, generator=generator) * 63
    keypoints[1, 0, 2] = NAN
    keypoints[2] = NAN
    losses = head.loss(head([feature]), Labels.from_keypoints(keypoints))
    assert set(losses) == {"x", "y"}
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name
    assert feature.grad is not None
    assert feature.grad[2].abs().max() == 0
    assert (feature.grad[:2].abs().amax((1, 2, 3)) > 0).all()


def test_dead_features_give_finite_gradients() -> None:
    head = make_head()
    feature = torch.zeros(2, 6, 4, 6, requires_grad=True)
    losses = head.loss(head([feature]), Labels.from_keypoints(torch.full((2, 1, 4, 2), 20.0)))
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in head.parameters())
    assert feature.grad is not None
    assert torch.isfinite(feature.grad).all()


def test_one_batch_is_learned() -> None:
    torch.manual_seed(0)
    head = make_head((64, 64), hidden=64, attention=32)
    feature = torch.randn(4, 6, 4, 4)
    labels = Labels.from_keypoints(torch.rand(4, 1, 4, 2) * 63)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
    course = []
    for _ in range(150):
        losses = head.loss(head([feature]), labels)
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        course.append(total.item())
    assert course[0] == pytest.approx(2 * math.log(128) - 2 * 1.5, abs=1.0)
    assert course[-1] < 0.1
    found = head.decode(head([feature]), Predictions.none(4, SKELETON))
    assert (found.keypoints - labels.keypoints).abs().max() < 0.3
    assert found.keypoint_scores.min() > 0.9


def test_it_builds_and_runs_on_the_meta_device() -> None:
    with torch.device("meta"):
        outputs = make_head()([torch.zeros(1, 6, 4, 6)])
    assert outputs["x"].shape == (1, 4, 192)
