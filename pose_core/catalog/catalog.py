"""Names -> definitions -> classes: the only lookup in the code base.

Names are ``namespace/name``. The bare name works while it is unique; a bare name that a first-party plugin
offers cannot be taken over by another. Listing imports neither torch nor a plugin's networks.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from pose_core import hooks
from pose_core.catalog import install_hints, session
from pose_core.catalog.composition import Composer, Model
from pose_core.catalog.kinds import InstalledKind
from pose_core.catalog.known_names import known_names
from pose_core.catalog.offered import Command, Component, Named, Offered, Weights
from pose_core.catalog.zoo import ZooEntry, pick, suggest
from pose_core.errors import ConfigError, command
from pose_core.plugins import PluginRecord, discover

_N = TypeVar("_N", bound=Named)


class Catalog:
    """Everything the installed plugins offer.

    Args:
        records: as :func:`pose_core.plugins.discover` returns them.
    """

    def __init__(self, records: Sequence[PluginRecord]) -> None:
        self.plugins = tuple(records)
        # In the order of discovery: first-party plugins come first and win ties below.
        self._active = [r for r in records if r.active]
        self._components: dict[str, list[Component]] = {}
        for record in self._active:
            for definition in record.definitions.get("pose_components", ()):
                self._components.setdefault(definition.kind, []).append(Component(definition, record))
        self._methods: list[Offered[hooks.MethodSpec]] = self._offered("pose_methods")
        self._suppliers: list[Offered[hooks.SupplierSpec]] = self._offered("pose_suppliers")
        self._composer = Composer(self._active)
        self._commands = tuple(
            Command(d, r) for r in self._active for d in r.definitions.get("pose_commands", ())
        )
        namespaces = {r.name for r in self._active}
        composed = self._composer.models()
        # A model of a missing plugin is kept apart instead of dropped: it is what an error can advise to
        # install.
        complete = [namespaces.issuperset(m.needs) and not self._lacks_method(m) for m in composed]
        self._models = tuple(m for m, whole in zip(composed, complete, strict=True) if whole)
        self._incomplete = tuple(m for m, whole in zip(composed, complete, strict=True) if not whole)

    # Any: plugins' definitions are kept by hook, each of the hook's own class, which was checked on loading.
    def _offered(self, hook: str) -> list[Offered[Any]]:
        return [Offered(definition, r) for r in self._active for definition in r.definitions.get(hook, ())]

    def methods(self) -> tuple[hooks.MethodSpec, ...]:
        """All methods, one of each name; those that need least beside their network first."""
        # Reversed, so that of one name the plugin that was asked first stays.
        first = {m.name: m.definition for m in reversed(self._methods)}
        return tuple(
            sorted(
                first.values(), key=lambda m: (m.animals != "one", bool(m.inputs), m.view != "frame", m.name)
            )
        )

    def method(self, name: str) -> hooks.MethodSpec:
        """The method of that name (bare or full).

        Raises:
            ConfigError: the name is unknown or ambiguous; the message lists those that there are.
        """
        return self._pick("method", name, self._methods)[0].definition

    def suppliers(self, need: str | None = None) -> tuple[hooks.SupplierSpec, ...]:
        """Sources of what stages need, one of each name, by name; with ``need`` those that answer it."""
        # Reversed as above.
        first = {s.name: s.definition for s in reversed(self._suppliers)}
        return tuple(sorted((s for s in first.values() if need in (None, s.gives)), key=lambda s: s.name))

    @property
    def kinds(self) -> Mapping[str, InstalledKind]:
        """The kinds of component, by name: those of the core, then those that plugins open
        (``namespace/kind``)."""
        return self._composer.kinds

    def commands(self) -> tuple[Command, ...]:
        """The commands that plugins add, by name."""
        return tuple(sorted(self._commands, key=lambda c: (c.name, c.full_name)))

    def command(self, name: str) -> Command:
        """The command of that name (bare or full).

        Raises:
            ConfigError: the name is unknown or ambiguous.
        """
        return self._pick("command", name, self._commands)[0]

    def components(self, kind: str) -> tuple[Component, ...]:
        """All components of a kind, by name."""
        return tuple(sorted(self._components.get(kind, ()), key=lambda c: (c.name, c.full_name)))

    def component(self, kind: str, name: str) -> Component:
        """The component of that kind and name (bare or full).

        Raises:
            ConfigError: the name is unknown or ambiguous; the message lists near matches and broken plugins.
        """
        return self._pick(kind, name, self.components(kind))[0]

    def models(self) -> tuple[Model, ...]:
        """All models, by name and method. Those that need a plugin which is not there are not among them."""
        return self._models

    def incomplete(self) -> tuple[Model, ...]:
        """Models that installed plugins offer, but that need a plugin which is not there, by name and
        method."""
        return self._incomplete

    def model(self, name: str, method: str | None = None) -> tuple[Model, ...]:
        """The models of that name, one a method.

        Raises:
            ConfigError: the name is unknown, ambiguous between plugins, or does not exist for ``method``.
        """
        # Another plugin may offer a usable model of the same name, and then the broken one does not matter.
        there = any(name in (m.name, m.full_name) for m in self._models)
        lacking = [m for m in self._incomplete if name in (m.name, m.full_name) and self._lacks_method(m)]
        if lacking and not there:
            raise ConfigError(
                f"{self._no_method(lacking[0])}; correct the plugin {lacking[0].plugin.distribution}"
            )
        found = self._pick("model", name, self._models)
        if method is not None:
            chosen = [m for m in found if m.method == method]
            if not chosen:
                offered = ", ".join(m.method for m in found)
                why = self.advice(install_hints.MODEL, name, (method,))
                more = f"; as {method} {why}" if why else ""
                raise ConfigError(f"model {name!r} is not available as {method}; it is as {offered}{more}")
            found = chosen
        return tuple(found)

    def extra_heads(self, method: str) -> dict[str, hooks.ExtraHead]:
        """For each of :data:`pose_core.hooks.NEEDS` the head that models of this method get; first-party
        plugins are asked first, then the others by name."""
        found: dict[str, hooks.ExtraHead] = {}
        for plugin in self._active:
            for extra in plugin.definitions.get("pose_extra_heads", ()):
                needs = self._composer.needs({"model": {"heads": {extra.name: extra.head}}})
                if method in extra.methods and self._are_active(needs):
                    # The first plugin that can serve the need does; see the order of the active ones.
                    found.setdefault(extra.needs, extra)
        return {need: found[need] for need in hooks.NEEDS if need in found}

    def weights(self) -> tuple[Weights, ...]:
        """All pretrained weights, by name."""
        found = [
            Weights(definition, plugin, self._find_part(definition))
            for plugin in self._active
            for definition in plugin.definitions.get("pose_weights", ())
        ]
        return tuple(sorted(found, key=lambda w: (w.name, w.full_name)))

    def named_weights(self, name: str) -> Weights:
        """The pretrained weights of that name (bare or full).

        Raises:
            ConfigError: the name is unknown or ambiguous; the message lists near matches and broken plugins.
        """
        return self._pick(install_hints.WEIGHTS, name, self.weights())[0]

    def zoo(self) -> tuple[ZooEntry, ...]:
        """All published trained networks, by name."""
        found = [ZooEntry(d, r) for r in self._active for d in r.definitions.get("pose_zoo", ())]
        return tuple(sorted(found, key=lambda entry: (entry.name, entry.full_name)))

    def zoo_network(self, name: str) -> ZooEntry | None:
        """The published network of that name (``project/network``, or with its plugin in front); None if none is.

        Raises:
            ConfigError: the name is ambiguous.
        """
        return pick(name, self.zoo())

    def advice_on_zoo(self, name: str) -> str:
        """Say which published network may be meant by a name that is none, or what to install for it; empty where
        neither is known."""
        known = known_names().zoo
        if name in known and known[name] not in {r.name for r in self._active}:
            return install_hints.advice((known[name],), self.plugins, "it comes with")
        return suggest(name, self.zoo())

    def _find_part(self, weights: hooks.WeightSpec) -> str:
        # A backbone and the model that the plainest recipe makes of it share a name; only whole models have
        # keypoints.
        if weights.keypoints:
            return "model"
        if any(c.full_name == weights.model for c in self.components("detector")):
            return "detector"
        return "backbone"

    def notes(self) -> dict[str, str]:
        """For each active plugin of which something cannot be used as it is: what, and what to write
        instead."""
        notes: dict[str, list[str]] = {}
        for model in (m for m in self._incomplete if self._lacks_method(m)):
            notes.setdefault(model.plugin.name, []).append(self._no_method(model))
        groups: list[tuple[str, Iterable[Named]]] = [
            *self._components.items(),
            ("method", self._methods),
            ("supplier", self._suppliers),
            ("model", self._models),
            ("weights", self.weights()),
            ("zoo", self.zoo()),
            ("command", self._commands),
        ]
        for kind, things in groups:
            by_name: dict[str, list[Named]] = {}
            for thing in things:
                by_name.setdefault(thing.name, []).append(thing)
            for name, same in by_name.items():
                owners = {t.plugin.name for t in same}
                if len(owners) < 2:
                    continue
                first = [t for t in same if t.plugin.first_party]
                # A bare name belongs to the only first-party plugin that offers it, so that installing a
                # stranger's cannot change what a file means.
                owner = first[0].plugin.name if len({t.plugin.name for t in first}) == 1 else None
                for thing in same:
                    if thing.plugin.name == owner:
                        continue
                    why = f"belongs to {owner}" if owner else "is ambiguous"
                    notes.setdefault(thing.plugin.name, []).append(
                        f"{kind} name {name!r} {why}; write {thing.full_name!r}"
                    )
        return {plugin: "; ".join(dict.fromkeys(lines)) for plugin, lines in notes.items()}

    def _pick(self, kind: str, name: str, among: Sequence[_N]) -> list[_N]:
        namespace, _, bare = name.rpartition("/")
        found = [t for t in among if t.name == bare and (not namespace or t.plugin.name == namespace)]
        # By plugin, not by entry: the models of one name are one for each method.
        if len({t.plugin.name for t in found}) > 1:
            first = [t for t in found if t.plugin.first_party]
            if len({t.plugin.name for t in first}) != 1:
                raise ConfigError(
                    f"{kind} {name!r} is ambiguous: write "
                    f"{' or '.join(dict.fromkeys(t.full_name for t in found))}"
                )
            found = first
        if not found:
            raise ConfigError(self._unknown(kind, name, among))
        return found

    def advice(self, kind: str, name: str, methods: Collection[str] = ()) -> str:
        """Say what to install for a name that is not there; empty where that is not known.

        Args:
            kind: of component, ``MODEL`` or ``WEIGHTS`` of :mod:`pose_core.catalog.install_hints`.
            name: bare or full.
            methods: of models: only these.
        """
        namespace, _, bare = name.rpartition("/")
        ways = install_hints.needed_for(kind, name, self._backbones())
        if kind == install_hints.MODEL:
            ways |= {
                m.method: frozenset(m.needs)
                for m in self._incomplete
                if m.name == bare and namespace in ("", m.plugin.name)
            }
        # Known recipes make a model for each method; advice must be for a method that the caller can use.
        ways = {method: way for method, way in ways.items() if not methods or method in methods}
        verb = "it needs" if kind == install_hints.MODEL else "it comes with"
        messages = [
            install_hints.advice(way, self.plugins, verb) for way in sorted(ways.values(), key=self._cost)
        ]
        return messages[0] if messages else ""

    def advice_on_methods(self, methods: Collection[str]) -> str:
        """The least to install for having any model of these methods; empty where there is one, or none is
        known."""
        if any(m.method in methods for m in self._models):
            return ""
        needs = install_hints.easiest(methods, self._backbones(), {r.name for r in self._active})
        return install_hints.advice(needs, self.plugins, "the least for one is")

    def advice_on_requirements(self, component: Component) -> str:
        """Say what to install for a component that is there; empty where nothing that it requires is
        missing."""
        return install_hints.advice(component.definition.requires, self.plugins)

    def not_installed(self, kind: str) -> str:
        """List the components of a kind that could be installed, for the end of a message; may be
        empty."""
        others = install_hints.not_installed(kind, self.plugins)
        return f"; {others}" if others else ""

    def nothing(self, name: str) -> ConfigError:
        """The error for a name that stands for no model and no component; for commands that take any."""
        kinds = install_hints.kinds_of(name, self._backbones()) or [install_hints.MODEL]
        return ConfigError(
            self._unknown(kinds[0], name, self._models if kinds[0] == install_hints.MODEL else ())
        )

    def _lacks_method(self, model: Model) -> bool:
        """Whether a model has a method that no plugin is known to offer, so that installing one does not
        help."""
        return model.method not in {*(m.name for m in self._methods), *known_names().methods}

    def _no_method(self, model: Model) -> str:
        offered = ", ".join(m.name for m in self.methods())
        return (
            f"model {model.name!r} has method {model.method!r}, which no plugin offers; methods are {offered}"
        )

    def _backbones(self) -> list[str]:
        return [b.name for plugin in self._active for b in plugin.definitions.get("pose_backbones", ())]

    def _are_active(self, namespaces: Collection[str]) -> bool:
        return {r.name for r in self._active}.issuperset(namespaces)

    def _cost(self, namespaces: Collection[str]) -> tuple[int, list[str]]:
        missing = sorted(set(namespaces) - {r.name for r in self._active})
        return len(missing), missing

    def _listing(self, kind: str) -> str:
        """The command that lists names of a kind; one that takes any name where there is none of its own."""
        own = {install_hints.WEIGHTS: "weights", install_hints.MODEL: "models"}.get(kind)
        return own or (self.kinds[kind].row.listing if kind in self.kinds else "") or f"show {kind}"

    def kinds_of(self, name: str) -> list[str]:
        """List what installed plugins offer under exactly this name: ``a detector``."""
        offered: dict[str, Iterable[Named]] = {
            **self._components,
            install_hints.MODEL: self._models,
            install_hints.WEIGHTS: self.weights(),
            "method": self._methods,
        }
        found = [
            kind for kind, things in offered.items() if any(name in (t.name, t.full_name) for t in things)
        ]
        return [f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}" for kind in found]

    def _former(self, kind: str, name: str) -> str:
        """Say what a name of another tool or version is called here; empty where none is known."""

        def fold(text: str) -> str:
            return text.casefold().replace("-", "_")

        for plugin in self._active:
            for former in plugin.definitions.get("pose_former_names", ()):
                if former.kind == kind and fold(former.name) == fold(name):
                    return f"in {former.of} that is {' or '.join(former.now)} here"
        return ""

    def _unknown(self, kind: str, name: str, among: Sequence[Named]) -> str:
        names = sorted({t.name for t in among} | {t.full_name for t in among if "/" in name})
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
        message = f"no {kind} {name!r} is installed"
        if also := self.kinds_of(name):
            message += f"; {name} is {' and '.join(also)}"
        namespace, _, bare = name.rpartition("/")
        advice = self.advice(kind, name)
        if former := self._former(kind, name):
            return f"{message}; {former}"
        if advice:
            message += f"; {advice}"
            # There is advice for exactly this name, so similar names would distract; the same name in
            # another plugin does not.
            near = [n for n in near if namespace and n.rpartition("/")[2] == bare]
        if near:
            message += f"; did you mean {' or '.join(near)}?"
        elif names and not advice:
            message += (
                f"; there are {', '.join(sorted({t.name for t in among}))}"
                # More would not fit on the line of a message.
                if len(names) <= 12
                else f"; {command(*self._listing(kind).split())} lists them"
            )
        elif not advice:
            message += "; no installed plugin offers any"
        # The name may well be one of theirs, and a plugin that did not load says nothing elsewhere.
        broken = [
            f"{p.name} ({p.status}: {p.reason})"
            for p in self.plugins
            if not p.active and f"its plugin {p.name!r} is" not in advice
        ]
        if broken:
            message += f"; plugins not loaded: {', '.join(broken)}"
        return message


# One for the process: plugins are not loaded twice. pose_core.catalog.registration makes a new one necessary.
@cache
def get_catalog() -> Catalog:
    """The catalogue of the installed plugins, and of what this session has registered."""
    return Catalog((*discover(), *session.list_records()))


def available_models(method: str | None = None) -> list[str]:
    """Names of all installed models, sorted.

    Args:
        method: only models of this method, such as ``top_down``.

    Raises:
        ConfigError: there is no such method; the message lists those that there are.
    """
    if method is not None:
        method = get_catalog().method(method).name
    return sorted({m.name for m in get_catalog().models() if method is None or m.method == method})


def available_detectors() -> list[str]:
    """Names of all installed detectors, sorted."""
    return sorted({c.name for c in get_catalog().components("detector")})
