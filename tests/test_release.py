"""Core and plugins go out in lockstep, and their wheels work without the checkout."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import pose_core
from pose_core.catalog import get_catalog
from pose_core.catalog.composition import Composer

ROOT = Path(__file__).parent.parent
PROJECTS = sorted(ROOT.glob("plugins/*/pyproject.toml"))
CONSUMERS = sorted(ROOT.glob("consumers/*/pyproject.toml"))


@pytest.mark.parametrize("file", PROJECTS, ids=lambda file: file.parent.name)
def test_a_plugin_has_the_core_s_version_and_requires_it(file: Path) -> None:
    project = tomllib.loads(file.read_text())["project"]
    assert project["version"] == pose_core.__version__
    major, minor = map(int, pose_core.__version__.split(".")[:2])
    assert f"pose-core>={major}.{minor},<{major}.{minor + 1}" in project["dependencies"]


@pytest.mark.parametrize("file", CONSUMERS, ids=lambda file: file.parent.name)
def test_a_consumer_has_the_core_s_version_and_does_without_it(file: Path) -> None:
    project = tomllib.loads(file.read_text())["project"]
    assert project["version"] == pose_core.__version__
    assert not declared(project["dependencies"]) & {"pose-core", "torch", "pydantic"}
    # What an extra brings is imported where it is there, and named where it is not.
    extras = [line for lines in project.get("optional-dependencies", {}).values() for line in lines]
    assert set(imported(file.parent / "src")) == declared([*project["dependencies"], *extras])


def test_fragments_have_a_kind() -> None:
    kinds = "added|changed|deprecated|removed|fixed|security"
    wrong = [
        f.name
        for f in (ROOT / "changes").iterdir()
        if not re.fullmatch(rf"README\.md|template\.md\.jinja|[\w-]+\.({kinds})\.md", f.name)
    ]
    assert not wrong


def test_fragments_are_sentences_not_lists() -> None:
    texts = {f.name: f.read_text() for f in (ROOT / "changes").glob("*.*.md")}
    assert not [name for name, text in texts.items() if text.startswith(("-", "*"))], (
        "the release makes the list"
    )


WITH_THE_CORE = {"pose-core", "numpy", "pydantic", "pydantic-core", "torch"}
"""What the core's interfaces are made of: a plugin that requires the core has these."""


def declared(lines: list[str]) -> set[str]:
    """Names of distributions in lines of requirements."""
    return {str(canonicalize_name(Requirement(line).name)) for line in lines}


# Reads the metadata of every installed distribution.
@functools.cache
def distributions_by_module() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imported(folder: Path) -> Mapping[str, str]:
    """Distribution of each import that is neither of the standard library nor of the folder's own; a file for
    each."""
    by_module = distributions_by_module()
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(parse(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) and not node.level else []
            for top in {name.partition(".")[0] for name in names} - sys.stdlib_module_names:
                if not (folder / top).is_dir() and top != folder.name:
                    (distribution,) = set(by_module.get(top, [top]))
                    found[str(canonicalize_name(distribution))] = path.name
    return found


@pytest.mark.parametrize("file", PROJECTS, ids=lambda file: file.parent.name)
def test_a_plugin_requires_what_it_imports(file: Path) -> None:
    project = tomllib.loads(file.read_text())["project"]
    # What an extra brings is imported where it is there, and named where it is not.
    extras = [line for lines in project.get("optional-dependencies", {}).values() for line in lines]
    known = declared([*project["dependencies"], *extras]) | WITH_THE_CORE
    undeclared = set(imported(file.parent / "src")) - known
    assert not undeclared, {name: imported(file.parent / "src")[name] for name in undeclared}


@pytest.mark.parametrize("file", PROJECTS, ids=lambda file: file.parent.name)
def test_a_plugin_requires_the_plugins_whose_components_it_names(file: Path) -> None:
    """Those in its presets and recipes, and those that its settings name by default."""
    project = tomllib.loads(file.read_text())["project"]
    (record,) = (r for r in get_catalog().plugins if r.distribution == project["name"])
    composer = Composer(get_catalog().plugins)
    # What a plugin knows of the networks of another (mappings of an importer) needs that other only when used.
    named = {
        n for c in record.definitions.get("pose_components", ()) if "/" not in c.kind for n in c.requires
    }
    named |= {
        preset.backbone.partition("/")[0]
        for preset in record.definitions.get("pose_models", ())
        if preset.backbone
    }
    for hook in ("pose_models", "pose_recipes", "pose_backbones"):
        named |= {
            n for definition in record.definitions.get(hook, ()) for n in composer.needs(definition.spec)
        }
    wanted = {f"pose-{name}" for name in named} - {project["name"]}
    ours = {name for name in declared(project["dependencies"]) if name.startswith("pose-")} - {"pose-core"}
    # One that is required for a test or an example only would be installed by everybody for nothing.
    assert ours == wanted


def test_the_core_requires_what_it_imports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    always = declared(project["dependencies"]) | {"pydantic-core"}
    extras = {name for lines in project["optional-dependencies"].values() for name in declared(lines)}
    found = imported(ROOT / "pose_core")
    assert set(found) - always <= extras, {name: found[name] for name in set(found) - always - extras}
    assert always - {"pydantic-core"} <= set(found), "required and never imported"
    # What is optional is imported where it is used, never with its module.
    for path in (ROOT / "pose_core").rglob("*.py"):
        for node in parse(path).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & extras, path


def test_wheels_are_complete(wheels: Path) -> None:
    files = sorted(wheels.glob("*.whl"))
    assert len(files) == len(PROJECTS) + len(CONSUMERS) + 1
    places = {file.parent.name.replace("-", "_"): file.parent / "src" for file in CONSUMERS}
    for file in files:
        name, version, *_ = file.name.split("-")
        assert version == pose_core.__version__
        with zipfile.ZipFile(file) as wheel:
            held = set(wheel.namelist())
            information = f"{name}-{version}.dist-info"
            metadata = wheel.read(f"{information}/METADATA").decode()
            assert f"{name}/py.typed" in held
            assert f"{information}/licenses/LICENSE" in held
            assert "License-Expression: BSD-3-Clause" in metadata
            assert wheel.read(f"{information}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
            plugin = ROOT / "plugins" / name.removeprefix("pose_") / "src"
            source = ROOT if name == "pose_core" else places.get(name, plugin)
            for path in (source / name).rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    assert path.relative_to(source).as_posix() in held, f"{file.name} lacks {path.name}"
            assert not [n for n in held if n.endswith((".pyc", ".pt", ".safetensors")) or "/tests/" in n]


@pytest.mark.long
def test_all_wheels_install_and_work(wheels: Path, others: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(f"{others}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    # With dependencies: pip resolves them, and everything must be there already.
    subprocess.run([*pip, "install", "-q", "--no-index", *map(str, wheels.glob("*.whl"))], check=True)
    checked = subprocess.run([*pip, "check"], capture_output=True, text=True, check=False)
    assert "No broken requirements found" in checked.stdout, checked.stdout
    found = subprocess.run(
        [*pip, "list", "--format=freeze"], capture_output=True, text=True, check=True
    ).stdout
    for file in (ROOT / "pyproject.toml", *PROJECTS, *CONSUMERS):
        name = tomllib.loads(file.read_text())["project"]["name"]
        assert f"{name}=={pose_core.__version__}" in found.splitlines()

    def run(*arguments: str) -> str:
        env = {**os.environ, "OMP_NUM_THREADS": "1", "POSE_STRICT_PLUGINS": "1"}
        process = subprocess.run(
            [str(python), *arguments], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert process.returncode == 0, process.stderr
        return process.stdout

    assert str(packages) in run("-c", "import pose_core; print(pose_core.__file__)")
    listed = run("-m", "pose_core", "plugins")
    assert listed.count(" active ") == len(PROJECTS) + 1
    assert importlib.metadata.version("pose-core") in run("-m", "pose_core", "--version")
    demo = ("demo", "--model", "unet", "--out", "demo", "--images", "20", "--seconds", "0.4", "--epochs", "1")
    run("-m", "pose_core", *demo)
    assert (tmp_path / "demo" / "report.html").is_file()
