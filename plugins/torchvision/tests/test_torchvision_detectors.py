"""The three detectors: what they are, find and learn."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from pose_torchvision.detector import TorchvisionDetector
from pose_torchvision.ssdlite import SSDLite, encode_boxes, match_boxes, select_hardest
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from pose_core.interfaces import BuildContext, Labels
from pose_core.specs import AnyDetector, DetectorSpec
from pose_core.structures import Skeleton

NAMES = ("ssdlite", "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn_v2")
NAN = float("nan")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("building a detector asked the network")

    monkeypatch.setattr(urllib.request, "urlopen", asked)
    monkeypatch.setattr(urllib.request.OpenerDirector, "open", asked)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", asked)


def make(name: str, **config: Any) -> TorchvisionDetector:
    spec = TypeAdapter(AnyDetector).validate_python({"type": f"torchvision/{name}", "size": None, **config})
    torch.manual_seed(0)
    detector = BuildContext(Skeleton(("a",))).build("detector", spec)
    assert isinstance(detector, TorchvisionDetector)
    return detector


def labels(boxes: list[list[list[float]]]) -> Labels:
    most = max(1, *(len(image) for image in boxes))
    rows = torch.tensor([image + [[NAN] * 4] * (most - len(image)) for image in boxes])
    b = len(boxes)
    return Labels.from_keypoints(torch.full((b, most, 1, 2), NAN), boxes=rows)


def picture(boxes: list[list[list[float]]], size: int = 96) -> Tensor:
    """Grey noise with bright boxes."""
    images = torch.rand(len(boxes), 3, size, size, generator=torch.Generator().manual_seed(1)) * 0.3
    for image, rows in zip(images, boxes, strict=True):
        for x1, y1, x2, y2 in rows:
            image[:, int(y1) : int(y2) + 1, int(x1) : int(x2) + 1] += 0.6
    return images


BOXES = [[[10.0, 12.0, 40.0, 50.0], [50.0, 40.0, 90.0, 66.0]], [[30.0, 30.0, 70.0, 75.0]]]


@pytest.mark.parametrize(("name", "millions"), list(zip(NAMES, (2.21, 18.95, 43.26), strict=True)))
def test_parameters_on_the_meta_device(name: str, millions: float) -> None:
    with torch.device("meta"):
        detector = make(name)
    assert round(sum(p.numel() for p in detector.parameters()) / 1e6, 2) == millions
    keys = list(detector.state_dict())
    assert all(key.startswith("model.") for key in keys)
    assert not any("num_batches_tracked" in key for key in keys)
    assert not any("transform" in key for key in keys)


def check_forward(detector: TorchvisionDetector, images: Tensor) -> None:
    boxes, scores = detector.eval()(images)
    assert boxes.shape == (*scores.shape, 4)
    assert len(boxes) == len(images)
    there = scores > 0
    assert torch.equal(~boxes.isnan().any(dim=-1), there)
    assert (scores[:, :-1] >= scores[:, 1:]).all()
    assert (scores[there] > detector.config.threshold).all()
    assert scores.shape[1] <= detector.config.max_boxes
    limit = torch.tensor([images.shape[3], images.shape[2]]) - 0.5
    assert (boxes[there] >= -0.5).all()
    assert (boxes[there][:, 2:] <= limit).all()
    again = detector(images)
    assert torch.equal(scores, again[1])
    torch.testing.assert_close(boxes, again[0], equal_nan=True, atol=0, rtol=0)


def check_loss(detector: TorchvisionDetector, images: Tensor, targets: Labels) -> None:
    detector.train()
    losses = detector.loss(images, targets)
    assert all(value.shape == () for value in losses.values())
    sum(losses.values()).backward()  # type: ignore[union-attr]
    for key, parameter in detector.named_parameters():
        if parameter.grad is not None:
            assert torch.isfinite(parameter.grad).all(), key
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in detector.parameters())


@pytest.mark.parametrize("name", [NAMES[0], NAMES[1], pytest.param(NAMES[2], marks=pytest.mark.slow)])
def test_forward_and_backward(name: str) -> None:
    detector = make(name, threshold=0.01)
    check_forward(detector, picture(BOXES)[..., :64])
    check_loss(detector, picture(BOXES), labels(BOXES))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_at_the_default_size(name: str) -> None:
    spec = TypeAdapter(AnyDetector).validate_python(name)
    assert spec.size is not None
    detector = make(name, size=spec.size, threshold=0.01)
    images = torch.rand(1, 3, *spec.size)
    check_forward(detector, images)
    check_loss(detector, images, labels([[[10.0, 12.0, 140.0, 150.0]]]))


@pytest.mark.parametrize("name", NAMES[:2])
@pytest.mark.parametrize(
    "boxes",
    [
        [[], []],
        [[], BOXES[0]],
        [[[20.0, 20.0, 20.0, 20.0]], [[-0.5, 3.0, -0.5, 3.0]]],
        [[[200.0, 20.0, 220.0, 30.0]], [[5.0, 5.0, 5.0, 90.0]]],
    ],
    ids=["no animals", "one image without", "one keypoint each", "outside and a line"],
)
def test_images_without_animals_and_boxes_without_area(name: str, boxes: list[list[list[float]]]) -> None:
    detector = make(name)
    check_loss(detector, picture([[], []]), labels(boxes))
    nothing = replace(labels([[], []]), boxes=torch.zeros(2, 0, 4))
    check_loss(detector, picture([[], []]), nothing)


def test_one_image_that_ends_in_a_map_of_one_cell() -> None:
    check_loss(make("ssdlite"), picture(BOXES[:1]), labels(BOXES[:1]))


def test_ssdlite_learns_from_images_without_animals() -> None:
    losses = make("ssdlite").train().loss(picture([[], []]), labels([[], []]))
    assert losses["boxes"] == 0
    assert losses["classification"] > 1


def test_mode_and_work_must_agree() -> None:
    detector = make("ssdlite")
    with pytest.raises(RuntimeError, match=r"call eval\(\)"):
        detector.train()(picture(BOXES))
    with pytest.raises(RuntimeError, match=r"call train\(\)"):
        detector.eval().loss(picture(BOXES), labels(BOXES))


def test_ssdlite_learns_a_batch() -> None:
    detector = make("ssdlite", threshold=0.5, match_iou=0.4).train()
    images, targets = picture(BOXES), labels(BOXES)
    optimizer = torch.optim.AdamW(detector.parameters(), lr=2e-3)
    course = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = torch.stack(list(detector.loss(images, targets).values())).sum()
        loss.backward()
        optimizer.step()
        course.append(loss.item())
    assert course[-1] < 0.3 * course[0]


def perfect(detector: SSDLite, images: Tensor, boxes: list[list[list[float]]]) -> dict[str, Tensor]:
    """What a network that knows the answer puts out."""
    batch, _ = detector.model.transform(detector.prepare_images(images))
    features = list(detector.model.backbone(batch.tensors).values())
    anchors = detector.model.anchor_generator(batch, features)[0]
    edges, valid = detector.make_targets(images, labels(boxes))
    edges = edges * batch.image_sizes[0][0] / images.shape[2]
    matched = match_boxes(anchors, edges, valid, detector.config.match_iou)
    found = torch.stack(
        [encode_boxes(e[m.clamp(min=0)], anchors) for e, m in zip(edges, matched, strict=True)]
    )
    positive = (matched >= 0).float()
    return {"bbox_regression": found, "cls_logits": torch.stack([1 - positive, positive], dim=-1) * 40 - 20}


class Knows(nn.Module):
    def __init__(self, answer: dict[str, Tensor]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, _: Any) -> dict[str, Tensor]:
        return self.answer


@pytest.fixture
def answer() -> Iterator[tuple[SSDLite, Tensor]]:
    with torch.no_grad():
        detector, images = make("ssdlite", match_iou=0.4), picture(BOXES)
        assert isinstance(detector, SSDLite)
        detector.eval().model.head = Knows(perfect(detector, images, BOXES))
        yield detector, images


def test_the_right_answer_has_no_loss_and_gives_the_labels(answer: tuple[SSDLite, Tensor]) -> None:
    detector, images = answer
    boxes, scores = detector(images)
    for found, score, wanted in zip(boxes, scores, BOXES, strict=True):
        assert (score > 0).sum() == len(wanted)
        ordered = found[: len(wanted)][found[: len(wanted), 0].argsort()]
        torch.testing.assert_close(ordered, torch.tensor(wanted), atol=1e-3, rtol=0)
    losses = detector.train().loss(images, labels(BOXES))
    assert losses["boxes"] < 1e-6
    assert losses["classification"] < 1e-6


@pytest.mark.parametrize("resize", ["core", "torchvision"])
@pytest.mark.parametrize("half_pixel", [True, False])
def test_resizing_by_torchvision_gives_boxes_in_pixels_of_the_images(resize: str, half_pixel: bool) -> None:
    with torch.no_grad():
        detector = make("ssdlite", resize=resize, half_pixel=half_pixel)
        images = picture(BOXES)
        assert isinstance(detector, SSDLite)
        detector.eval().model.head = Knows(perfect(detector, images, BOXES))
        boxes, _ = detector(images)
        best = boxes[1, 0]
        torch.testing.assert_close(best, torch.tensor(BOXES[1][0]), atol=1e-3, rtol=0)
        assert detector.train().loss(images, labels(BOXES))["boxes"] < 1e-6


def test_images_are_normalised_once_unless_twice_is_asked_for() -> None:
    images = torch.rand(1, 3, 64, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    seen = {}
    for resize in ("core", "torchvision"):
        for normalize in ("once", "twice"):
            detector = make("fasterrcnn_mobilenet_v3_large_fpn", resize=resize, normalize=normalize)
            batch, _ = detector.model.transform(detector.prepare_images(images))
            seen[resize, normalize] = batch.tensors
    once = (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    torch.testing.assert_close(seen["core", "once"], once)
    torch.testing.assert_close(seen["core", "twice"], (once - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    assert seen["torchvision", "once"].shape == (1, 3, 800, 800)
    for normalize in ("once", "twice"):
        torch.testing.assert_close(
            seen["torchvision", normalize].mean(), seen["core", normalize].mean(), atol=1e-3, rtol=0
        )


def test_matching() -> None:
    anchors = torch.tensor(
        [[0, 0, 10, 10], [0, 0, 10, 12], [20, 20, 30, 30], [50, 50, 60, 60], [50, 50, 60, 66]]
    )
    boxes = torch.tensor([[[0, 0, 10, 11], [24, 24, 40, 40], [50, 50, 60, 62], [0, 0, 0, 0]]] * 2).float()
    valid = torch.tensor([[True, True, True, False], [False, False, True, False]])
    # The second box overlaps no default box enough, and gets the nearest one all the same.
    assert match_boxes(anchors.float(), boxes, valid, 0.5).tolist() == [[0, 0, 1, 2, 2], [-1, -1, -1, 2, 2]]
    assert match_boxes(anchors.float(), boxes[:, :0], valid[:, :0], 0.5).tolist() == [[-1] * 5] * 2


def test_two_animals_with_the_same_nearest_default_box() -> None:
    anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0], [100.0, 100.0, 110.0, 110.0]])
    boxes = torch.tensor([[[0.0, 0.0, 5.0, 6.0], [0.0, 0.0, 9.0, 10.0]]])
    assert match_boxes(anchors, boxes, torch.ones(1, 2, dtype=torch.bool), 0.5).tolist() == [[1, -1]]


def test_the_worst_of_the_background_counts() -> None:
    entropy = torch.tensor([[5.0, 1.0, 4.0, 3.0, 2.0, 0.5], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    positive = torch.tensor([[True, False, False, False, False, False], [False] * 6])
    assert select_hardest(entropy, positive, minimum=2).nonzero().tolist() == [
        [0, 2],
        [0, 3],
        [0, 4],
        [1, 4],
        [1, 5],
    ]


@pytest.mark.parametrize("name", NAMES)
def test_frozen_parts(name: str) -> None:
    with torch.device("meta"):
        detector = make(name, freeze_bn=True, trainable_layers=2)
        statistics = make(name, freeze_bn="statistics", trainable_layers=0)
    norms = [m for m in detector.modules() if isinstance(m, nn.BatchNorm2d)]
    assert detector.train() is detector
    assert norms
    assert not any(norm.training or norm.weight.requires_grad for norm in norms)
    body = detector.model.backbone.features if name == "ssdlite" else detector.model.backbone.body
    learning = {key for key, p in body.named_parameters() if p.requires_grad}
    assert learning
    # The last two groups: for ResNet stages 3 and 4; for MobileNet blocks 13 to 16.
    first = {"ssdlite": "0.13.", NAMES[1]: "13.", NAMES[2]: "layer3."}[name]
    later = {"ssdlite": ("1.",), NAMES[1]: ("14.", "15.", "16."), NAMES[2]: ("layer4.",)}[name]
    assert all(key.startswith((first, *later)) for key in learning)
    assert any(key.startswith(first) for key in learning)
    norms = [m for m in statistics.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(norm.training for norm in norms)
    body = statistics.model.backbone.features if name == "ssdlite" else statistics.model.backbone.body
    assert not any(p.requires_grad for p in body.parameters())
    # Those outside of the backbone learn their parameters; this Faster R-CNN has none there.
    assert any(norm.weight.requires_grad for norm in norms) == (name != NAMES[1])


def test_weights_with_counters_of_batches_can_be_loaded() -> None:
    with torch.device("meta"):
        detector = make("ssdlite")
    state = detector.state_dict()
    key = next(k for k in state if k.endswith("running_mean"))
    counted = {**state, key.replace("running_mean", "num_batches_tracked"): torch.tensor(7)}
    assert detector.load_state_dict(counted, assign=True).unexpected_keys == []
    with pytest.raises(RuntimeError, match="Missing key"):
        detector.load_state_dict({k: v for k, v in state.items() if k != key})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"classes": ["Dog"], "pretrained": True}, "no class 'Dog'; did you mean dog"),
        ({"classes": ["qqqq"], "pretrained": True}, "there are person, bicycle"),
        ({"classes": ["dog"]}, "write pretrained: true as well"),
        ({"resize": "torchvision", "size": [320, 320]}, "write size: null"),
        ({"size": [330, 320]}, "multiples of 32, such as 352 instead of 330"),
        ({"trainable_layers": 7}, "at most 6"),
        ({"anchor_scales": [0.1, 0.2]}, "7 increasing numbers"),
        ({"anchor_scales": [0.1, 0.2, 0.3, 0.3, 0.4, 0.5, 0.6]}, "7 increasing numbers"),
        ({"pretrained": "yes"}, "pretrained"),
    ],
)
def test_mistakes_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(AnyDetector).validate_python({"type": "ssdlite", **config})


def test_what_the_config_tells_the_core() -> None:
    ours = TypeAdapter(AnyDetector).validate_python("ssdlite")
    assert ours.size == (320, 320)
    assert ours.trainable()
    assert ours.size_multiple() == 32
    as_trained = TypeAdapter(AnyDetector).validate_python(
        {"type": "ssdlite", "size": None, "resize": "torchvision"}
    )
    assert as_trained.size_multiple() == 1
    coco = TypeAdapter(AnyDetector).validate_python(
        {"type": NAMES[1], "classes": ["bird"], "pretrained": True}
    )
    assert not coco.trainable()
    for name in NAMES:
        network = TypeAdapter(AnyDetector).validate_python(name)
        DetectorSpec.model_validate({"network": {"type": name}, **network.defaults()})


def test_default_boxes_follow_the_scales() -> None:
    sizes = []
    for scales in (None, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)):
        detector = make("ssdlite", anchor_scales=scales).eval()
        batch, _ = detector.model.transform(torch.rand(1, 3, 160, 160))
        anchors = detector.model.anchor_generator(
            batch, list(detector.model.backbone(batch.tensors).values())
        )[0]
        sizes.append((anchors[0, 2] - anchors[0, 0]).item())
    assert sizes == pytest.approx([32.0, 16.0])
