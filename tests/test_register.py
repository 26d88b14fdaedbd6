"""What a Python session registers is used by name, like what plugins offer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import pose_core
from pose_core import available_models, register
from pose_core.catalog import get_catalog, session
from pose_core.interfaces import Backbone, BuildContext, Head, Labels, Loss, Predictions
from pose_core.specs import BackboneConfig, Feature, HeadConfig, LossConfig


class DummyConfig(BackboneConfig):
    channels: int = 6

    def features(self) -> tuple[Feature, ...]:
        return (Feature(self.channels, 4),)


class Dummy(Backbone):
    """One convolution."""

    def __init__(self, config: DummyConfig, context: BuildContext) -> None:
        super().__init__(config, context)
        self.layer = nn.Conv2d(3, config.channels, 7, stride=4, padding=3)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [torch.relu(self.layer(image))]


class Named(BackboneConfig):
    channels: int

    def features(self) -> tuple[Feature, ...]:
        return (Feature(self.channels, 4),)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    session.clear()
    get_catalog.cache_clear()


def test_a_backbone_is_a_model_of_every_recipe() -> None:
    before = set(available_models())
    register("dummy", Dummy, DummyConfig)
    new = set(available_models()) - before
    assert {"dummy", "top_down_dummy", "centroid_dummy"} <= new
    assert len(new) == len({m for m in available_models() if m == "unet" or m.endswith("_unet")})
    component = get_catalog().component("backbone", "dummy")
    assert component.full_name == "session/dummy"
    assert component.definition.summary == "One convolution."
    (record,) = (p for p in get_catalog().plugins if p.name == "session")
    assert record.distribution == "(this session)"
    assert not record.first_party


def test_it_trains_and_its_run_says_what_it_needs(blob_project: Path, tmp_path: Path) -> None:
    register("dummy", Dummy, DummyConfig)
    run = pose_core.train(
        blob_project, "dummy", out=tmp_path / "run", epochs=1, settings={"model.backbone.channels": 4}
    )
    assert run.spec.model.backbone.type == "session/dummy"
    assert pose_core.load(run.path).predict([torch.zeros(64, 64, 3, dtype=torch.uint8).numpy()])
    # Another process knows nothing of it.
    process = subprocess.run(
        [sys.executable, "-m", "pose_core", "evaluate", str(run.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert process.stderr == (
        f"error: {run.path}: needs what the Python session that trained it had registered; run the code that calls "
        "pose_core.register first, or make a plugin of it\n"
    )
    session.clear()
    get_catalog.cache_clear()
    with pytest.raises(pose_core.PoseError, match="registered"):
        pose_core.load(run.path)
    register("dummy", Dummy, DummyConfig)
    assert pose_core.load(run.path).skeleton == run.spec.skeleton


def test_a_component_of_another_kind_is_used_in_a_configuration(blob_project: Path) -> None:
    class Flat(Loss):
        def forward(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
            return (outputs * 0).sum()

    register("flat", Flat, LossConfig)
    decided = pose_core.make_config(
        blob_project, "unet", settings={"model.heads.keypoints.losses.heatmap.type": "flat"}
    )
    (key,) = (k for k in decided.keys if k.loc[-3:] == ("losses", "heatmap", "type"))
    assert key.value == "session/flat"


def test_a_head_may_have_its_own_loss_and_decoding_and_no_codec(blob_project: Path, tmp_path: Path) -> None:
    class Anywhere(Head):
        """A vector from the middle of the image."""

        def __init__(self, config: HeadConfig, context: BuildContext) -> None:
            super().__init__(config, context)
            self.layer = nn.Linear(context.features[0].channels, 2 * context.skeleton.num_keypoints)

        def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
            return {"points": self.layer(features[0].mean((2, 3))).unflatten(1, (-1, 2))}

        def loss(self, outputs: Mapping[str, Tensor], labels: Labels) -> dict[str, Tensor]:
            error = (outputs["points"][:, None] + 32 - labels.keypoints).abs()
            return {"points": error[labels.keypoints.isfinite()].mean()}

        def decode(self, outputs: Mapping[str, Tensor], found: Predictions) -> Predictions:
            points = outputs["points"][:, None] + 32
            return found.with_animals(points, torch.full_like(points[..., 0], 0.5))

    register("dummy", Dummy, DummyConfig)
    register("anywhere", Anywhere)
    run = pose_core.train(
        blob_project,
        "dummy",
        out=tmp_path / "run",
        epochs=2,
        settings={"model.heads.keypoints": {"type": "anywhere"}, "train.validate_every": 1},
    )
    assert run.spec.model.heads["keypoints"].type == "session/anywhere"
    # Images of 64 pixels: about their middle is nowhere far.
    assert run.metrics()["best"]["validation_error_px"] < 32
    frame = pose_core.load(run.path).predict([torch.zeros(64, 64, 3, dtype=torch.uint8).numpy()])[0]
    assert frame.instances.keypoint_scores.tolist() == [[0.5, 0.5]]


def test_nothing_is_registered_twice_or_over_another_by_accident() -> None:
    register("dummy", Dummy, DummyConfig)
    with pytest.raises(pose_core.PoseError, match="registered already; replace=True takes its place"):
        register("dummy", Dummy, DummyConfig)

    class Wider(DummyConfig):
        channels: int = 12

    register("dummy", Dummy, Wider, replace=True)
    config = get_catalog().component("backbone", "dummy").config_class()
    assert config().channels == 12
    with pytest.raises(pose_core.PoseError, match="'unet': is the name of unet/unet; choose another"):
        register("unet", Dummy, DummyConfig)
    # top_down_unet is no component, but a model that a backbone of this name would stand beside.
    with pytest.raises(pose_core.PoseError, match="'top_down_unet': is the name of"):
        register("top_down_unet", Dummy, DummyConfig)


def test_what_only_the_user_can_say_makes_no_model_by_itself() -> None:
    before = set(available_models())
    register("named", Dummy, Named)
    assert set(available_models()) == before
    assert get_catalog().component("backbone", "named").full_name == "session/named"


@pytest.mark.parametrize(
    ("name", "factory", "kind", "problem"),
    [
        ("two words", Dummy, None, "must be a word"),
        ("lambda", lambda config: None, None, "extends the interface of no kind; say which"),
        ("dummy", Dummy, "spine", "is none; kinds are backbone"),
    ],
)
def test_mistakes_are_one_line(name: str, factory: object, kind: str | None, problem: str) -> None:
    with pytest.raises(pose_core.PoseError, match=problem) as error:
        register(name, factory, DummyConfig, kind=kind)
    assert "\n" not in str(error.value)
    assert not session.list_records()
