"""The contracts hold for what later families need: extra inputs, heads that refine each other, several
feature maps."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pose_core.catalog import Catalog, get_catalog
from pose_core.errors import ConfigError, PluginError
from pose_core.interfaces import Labels, Predictions
from pose_core.model.build import build_model
from pose_core.plugins.discovery import load_installed
from pose_core.specs import RunSpec
from pose_core.specs.yaml_file import validate

PLUGIN = """
from pose_core.hooks import ComponentSpec, MethodSpec, PluginInfo, hookimpl

@hookimpl
def pose_plugin_info():
    return PluginInfo("cond", "Toys", "MIT", "1.0")

@hookimpl
def pose_components():
    for kind, name in (("backbone", "two_maps"), ("neck", "sum"), ("head", "identity"), ("input", "dots"),
                       ("target_generator", "whose"), ("predictor", "whose"), ("backbone", "liar")):
        cls = name.title().replace("_", "") + kind.title().replace("_", "")
        yield ComponentSpec(kind, name, f"toy_cond:{cls}Config", f"toy_cond:{cls}", "Toy")

@hookimpl
def pose_methods():
    yield MethodSpec("dotted", "Toy", view="frame", animals="several", heads="one",
                     stages={"whole_frame": {"type": "core/whole_frame"}}, inputs=("conditions",))
"""

PARTS = '''
import torch
from torch import nn
from pydantic import Field
from pose_core.interfaces import *
from pose_core.specs import *
from dataclasses import replace

class TwoMapsBackboneConfig(BackboneConfig):
    def features(self): return (Feature(8, 2), Feature(8, 4))
    def extra_inputs(self): return ("conditions",)

class TwoMapsBackbone(Backbone):
    def __init__(self, config, context):
        super().__init__(config, context)
        self.image = nn.Conv2d(3, 8, 3, 2, 1)
        self.conditions = nn.Conv2d(context.skeleton.num_keypoints, 8, 3, 2, 1)
    def forward(self, images, conditions):
        fine = self.image(images) + self.conditions(conditions)
        return [fine, nn.functional.avg_pool2d(fine, 2)]

class LiarBackboneConfig(BackboneConfig):
    def features(self): return (Feature(9, 2),)

class LiarBackbone(Backbone):
    def forward(self, images): return [images[..., ::2, ::2]]

class SumNeckConfig(NeckConfig):
    def features(self, features):
        if len({f.channels for f in features}) > 1: raise ValueError("all feature maps must have equal channels")
        return features[:1]

class SumNeck(Neck):
    def forward(self, features):
        up = [nn.functional.interpolate(f, size=features[0].shape[-2:]) for f in features]
        return [sum(up)]

class DotsInputConfig(InputConfig): pass

class DotsInput(ExtraInput):
    """Draws one pixel a keypoint."""
    def for_training(self, labels, image_size): return self.draw(labels.keypoints, image_size)
    def for_inference(self, found, image_size): return self.draw(found.keypoints, image_size)
    def draw(self, keypoints, size):
        b, n, k, _ = keypoints.shape
        at = keypoints[:, 0].nan_to_num(0).round().long()
        at = at[..., 1].clamp(0, size[0] - 1) * size[1] + at[..., 0].clamp(0, size[1] - 1)
        return torch.zeros(b, k, size[0] * size[1]).scatter_(2, at[..., None], 1.0).view(b, k, *size)

class WhoseTargetGeneratorConfig(TargetGeneratorConfig): pass
class WhosePredictorConfig(PredictorConfig): pass

class IdentityHeadConfig(HeadConfig):
    target_generator: AnyTargetGenerator = Field({"type": "cond/whose"})
    predictor: AnyPredictor = Field({"type": "cond/whose"})
    losses: dict[str, AnyLoss] = Field({"who": {"type": "mse", "weight": 0.5}})

class IdentityHead(Head):
    def __init__(self, config, context):
        super().__init__(config, context)
        self.layer = nn.Conv2d(context.features[0].channels, context.skeleton.num_individuals, 1)
        grid = Grid.cells(context.features[0].stride)
        self.set_codec(context.build("target_generator", config.target_generator, grid),
                       context.build("predictor", config.predictor, grid), config.losses, context)
    def forward(self, features): return {"who": self.layer(features[0])}

class WhoseTargetGenerator(TargetGenerator):
    def forward(self, labels, outputs):
        return {"who": Target(torch.zeros_like(outputs["who"]), torch.ones_like(outputs["who"]))}

class WhosePredictor(Predictor):
    def forward(self, outputs, found):
        assert found.keypoints.shape[1] == 1, "the head before this one found the animal"
        return replace(found, identity=torch.full_like(found.identity, 1))
'''


@pytest.fixture
def toys(tmp_path: Path) -> Iterator[Catalog]:
    """A plugin that is found like any other, because its distribution lies on the path."""
    (tmp_path / "toy_cond_plugin.py").write_text(PLUGIN)
    (tmp_path / "toy_cond.py").write_text(PARTS)
    info = tmp_path / "toy_cond-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-cond\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pose_core.plugins]\ncond = toy_cond_plugin\n")
    sys.path.insert(0, str(tmp_path))
    load_installed.cache_clear()
    get_catalog.cache_clear()
    yield get_catalog()
    sys.path.remove(str(tmp_path))
    sys.modules.pop("toy_cond_plugin", None)
    sys.modules.pop("toy_cond", None)
    load_installed.cache_clear()
    get_catalog.cache_clear()


def spec(**model: Any) -> RunSpec:
    parts = {
        "backbone": "two_maps",
        "neck": "sum",
        "heads": {"keypoints": {"type": "heatmap"}, "who": {"type": "cond/identity"}},
        "inputs": {"conditions": {"type": "dots"}},
        **model,
    }
    return validate(
        {
            "skeleton": {"keypoints": ["a", "b", "c"], "individuals": ["x", "y"]},
            "data": {"source": "nowhere"},
            "model": {"method": "dotted", **parts},
        },
        {},
    )


def labels(batch: int = 2) -> Labels:
    points = torch.tensor([[10.0, 12.0], [20.0, 20.0], [float("nan"), float("nan")]]).expand(batch, 1, 3, 2)
    return Labels.from_keypoints(
        points,
        boxes=torch.tensor([10.0, 12.0, 20.0, 20.0]).expand(batch, 1, 4),
        areas=torch.full((batch, 1), 80.0),
        identity=torch.zeros(batch, 1, dtype=torch.int64),
    )


def test_a_conditional_network_with_two_heads_trains_and_predicts(toys: Catalog) -> None:
    torch.manual_seed(0)
    model = build_model(spec())
    images = torch.randint(0, 256, (2, 3, 32, 48), dtype=torch.uint8)
    truth = labels()
    extra = model.extra_for_training(truth, (32, 48))
    outputs = model(model.normalise(images), **extra)
    losses = model.losses(outputs, truth)
    assert {name.split(".")[0] for name in losses} == {"keypoints", "who"}
    alone = build_model(spec(heads={"keypoints": {"type": "heatmap"}}))
    alone.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("heads.who")})
    fewer = alone.losses(alone(alone.normalise(images), **extra), truth)
    for name, value in fewer.items():  # a further head never rescales the others' losses
        torch.testing.assert_close(value, losses[name])
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    rough = Predictions.none(2, model.skeleton).with_animals(truth.keypoints, torch.ones(2, 1, 3))
    found = model.eval().predict(images, rough)
    assert found.keypoints.shape == (2, 1, 3, 2)
    assert found.identity.tolist() == [[1], [1]]
    moved = replace(rough, keypoints=rough.keypoints + 5)
    fields = [
        model(model.normalise(images), **model.extra_for_inference(poses, (32, 48)))["keypoints"]["heatmap"]
        for poses in (rough, moved)
    ]
    assert not torch.equal(*fields), "the rough poses reach the network"
    with pytest.raises(ValueError, match="needs what an earlier stage found"):
        model.predict(images)


def test_parts_that_do_not_fit_are_errors_of_the_configuration(toys: Catalog) -> None:
    with pytest.raises(
        ConfigError, match=r"model\.inputs: backbone cond/two_maps needs an input 'conditions'"
    ):
        spec(inputs={})
    with pytest.raises(ConfigError, match=r"model\.inputs\.more: .* takes no input of this name"):
        spec(inputs={"conditions": "dots", "more": "dots"})
    with pytest.raises(ConfigError, match=r"model\.heads\.keypoints: feature: there is no feature map 2"):
        spec(neck=None, heads={"keypoints": {"type": "heatmap", "feature": 2}})
    with pytest.raises(
        PluginError, match="puts out 3 channels at stride 2 but its config declares 9 channels"
    ):
        build_model(spec(method="single_animal", backbone="liar", neck=None, inputs={})).check_features()
