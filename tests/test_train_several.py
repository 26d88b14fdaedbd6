"""A model and the networks that it builds on: what options mean for each, one command for all, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pose_core
from pose_core.errors import ConfigError, RunError
from pose_core.formats.project_writing import Example, write_project
from pose_core.runs.run_folder import Run
from pose_core.specs import DetectorRunSpec, RunSpec
from pose_core.structures import Instances, Skeleton
from pose_core.training import train_run
from pose_core.training.options import TrainOptions
from pose_core.training.prepare import prepare

DETECTOR = {"detector": "ssdlite"}
CROPS = ("model.preprocess.size=[32,32]",)
TINY = {
    "model.backbone.backbone.filters": 4,
    "model.backbone.backbone.max_stride": 8,
    "model.preprocess.size": [32, 32],
    "stages.conditions.model.backbone.filters": 4,
    "stages.conditions.model.backbone.max_stride": 8,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two animals of two keypoints an image, 12 images of 64 x 64."""
    folder = tmp_path_factory.mktemp("several") / "project"
    rng = np.random.default_rng(0)

    def example(number: int) -> Example:
        points = np.array([[[14, 20 + number], [26, 22]], [[40, 44], [52, 40]]], np.float32)
        return Example(
            f"{number:02d}.png", rng.integers(0, 255, (64, 64, 3), np.uint8), Instances.from_keypoints(points)
        )

    skeleton = Skeleton(("a", "b"), edges=(("a", "b"),), individuals=("one", "two"))
    write_project(folder, skeleton, (example(n) for n in range(12)), name="pairs")
    return folder


def lengths(spec: Any) -> dict[str, tuple[Any, Any, Any]]:
    """Epochs, time and batch size of each network."""
    networks = {"": spec, **spec.builds_on()}
    return {name: (n.train.epochs, n.train.max_time, n.train.batch_size) for name, n in networks.items()}


def test_options_hold_for_each_network_and_time_is_shared(project: Path) -> None:
    options = TrainOptions(epochs=1, max_time="100s", batch_size=2)
    spec = prepare(project, "top_down_unet", networks=DETECTOR, assignments=CROPS, options=options).spec
    assert lengths(spec) == {"": (1, 50.0, 2), "detector": (1, 50.0, 2)}
    own = (
        "stages.detector.train.epochs=3",
        "stages.detector.train.max_time=20",
        "stages.detector.train.batch_size=4",
    )
    spec = prepare(
        project, "top_down_unet", networks=DETECTOR, assignments=(*CROPS, *own), options=options
    ).spec
    assert lengths(spec) == {"": (1, 80.0, 2), "detector": (3, 20.0, 4)}
    spec = prepare(project, "top_down_unet", assignments=CROPS, options=options).spec
    assert lengths(spec) == {"": (1, 100.0, 2)}


def test_a_network_of_any_kind_is_configured_for_the_project(project: Path) -> None:
    prepared = prepare(project, "ctd_prenet_unet", networks={"conditions": "unet"})
    spec = prepared.spec
    assert isinstance(spec, RunSpec)
    conditions = prepared.stages()["conditions"].spec
    assert isinstance(conditions, RunSpec)
    assert (conditions.model.method, conditions.name) == ("bottom_up", "unet/unet")
    assert conditions.model.decided_preprocess().view == "frame"
    assert conditions.train.decided().epochs > 1
    assert conditions.skeleton == spec.skeleton
    alone = prepare(project, "unet").spec
    assert isinstance(alone, RunSpec)
    assert conditions.model == alone.model
    assert conditions.augmentation == alone.augmentation


@pytest.mark.parametrize(
    ("model", "networks", "settings", "message"),
    [
        ("unet", DETECTOR, (), r"^detector: unet/unet needs no boxes; leave it out"),
        (
            "top_down_unet",
            {"conditions": "unet"},
            CROPS,
            r"^conditions: unet/top_down_unet needs no poses",
        ),
        (
            "top_down_unet",
            {"arena": "unet"},
            CROPS,
            r"arena: is no network that a model builds on; there are",
        ),
        (
            "top_down_unet",
            {},
            (*CROPS, "stages.detector.train.epochs=1"),
            r"stages\.detector\.network: no detector is named: use detector=NAME \(",
        ),
        (
            "top_down_unet",
            DETECTOR,
            (*CROPS, "stages.detector.network.sise=[64,64]"),
            (
                r"stages\.detector\.network\.sise: unknown key; did you mean size or resize\? \(settings="
                r"."
            ),
        ),
        (
            "ctd_prenet_unet",
            {"conditions": "unet"},
            ("stages.conditions.model.backbone.filter=4",),
            r"stages\.conditions\.model\.backbone\.filter: unknown key; did you mean filters\?",
        ),
        (
            "ctd_prenet_unet",
            {},
            ("stages.conditions.train.epochs=2",),
            r"stages\.conditions: no model is named",
        ),
    ],
)
def test_mistakes_are_named(
    project: Path, model: str, networks: dict[str, str], settings: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        prepare(project, model, networks=networks, assignments=settings)
    assert "\n" not in str(raised.value)


@pytest.mark.long
def test_one_call_trains_all_and_goes_on_after_an_interruption(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {
        "out": tmp_path / "run",
        "conditions": "unet",
        "settings": TINY,
        "device": "cpu",
    }
    inner = tmp_path / "run" / "stages" / "conditions" / "weights.safetensors"
    train = train_run.train_network

    def interrupted(prepared: Any, out: Path, **options: Any) -> Any:
        if out == tmp_path / "run":
            raise KeyboardInterrupt
        return train(prepared, out, **options)

    monkeypatch.setattr(train_run, "train_network", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pose_core.train(project, "ctd_prenet_unet", epochs=1, **arguments)
    monkeypatch.undo()
    first = inner.read_bytes()
    with pytest.raises(RunError, match="already holds a run; add resume=True"):
        pose_core.train(project, "ctd_prenet_unet", epochs=1, **arguments)

    run = pose_core.train(project, "ctd_prenet_unet", epochs=1, resume=True, **arguments)
    assert run.finished
    assert inner.read_bytes() == first
    (conditions,) = run.stages.values()
    assert conditions.of(RunSpec).load_model().spec == conditions.of(RunSpec).spec.model
    with pytest.raises(RunError, match="holds a pose network, not a detector; name the folder of a detector"):
        Run.open(run.path, DetectorRunSpec)
    with pytest.raises(RunError, match=r"cannot be resumed with other values of train\.batch_size"):
        pose_core.train(project, "ctd_prenet_unet", epochs=1, batch_size=2, resume=True, **arguments)

    pose_core.train(project, "ctd_prenet_unet", epochs=2, resume=True, **arguments)
    assert [len((r.path / "history.csv").read_text().splitlines()) for r in (run, conditions)] == [3, 3]
