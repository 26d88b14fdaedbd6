"""The transformer neck, the head of its tokens, and the preset made of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_tokenpose.config import TokenHeatmapConfig, TransformerConfig
from pose_tokenpose.neck import sine_positions
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from pose_core.catalog import get_catalog
from pose_core.interfaces import BuildContext, Head, KeypointAxis, Labels, Neck, Predictions
from pose_core.specs import AnyHead, AnyNeck, Feature, ModelSpec
from pose_core.structures import Skeleton

NAN = math.nan
SKELETON = Skeleton(("a", "b", "c"))
FEATURES = (Feature(5, 4),)
SIZE = (64, 96)
TINY: dict[str, Any] = {"dim": 16, "heads": 4, "depth": 2, "patch_size": (4, 2)}
BCE: dict[str, Any] = {"losses": {"heatmap": {"type": "heatmap/bce"}}}


def neck_config(**config: Any) -> TransformerConfig:
    spec = TypeAdapter(AnyNeck).validate_python({"type": "tokenpose/transformer", **config})
    assert isinstance(spec, TransformerConfig)
    return spec


def head_config(**config: Any) -> TokenHeatmapConfig:
    spec = TypeAdapter(AnyHead).validate_python({"type": "tokenpose/token_heatmap", **config})
    assert isinstance(spec, TokenHeatmapConfig)
    return spec


def make_neck(size: tuple[int, int] = SIZE, skeleton: Skeleton = SKELETON, **config: Any) -> Neck:
    spec = neck_config(**{**TINY, **config})
    spec.check(FEATURES, size)
    neck: Neck = BuildContext(skeleton=skeleton, features=FEATURES, input_size=size).build("neck", spec)
    return neck


def make_head(
    size: tuple[int, int] = SIZE, skeleton: Skeleton = SKELETON, channels: int = 48, **config: Any
) -> Head:
    spec = head_config(**config)
    features = (Feature(channels, 4, tokens=True),)
    spec.check(features, size)
    head: Head = BuildContext(skeleton=skeleton, features=features, input_size=size).build("head", spec)
    return head


@pytest.mark.parametrize("size", [(64, 96), (16, 8), (32, 32)])
@pytest.mark.parametrize("blocks", [1, 3])
def test_shapes(size: tuple[int, int], blocks: int) -> None:
    neck = make_neck(size, blocks=blocks)
    (tokens,) = neck([torch.randn(2, 5, size[0] // 4, size[1] // 4)])
    (feature,) = neck_config(**TINY, blocks=blocks).features(FEATURES)
    assert feature == Feature(16 * blocks, 4, tokens=True)
    assert tokens.shape == (2, 3, feature.channels)
    head = make_head(size, channels=feature.channels, stride=8)
    assert head([tokens])["heatmap"].shape == (2, 3, size[0] // 8, size[1] // 8)


def test_default_is_the_paper() -> None:
    config = neck_config()
    assert config.features((Feature(32, 4),)) == (Feature(576, 4, tokens=True),)
    assert config.hidden_width() == 576
    assert neck_config(mlp_width=3).hidden_width() == 3
    assert neck_config(dim=16, mlp_ratio=0.01, heads=4).hidden_width() == 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"dim": 30, "heads": 5}, "dim: sine and cosine of x and y need a multiple of 4, not 30; 32 is near"),
        ({"dim": 16, "heads": 5}, "heads: 5 heads cannot share a dim of 16"),
        ({"mlp_ratio": 0}, "mlp_ratio"),
        ({"depth": 0}, "depth"),
        ({"positions": "sine"}, "positions"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_mistakes_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        neck_config(**config)


@pytest.mark.parametrize(
    ("config", "features", "size", "message"),
    [
        (
            {},
            FEATURES,
            None,
            r"needs an input of fixed size; set model.preprocess.size, for example to \[256, 256\]",
        ),
        (
            {},
            FEATURES,
            (64, 100),
            r"^patch_size: patches of 4 x 2 .* set model.preprocess.size, .*\[64, 96\]",
        ),
        ({}, FEATURES, (5, 96), r"^patch_size: .*\[16, 96\]"),
        ({"feature": 1}, FEATURES, SIZE, "^feature: there is no feature map 1"),
        ({"feature": -1}, FEATURES, SIZE, "^feature: there is no feature map -1"),
        ({}, (Feature(5, 4, tokens=True),), SIZE, "^feature: 0 holds keypoint tokens"),
    ],
)
def test_neck_refuses_in_one_line(
    config: dict[str, Any], features: tuple[Feature, ...], size: tuple[int, int] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        neck_config(**TINY, **config).check(features, size)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "features", "size", "message"),
    [
        ({}, (Feature(48, 4),), SIZE, "needs keypoint tokens; set model.neck"),
        ({}, (Feature(48, 4, tokens=True),), None, "fixed size; set model.preprocess.size"),
        (
            {"stride": 5},
            (Feature(48, 4, tokens=True),),
            SIZE,
            "^stride: 5 does not divide an input of 64 x 96",
        ),
        (
            {"target_generator": {"type": "heatmap/gaussian", "sigma": 1.0}},
            (Feature(48, 4, tokens=True),),
            SIZE,
            r"^target_generator.sigma: 1 is too small for cells of 4 pixels",
        ),
    ],
)
def test_head_refuses_in_one_line(
    config: dict[str, Any], features: tuple[Feature, ...], size: tuple[int, int] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        head_config(**config).check(features, size)
    assert "\n" not in str(caught.value)


def test_maps_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="built for feature maps of 16 x 24 cells, not 16 x 20"):
        make_neck()([torch.zeros(1, 5, 16, 20)])


def test_only_the_heatmap_has_a_loss() -> None:
    with pytest.raises(ValidationError, match="no output locref; its only output is heatmap"):
        head_config(losses={"locref": {"type": "heatmap/huber"}})
    assert head_config(losses={"heatmap": {"foreground": 5}}).losses["heatmap"].type == "heatmap/mse"
    changed = head_config(**BCE, predictor={"window": 3}, grid_offset=2.0)
    assert head_config(**{k: v for k, v in changed.model_dump().items() if k != "type"}) == changed


def test_cross_entropy_decides_sigmoid_and_bias() -> None:
    def sigmoid(**config: Any) -> Any:
        return getattr(head_config(**config).decided_predictor(), "sigmoid", None)

    assert sigmoid() is False
    assert sigmoid(**BCE) is True
    assert sigmoid(predictor="heatmap/argmax", **BCE) is True
    assert sigmoid(predictor={"type": "heatmap/argmax", "sigmoid": False}, **BCE) is False
    tokens = torch.randn(1, 3, 48)
    assert make_head(**BCE)([tokens])["heatmap"].sigmoid().max() < 0.02
    assert make_head()([tokens])["heatmap"].abs().max() < 0.1


def test_grid_of_imported_weights() -> None:
    assert make_head().predictor.grid.offset == 1.5
    head = make_head(grid_offset=2.0)
    assert head.predictor.grid == head.target_generator.grid
    assert head.predictor.grid.offset == 2.0


def test_positions_tell_rows_from_columns() -> None:
    table = sine_positions(3, 5, 8).view(3, 5, 8)
    assert torch.equal(table[:, 0, :4], table[:, 4, :4])
    assert torch.equal(table[0, :, 4:], table[2, :, 4:])
    assert torch.cdist(table.view(15, 8), table.view(15, 8)).add(torch.eye(15)).min() > 0.1
    # Halfway down, the longest wave of y has half its period behind it.
    halfway = sine_positions(4, 4, 8).view(4, 4, 8)[1, 3]
    torch.testing.assert_close(halfway[:2], torch.tensor([0.0, -1.0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(halfway[4:6], torch.tensor([0.0, 1.0]), atol=1e-5, rtol=0)


def test_a_patch_is_a_rectangle_of_cells() -> None:
    neck = make_neck()
    feature = torch.arange(16 * 24.0).view(1, 1, 16, 24).expand(1, 5, 16, 24)
    patches = neck.cut_patches(feature)  # type: ignore[operator]
    assert patches.shape == (1, 4 * 12, 4 * 2 * 5)
    # Row 1, column 2 of the patches: cells 4 to 7 down, 4 and 5 across, channel by channel.
    assert torch.equal(patches[0, 12 + 2].view(4, 2, 5)[..., 0], feature[0, 0, 4:8, 4:6])


def test_positions_matter_to_the_tokens() -> None:
    torch.manual_seed(0)
    feature = torch.randn(1, 5, 16, 24)
    found = []
    for positions in ("first_layer", "later_blocks", "every_layer"):
        torch.manual_seed(1)
        (tokens,) = make_neck(positions=positions)([feature])
        found.append(tokens)
    # The last layer of a block is where they differ first: the tokens after the first block tell the options
    # apart.
    assert torch.equal(found[0][..., :16], found[1][..., :16])
    assert not torch.equal(found[0][..., 16:], found[1][..., 16:])
    assert not torch.equal(found[1][..., :16], found[2][..., :16])
    (moved,) = make_neck()([feature.flip(3)])
    assert not torch.allclose(moved, found[2])


@pytest.mark.parametrize("losses", [{}, BCE])
def test_gradient_reaches_every_parameter(losses: dict[str, Any]) -> None:
    torch.manual_seed(0)
    neck, head = make_neck(dropout=0.1, embedding_dropout=0.1), make_head(**losses)
    feature = torch.randn(2, 5, 16, 24, requires_grad=True)
    labels = Labels.from_keypoints(
        torch.tensor([[[[20.0, 30.0], [70.0, 11.0], [41.0, 50.0]]]]).repeat(2, 1, 1, 1)
    )
    sum(head.loss(head(neck([feature])), labels).values(), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
    assert feature.grad is not None
    for part in (neck, head):
        for name, parameter in part.named_parameters():
            if name == "pos_embedding":
                assert not parameter.requires_grad
                continue
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.any(), name
    assert feature.grad.flatten(2).any(-1).all()


@pytest.mark.parametrize("losses", [{}, BCE])
def test_learns_one_batch(losses: dict[str, Any]) -> None:
    torch.manual_seed(0)
    neck, head = make_neck((32, 32), blocks=1), make_head((32, 32), channels=16, **losses)
    feature = torch.randn(2, 5, 8, 8)
    points = torch.tensor(
        [[[[20.0, 9.0], [7.0, 11.0], [16.0, 25.0]]], [[[4.0, 28.0], [26.0, 20.0], [NAN, NAN]]]]
    )
    trained = [p for part in (neck, head) for p in part.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=5e-3)
    history = []
    for _ in range(120):
        (loss,) = head.loss(head(neck([feature])), Labels.from_keypoints(points)).values()
        history.append(loss.item())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
    assert history[-1] < 0.05 * history[0]
    neck.eval()
    found = head.decode(head(neck([feature])), Predictions.none(2, SKELETON))
    assert (found.keypoints - points).norm(dim=-1).nan_to_num().max() < 1.0


def test_evaluation_is_deterministic_and_training_drops() -> None:
    torch.manual_seed(0)
    neck = make_neck(dropout=0.3, embedding_dropout=0.3)
    feature = torch.randn(2, 5, 16, 24)
    assert not torch.equal(neck([feature])[0], neck([feature])[0])
    neck.eval()
    assert torch.equal(neck([feature])[0], neck([feature])[0])
    # An image's tokens do not depend on what else is in the batch.
    torch.testing.assert_close(neck([feature[1:]])[0], neck([feature])[0][1:])


@given(
    places=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=3),
    stride=st.sampled_from([2, 4, 8]),
)
@settings(max_examples=30, deadline=None)
def test_decode_undoes_encode(places: list[tuple[float, float]], stride: int) -> None:
    head = make_head(stride=stride)
    keypoints = torch.tensor(places) * torch.tensor([SIZE[1], SIZE[0]]) - 0.5
    with torch.no_grad():
        outputs = head([torch.zeros(1, 3, 48)])
        targets = head.target_generator(Labels.from_keypoints(keypoints[None, None]), outputs)
    assert targets["heatmap"].value.shape == outputs["heatmap"].shape
    found = head.decode({"heatmap": targets["heatmap"].value}, Predictions.none(1, SKELETON))
    assert (found.keypoints[0, 0] - keypoints).norm(dim=-1).max() < 0.1


def test_keypoint_axes_are_in_the_state_dict() -> None:
    neck, head = make_neck(), make_head()
    axes = neck.keypoint_axes()
    assert axes == {"keypoint_token": (KeypointAxis.of(1, SKELETON.keypoints),)}
    other = Skeleton(tuple("abcdefg"))
    more = make_neck(skeleton=other).state_dict()
    for name, tensor in neck.state_dict().items():
        expected = list(tensor.shape)
        if name in axes:
            assert expected[1] == 3
            expected[1] = 7
        assert list(more[name].shape) == expected, name
    # The head is shared by all keypoints.
    assert head.keypoint_axes() == {}
    wider = make_head(skeleton=other).state_dict()
    assert {n: t.shape for n, t in head.state_dict().items()} == {n: t.shape for n, t in wider.items()}


def test_unique_keypoints_get_no_token() -> None:
    skeleton = Skeleton(("a", "b"), unique_keypoints=("door",))
    assert make_neck(skeleton=skeleton)([torch.zeros(1, 5, 16, 24)])[0].shape == (1, 2, 48)


def test_can_be_exported() -> None:
    class Decoded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.neck, self.head = make_neck(), make_head()

        def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
            found = self.head.decode(
                self.head(self.neck([feature])), Predictions.none(len(feature), SKELETON)
            )
            return found.keypoints, found.keypoint_scores

    module = Decoded().eval()
    feature = torch.randn(2, 5, 16, 24)
    exported = torch.export.export(module, (feature,)).module()
    for ours, wanted in zip(exported(feature), module(feature), strict=True):
        torch.testing.assert_close(ours, wanted)


def test_preset_has_the_parameters_of_the_reference() -> None:
    (preset,) = get_catalog().model("animal_tokenpose_base", "top_down")
    spec = ModelSpec.model_validate({**preset.spec()["model"], "method": "top_down"})
    assert isinstance(spec.neck, TransformerConfig)
    context = BuildContext(skeleton=Skeleton(tuple("abcde")), input_size=spec.preprocess.size)
    with torch.device("meta"):
        backbone = context.build("backbone", spec.backbone)
        features = backbone(torch.empty(1, 3, 256, 256))
        for_neck = context.with_features(spec.backbone.features())
        neck = for_neck.build("neck", spec.neck)
        as_reference = for_neck.build("neck", spec.neck.model_copy(update={"mlp_width": 3}))
        head = context.with_features(spec.head_features()).build("head", spec.heads["keypoints"])
        outputs = head(neck(features))
    assert outputs["heatmap"].shape == (1, 5, 64, 64)
    counts = [
        sum(p.numel() for part in parts for p in part.parameters())
        for parts in ([backbone, head], [neck], [as_reference])
    ]
    assert counts[0] + counts[2] == 34_514_422
    # 18 layers of two matrices and a bias, 573 wider.
    assert counts[1] - counts[2] == 18 * 573 * (2 * 192 + 1)
