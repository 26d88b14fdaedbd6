"""Discovery: finds plugins by entry point, loads each by itself, and keeps a record of what became of it.

pluggy declares and matches the hooks; its own loader is not used, because there one broken plugin ends the
program, a second entry point of the same name is skipped in silence and the order depends on the file system.
Here every plugin is loaded and asked alone, in a fixed order (the core's own distributions first, then by
name), so that a broken one does not disturb the others.

Environment:
    ``POSE_DISABLE_PLUGINS=a,b``  leave out these entry points.
    ``POSE_STRICT_PLUGINS=1``     a plugin that does not load is an error (for CI).
"""

from __future__ import annotations

import difflib
import importlib.metadata
import inspect
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pluggy

from pose_core import hooks
from pose_core.errors import PluginError, described
from pose_core.plugins.definition_checks import (
    Definitions,
    Implementation,
    MalformedError,
    ask,
    check_definitions,
    check_fields,
)

ACTIVE, DISABLED, INCOMPATIBLE, FAILED = "active", "disabled", "incompatible", "failed"

SESSION = "session"
"""Namespace of what a Python session registers itself; no plugin can have it."""


@dataclass(frozen=True)
class PluginRecord:
    """The outcome of loading one entry point.

    Attributes:
        name: of the entry point; also the plugin's namespace.
        distribution, version: which installed distribution it comes from.
        target: the module the entry point names.
        status: ``active``, ``disabled``, ``incompatible`` or ``failed``.
        reason: why it is not active, or what the user should know about an active one; may be empty.
        info: the plugin's own description; None unless it could be asked.
        definitions: what each hook returned, by hook name; empty unless active.
        first_party: released by the core's own authors.
        load_seconds: time to import and ask it.
    """

    name: str
    distribution: str
    version: str
    target: str
    status: str
    reason: str = ""
    info: hooks.PluginInfo | None = None
    definitions: Definitions = field(default_factory=dict)
    first_party: bool = False
    load_seconds: float = 0.0

    @property
    def active(self) -> bool:
        """Whether what it offers can be used."""
        return self.status == ACTIVE


class _Incompatible(Exception):
    """The plugin was written for another version of the hooks."""


def discover() -> tuple[PluginRecord, ...]:
    """The records of all installed plugins, loaded once a process.

    Raises:
        PluginError: ``POSE_STRICT_PLUGINS=1`` and a plugin is incompatible or failed.
    """
    records = load_installed()
    if os.environ.get("POSE_STRICT_PLUGINS", "") not in ("", "0"):
        broken = [r for r in records if r.status in (INCOMPATIBLE, FAILED)]
        if broken:
            listed = "; ".join(f"{r.name} ({r.distribution}): {r.reason}" for r in broken)
            raise PluginError(f"POSE_STRICT_PLUGINS is set and plugins do not load: {listed}")
    return records


# Apart from discover, so that the strict check is made each time, also when the environment changed.
@cache
def load_installed() -> tuple[PluginRecord, ...]:
    return load_all(importlib.metadata.entry_points(group=hooks.ENTRY_POINT_GROUP), _read_disabled_names())


def _read_disabled_names() -> frozenset[str]:
    return frozenset(n.strip() for n in os.environ.get("POSE_DISABLE_PLUGINS", "").split(",") if n.strip())


def load_all(
    entry_points: Iterable[importlib.metadata.EntryPoint], disabled: frozenset[str]
) -> tuple[PluginRecord, ...]:
    """Load every entry point by itself, in order, and record what became of it."""
    ours = _read_author("pose-core")
    known = sorted(
        ((_is_first_party(ep, ours), ep) for ep in entry_points),
        key=lambda pair: (not pair[0], pair[1].name, _name_distribution(pair[1])),
    )
    records: list[PluginRecord] = []
    taken: dict[str, str] = {}
    for first_party, entry_point in known:
        record = _load_one(entry_point, first_party, disabled, taken)
        if record.status == ACTIVE:
            # Only an active plugin takes the name: a broken one must not keep out a working one.
            taken[record.name] = record.distribution
        records.append(record)
    return tuple(records)


def _name_distribution(entry_point: importlib.metadata.EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist else "unknown distribution"


def _read_author(distribution: str) -> str | None:
    try:
        return importlib.metadata.metadata(distribution)["Author"]
    except (importlib.metadata.PackageNotFoundError, KeyError):
        return None


def _is_first_party(entry_point: importlib.metadata.EntryPoint, ours: str | None) -> bool:
    # The core names no plugin, so "first-party" is a property of the distribution: it has the core's author.
    # This guards against accidents (a stranger's bare name shadowing a shipped one), not against malice,
    # which a plugin's code could work anyway.
    if entry_point.dist is None or ours is None:
        return False
    metadata = entry_point.dist.metadata
    return "Author" in metadata and metadata["Author"] == ours


def _load_one(
    entry_point: importlib.metadata.EntryPoint,
    first_party: bool,
    disabled: frozenset[str],
    taken: Mapping[str, str],
) -> PluginRecord:
    def record(status: str, reason: str = "", **more: Any) -> PluginRecord:
        return PluginRecord(
            name=entry_point.name,
            distribution=_name_distribution(entry_point),
            version=entry_point.dist.version if entry_point.dist else "",
            target=entry_point.value,
            status=status,
            reason=reason,
            first_party=first_party,
            **more,
        )

    if entry_point.name in disabled:
        return record(DISABLED, "named in POSE_DISABLE_PLUGINS")
    if entry_point.name == SESSION:
        return record(
            FAILED, f"the namespace {SESSION!r} is of what Python sessions register; rename the entry point"
        )
    if entry_point.name in taken:
        return record(
            FAILED,
            f"the namespace {entry_point.name!r} is taken by {taken[entry_point.name]}; rename the entry "
            "point",
        )
    start = time.perf_counter()
    info: hooks.PluginInfo | None = None
    try:
        module = entry_point.load()
        implementations = find_implementations(module)
        info = _ask_info(implementations, entry_point.name)
        definitions = {
            hook: ask(hook, implementation)
            for hook, implementation in implementations.items()
            if hook != "pose_plugin_info"
        }
        check_definitions(definitions)
    except _Incompatible as error:
        return record(INCOMPATIBLE, str(error), info=info)
    except MalformedError as error:
        return record(FAILED, str(error), info=info)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    # A plugin may even call sys.exit() on import, and the others must go on.
    except BaseException as error:
        return record(FAILED, _describe(error), info=info)
    return record(ACTIVE, info=info, definitions=definitions, load_seconds=time.perf_counter() - start)


def _describe(error: BaseException) -> str:
    where = ""
    trace = error.__traceback__
    # The innermost frame is where the plugin failed; a frame of importlib says nothing.
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None and "importlib" not in trace.tb_frame.f_code.co_filename:
        where = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
    return f"{type(error).__name__}: {described(error)}{where}"


def find_implementations(module: object) -> dict[str, Implementation]:
    # A manager for each plugin: pluggy would otherwise mix the implementations of all, and one that is
    # broken would spoil the call of the others.
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(sys.modules[hooks.__name__])
    manager.register(module)
    for caller in manager.get_hookcallers(module) or ():
        if caller.name not in hooks.HOOKS:
            near = difflib.get_close_matches(caller.name, hooks.HOOKS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"hooks are {', '.join(hooks.HOOKS)}"
            raise MalformedError(f"{caller.name} is no hook; {hint}")
    found: dict[str, Implementation] = {}
    for name in hooks.HOOKS:
        implementations = getattr(manager.hook, name).get_hookimpls()
        if implementations:
            found[name] = implementations[0].function
        # Defined here, not imported: a plugin may import the spec of a hook to document it.
        elif (unmarked := getattr(module, name, None)) is not None and inspect.getmodule(unmarked) is module:
            raise MalformedError(f"{name} is the name of a hook, but the function lacks @hookimpl")
    return found


def _ask_info(implementations: Mapping[str, Implementation], name: str) -> hooks.PluginInfo:
    if "pose_plugin_info" not in implementations:
        raise MalformedError("implements no pose_plugin_info hook (is @hookimpl missing?)")
    info = implementations["pose_plugin_info"]()
    if not isinstance(info, hooks.PluginInfo):
        raise MalformedError(f"pose_plugin_info returned {type(info).__name__}, not a PluginInfo")
    check_fields(info, "the plugin")
    try:
        major, minor = (int(part) for part in str(info.hook_api).split("."))
    except ValueError:
        raise MalformedError(f"hook_api must be 'major.minor', not {info.hook_api!r}") from None
    have = ".".join(map(str, hooks.HOOK_API))
    if (major, minor) > hooks.HOOK_API:
        raise _Incompatible(
            f"written for hook API {info.hook_api}, this pose_core has {have}: install a newer pose_core"
        )
    # A smaller minor version is fine: minor versions only add.
    if major < hooks.HOOK_API[0]:
        raise _Incompatible(
            f"written for hook API {info.hook_api}, this pose_core has {have}: upgrade the plugin"
        )
    if info.namespace != name:
        raise MalformedError(
            f"namespace {info.namespace!r} differs from the entry point's name {name!r}; make them the same"
        )
    return info
