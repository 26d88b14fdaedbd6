"""What may be changed of a trained run, by hand in config.yaml or for one prediction; the rest is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tiny_run import make_run

import pose_core
from pose_core.runs.changes import CHANGEABLE, is_changeable
from pose_core.runs.run_folder import Run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


def edit(run: Path, *keys: str, to: Any) -> None:
    file = run / "config.yaml"
    content = yaml.safe_load(file.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    file.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("inference", "threshold"), 0.4),
        (("evaluation", "pck"), [0.3]),
        (("model", "heads", "keypoints", "predictor", "window"), 7),
        (("model", "preprocess", "scale"), 1.0),
        (("data", "source"), "elsewhere"),
    ],
)
def test_what_may_be_changed_by_hand(run: Path, keys: tuple[str, ...], value: Any) -> None:
    edit(run, *keys, to=value)
    content = Run.open(run).spec.model_dump(mode="json")
    for key in keys:
        content = content[key]
    assert content == value
    pose_core.load(run)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("model", "preprocess", "mean"), [0.0, 0.0, 0.0]),
        (("skeleton", "keypoints"), ["tail", "nose"]),
        (("model", "heads", "keypoints", "locref_std"), 1.0),
        (("data", "split", "test"), 0.5),
    ],
)
def test_what_training_has_fixed_is_refused_by_name(run: Path, keys: tuple[str, ...], value: Any) -> None:
    edit(run, *keys, to=value)
    with pytest.raises(pose_core.PoseError) as error:
        pose_core.load(run)
    message = str(error.value)
    assert message.startswith(f"{run / 'config.yaml'}: {'.'.join(keys)} was changed after training, from ")
    assert "\n" not in message


def test_a_run_that_does_not_say_what_was_trained_is_opened(run: Path) -> None:
    provenance = json.loads((run / "provenance.json").read_text())
    del provenance["fixed"]
    (run / "provenance.json").write_text(json.dumps(provenance))
    edit(run, "model", "preprocess", "mean", to=[0.0, 0.0, 0.0])
    pose_core.load(run)


def test_a_damaged_record_of_what_was_trained_is_one_line(run: Path) -> None:
    provenance = json.loads((run / "provenance.json").read_text())
    (run / "provenance.json").write_text(json.dumps({**provenance, "fixed": ["model"]}))
    with pytest.raises(pose_core.PoseError, match=r"provenance\.json: fixed: must be an object"):
        pose_core.load(run)


def test_settings_of_one_prediction(run: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8)
    plain = pose_core.load(run).predict(image)[0].instances
    assert np.isfinite(plain.keypoints).all()
    strict = pose_core.load(run, threshold=1.0).predict(image)[0].instances
    assert not np.isfinite(strict.keypoints).any()
    larger = pose_core.load(run, settings={"model.preprocess.scale": 1.0}).predict(image)[0].instances
    assert not np.allclose(larger.keypoints, plain.keypoints)
    # Only for this use.
    assert np.array_equal(pose_core.load(run).predict(image)[0].instances.keypoints, plain.keypoints)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"threshold": 2}, "^threshold: must be at most 1"),
        ({"max_animals": 0}, "^max_animals: must be greater than 0"),
        (
            {"settings": {"inference.treshold": 0.5}},
            "inference.treshold: unknown key; did you mean threshold",
        ),
        ({"settings": {"model.backbone.filters": 8}}, "^model.backbone.filters: is fixed by training"),
        (
            {"settings": {"stages.detector.network.threshold": 0.5}},
            "builds on no such network; there are none",
        ),
        ({"settings": {"inference.threshold": object()}}, "a value must be a number"),
    ],
)
def test_settings_that_cannot_be(run: Path, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(pose_core.PoseError, match=problem):
        pose_core.load(run, **options)


def test_max_animals_without_limit(run: Path) -> None:
    assert pose_core.load(run, max_animals="none").spec.inference.max_animals is None
    assert pose_core.load(run, max_animals=3).spec.inference.max_animals == 3


@pytest.mark.long
def test_a_network_below_is_changed_too(tmp_path: Path, blob_project: Path) -> None:
    run = pose_core.train(
        blob_project,
        "top_down_unet",
        detector="ssdlite",
        out=tmp_path / "run",
        epochs=1,
        settings={"model.backbone.filters": 4, "train.weights": "none"},
    ).path
    opened = Run.open(run)
    assert opened.stages["detector"].spec.network.threshold == 0.2
    boxes = pose_core.load(run, settings={"stages.detector.network.threshold": 0.7}).run.stages["detector"]
    assert boxes.spec.network.threshold == 0.7
    with pytest.raises(pose_core.PoseError, match=r"network\.threshold: must be at most 1"):
        pose_core.load(run, settings={"stages.detector.network.threshold": 7})
    # In the file of the whole it is a copy that nothing reads.
    edit(run, "stages", "detector", "network", "threshold", to=0.9)
    with pytest.raises(
        pose_core.PoseError,
        match=r"^.*threshold was changed .* change .*stages instead",
    ):
        pose_core.load(run)


def test_the_commands(run: Path, blob_project: Path, tmp_path: Path, pose: Any) -> None:
    images = blob_project / "images"
    options = (
        "--max-animals",
        "1",
        "--threshold",
        "0.9",
        "--set",
        "model.heads.keypoints.predictor.window=7",
    )
    first = pose("predict", run, images, "--out", tmp_path / "out", *options)
    assert first.returncode == 0, first.stderr
    assert "is complete" in pose("predict", run, images, "--out", tmp_path / "out", *options).stderr
    # Another setting is another result.
    assert "another model or way of using it" in pose.refuses(
        "predict", run, images, "--out", tmp_path / "out"
    )
    assert "--set model.backbone.filters" not in pose.refuses(
        "predict", run, images, "--out", tmp_path / "new", "--set", "model.backbone.filters=8"
    )
    assert "--threshold: must be at most 1" in pose.refuses(
        "predict", run, images, "--out", tmp_path / "new", "--threshold", "3"
    )


def test_an_evaluation_with_other_settings_says_so(blob_project: Path, tmp_path: Path) -> None:
    run = pose_core.train(
        blob_project, "unet", out=tmp_path / "run", epochs=1, settings={"model.backbone.filters": 4}
    )
    result = pose_core.evaluate(run, settings={"inference.threshold": 0.1})
    assert "not as the run says, but with inference.threshold=0.1" in result.notes
    assert not any("not as the run says" in note for note in pose_core.evaluate(run).notes)


def test_the_guide_lists_what_may_be_changed() -> None:
    page = (Path(__file__).parent.parent / "docs" / "use" / "run-folder.md").read_text()
    for key in CHANGEABLE:
        assert f"| `{key}`" in page
    assert is_changeable(("inference",))
    assert not is_changeable(("inferences",))
