"""Advice on names that nothing installed offers: the distribution to install."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from importlib.util import find_spec
from types import MappingProxyType

from pose_core.catalog.known_names import known_names
from pose_core.plugins import PluginRecord

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
"""Names that a distribution can have, and so a plugin; a path is none."""

MODEL, WEIGHTS = "model", "set of weights"
"""Kinds of name beside those of components."""


def install(distributions: Iterable[str]) -> str:
    """Compose the command, of which every such message holds one; for a clone of the repository."""
    # Nothing of the project is on a package index yet, where anybody might register these names.
    folders = sorted({f"./plugins/{distribution.removeprefix('pose-')}" for distribution in distributions})
    return f"pip install {' '.join(folders)}"


def advice(
    namespaces: Collection[str],
    plugins: Collection[PluginRecord],
    verb: str = "it needs",
    came_with: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Say what to do where needed plugins are not active; empty where all are.

    Args:
        namespaces: of the plugins that are needed.
        plugins: records of all installed ones.
        verb: how the name is related to them: ``it needs`` or ``it comes with``.
        came_with: distributions of plugins, as a file remembers them.
    """
    known = known_names().distributions
    status = {plugin.name: plugin for plugin in plugins}
    inactive = [status[n] for n in sorted(namespaces) if n in status and not status[n].active]
    messages = [f"its plugin {p.name!r} is {p.status}: {p.reason}" for p in inactive]
    missing = sorted(n for n in namespaces if n not in status)
    # Only distributions of this project are named in a command to install: anyone may register the name
    # that a file gives to a stranger's plugin.
    ours = [known[n] for n in missing if n in known]
    if ours:
        there = "is not installed" if len(ours) == 1 else "are not installed"
        messages.append(
            f"{verb} {' and '.join(ours)}, which {there}: in a clone of pose_core, {install(ours)}"
        )
    messages += [_word_stranger(n, came_with.get(n)) for n in missing if n not in known]
    return "; ".join(messages)


def _word_stranger(name: str, distribution: str | None) -> str:
    # It comes from a file and goes into a message: nothing but a name may come through.
    if not _NAME.fullmatch(name):
        return f"{name!r} is no name of a plugin; correct it"
    return f"its plugin {name!r} is not installed{f' (it came with {distribution})' if distribution else ''}"


def needed_for(kind: str, name: str, backbones: Collection[str]) -> dict[str, frozenset[str]]:
    """Namespaces that are needed for a name, as far as that is known; by method for models, else under
    ``""``.

    Args:
        kind: of component, :data:`MODEL` or :data:`WEIGHTS`.
        name: bare or full.
        backbones: names of the installed backbone presets, which known recipes make models of.
    """
    namespace, _, bare = name.rpartition("/")
    known = known_names()
    if kind == MODEL:
        found = _find_models(bare, backbones)
    else:
        table: Mapping[str, str] = known.weights if kind == WEIGHTS else known.components.get(kind, {})
        found = {"": frozenset({table[bare]})} if bare in table else {}
    if not namespace:
        return found
    # With a namespace another plugin's component of the same bare name is a different one.
    return {m: needs for m, needs in found.items() if namespace in needs} or {"": frozenset({namespace})}


def _find_models(name: str, backbones: Collection[str]) -> dict[str, frozenset[str]]:
    known = known_names()
    found = {method: frozenset(needs) for method, needs in known.models.get(name, {}).items()}
    # An installed backbone needs nothing; the table's entry of the same name wins and names its plugin
    # anyway.
    presets: dict[str, list[str]] = {**{name: [] for name in backbones}, **known.backbones}
    for template, methods in known.recipes.items():
        for backbone, needs in presets.items():
            if template.replace("{backbone}", backbone) == name:
                for method, also in methods.items():
                    found.setdefault(method, frozenset({*needs, *also}))
    return found


def not_installed(kind: str, plugins: Collection[PluginRecord]) -> str:
    """List the known components of a kind that could be installed; empty where there are none."""
    there = {plugin.name for plugin in plugins}
    known = known_names()
    others = {
        n: known.distributions[ns] for n, ns in known.components.get(kind, {}).items() if ns not in there
    }
    return (
        f"others, in a clone of pose_core: {', '.join(f'{n} ({install([d])})' for n, d in sorted(others.items()))}"
        if others
        else ""
    )


def kinds_of(name: str, backbones: Collection[str]) -> list[str]:
    """List what a known name can be: :data:`MODEL`, kinds of components, :data:`WEIGHTS`."""
    bare = name.rpartition("/")[2]
    known = known_names()
    found = [MODEL] if _find_models(bare, backbones) else []
    found += [kind for kind, names in known.components.items() if bare in names]
    return found + ([WEIGHTS] if bare in known.weights else [])


def easiest(methods: Collection[str], backbones: Collection[str], active: Collection[str]) -> frozenset[str]:
    """The fewest plugins without which there is no model of any of these methods; empty where none is known.

    Args:
        methods: names of methods.
        backbones: names of the installed backbone presets.
        active: namespaces that need not be installed.
    """
    known = known_names()
    # With any backbone installed a recipe alone makes a model.
    presets = [frozenset[str]()] if backbones else [frozenset(needs) for needs in known.backbones.values()]
    ways = [
        frozenset(needs) for by in known.models.values() for method, needs in by.items() if method in methods
    ]
    for by in known.recipes.values():
        ways += [frozenset(needs) | preset for m, needs in by.items() if m in methods for preset in presets]
    # The fewest to install, not the fewest altogether.
    missing = [way - set(active) for way in ways]
    return min(missing, key=lambda way: (len(way), sorted(way)), default=frozenset())


def find_missing_package(factory: object) -> str | None:
    """Find the first distribution of a component's ``packages`` that is not installed; None where all are."""
    # A function may choose among classes, and has no packages of its own.
    packages: Mapping[str, str] = getattr(factory, "packages", {})
    return next((package for module, package in packages.items() if find_spec(module) is None), None)
