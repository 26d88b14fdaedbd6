"""The model that is trained when nobody names one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pose_core.catalog import get_catalog
from pose_core.formats.project_writing import Example, write_project
from pose_core.hooks import BackbonePreset, ModelRecipe
from pose_core.io.downloads import RemoteFile, can_obtain
from pose_core.plugins.definition_checks import MalformedError, check_definitions
from pose_core.structures import ImageFile, Instances, LabelledDataset, LabelledImage, Skeleton
from pose_core.training.default_model import ENOUGH_WITHOUT_WEIGHTS, choose_default_model
from pose_core.training.prepare import prepare


def labelled(images: int, animals: int = 1, identified: bool = False) -> LabelledDataset:
    names = tuple(f"animal{i}" for i in range(animals))
    skeleton = Skeleton(("nose", "tail"), individuals=names, identified=identified)
    points = np.arange(animals * 4, dtype=np.float32).reshape(animals, 2, 2)
    image = LabelledImage.create(ImageFile(Path("0.png")), "0.png", 64, 64, Instances.from_keypoints(points))
    return LabelledDataset(skeleton, (image,) * images, Path("project"), "project")


@pytest.mark.parametrize(
    ("dataset", "device", "can_be_had", "chosen"),
    [
        (labelled(30), "cpu", True, ("unet", "single_animal", None)),
        (labelled(5000), "cpu", True, ("unet", "single_animal", None)),
        (labelled(30, animals=3), "cpu", True, ("unet", "bottom_up", None)),
        (labelled(30), "cuda", True, ("resnet_50", "single_animal", "resnet/resnet_50_imagenet")),
        (labelled(30, animals=3), "mps", True, ("resnet_50", "bottom_up", "resnet/resnet_50_imagenet")),
        (labelled(30), "cuda", False, ("unet", "single_animal", None)),
        (labelled(ENOUGH_WITHOUT_WEIGHTS), "cuda", False, ("resnet_50", "single_animal", None)),
    ],
)
def test_labels_weights_and_device_decide(
    dataset: LabelledDataset, device: str, can_be_had: bool, chosen: tuple[str, str, str | None]
) -> None:
    default = choose_default_model(dataset, device, obtainable=lambda _: can_be_had)
    assert (default.model.name, default.model.method, default.weights) == chosen
    assert f"{len(dataset.images)} labelled images" in default.reason
    assert "\n" not in default.reason


def test_the_reason_tells_of_identities() -> None:
    default = choose_default_model(labelled(9, animals=2, identified=True), "cpu")
    assert "up to 2 animals a frame, each the same in every frame" in default.reason


@pytest.mark.parametrize("method", ["bottom_up", "top_down"])
def test_a_model_for_some_projects_only_is_for_those_who_ask_for_it(method: str) -> None:
    """By name identity_unet and top_down_identity_unet would come first."""
    offered = [m for m in get_catalog().models() if m.method == method and m.backbone == "unet/unet"]
    assert {m.skeleton_needs for m in offered} == {"", "identity"}
    default = choose_default_model(labelled(9, animals=2, identified=True), "cpu", method)
    assert default.model.skeleton_needs == ""


def test_a_need_that_does_not_exist_is_refused() -> None:
    recipe = ModelRecipe("mine_{backbone}", "bottom_up", "mine", {"model": {}}, needs="names")
    with pytest.raises(
        MalformedError,
        match="recipe 'mine_{backbone}' has unknown need 'names'; needs are unique_keypoints, id",
    ):
        check_definitions({"pose_recipes": (recipe,)})
    check_definitions({"pose_recipes": (replace(recipe, needs="identity"),)})


def test_a_method_that_the_user_insists_on() -> None:
    default = choose_default_model(labelled(30), "cpu", "top_down")
    assert (default.model.name, default.model.method) == ("top_down_unet", "top_down")


def test_without_a_plugin_that_recommends_one(pose: Any, blob_project: Path) -> None:
    env = {"POSE_DISABLE_PLUGINS": "unet,resnet"}
    line = pose.refuses("train", blob_project, "--out", "run", env=env)
    assert "no model is named, and no installed plugin recommends one" in line
    assert "--model NAME ('pose models' lists them)" in line


def test_a_note_says_what_was_chosen_and_why(blob_project: Path) -> None:
    prepared = prepare(blob_project, assignments=["train.device=cpu"])
    assert prepared.spec.model.name == "unet/unet"
    (note,) = (note for note in prepared.notes if note.startswith("model: "))
    assert note.startswith("model: unet (single_animal), since one animal a frame, 32 labelled images; ")
    assert note.endswith("; model=NAME takes another")


def test_the_command_trains_what_was_chosen(pose: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    skeleton = Skeleton(("nose", "tail"), individuals=("one", "two"))
    examples = (
        Example(
            f"{n}.png",
            np.zeros((64, 64, 3), np.uint8),
            Instances.from_keypoints(rng.uniform(5, 60, (2, 2, 2))),
        )
        for n in range(10)
    )
    write_project(tmp_path / "project", skeleton, examples, name="pairs")
    process = pose(
        "train", tmp_path / "project", "--out", tmp_path / "run", "--epochs", "1", "--device", "cpu"
    )
    assert process.returncode == 0, process.stderr
    assert "model: unet (bottom_up), since up to 2 animals a frame" in process.stderr
    assert "--model NAME takes another" in process.stderr


def test_a_situation_that_does_not_exist_is_refused() -> None:
    preset = BackbonePreset("mine", "mine", {"type": "mine/mine"}, "mine", recommended=("tpu",))
    with pytest.raises(MalformedError, match="'mine' is recommended for 'tpu'; the words are cpu, gpu"):
        check_definitions({"pose_backbones": (preset,)})
    check_definitions({"pose_backbones": (replace(preset, recommended=("cpu",)),)})


def test_what_can_be_obtained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSE_CACHE", str(tmp_path))
    file = RemoteFile("http://127.0.0.1:9/nobody-listens.pth", "weights")
    assert not can_obtain(file)
    file.path.parent.mkdir(parents=True)
    file.path.touch()
    monkeypatch.setenv("POSE_OFFLINE", "1")
    assert can_obtain(file)
