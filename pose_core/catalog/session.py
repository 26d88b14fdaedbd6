"""What this Python session has registered itself, beside the installed plugins; see
:func:`pose_core.catalog.registration.register`.

Definitions name classes by strings. Those of a session lead here: classes of a notebook have no module that could
be imported again.
"""

from __future__ import annotations

from pose_core import hooks
from pose_core.plugins import ACTIVE, SESSION, PluginRecord
from pose_core.plugins.definition_checks import Definitions

_components: dict[tuple[str, str], hooks.ComponentSpec] = {}
_presets: dict[str, hooks.BackbonePreset] = {}
_classes: dict[str, object] = {}


def __getattr__(name: str) -> object:
    try:
        return _classes[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def define(kind: str, name: str, config: object, factory: object, summary: str) -> hooks.ComponentSpec:
    """Make the definition of a component, with strings that lead to these classes."""
    # By number: a name may hold what no attribute can, and a class may be defined anew under the same name.
    number = len(_classes)
    _classes[f"config_{number}"], _classes[f"factory_{number}"] = config, factory
    return hooks.ComponentSpec(
        kind, name, f"{__name__}:config_{number}", f"{__name__}:factory_{number}", summary
    )


def keep(definition: hooks.ComponentSpec, preset: hooks.BackbonePreset | None) -> None:
    """Keep a component, and what it is called as a backbone; in the place of one of the same kind and name."""
    _components[definition.kind, definition.name] = definition
    if definition.kind == "backbone":
        _presets.pop(definition.name, None)
    if preset is not None:
        _presets[preset.name] = preset


def clear() -> None:
    """Forget everything that was registered."""
    _components.clear()
    _presets.clear()
    _classes.clear()


def is_registered(kind: str, name: str) -> bool:
    """Whether this session has registered a component of that kind and name."""
    return (kind, name) in _components


def list_records() -> tuple[PluginRecord, ...]:
    """The session as a plugin; none where nothing was registered."""
    if not _components:
        return ()
    definitions: Definitions = {
        "pose_components": tuple(_components.values()),
        "pose_backbones": tuple(_presets.values()),
    }
    info = hooks.PluginInfo(
        SESSION,
        "registered in this Python session, and gone with it",
        license="",
        hook_api=".".join(map(str, hooks.HOOK_API)),
    )
    record = PluginRecord(
        SESSION,
        "(this session)",
        "",
        "__main__",
        ACTIVE,
        reason=info.summary,
        info=info,
        definitions=definitions,
    )
    return (record,)
