"""Models that can be named, composed of what plugins offer: presets as they are, and every recipe times every
backbone.

Each model knows the plugins that it needs, so that one is offered only where all of them are installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pose_core import hooks
from pose_core.catalog.citations import Citation
from pose_core.catalog.kinds import InstalledKind, KindsByKey, installed_kinds
from pose_core.catalog.known_names import known_names
from pose_core.catalog.merge import ContentDict, merge
from pose_core.definitions import Content
from pose_core.plugins import PluginRecord

CORE = "core"
"""Namespace of what the core offers itself, which is always installed."""


@dataclass(frozen=True)
class Model:
    """A model that can be named: a plugin's preset, or a recipe applied to a backbone preset.

    Attributes:
        name: bare name.
        method: name of its :class:`pose_core.hooks.MethodSpec`.
        family: group it is listed under.
        plugin: record of the plugin that contributes the architecture (of the backbone, for composed models).
        summary: one line.
        layers: partial run specs, later ones override earlier ones.
        citations: the works that preset and recipe cite, beyond those of plugins and components.
        needs: namespaces of the plugins that it needs, sorted; its own and that of its recipe among them.
        backbone: full name of the backbone preset that a recipe was applied to; empty for presets of models.
        recommended: where it is taken when a user names no model, see :data:`pose_core.hooks.RECOMMENDED`.
        skeleton_needs: what the project's skeleton must have, one of :data:`pose_core.hooks.NEEDS`; empty:
            nothing.
    """

    name: str
    method: str
    family: str
    plugin: PluginRecord
    summary: str
    layers: tuple[Content, ...]
    citations: tuple[Citation, ...] = ()
    needs: tuple[str, ...] = ()
    backbone: str = ""
    recommended: tuple[str, ...] = ()
    skeleton_needs: str = ""

    @property
    def full_name(self) -> str:
        """``namespace/name``."""
        return f"{self.plugin.name}/{self.name}"

    def spec(self) -> ContentDict:
        """The layers on top of one another."""
        return _merge_layers(self.layers)


Recipe = tuple[hooks.ModelRecipe, PluginRecord]


class Composer:
    """Makes the models of some plugins.

    Args:
        plugins: active ones, those asked first first.
    """

    def __init__(self, plugins: Sequence[PluginRecord]) -> None:
        self._plugins = plugins
        self.kinds = installed_kinds(plugins)
        # A component's defaults may name components of other plugins, which no spec shows; the plugin
        # states them.
        self._requires: dict[tuple[str, str], tuple[str, ...]] = {
            (c.kind, f"{plugin.name}/{c.name}"): c.requires
            for plugin in plugins
            for c in plugin.definitions.get("pose_components", ())
        }
        # Of a method that is not installed it may be known which plugin offers it.
        offered = {
            m.name: plugin.name
            for plugin in reversed(plugins)
            for m in plugin.definitions.get("pose_methods", ())
        }
        self._methods = {**known_names().methods, **offered}
        self._backbones: dict[str, tuple[hooks.BackbonePreset, PluginRecord]] = {
            f"{plugin.name}/{preset.name}": (preset, plugin)
            for plugin in plugins
            for preset in plugin.definitions.get("pose_backbones", ())
        }

    def recipes(self) -> tuple[Recipe, ...]:
        """One of each name and method, with the plugin it comes from."""
        found: dict[tuple[str, str], Recipe] = {}
        for plugin in self._plugins:
            for recipe in plugin.definitions.get("pose_recipes", ()):
                # Plugins come first-party first, so a stranger's recipe of the same name and method cannot
                # take over.
                found.setdefault((recipe.method, recipe.name), (recipe, plugin))
        return tuple(found.values())

    def models(self) -> list[Model]:
        """All of them, by name and method; those too that need a plugin which is not there."""
        models = [self._preset(m, p) for p in self._plugins for m in p.definitions.get("pose_models", ())]
        models += [
            self._composed(backbone, plugin, recipe)
            for plugin in self._plugins
            for backbone in plugin.definitions.get("pose_backbones", ())
            for recipe in self.recipes()
        ]
        # The order does not depend on the order of installation.
        return sorted(models, key=lambda m: (m.name, m.method, m.plugin.name))

    def needs(self, *layers: Content) -> set[str]:
        """The namespaces of the components that these partial run specs name together, and what those
        require."""
        found: set[str] = set()
        content = _merge_layers(layers)
        for kind, name in names_in(content, self.kinds):
            found |= {*_split_namespace(name), *self._requires.get((kind, name), ())}
        return found

    def of_method(self, name: str) -> set[str]:
        """The namespace of the plugin that offers a method; empty for those of the core and where it is not
        known."""
        return {self._methods[name]} - {CORE} if name in self._methods else set()

    def _preset(self, preset: hooks.ModelPreset, plugin: PluginRecord) -> Model:
        layers = _wrap(preset.wrapper)
        citations = tuple(Citation(plugin, key) for key in preset.citations)
        # Else its plugin is not installed; the preset still counts, as one that lacks it.
        if preset.backbone in self._backbones:
            backbone, author = self._backbones[preset.backbone]
            layers += _list_backbone_layers(backbone, preset.method, preset.wrapper)
            citations = (*(Citation(author, key) for key in backbone.citations), *citations)
        # Last, so that the preset of a whole model wins over its backbone's defaults.
        layers += (preset.spec,)
        return Model(
            preset.name,
            preset.method,
            preset.family,
            plugin,
            preset.summary,
            layers,
            citations,
            # Where its plugin is not installed the backbone preset is not known, but its namespace is.
            tuple(
                sorted(
                    {plugin.name, *_split_namespace(preset.backbone)}
                    | self.of_method(preset.method)
                    | self.needs(*layers)
                )
            ),
        )

    def _composed(self, preset: hooks.BackbonePreset, plugin: PluginRecord, recipe_of: Recipe) -> Model:
        recipe, author = recipe_of
        layers = (
            recipe.spec,
            *_wrap(recipe.wrapper),
            *_list_backbone_layers(preset, recipe.method, recipe.wrapper),
        )
        return Model(
            name=recipe.name.replace("{backbone}", preset.name),
            method=recipe.method,
            family=preset.family,
            plugin=plugin,
            summary=recipe.summary.replace("{backbone}", preset.summary),
            layers=layers,
            citations=(
                *(Citation(plugin, key) for key in preset.citations),
                *(Citation(author, key) for key in recipe.citations),
            ),
            needs=tuple(
                sorted({plugin.name, author.name} | self.of_method(recipe.method) | self.needs(*layers))
            ),
            backbone=f"{plugin.name}/{preset.name}",
            # What suits some projects only is for those who ask for it.
            recommended=() if recipe.needs else preset.recommended,
            skeleton_needs=recipe.needs,
        )


Kinds = Mapping[str, InstalledKind]


def components_in(content: object, kinds: Kinds) -> Iterator[tuple[str, ContentDict]]:
    """Find the outermost components of a partial run spec: kind, and content with its ``type``.

    Args:
        content: as YAML has it.
        kinds: those that there are, by name.
    """
    yield from _find_components(content, KindsByKey(kinds), ())


def _find_components(
    content: object, keys: KindsByKey, path: tuple[str, ...]
) -> Iterator[tuple[str, ContentDict]]:
    if not isinstance(content, Mapping):
        return
    for key, value in content.items():
        kind = keys.kind_of((*path, str(key)))
        # A list holds several, such as loggers.
        for each in value if isinstance(value, (list, tuple)) else (value,):
            # 'neck: fpn' is short for a mapping with a type. Below 'type' stands a name, not another component.
            config = {"type": each} if isinstance(each, str) and kind and key != "type" else each
            if kind and isinstance(config, Mapping) and isinstance(config.get("type"), str):
                yield kind, dict(config)
            else:
                yield from _find_components(each, keys, (*path, str(key)))


def names_in(content: object, kinds: Kinds) -> Iterator[tuple[str, str]]:
    """Find kind and name, as written, of all components of a partial run spec, those within others too."""
    for kind, config in components_in(content, kinds):
        yield kind, config["type"]
        yield from names_in({key: value for key, value in config.items() if key != "type"}, kinds)


def namespaces_in(content: object, kinds: Kinds) -> set[str]:
    """Find the namespaces of components that a partial run spec names in full."""
    return {namespace for _, name in names_in(content, kinds) for namespace in _split_namespace(name)}


def _split_namespace(name: str) -> list[str]:
    """The namespace of a full name; nothing for a bare one."""
    namespace, _, _ = name.rpartition("/")
    return [namespace] if namespace else []


def _merge_layers(layers: Iterable[Content]) -> ContentDict:
    merged: ContentDict = {}
    for layer in layers:
        merged = merge(merged, layer)
    return merged


def _wrap(wrapper: Content) -> tuple[Content, ...]:
    return ({"model": {"backbone": wrapper}},) if wrapper else ()


def _list_backbone_layers(preset: hooks.BackbonePreset, method: str, wrapper: Content) -> tuple[Content, ...]:
    """List the layers of a backbone preset, from its component to its defaults for a method."""
    layers = ({"model": {"backbone": preset.backbone}}, preset.spec, preset.overrides.get(method, {}))
    return tuple(_move_within(wrapper, layer) for layer in layers)


def _move_within(wrapper: Content, layer: Content) -> Content:
    """Move settings of a preset's backbone to the one within the wrapper, where there is one."""
    model = layer.get("model", {})
    if not wrapper or "backbone" not in model:
        return layer
    return {**layer, "model": {**model, "backbone": {"backbone": model["backbone"]}}}
