"""Make a class of this Python session usable by name, without a plugin."""

from __future__ import annotations

from typing import Any

from pose_core import hooks
from pose_core.catalog import session
from pose_core.catalog.catalog import get_catalog
from pose_core.catalog.loading import load_target
from pose_core.errors import ConfigError, argument
from pose_core.kinds import KINDS
from pose_core.plugins import SESSION
from pose_core.plugins.definition_checks import MalformedError, check_definitions


def register(
    name: str,
    factory: Any,
    config: type[Any] | None = None,
    *,
    kind: str | None = None,
    summary: str = "",
    replace: bool = False,
) -> None:
    """Make a component of this session usable by name, in configurations and wherever plugins' names are.

    For trying things out in a notebook or script: what is registered is listed under the namespace ``session``, is
    gone with the process, and a run that was trained with it can be opened only after it was registered again. A
    plugin lasts (:doc:`authors/first-plugin`).

    Args:
        name: bare name, ``mynet``; the full one is ``session/mynet``. A backbone whose settings all have defaults
            is a model of every recipe under this name.
        factory: the class, or a function that makes it, as ``factory`` of
            :class:`pose_core.hooks.ComponentSpec`.
        config: its config class; that of the kind where it has no settings of its own.
        kind: of component; told from the base of ``factory`` where that is a class.
        summary: one line for listings; the first line of the docstring by default.
        replace: take the place of what the session registered under the name before.

    Raises:
        ConfigError: the name is taken or no word, or the kind cannot be told.
    """
    kind = kind if kind is not None else _find_kind(factory)
    catalog = get_catalog()
    if kind not in catalog.kinds:
        raise ConfigError(f"kind {kind!r}: is none; kinds are {', '.join(catalog.kinds)}")
    again = session.is_registered(kind, name)
    if again and not replace:
        raise ConfigError(
            f"{kind} {name!r}: is registered already; {argument('replace', True)} takes its place"
        )
    others = [c.full_name for c in catalog.components(kind) if c.name == name and c.plugin.name != SESSION]
    if kind == "backbone":
        others += [m.full_name for m in catalog.models() if m.name == name and m.plugin.name != SESSION]
    if others:
        raise ConfigError(f"{kind} {name!r}: is the name of {others[0]}; choose another")
    if config is None:
        config = load_target(catalog.kinds[kind].row.config, f"config of the kind {kind}", "pose-core")
    about = summary or (factory.__doc__ or "").strip().partition("\n")[0] or f"a {kind} of this session"
    definition = session.define(kind, name, config, factory, about)
    preset = _make_preset(name, config, definition.summary) if kind == "backbone" else None
    presets = () if preset is None else (preset,)
    try:
        check_definitions({"pose_components": (definition,), "pose_backbones": presets})
    except MalformedError as error:
        raise ConfigError(str(error)) from None
    session.keep(definition, preset)
    get_catalog.cache_clear()


def _find_kind(factory: Any) -> str:
    """Find the kind whose interface a class implements."""
    found = []
    for kind in KINDS.values() if isinstance(factory, type) else ():
        if kind.interface and issubclass(factory, load_target(kind.interface, kind.interface, "pose-core")):
            found.append(kind.name)
    if len(found) != 1:
        why = f"is of several kinds ({', '.join(found)})" if found else "extends the interface of no kind"
        raise ConfigError(
            f"{getattr(factory, '__name__', factory)!r} {why}; say which: {argument('kind', 'backbone')}"
        )
    return found[0]


def _make_preset(name: str, config: type[Any], summary: str) -> hooks.BackbonePreset | None:
    """Name a backbone for all recipes; not one with settings that only the user can say."""
    if any(field.is_required() for field in config.model_fields.values()):
        return None
    return hooks.BackbonePreset(name, SESSION, {"type": f"{SESSION}/{name}"}, summary)
