"""Level 0: the distribution: cost of its import, licence, wheel."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlparse

from pose_core.testing.checks.check import PLUGIN, check, demand
from pose_core.testing.checks.own_process import run_program
from pose_core.testing.checks.targets import Subject, skip

HEAVY = ("torch", "cv2", "pandas", "scipy", "matplotlib", "h5py", "tables")
"""Modules that no listing may import, alone or through what is built on it: every command would wait for it."""


@check(0, PLUGIN)
def check_plugin_module_is_light(subject: Subject) -> None:
    """The module of the entry point imports nothing heavy (torch, cv2, pandas ...): every pose command
    imports it."""
    heavy = _list_heavy_imports([subject.plugin.target.partition(":")[0]])
    demand(
        not heavy,
        f"{subject.plugin.target} imports {heavy}; name classes by strings and import nothing of them",
    )


@check(0, PLUGIN)
def check_configs_are_light(subject: Subject) -> None:
    """Modules of configs import nothing heavy: a configuration is validated before anything is built."""
    modules = sorted(
        {
            d.config.partition(":")[0]
            for d in subject.plugin.definitions.get("pose_components", ())
            if d.config
        }
    )
    if not modules:
        raise skip("it offers no component with a config")
    heavy = _list_heavy_imports(modules)
    demand(not heavy, f"{', '.join(modules)}: import {heavy}; keep torch out of the modules of configs")


def _list_heavy_imports(modules: list[str]) -> str:
    """The heavy packages that come in with the modules, in a process of its own."""
    program = (
        "import importlib, sys\n"
        f"for module in {modules!r}: importlib.import_module(module)\n"
        f"print(*(m for m in {HEAVY!r} if m in sys.modules), sep=', ')"
    )
    process = run_program(program, ("pose_core.hooks", "pose_core.specs"))
    demand(process.returncode == 0, f"cannot be imported: {process.stderr.strip().splitlines()[-1:]}")
    return process.stdout.strip()


@check(0, PLUGIN)
def check_license_is_stated(subject: Subject) -> None:
    """PluginInfo and pyproject.toml state the same SPDX licence, and the distribution holds its text."""
    info = subject.plugin.info
    if info is None:
        raise skip("the plugin did not load")
    demand(
        re.fullmatch(r"[A-Za-z0-9.+-]+(?: (?:WITH|AND|OR) [A-Za-z0-9.+-]+)*", info.license),
        f"license of PluginInfo must be an SPDX identifier such as BSD-3-Clause, not {info.license!r}",
    )
    distribution = _find_distribution(subject)
    metadata = distribution.metadata.json
    # The first since core metadata 2.4; older build backends still write the second.
    stated = metadata.get("license_expression") or metadata.get("license")
    demand(stated, 'pyproject.toml states no licence; write license = "..." with the SPDX identifier')
    demand(stated == info.license, f"pyproject.toml says {stated}, PluginInfo says {info.license}")
    demand(
        metadata.get("license_file"),
        'the distribution holds no licence text; add a LICENSE and license-files = ["LICENSE"]',
    )


@check(0, PLUGIN)
def check_wheel_is_complete(subject: Subject) -> None:
    """The wheel holds every module and data file of the package, the entry point and a description."""
    distribution = _find_distribution(subject)
    package = subject.plugin.target.partition(":")[0].partition(".")[0]
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise skip(f"{package} is no package")
    folder = Path(next(iter(found.submodule_search_locations)))
    source = _find_source(distribution)
    if source is None:
        # Not editable, so the installed files are those of the wheel.
        held = {str(f) for f in distribution.files or ()}
        whole = _list_needed(folder)
        missing = sorted(n for n in whole if n not in held)
        demand(not missing, f"the installed distribution does not list {', '.join(missing[:5])}")
        return
    # An editable install lists its folder and no files: only a wheel shows what is packed.
    with tempfile.TemporaryDirectory() as temporary:
        pip = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            # Nothing is fetched: the check runs offline, with the build backend that is installed.
            "--no-index",
        ]
        process = subprocess.run(
            [*pip, "--wheel-dir", temporary, str(source)],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        lines = (process.stderr + process.stdout).strip().splitlines()
        # Old pip names the exception, new pip says backend-unavailable.
        said = "".join(lines).lower().replace("-", "")
        if process.returncode and ("backendunavailable" in said or "no module named pip" in said):
            raise skip("the build backend or pip is not installed here; the wheel cannot be built")
        # pip writes 'ERROR:', build backends 'SomeError:'.
        reason = next((line for line in lines if "rror" in line), lines[-1] if lines else "no message")
        demand(process.returncode == 0, f"the wheel of {source} cannot be built: {reason}")
        wheel = next(Path(temporary).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
            info = next(n.partition("/")[0] for n in names if ".dist-info/" in n)
            points = (
                archive.read(f"{info}/entry_points.txt").decode()
                if f"{info}/entry_points.txt" in names
                else ""
            )
            metadata = archive.read(f"{info}/METADATA").decode()
    missing = sorted(_list_needed(folder) - names)
    demand(
        not missing, f"the wheel lacks {', '.join(missing[:5])}; correct the build settings in pyproject.toml"
    )
    # Of the wheel, not of what is installed: entry points of an editable install are those of the day it
    # was made.
    target = re.search(rf"^{re.escape(subject.plugin.name)}\s*=\s*(\S+)", points, re.MULTILINE)
    demand(
        target and target[1] == subject.plugin.target,
        "the wheel lacks the entry point; install the project again",
    )
    body = metadata.partition("\n\n")[2]
    demand(len(body.strip()) > 80, 'the wheel has no description; write a README.md and readme = "README.md"')


def _list_needed(folder: Path) -> set[str]:
    """The files of a package as a wheel names them."""
    return {
        f.relative_to(folder.parent).as_posix()
        for f in folder.rglob("*")
        if f.is_file() and "__pycache__" not in f.parts and not f.name.startswith(".") and f.suffix != ".pyc"
    }


def _find_distribution(subject: Subject) -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(subject.plugin.distribution)
    except importlib.metadata.PackageNotFoundError:
        raise AssertionError(
            f"there is no distribution {subject.plugin.distribution}; install the plugin"
        ) from None


def _find_source(distribution: importlib.metadata.Distribution) -> Path | None:
    """The project's folder, where it is installed editable."""
    # PEP 610: pip notes here where a distribution came from, and whether it is editable.
    text = distribution.read_text("direct_url.json")
    about = json.loads(text) if text else {}
    if not about.get("dir_info", {}).get("editable"):
        return None
    folder = Path(unquote(urlparse(about["url"]).path))
    return folder if (folder / "pyproject.toml").is_file() else None


CHECKS = (
    check_plugin_module_is_light,
    check_configs_are_light,
    check_license_is_stated,
    check_wheel_is_complete,
)
