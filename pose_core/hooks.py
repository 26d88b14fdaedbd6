"""Every hook on one page.

A plugin is an ordinary distribution with one entry point in the group ``pose_core.plugins`` that points at a
module. The module implements any of the hooks below with ``@hookimpl``. It is imported by every ``pose``
command, so it imports neither torch nor its own networks: definitions name classes by strings
(``"package.module:Class"``) that are imported when, and only when, the component is used::

    from pose_core.hooks import ComponentSpec, PluginInfo, hookimpl

    @hookimpl
    def pose_plugin_info():
        return PluginInfo(namespace="maxpool", summary="A toy", license="BSD-3-Clause", hook_api="1.0")

    @hookimpl
    def pose_components():
        yield ComponentSpec("backbone", "maxpool", config="pose_maxpool.config:MaxPoolConfig",
                            factory="pose_maxpool.network:MaxPool", summary="Max pooling only")

Nothing is registered by a decorator or as a side effect of an import.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pluggy

from pose_core.definitions import (
    ANIMALS,
    HEADS,
    LEARNED,
    LEARNS,
    NEEDS,
    RECOMMENDED,
    TAKES,
    VIEWS,
    BackbonePreset,
    CommandSpec,
    ComponentSpec,
    ExtraHead,
    FormerName,
    Kind,
    MethodSpec,
    ModelPreset,
    ModelRecipe,
    PluginInfo,
    SupplierSpec,
    WeightSpec,
    ZooNetwork,
)

__all__ = [
    "ANIMALS",
    "ENTRY_POINT_GROUP",
    "HEADS",
    "HOOKS",
    "HOOK_API",
    "LEARNED",
    "LEARNS",
    "NEEDS",
    "PROJECT",
    "RECOMMENDED",
    "TAKES",
    "VIEWS",
    "BackbonePreset",
    "CommandSpec",
    "ComponentSpec",
    "ExtraHead",
    "FormerName",
    "Kind",
    "MethodSpec",
    "ModelPreset",
    "ModelRecipe",
    "PluginInfo",
    "SupplierSpec",
    "WeightSpec",
    "ZooNetwork",
    "hookimpl",
    "hookspec",
    "pose_backbones",
    "pose_commands",
    "pose_components",
    "pose_extra_heads",
    "pose_former_names",
    "pose_kinds",
    "pose_methods",
    "pose_models",
    "pose_plugin_info",
    "pose_recipes",
    "pose_suppliers",
    "pose_weights",
    "pose_zoo",
]

PROJECT = "pose_core"
ENTRY_POINT_GROUP = "pose_core.plugins"

HOOK_API = (1, 0)
"""Version of this page: the first number changes when existing plugins must change, the second when hooks or
fields are added. A plugin states the version it was written for in :class:`PluginInfo`."""

# pluggy only declares and matches hooks here; see pose_core.plugins.discovery for why it does not load.
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# The bodies are documentation alone: pluggy calls the implementations of plugins, never these.
@hookspec
def pose_plugin_info() -> PluginInfo:  # type: ignore[empty-body]
    """Who the plugin is. Required; everything else is optional."""


@hookspec
def pose_components() -> Iterable[ComponentSpec]:  # type: ignore[empty-body]
    """Components that a YAML file can name."""


@hookspec
def pose_kinds() -> Iterable[Kind]:  # type: ignore[empty-body]
    """Kinds of component that other plugins may contribute, beside those of the core."""


@hookspec
def pose_backbones() -> Iterable[BackbonePreset]:  # type: ignore[empty-body]
    """Named backbones; each becomes a model by every installed recipe."""


@hookspec
def pose_recipes() -> Iterable[ModelRecipe]:  # type: ignore[empty-body]
    """Ways to make a model of any backbone."""


@hookspec
def pose_models() -> Iterable[ModelPreset]:  # type: ignore[empty-body]
    """Complete named architectures."""


@hookspec
def pose_extra_heads() -> Iterable[ExtraHead]:  # type: ignore[empty-body]
    """Heads for what only some projects have, in the models of any plugin."""


@hookspec
def pose_weights() -> Iterable[WeightSpec]:  # type: ignore[empty-body]
    """Pretrained weights."""


@hookspec
def pose_zoo() -> Iterable[ZooNetwork]:  # type: ignore[empty-body]
    """Published trained networks, used by name as runs are."""


@hookspec
def pose_methods() -> Iterable[MethodSpec]:  # type: ignore[empty-body]
    """Ways of predicting, of which every model has one."""


@hookspec
def pose_suppliers() -> Iterable[SupplierSpec]:  # type: ignore[empty-body]
    """Sources of what stages need, such as boxes."""


@hookspec
def pose_commands() -> Iterable[CommandSpec]:  # type: ignore[empty-body]
    """Commands of ``pose``."""


@hookspec
def pose_former_names() -> Iterable[FormerName]:  # type: ignore[empty-body]
    """Names that users of other tools or versions know, and what is meant here."""


# Written out and not read from annotations: what plugins return is checked against this on every start.
HOOKS: Mapping[str, type] = {
    "pose_plugin_info": PluginInfo,
    "pose_components": ComponentSpec,
    "pose_kinds": Kind,
    "pose_backbones": BackbonePreset,
    "pose_recipes": ModelRecipe,
    "pose_models": ModelPreset,
    "pose_extra_heads": ExtraHead,
    "pose_weights": WeightSpec,
    "pose_zoo": ZooNetwork,
    "pose_methods": MethodSpec,
    "pose_suppliers": SupplierSpec,
    "pose_commands": CommandSpec,
    "pose_former_names": FormerName,
}
"""Each hook and what it returns (one of it for ``pose_plugin_info``, an iterable of it for the others)."""
