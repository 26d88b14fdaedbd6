"""The floors of the house, and what listing may import."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pose_core.kinds import KINDS

REPOSITORY = Path(__file__).parent.parent


def test_modules_import_only_from_floors_below() -> None:
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr


def test_the_floors_are_described_as_the_linter_has_them() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    page = (REPOSITORY / "CONTRIBUTING.md").read_text()
    listed = re.findall(
        r"^\d+\. (`.*)$", page.partition("from floors below")[2].partition("Plugins see")[0], re.MULTILINE
    )
    described = [set(re.findall(r"`([\w.]+)`", line)) for line in listed]
    assert described == [set(re.findall(r"pose_core\.(\w+)", layer)) for layer in layers]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["models"],
        ["models", "--json"],
        ["plugins"],
        ["detectors"],
        ["trackers"],
        ["weights"],
        ["show", "unet"],
    ],
)
def test_listing_imports_no_torch(arguments: list[str]) -> None:
    program = (
        "import sys; sys.argv = ['pose', *sys.argv[1:]]\n"
        "from pose_core.cli.main import run\n"
        "try: run()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'torchvision', 'timm', 'lightning', 'cv2', 'pandas', 'matplotlib'} & "
        "set(sys.modules)\n"
        "print('HEAVY', *heavy, file=sys.stderr)"
    )
    process = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    assert process.stdout
    assert process.stderr.splitlines()[-1] == "HEAVY", process.stderr


def test_import_of_the_package_is_light() -> None:
    program = (
        "import pose_core, sys; print(sorted(m for m in ('torch', 'numpy', 'pydantic') if m in sys.modules))"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


def test_the_core_names_no_plugin() -> None:
    names = [p.name for p in (REPOSITORY / "plugins").iterdir() if p.is_dir()]
    # Whole words in code that could be a name: imports and quoted strings.
    pattern = re.compile(
        rf"(?:import|from) pose_(?:{'|'.join(names)})\b|[\"'](?:pose-)?(?:{'|'.join(names)})(?:/\w+)?[\"']"
    )
    found = {
        f"{path.relative_to(REPOSITORY)}: {match}"
        for path in (REPOSITORY / "pose_core").rglob("*.py")
        for match in pattern.findall(path.read_text(encoding="utf-8"))
    }
    # The package, which an author who exports has, and of which the plugin has its name.
    found.discard('pose_core/testing/checks/devices.py: "onnxruntime"')
    assert not found


def test_the_core_has_no_word_of_conditions() -> None:
    """What they are is known to the plugin whose networks take them."""
    words = re.compile(r"\b(?:conditions|conditional|conditioned|rough poses?)\b", re.IGNORECASE)
    found = {
        f"{path.relative_to(REPOSITORY)}: {match}"
        for path in (REPOSITORY / "pose_core").rglob("*.py")
        for match in words.findall(path.read_text(encoding="utf-8"))
    }
    assert not found


def test_plugins_use_only_the_public_floors() -> None:
    # The interface of a kind may be imported from its own file, too, so that a new kind touches no list of
    # names.
    files = {row.interface.partition(":")[0].rpartition(".")[2] for row in KINDS.values()}
    floors = "structures|errors|hooks|specs|maps|testing|io\\.files|io\\.names|"
    floors += "io\\.text|io\\.images|io\\.video|io\\.hdf5|symmetry|escapes"
    allowed = re.compile(rf"pose_core(\.({floors}|interfaces(\.({'|'.join(sorted(files))}))?))?$")
    found = []
    for path in (REPOSITORY / "plugins").glob("*/src/**/*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            match = re.match(r"\s*(?:from|import) (pose_core[\w.]*)", line)
            if match and not allowed.match(match[1]):
                found.append(f"{path.name}: {line.strip()}")
    assert not found


def test_models_as_json(pose) -> None:  # type: ignore[no-untyped-def]
    rows = json.loads(pose("models", "--json").stdout)
    assert {"name", "method", "family", "plugin"} <= set(rows[0])
    assert {"unet", "resnet_50"} <= {r["name"] for r in rows}
    rows = json.loads(pose("plugins", "--json").stdout)
    assert all({"name", "distribution", "version", "status", "reason"} <= set(r) for r in rows)
