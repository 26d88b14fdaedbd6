"""``pose config``: the whole configuration before training, each key with its meaning and source."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import pose_core
from pose_core.catalog import get_catalog
from pose_core.formats.project_writing import Example, write_project
from pose_core.specs import RunSpec
from pose_core.specs.key_meanings import list_keys
from pose_core.structures import Instances, Skeleton
from pose_core.training.decided_config import make_config
from pose_core.training.prepare import prepare


def write(folder: Path, animals: int) -> Path:
    """A project of 20 images with a nose and a tail each."""
    rng = np.random.default_rng(0)

    def example(number: int) -> Example:
        middles = rng.uniform(20, 70, (animals, 1, 2))
        points = middles + np.array([[-9.0, 0], [9.0, 2]]) + rng.normal(0, 1, (animals, 2, 2))
        picture = rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)
        return Example(f"{number:02d}.png", picture, Instances.from_keypoints(points.astype(np.float32)))

    skeleton = Skeleton(
        ("nose", "tail"), edges=(("nose", "tail"),), individuals=tuple(f"a{i}" for i in range(animals))
    )
    write_project(folder, skeleton, (example(n) for n in range(20)), name="tiny")
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("one") / "project", 1)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("two") / "project", 2)


@pytest.mark.parametrize(
    ("animals", "model", "networks"),
    [(1, "unet", {}), (2, "top_down_unet", {"detector": "ssdlite"}), (2, "unet", {})],
)
def test_the_file_trains_what_would_be_trained_without_it(
    one: Path, two: Path, tmp_path: Path, animals: int, model: str, networks: dict[str, str]
) -> None:
    project = one if animals == 1 else two
    file = tmp_path / "all.yaml"
    decided = make_config(
        project, model, out=file, epochs=3, settings={"train.ema": None, "data.split.test": 0.3}, **networks
    )
    plain = prepare(
        project,
        model,
        networks=networks,
        assignments=[
            "train.ema=null",
            "data.split.test=0.3",
            "train.epochs=3",
            *(f"stages.{name}.train.epochs=3" for name in networks),
        ],
    )
    again = prepare(project, config=file)
    assert again.spec == plain.spec == decided.spec
    assert again.split == plain.split


def test_each_key_says_what_it_means_and_where_it_comes_from(one: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("augmentation:\n  rotation: 30\n")
    keys = {
        ".".join(k.loc): k
        for k in make_config(one, "unet", config=file, settings={"train.ema": None}, batch_size=4).keys
    }
    sources = {name: key.source for name, key in keys.items()}
    assert sources["augmentation.rotation"] == f"{file} line 2"
    assert sources["train.ema"].startswith('settings={"train.ema"')
    assert sources["train.batch_size"] == "batch_size"
    assert sources["skeleton.keypoints"] == "the project"
    assert sources["augmentation.crop.size"].startswith("decided by the labels: animals are")
    assert sources["model.backbone.filters"] == "the model unet/unet"
    assert sources["model.heads.keypoints.target_generator.sigma"] == "default of heatmap/gaussian"
    assert sources["train.validate_every"] == "auto, as decided for this project"
    assert sources["train.gradient_clip"] == "default"
    assert "train" in keys
    assert not keys["train"].source
    assert keys["train.ema"].meaning.startswith("Decay of the moving average")


def test_a_shared_option_is_named_at_each_network_and_a_changed_one_at_its_own(two: Path) -> None:
    keys = make_config(
        two,
        "top_down_unet",
        detector="ssdlite",
        epochs=2,
        seed=5,
        settings={"stages.detector.train.batch_size": 2},
    ).keys
    sources = {".".join(k.loc): k.source for k in keys}
    assert sources["train.epochs"] == sources["stages.detector.train.epochs"] == "epochs"
    assert sources["stages.detector.train.seed"] == "seed, which holds for all networks"
    assert sources["stages.detector.train.batch_size"].startswith("settings=")
    assert sources["stages.detector.network.type"] == "the choice of torchvision/ssdlite"


def test_the_written_file_is_yaml_with_a_comment_above_each_key(one: Path) -> None:
    decided = make_config(one, "unet")
    text = decided.to_yaml()
    assert yaml.safe_load(text) == decided.spec.model_dump(mode="json")
    lines = text.splitlines()
    for before, line in itertools.pairwise(lines):
        if re.match(r" *[\w'\"./-]+:", line):
            # An entry of a mapping by names (heads, stages) may be a component that needs no more words.
            assert before.lstrip().startswith("#"), line
    assert max(map(len, (line for line in lines if line.lstrip().startswith("#")))) <= 110


def all_models() -> list[Any]:
    """One model a method and head type: the keys of others are the same."""
    found: dict[tuple[str, ...], str] = {}
    for model in get_catalog().models():
        heads = model.spec()["model"].get("heads", {})
        types = tuple(str(head.get("type")) for head in heads.values() if head)
        found.setdefault((model.method, model.spec()["model"]["backbone"]["type"], *types), model.full_name)
    return sorted(set(found.values()))


@pytest.mark.parametrize("name", all_models())
def test_no_key_of_a_model_is_without_a_meaning(name: str) -> None:
    model = get_catalog().model(name)[0]
    content = {
        **model.spec(),
        "skeleton": {"keypoints": ["a", "b"], "edges": [["a", "b"]], "individuals": ["x", "y"]},
        "data": {"source": "nowhere"},
    }
    content["model"] = {**content["model"], "method": model.method, "name": name}
    spec = RunSpec.model_validate(content)
    lacking = [".".join(k.loc) for k in list_keys(spec.model_dump(mode="json"), RunSpec) if not k.meaning]
    assert lacking == []


def test_a_trained_network_is_named_in_the_command_and_not_in_the_file(two: Path, tmp_path: Path) -> None:
    trained = tmp_path / "centres"
    pose_core.train(
        two,
        "centroid_unet",
        out=trained,
        epochs=1,
        settings={"model.backbone.filters": 4, "train.workers": 0},
    )
    file = tmp_path / "pose.yaml"
    decided = make_config(two, "top_down_unet", out=file, centroid=trained)
    assert f"centroid={trained}" in decided.command
    assert yaml.safe_load(file.read_text())["stages"] == {}
    again = prepare(two, config=file, networks={"centroid": str(trained)})
    assert again.spec == decided.spec


def test_the_command(one: Path, tmp_path: Path, pose: Any) -> None:
    file = tmp_path / "new" / "c.yaml"
    done = pose("config", str(one), "--model", "unet", "--out", str(file))
    assert f"pose train {one} --config {file} --out RUN" in done.stdout
    printed = pose("config", str(one), "--model", "unet")
    assert printed.stdout.splitlines()[3:] == file.read_text().splitlines()[3:]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"model": "unett"}, "did you mean"),
        ({"model": "unet", "out": "."}, "is a folder"),
        ({"model": "unet", "settings": {"train.lr": 1}}, "train.lr: unknown key"),
    ],
)
def test_what_cannot_be_is_one_line(one: Path, arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(pose_core.PoseError, match=problem) as error:
        make_config(one, **arguments)
    assert "\n" not in str(error.value)
