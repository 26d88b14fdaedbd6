"""Configurations: strict, merged in one place, and errors that name the key, the reason and the line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pose_core.catalog import Catalog, get_catalog
from pose_core.catalog.merge import merge
from pose_core.errors import ConfigError
from pose_core.plugins import discover
from pose_core.specs import RunSpec
from pose_core.specs.resolve import (
    Layer,
    choose_model,
    make_option_layer,
    parse_assignments,
    read_layer,
    resolve,
)
from pose_core.specs.schema import json_schema
from pose_core.specs.yaml_file import read_run, read_yaml

DATA = Layer({"skeleton": {"keypoints": ["nose", "tail"]}, "data": {"source": "somewhere"}})


def unet(*user: Layer) -> RunSpec:
    return resolve(choose_model("unet", multi_animal=False), DATA, user)


def from_text(tmp_path: Path, text: str) -> RunSpec:
    file = tmp_path / "my.yaml"
    file.write_text(text)
    return unet(read_layer(file))


def test_order_of_precedence(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("train: {epochs: 5, batch_size: 3, optimizer: {lr: 0.5}}\n")
    spec = unet(
        read_layer(file),
        parse_assignments(["train.batch_size=4", "train.seed=9"]),
        make_option_layer([("--seed", "train.seed", 1)]),
    )
    assert (spec.train.epochs, spec.train.batch_size, spec.train.seed) == (5, 4, 1)
    assert (spec.train.optimizer.lr, spec.train.optimizer.name) == (0.5, "adamw")
    assert spec.model.name == "unet/unet"


def test_nested_defaults_are_merged(tmp_path: Path) -> None:
    spec = from_text(tmp_path, "model: {heads: {keypoints: {losses: {locref: {weight: 0.5}}}}}\n")
    default: Any = unet().model.heads["keypoints"]
    head: Any = spec.model.heads["keypoints"]
    assert head.losses["locref"].weight == 0.5
    assert head.losses["locref"].type == default.losses["locref"].type
    assert head.losses["heatmap"] == default.losses["heatmap"]


def test_what_is_written_uses_full_names_and_reads_back(tmp_path: Path) -> None:
    import yaml

    spec = unet()
    assert spec.model.backbone.type == "unet/unet"
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(spec.model_dump(mode="json")))
    again = read_run(file)
    assert again == spec
    assert again.model_dump() == spec.model_dump()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train:\n  epoch: 3\n", r"train\.epoch: unknown key; did you mean epochs\?.*my\.yaml line 2"),
        (
            "model:\n  backbone:\n    output_strid: 4\n",
            r"model\.backbone\.output_strid: unknown key; did you mean output_stride",
        ),
        (
            "model:\n  heads:\n    keypoints:\n      predictor: {zigmoid: 1}\n",
            r"model\.heads\.keypoints\.predictor\.zigmoid: unknown key",
        ),
        (
            "model:\n  heads:\n    keypoints:\n      losses: {locref: {wieght: 1}}\n",
            r"keypoints\.losses\.locref\.wieght: unknown key; did you mean weight\? \(.*line 4\)",
        ),
        (
            "model:\n  heads:\n    keypoints:\n      target_generator: {sgma: 1}\n",
            r"target_generator\.sgma: unknown key; did you mean sigma\?",
        ),
        (
            "model:\n  preprocess: {view: animal}\n",
            r"model\.preprocess\.view: follows from model\.method.*line 2",
        ),
        ("trane: 3\n", r"trane: unknown key; did you mean trains? or trains?\?"),
        (
            "train:\n  batch_size: 0\n",
            r"train\.batch_size: .*must be greater than 0 or .auto., not 0 \(.*line 2\)",
        ),
        ("train:\n  max_time: soon\n", r"train\.max_time: must be a time such as 90s.*line 2"),
        (
            "model:\n  backbone:\n    output_stride: 3\n",
            r"model\.backbone.*output_stride must be a power of 2.*not 3.*line 3",
        ),
        ("model:\n  backbone:\n    type: unnet\n", r"model\.backbone.*did you mean unet"),
        ("model:\n  heads: {}\n  neck: {type: ladder}\n", r"model\.neck.*no neck 'ladder' is installed"),
        ("train: 3\n", r"train: must hold keys and values, not 3 \(.*line 1\)"),
        ("train:\n  seed: 1\n  seed: 2\n", r"train\.seed is given twice \(lines 2 and 3\)"),
        ("train: [\n", r"my\.yaml: not valid YAML.*line 2"),
        ("- 1\n", r"must hold a mapping"),
        ("train: {precision: 8}\n", r"train\.precision: .*'32'.*not 8"),
        (
            "skeleton: {edges: [[nose, ear]]}\n",
            r"skeleton.*edge \['nose', 'ear'\] names unknown keypoints: ear",
        ),
        ("data: {split: {test: 0.6, validation: 0.5}}\n", r"data\.split.*leave nothing to train on"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        from_text(tmp_path, text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "assignment", ["train.seed", "=3", "train..seed=3", "train.seed=[1", "train.seed=1=2"]
)
def test_bad_assignments(assignment: str) -> None:
    with pytest.raises(ConfigError):
        unet(parse_assignments([assignment]))


def test_yaml_never_runs_code(tmp_path: Path) -> None:
    file = tmp_path / "evil.yaml"
    file.write_text(f"a: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(file)
    assert not (tmp_path / "made").exists()


def test_a_component_of_another_type_drops_the_keys_of_the_old_one() -> None:
    base = {
        "a": {"type": "x/one", "depth": 3},
        "b": {"type": "x/one", "depth": 3},
        "c": {"type": "x/one", "depth": 3},
    }
    over: dict[str, Any] = {"a": {"type": "two"}, "b": {"type": "one", "width": 1}, "c": {"depth": 4}}
    assert merge(base, over) == {
        "a": {"type": "two"},
        "b": {"type": "one", "depth": 3, "width": 1},
        "c": {"type": "x/one", "depth": 4},
    }


def test_a_single_animal_model_is_refused_for_several_animals(monkeypatch: pytest.MonkeyPatch) -> None:
    # The bare name of a backbone means part affinity fields then, where these are installed.
    plugins = [plugin for plugin in discover() if plugin.name != "paf"]
    monkeypatch.setattr("pose_core.specs.resolve.get_catalog", lambda: Catalog(plugins))
    with pytest.raises(
        ConfigError, match="finds one animal a frame, but the project has several individuals"
    ):
        choose_model("unet", multi_animal=True)


def test_every_listed_model_validates_at_its_defaults() -> None:
    named = {"keypoints": ["nose", "tail"], "individuals": ["a", "b"], "identified": True}
    for model in get_catalog().models():
        needs = Layer({**DATA.content, "skeleton": named}) if model.skeleton_needs else DATA
        spec = resolve(model, needs, [])
        assert spec.model.method == model.method
        assert all(
            "/" in part for part in (spec.model.backbone.type, *(h.type for h in spec.model.heads.values()))
        )


def test_the_schema_knows_the_installed_components() -> None:
    schema = json_schema()
    text = json.dumps(schema)
    assert "unet/unet" in text
    assert "deconv_layers" in text
    assert set(schema["properties"]) == set(RunSpec.model_fields)
