"""Published weights: names, transfer, class filter, and what happens where they cannot be had."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from pose_torchvision import coco, plugin, pretrained, transfer
from pose_torchvision.detector import TorchvisionDetector
from pydantic import TypeAdapter
from torch import Tensor
from torchvision.models import detection

from pose_core.errors import ConfigError, DownloadError, WeightsError
from pose_core.interfaces import BuildContext, torchvision_file
from pose_core.specs import AnyDetector
from pose_core.structures import Skeleton

BUILDERS: dict[str, tuple[Callable[..., Any], Any]] = {
    "ssdlite": (
        detection.ssdlite320_mobilenet_v3_large,
        detection.SSDLite320_MobileNet_V3_Large_Weights.COCO_V1,
    ),
    "fasterrcnn_mobilenet_v3_large_fpn": (
        detection.fasterrcnn_mobilenet_v3_large_fpn,
        detection.FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1,
    ),
    "fasterrcnn_resnet50_fpn_v2": (
        detection.fasterrcnn_resnet50_fpn_v2,
        detection.FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
    ),
}
SSDLITE = coco.COCO_WEIGHTS["ssdlite"]


def make(name: str, **config: Any) -> TorchvisionDetector:
    spec = TypeAdapter(AnyDetector).validate_python({"type": f"torchvision/{name}", **config})
    torch.manual_seed(0)
    detector = BuildContext(Skeleton(("a",)), pretrained=True).build("detector", spec)
    assert isinstance(detector, TorchvisionDetector)
    return detector


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, no files; the folder where torch keeps weights."""
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "pose"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("POSE_OFFLINE", "1")
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def publish(
    monkeypatch: pytest.MonkeyPatch, file: coco.WeightFile, state: dict[str, Tensor], folder: Path
) -> None:
    """Put a file where torch would have it, and accept its checksum."""
    torch.save(state, folder / file.name)
    monkeypatch.setattr(
        pretrained,
        "torchvision_file",
        lambda name, what, real=torchvision_file: replace(real(name, what), sha256=""),
    )


def randomised(network: torch.nn.Module) -> dict[str, Tensor]:
    """All parameters and statistics with values of their own."""
    torch.manual_seed(1)
    state = network.state_dict()
    return {k: torch.rand_like(v) + 0.5 if v.is_floating_point() else v for k, v in state.items()}


def test_classes_and_files_are_those_of_torchvision() -> None:
    for name, (_, weights) in BUILDERS.items():
        assert weights.url == coco.COCO_WEIGHTS[name].url
        categories = weights.meta["categories"]
        assert {n: i for i, n in enumerate(categories) if n not in ("__background__", "N/A")} == coco.CLASSES
        assert len(categories) == coco.NUM_CLASSES
    assert [n for n, i in coco.CLASSES.items() if i in coco.ANIMALS][::9] == ["bird", "giraffe"]
    assert len(coco.ANIMALS) == 10
    assert coco.MOBILENET.url == torchvision.models.MobileNet_V3_Large_Weights.IMAGENET1K_V1.url
    assert coco.RESNET50.url == torchvision.models.ResNet50_Weights.IMAGENET1K_V1.url
    assert SSDLITE.sha256 == "a79551df"


def test_weights_that_can_be_named() -> None:
    listed = {w.model: w for w in plugin.pose_weights()}
    assert set(listed) == {f"torchvision/{name}" for name in BUILDERS}
    assert all(len(w.sha256) == 8 and w.sha256 in w.url for w in listed.values())


@pytest.mark.parametrize("name", list(BUILDERS))
def test_the_converter_gives_all_of_our_detector(name: str) -> None:
    builder, _ = BUILDERS[name]
    with torch.device("meta"):
        theirs = builder(weights=None, weights_backbone=None, num_classes=91).state_dict()
        spec = TypeAdapter(AnyDetector).validate_python(name)
        ours = BuildContext(Skeleton(("a",))).build("detector", spec).state_dict()
    converted = transfer.convert_coco_detector(theirs)
    assert {k: v.shape for k, v in converted.items()} == {k: v.shape for k, v in ours.items()}


def test_names_of_older_files() -> None:
    old = {
        "rpn.head.conv.weight": torch.ones(1),
        "backbone.fpn.inner_blocks.0.bias": torch.ones(1),
        "backbone.fpn.layer_blocks.2.weight": torch.ones(1),
        "backbone.body.0.1.num_batches_tracked": torch.ones(1),
        "backbone.fpn.layer_blocks.2.0.weight": torch.ones(1),
    }
    assert list(transfer.rename_keys(old)) == [
        "rpn.head.conv.0.0.weight",
        "backbone.fpn.inner_blocks.0.0.bias",
        "backbone.fpn.layer_blocks.2.0.weight",
    ]


def test_the_classifier_keeps_background_and_animals_of_each_default_box() -> None:
    builder, _ = BUILDERS["ssdlite"]
    theirs = builder(weights=None, weights_backbone=None)
    state = randomised(theirs)
    theirs.load_state_dict(state)
    ours = builder(weights=None, weights_backbone=None, num_classes=2)
    own = transfer.convert_to_one_animal(state)
    ours.load_state_dict({k: own.get(k, v) for k, v in ours.state_dict().items()})
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, got = (m.eval().head(list(m.backbone(image).values())) for m in (theirs, ours))
    animals = expected["cls_logits"][..., list(coco.ANIMALS)].mean(dim=-1)
    torch.testing.assert_close(
        got["cls_logits"][..., 0], expected["cls_logits"][..., 0], rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(got["cls_logits"][..., 1], animals, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(got["bbox_regression"], expected["bbox_regression"])


def test_boxes_of_each_class_in_faster_rcnn() -> None:
    rows = torch.arange(91 * 4.0)[:, None].expand(-1, 3)
    state = transfer.merge_animal_classes({"roi_heads.box_predictor.bbox_pred.weight": rows})
    picked = state["roi_heads.box_predictor.bbox_pred.weight"]
    assert picked[:, 0].tolist() == [0, 1, 2, 3, *(20.5 * 4 + i for i in range(4))]


def test_coco_weights_are_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = randomised(BUILDERS["ssdlite"][0](weights=None, weights_backbone=None))
    publish(monkeypatch, SSDLITE, state, cache)
    for asked in ("auto", True):
        own = make("ssdlite", pretrained=asked).state_dict()
        wanted = transfer.convert_coco_detector(state)
        assert own.keys() == wanted.keys()
        assert all(torch.equal(own[k], wanted[k]) for k in own)


def test_only_boxes_of_the_chosen_classes_are_reported(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = BUILDERS["ssdlite"][0](weights=None, weights_backbone=None).state_dict()
    publish(monkeypatch, SSDLITE, state, cache)
    detector = make("ssdlite", pretrained=True, classes=["cat", "dog"], threshold=0.1).eval()
    with pytest.raises(RuntimeError, match="leave out classes"):
        detector.train().loss(torch.rand(1, 3, 64, 64), None)  # type: ignore[arg-type]
    assert detector.eval().state_dict().keys() == {f"model.{k}" for k in transfer.rename_keys(state)}

    class Sees(torch.nn.Module):
        """Cat and dog on the same default box, a person on another one."""

        def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
            count = sum(f.shape[2] * f.shape[3] for f in features) * 6
            logits = torch.zeros(1, count, 91)
            logits[..., 0] = 20
            for box, (name, value) in zip(
                (0, 0, 100, 200), (("cat", 22.0), ("dog", 21.5), ("person", 30.0), ("cat", 23.0)), strict=True
            ):
                logits[0, box, coco.CLASSES[name]] = value
            return {"cls_logits": logits, "bbox_regression": torch.zeros(1, count, 4)}

    detector.model.head = Sees()
    boxes, scores = detector(torch.rand(1, 3, 96, 96))
    assert boxes.shape == (1, 2, 4)
    assert scores[0, 0] > 0.9
    detector.classes = (coco.CLASSES["person"],)
    assert detector(torch.rand(1, 3, 96, 96))[0].shape == (1, 1, 4)


def test_offline_auto_warns_in_one_line_and_goes_on(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="pose_core"):
        make("ssdlite")
    (record,) = caplog.records
    line = record.getMessage()
    assert "\n" not in line
    assert SSDLITE.url in line
    assert "random weights" in line
    caplog.clear()
    make("ssdlite", pretrained=False)
    assert not caplog.records


def test_only_the_first_process_of_a_training_warns(
    cache: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first process of the second machine has the number 0 there.
    monkeypatch.setenv("NODE_RANK", "1")
    make("ssdlite")
    assert not caplog.records


@pytest.mark.parametrize(("asked", "file"), [(True, SSDLITE), ("imagenet", coco.MOBILENET)])
def test_offline_what_is_insisted_on_is_an_error(cache: Path, asked: Any, file: coco.WeightFile) -> None:
    with pytest.raises(DownloadError, match=r'"stages\.detector\.network\.pretrained": False') as error:
        make("ssdlite", pretrained=asked)
    assert file.url in str(error.value)


def test_offline_nothing_random_is_kept_as_it_is(cache: Path) -> None:
    with pytest.raises(ConfigError, match="freeze_bn and trainable_layers"):
        make("ssdlite", freeze_bn=True)


def test_imagenet_weights_of_mobilenet(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = torchvision.models.mobilenet_v3_large(weights=None)
    state = randomised(classifier)
    classifier.load_state_dict(state)
    publish(monkeypatch, coco.MOBILENET, state, cache)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        own = make("ssdlite", pretrained="imagenet").eval().model.backbone.features
        wanted = classifier.eval().features[13].block[:2](classifier.features[:13](image))
        torch.testing.assert_close(own[1][0][0](own[0](image)), wanted)
        assert not caplog.records
        faster = make("fasterrcnn_mobilenet_v3_large_fpn", pretrained="auto", trainable_layers=3)
    (record,) = caplog.records
    assert "training starts from the ImageNet weights of MobileNetV3-Large" in record.getMessage()
    body = faster.model.backbone.body.state_dict()
    assert all(torch.equal(value, state[f"features.{key}"]) for key, value in body.items())


@pytest.mark.slow
def test_imagenet_weights_of_resnet(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = randomised(torchvision.models.resnet50(weights=None))
    publish(monkeypatch, coco.RESNET50, state, cache)
    body = make("fasterrcnn_resnet50_fpn_v2", pretrained="imagenet").model.backbone.body.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in body.items())


def test_files_that_do_not_fit_are_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / SSDLITE.name).write_bytes(b"<html>404</html>")
    with pytest.raises(WeightsError, match="is damaged"):
        make("ssdlite")
    publish(monkeypatch, SSDLITE, {"conv.weight": torch.zeros(3)}, cache)
    with pytest.raises(WeightsError, match=r"ssdlite320.*holds the weights of another network"):
        make("ssdlite")
    shutil.copy(cache / SSDLITE.name, cache / coco.MOBILENET.name)
    with pytest.raises(WeightsError, match=r"mobilenet.*holds the weights of another network"):
        make("ssdlite", pretrained="imagenet")
