"""Without any one plugin of this repository nothing but its own names is lost, and their error says what to
install.

Its own names are those of its components, presets, recipes and weights, and every model that needs one of
them: the preset of another plugin whose backbone or loss is gone cannot be trained, so it is not listed
either. A component of
another plugin stays, even where its default settings name what is gone: with other settings it works.

The wheels of everything are installed into an environment that sees what others wrote, and nothing else; then
one plugin is uninstalled, many commands are run, and it is installed again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from deeplabcut_models import models_with_parts_of

from pose_core.catalog import Model, get_catalog
from pose_core.catalog.composition import names_in
from pose_core.formats.project_writing import Example, write_project
from pose_core.kinds import KINDS
from pose_core.specs.resolve import Layer, resolve
from pose_core.structures import Instances, Skeleton

ROOT = Path(__file__).parent.parent
PLUGINS = sorted(file.parent.name for file in ROOT.glob("plugins/*/pyproject.toml"))

PROJECT: dict[str, Any] = {
    "skeleton": {
        "keypoints": ["nose", "left", "right", "tail"],
        "edges": [["nose", "left"], ["nose", "right"], ["nose", "tail"]],
        "symmetry": [["left", "right"]],
    },
    "data": {"source": "nowhere"},
}


_needs: dict[tuple[str, str], set[str]] = {}


def needs(model: Model) -> set[str]:
    """The plugins a model needs, told by the whole configuration that it gives; not as the catalogue tells
    it."""
    if (key := (model.full_name, model.method)) not in _needs:
        spec = resolve(model, Layer(project_for(model)), [])
        named = {
            name.rpartition("/")[0] for _, name in names_in(spec.model_dump(mode="json"), get_catalog().kinds)
        }
        _needs[key] = {model.plugin.name, *named}
    return _needs[key]


def project_for(model: Model) -> dict[str, Any]:
    several: dict[str, Any] = {} if model.method == "single_animal" else {"individuals": ["one", "two"]}
    several |= {"identified": True} if model.skeleton_needs else {}
    return {**PROJECT, "skeleton": {**PROJECT["skeleton"], **several}}


@dataclass
class Environment:
    """Wheels of the core and all plugins, beside what others wrote.

    Attributes:
        python: of the environment.
        wheels: by plugin.
    """

    python: Path
    wheels: dict[str, Path]

    def pip(self, *arguments: str | Path) -> None:
        """pip of this process, for that environment."""
        pip = (sys.executable, "-m", "pip", "--python", self.python, *arguments)
        process = subprocess.run([str(part) for part in pip], capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stderr

    def install(self, *wheels: Path) -> None:
        """From the files alone."""
        self.pip("install", "-q", "--no-deps", "--no-index", "--no-warn-script-location", *wheels)

    def ask(self, folder: Path, **questions: Any) -> dict[str, Any]:
        """Run commands and look at all models; see ``commands_in_a_process.py``."""
        (folder / "questions.json").write_text(json.dumps({"project": PROJECT, **questions}))
        script = Path(__file__).with_name("commands_in_a_process.py")
        process = subprocess.run(
            [str(self.python), str(script), "questions.json", "answers.json"],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "POSE_STRICT_PLUGINS": "1", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return dict(json.loads((folder / "answers.json").read_text()))


@pytest.fixture(scope="module")
def environment(wheels: Path, others: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("without")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "environment")], check=True)
    python = folder / "environment" / "bin" / "python"
    (own,) = (folder / "environment").glob("lib/python*/site-packages")
    (own / "others.pth").write_text(f"{others}\n")
    by_name = {file.name.split("-")[0].removeprefix("pose_"): file for file in wheels.glob("*.whl")}
    made = Environment(python, by_name)
    made.install(*by_name.values())
    return made


@pytest.fixture
def without(environment: Environment, request: pytest.FixtureRequest) -> Iterator[str]:
    """The plugin is uninstalled for a test."""
    name = str(request.param)
    environment.pip("uninstall", "-q", "-y", f"pose-{name}")
    yield name
    environment.install(environment.wheels[name])


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the projects ``one`` and ``two`` of as many animals, six images each."""
    folder = tmp_path_factory.mktemp("projects")
    keypoints = tuple(PROJECT["skeleton"]["keypoints"])
    for name, individuals in (("one", ("one",)), ("two", ("one", "two"))):
        points = np.array([[[10, 10], [20, 12], [10, 20], [22, 24]]], np.float32)
        animals = np.concatenate([points + 30 * n for n in range(len(individuals))])
        image = np.full((64, 64, 3), 90, np.uint8)
        examples = [Example(f"{n}.png", image, Instances.from_keypoints(animals)) for n in range(6)]
        write_project(folder / name, Skeleton(keypoints, individuals=individuals), examples, name=name)
    return folder


def make_run(folder: Path, model: Model) -> None:
    """The configuration of a run, and what it was made with."""
    folder.mkdir(parents=True)
    spec = resolve(model, Layer(project_for(model)), [])
    (folder / "config.yaml").write_text(yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False))
    made_with = {r.name: f"{r.distribution} {r.version}" for r in get_catalog().plugins}
    (folder / "provenance.json").write_text(json.dumps({"plugins": made_with}))


def config_with(kind: str, name: str, without: str) -> dict[str, Any]:
    """A file for ``--config`` that names a component in its place, in a network of parts that are there."""
    backbone = "cspnext/cspnext" if without == "unet" else "unet/unet"
    head: dict[str, Any] = {"type": "rtmpose/simcc" if without == "heatmap" else "heatmap/heatmap"}
    model: dict[str, Any] = {"method": "top_down", "preprocess": {"size": [64, 64]}}
    model |= {"backbone": {"type": backbone}, "heads": {"keypoints": head}}
    here = {"type": name}
    match kind:
        case "backbone" | "neck":
            model[kind] = here
        case "input":
            model["inputs"] = {"more": here}
        case "head":
            model["heads"]["more"] = here
        case "target_generator" | "predictor":
            head[kind] = here
        case "loss":
            head["losses"] = {"x" if without == "heatmap" else "heatmap": here}
        case "reader":
            return {"data": {"reader": here}, "model": model}
        case "detector":
            return {"stages": {"detector": {"network": here}}, "model": model}
        case "stage":
            return {"inference": {"stages": {"crops": here}}, "model": model}
        case "schedule":
            return {"train": {"schedule": here}, "model": model}
        case "logger":
            return {"train": {"loggers": [here]}, "model": model}
        case "transform":
            return {"augmentation": {"transforms": {"more": here}}, "model": model}
        case "runtime":
            return {"inference": {"runtime": here}, "model": model}
        case _:
            raise NotImplementedError(f"where a configuration names a {kind}")
    return {"model": model}


OPTIONS = {"writer": "--format", "engine": "--engine"}
"""Options of ``pose predict`` that name a component of a kind."""


def imports(folder: Path, without: str) -> list[list[str]]:
    """Models of DeepLabCut with a part that the importer maps to components of the plugin."""
    return [
        ["import", "deeplabcut", str(model.snapshot), "--out", "never", *detector]
        for model, detector in models_with_parts_of(without, folder)
    ]


def questions(folder: Path, projects: Path, without: str) -> tuple[list[list[str]], list[str]]:
    """Commands that need the plugin, for every name, and the names of the models that are lost."""
    catalog = get_catalog()
    lost = [m for m in catalog.models() if without in needs(m)]
    components = {c.name for kind in KINDS for c in catalog.components(kind) if c.plugin.name != without}
    kept = {m.name for m in catalog.models() if without not in needs(m)}
    asked = imports(folder, without)
    (record,) = (r for r in catalog.plugins if r.name == without)

    def train(*arguments: str | Path, data: str = "two") -> None:
        asked.append(["train", str(projects / data), "--out", str(folder / "never"), *map(str, arguments)])

    for component in record.definitions.get("pose_components", ()):
        kind = component.kind
        if kind not in KINDS:
            continue
        for name in (component.name, f"{without}/{component.name}"):
            # A name of another kind that is there is shown as that.
            if name not in components:
                asked.append(["show", name])
            if kind == "tracker":
                asked.append(["track", str(projects / "one"), "--tracker", name, "--out", "never"])
            elif kind == "filter":
                asked.append(["filter", str(projects / "one"), "--filter", name, "--out", "never"])
            elif kind in ("writer", "engine", "exporter"):
                make_run(
                    run := folder / f"run-{len(asked)}", next(m for m in catalog.models() if m not in lost)
                )
                if kind == "exporter":
                    asked.append(["export", str(run), "--to", name, "--out", "never"])
                else:
                    predict = ["predict", str(run), str(projects / "one"), "--out", "never"]
                    asked.append([*predict, OPTIONS[kind], name])
            elif kind == "importer":
                asked.append(["import", name, "snapshot.pt", "--out", "never"])
            else:
                file = folder / f"config-{len(asked)}.yaml"
                file.write_text(yaml.safe_dump(config_with(kind, name, without)))
                train("--config", file)
                asked.append(["cite", str(file)])
            if kind == "detector":
                train("--detector", name)
    for model in lost:
        data = "one" if model.method == "single_animal" else "two"
        train("--model", model.name, data=data)
        train("--model", model.full_name, data=data)
        train("--model", model.name, "--set", f"model.method={model.method}", data=data)
        if model.name not in kept and model.name not in components:
            asked.append(["show", model.name])
        if model.method == "single_animal":
            asked.append(["demo", "--model", model.name, "--out", "never"])
    for number, model in enumerate(lost[:: max(1, len(lost) // 4)]):
        make_run(run := folder / f"lost-{number}", model)
        asked += [["cite", str(run)], ["licenses", str(run)], ["evaluate", str(run)]]
        asked.append(["predict", str(run), str(projects / "one"), "--out", "never"])
        train("--weights", run)
    spare = "rtmpose_s" if without in ("heatmap", "unet") else "top_down_unet"
    for weights in record.definitions.get("pose_weights", ()):
        train("--model", spare, "--set", "model.preprocess.size=[64,64]", "--weights", weights.name)
    if all(m.method != "single_animal" or m in lost for m in catalog.models()):
        asked.append(["demo", "--out", "never"])
    return asked, sorted({m.name for m in lost} - kept)


def rows(answer: dict[str, Any]) -> set[tuple[str, str]]:
    """Full names that a listing prints; with the method, for models."""
    return {(row["full_name"], row.get("method", "")) for row in json.loads(answer["out"])}


@pytest.mark.long
@pytest.mark.parametrize("without", PLUGINS, indirect=True)
def test_only_its_names_are_lost_and_their_error_says_what_to_install(
    without: str, environment: Environment, projects: Path, tmp_path: Path
) -> None:
    catalog = get_catalog()
    listings = [["models", "--json"], ["detectors", "--json"], ["writers", "--json"], ["weights", "--json"]]
    commands = [["--help"], ["plugins"], ["plugins", "--json"], ["models"], *listings]
    refused, names = questions(tmp_path, projects, without)
    found = environment.ask(tmp_path, commands=commands, refused=refused)

    for answer in found["commands"]:
        assert answer["code"] == 0, answer
        assert not answer["err"], answer
    assert found["lists without torch"]
    plugins = {row["name"]: row for row in json.loads(found["commands"][2]["out"])}
    assert set(plugins) == {r.name for r in catalog.plugins} - {without}
    assert {row["status"] for row in plugins.values()} == {"active"}

    models, detectors, writers, weights = map(rows, found["commands"][-4:])
    assert models == {(m.full_name, m.method) for m in catalog.models() if without not in needs(m)}
    for kind, listed in (("detector", detectors), ("writer", writers)):
        assert listed == {(c.full_name, "") for c in catalog.components(kind) if c.plugin.name != without}
    assert weights == {
        (w.full_name, "") for w in (*catalog.weights(), *catalog.zoo()) if w.plugin.name != without
    }
    # Those that others offer, and that cannot be made: their plugin says so, and why.
    whole = {(r.name, m.name) for r in catalog.plugins for m in r.definitions.get("pose_models", ())}
    lost = {
        m.plugin.name for m in catalog.models() if without in needs(m) and (m.plugin.name, m.name) in whole
    }
    for name in lost - {without}:
        assert "not offered" in plugins[name]["reason"]
        assert f"pip install ./plugins/{without}" in plugins[name]["reason"]
    assert not found["wrong models"]

    assert refused
    for answer in found["refused"]:
        assert answer["code"] == 2, answer
        assert "Traceback" not in answer["err"], answer["err"]
        (line,) = (line for line in answer["err"].splitlines() if line.startswith("error: "))
        assert f"pip install ./plugins/{without}" in line, (answer["arguments"], line)
        assert line.count("pip install") == 1, line
    assert not (tmp_path / "never").exists()
    if without == "hrnet":
        assert {"dekr_w32", "animal_tokenpose_base", "ctd_prenet_hrnet_w32"} <= set(names)


@pytest.mark.long
def test_the_core_alone_says_what_to_install(
    environment: Environment, projects: Path, tmp_path: Path
) -> None:
    environment.pip("uninstall", "-q", "-y", *(f"pose-{name}" for name in PLUGINS))
    try:
        commands = [["--help"], ["plugins"], ["models"], ["detectors"], ["writers"], ["weights"], ["schema"]]
        labels = tmp_path / "labels.h5"
        labels.touch()
        refused = [
            ["demo", "--out", "never"],
            ["demo", "--model", "unet", "--out", "never"],
            ["train", str(projects / "two"), "--model", "resnet_50", "--out", "never"],
            ["show", "top_down_resnet_50"],
            ["train", str(labels), "--out", "never"],
        ]
        found = environment.ask(tmp_path, commands=commands, refused=refused)
    finally:
        environment.install(*(environment.wheels[name] for name in PLUGINS))
    assert [answer["code"] for answer in found["commands"]] == [0] * len(commands), found["commands"]
    assert [answer["code"] for answer in found["refused"]] == [2] * len(refused), found["refused"]
    least, demo, train, shown, reader = (answer["err"] for answer in found["refused"])
    assert "pip install ./plugins/cspnext ./plugins/heatmap" in least
    assert "pip install ./plugins/heatmap ./plugins/unet" in demo
    assert "pip install ./plugins/heatmap ./plugins/resnet" in train
    assert "pip install ./plugins/heatmap ./plugins/resnet" in shown
    assert "coco (pip install ./plugins/coco), deeplabcut (pip install ./plugins/deeplabcut)" in reader
