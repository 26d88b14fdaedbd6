"""Models as DeepLabCut 3 leaves them, of random weights: a train folder with pytorch_config.yaml and a
snapshot."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from pose_deeplabcut.config import ModelImporterConfig
from pose_deeplabcut.importer import ModelImporter
from torch import nn
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from pose_core.catalog import get_catalog
from pose_core.errors import RunError
from pose_core.interfaces import Imported

DECONV: dict[str, Any] = {"channels": [512, 2], "kernel_size": [3], "strides": [2]}
POINTWISE: dict[str, Any] = {
    "channels": [512],
    "kernel_size": [],
    "strides": [],
    "final_conv": {"out_channels": 2, "kernel_size": 1},
}


def head(keypoints: int = 2, *, pointwise: bool = False) -> dict[str, Any]:
    """A HeatmapHead as pytorch_config.yaml describes it."""
    maps = []
    for outputs in (keypoints, 2 * keypoints):
        config = copy.deepcopy(POINTWISE if pointwise else DECONV)
        if pointwise:
            config["final_conv"]["out_channels"] = outputs
        else:
            config["channels"] = [512, outputs]
        maps.append(config)
    return {
        "type": "HeatmapHead",
        "weight_init": "normal",
        "predictor": {
            "type": "HeatmapPredictor",
            "apply_sigmoid": False,
            "clip_scores": True,
            "location_refinement": True,
            "locref_std": 7.2801,
        },
        "target_generator": {
            "type": "HeatmapGaussianGenerator",
            "pos_dist_thresh": 17,
            "num_heatmaps": keypoints,
        },
        "criterion": {
            "heatmap": {"type": "WeightedMSECriterion", "weight": 1.0},
            "locref": {"type": "WeightedHuberCriterion", "weight": 0.05},
        },
        "heatmap_config": maps[0],
        "locref_config": maps[1],
    }


def description(*, top_down: bool = False, unique: int = 0) -> dict[str, Any]:
    """pytorch_config.yaml of a ResNet-18 with heatmaps of two keypoints."""
    inference: dict[str, Any] = {"normalize_images": True, "auto_padding": None, "hist_eq": False}
    if top_down:
        inference["top_down_crop"] = {"width": 96, "height": 64}
    heads = {"bodypart": head(pointwise=top_down)}
    if unique:
        heads["unique_bodypart"] = head(unique)
    return {
        "net_type": "resnet_18",
        "method": "td" if top_down else "bu",
        "model": {
            "backbone": {
                "type": "ResNet",
                "model_name": "resnet18",
                "output_stride": 32,
                "freeze_bn_stats": False,
                "freeze_bn_weights": False,
            },
            "backbone_output_channels": 512,
            "neck": None,
            "heads": heads,
        },
        "metadata": {
            "project_path": None,
            "bodyparts": ["nose", "tail"],
            "unique_bodyparts": [f"corner{i}" for i in range(unique)],
            "individuals": ["animal"],
            "with_identity": False,
        },
        "data": {"bbox_margin": 20, "colormode": "RGB", "inference": inference, "train": {}},
        "detector": None,
    }


class _Maps(nn.Module):
    """Layers of one output under DeepLabCut's names."""

    def __init__(self, outputs: int, pointwise: bool) -> None:
        super().__init__()
        if pointwise:
            self.final_conv = nn.Conv2d(512, outputs, 1)
        else:
            self.deconv_layers = nn.Sequential(nn.ConvTranspose2d(512, outputs, 3, 2))


@cache
def backbone() -> dict[str, torch.Tensor]:
    """Weights of a ResNet-18 under DeepLabCut's names."""
    torch.manual_seed(0)
    return {
        f"backbone.model.{k}": v for k, v in timm.create_model("resnet18", num_classes=0).state_dict().items()
    }


def weights(content: dict[str, Any]) -> dict[str, torch.Tensor]:
    """A state dict with DeepLabCut's names for a description of :func:`description`, of random values."""
    state = dict(backbone())
    for slot in content["model"]["heads"]:
        keypoints = 2 if slot == "bodypart" else len(content["metadata"]["unique_bodyparts"])
        for name, outputs in (("heatmap_head", keypoints), ("locref_head", 2 * keypoints)):
            layers = _Maps(outputs, content["method"] == "td")
            state |= {f"heads.{slot}.{name}.{k}": v for k, v in layers.state_dict().items()}
    return state


class Model:
    """A train folder with a snapshot, to be spoilt by tests."""

    def __init__(self, folder: Path, content: dict[str, Any], *, hollow: bool = False) -> None:
        self.folder = folder
        self.content = content
        self.weights = {"backbone.model.conv1.weight": torch.zeros(1)} if hollow else weights(content)
        folder.mkdir(parents=True)
        self.save()

    @property
    def snapshot(self) -> Path:
        return self.folder / "snapshot-best-100.pt"

    @property
    def config(self) -> Path:
        return self.folder / "pytorch_config.yaml"

    def save(self) -> None:
        self.config.write_text(yaml.safe_dump(self.content))
        metadata = {"epoch": 100, "metrics": {"metrics/test.rmse": 2.5, "metrics/test.mAP": float("nan")}}
        torch.save(
            {"metadata": metadata, "model": self.weights, "scheduler": {"last_epoch": 100}}, self.snapshot
        )

    def read(self, **options: Any) -> Imported:
        return ModelImporter(ModelImporterConfig(type="deeplabcut/deeplabcut")).read(self.snapshot, **options)

    def refused(self, **options: Any) -> str:
        with pytest.raises(RunError) as caught:
            self.read(**options)
        message = str(caught.value)
        assert "\n" not in message
        return message


def models_with_parts_of(plugin: str, folder: Path) -> list[tuple[Model, list[str]]]:
    """A hollow model for each part that the importer maps to components of a plugin, and options for its
    detector."""
    found = []
    (tool,) = (record for record in get_catalog().plugins if record.name == "deeplabcut")
    for mapping in tool.definitions["pose_components"]:
        part = mapping.kind.removeprefix("deeplabcut/")
        # Conditions are asked for after the backbone that takes them, which is of the same plugin.
        if part == mapping.kind or part == "input" or plugin not in mapping.requires:
            continue
        content = description(top_down=part == "detector")
        network = content["model"]
        if part == "head":
            network["heads"]["bodypart"] = {"type": mapping.name}
        elif part == "detector":
            content["detector"] = detector_description()
            content["detector"]["model"]["type"] = mapping.name
        else:
            network[part] = {"type": mapping.name}
        model = Model(folder / mapping.name, content, hollow=True)
        options: list[str] = []
        if part == "detector":
            options = ["--detector", str(save_detector(model.folder, nn.Linear(1, 1)))]
        found.append((model, options))
    return found


def detector_description() -> dict[str, Any]:
    """Section ``detector`` of pytorch_config.yaml, of an SSDLite."""
    return {
        "model": {
            "type": "SSDLite",
            "freeze_bn_stats": True,
            "freeze_bn_weights": False,
            "box_score_thresh": 0.01,
        },
        "data": {"colormode": "RGB", "inference": {"normalize_images": True}},
    }


def detector_network() -> nn.Module:
    """The network of :func:`detector_description`, of random weights."""
    network: nn.Module = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=2)
    return network


def save_detector(folder: Path, network: nn.Module) -> Path:
    """Its snapshot."""
    path = folder / "snapshot-detector-050.pt"
    weights = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"metadata": {"epoch": 50}, "model": weights}, path)
    return path
