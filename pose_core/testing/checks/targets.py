"""Subjects of checks: plugins and everything that they offer. No torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypedDict

from packaging.utils import canonicalize_name
from pydantic import ValidationError

from pose_core.catalog import Catalog, Component, Model, get_catalog
from pose_core.catalog.distributions import required_by
from pose_core.catalog.install_hints import MODEL as A_MODEL
from pose_core.catalog.install_hints import install, kinds_of
from pose_core.catalog.kinds import InstalledKind
from pose_core.catalog.known_names import known_names
from pose_core.definitions import Kind
from pose_core.errors import ConfigError
from pose_core.plugins import ACTIVE, PluginRecord
from pose_core.specs import ComponentConfig
from pose_core.testing.checks.check import (
    COMMAND,
    COMPONENT,
    EXTRA_HEAD,
    KIND,
    MODEL,
    NETWORK,
    PLUGIN,
    RECIPE,
    WEIGHTS,
    ZOO,
    NotApplicable,
    demand,
)


class Summary(TypedDict):
    """One output in a file of stored outputs."""

    shape: list[int]
    mean: float
    std: float
    values: list[float]


StoredSummaries = Mapping[str, Summary]
"""By output of one component."""

StoredOutputs = Mapping[str, StoredSummaries]
"""By subject."""


@dataclass(frozen=True, eq=False)
class Subject:
    """Something that a plugin offers.

    Attributes:
        kind: ``plugin``, ``model``, ``recipe``, ``extra_head``, ``weights``, ``zoo``, ``kind``, ``command``, or the
            kind of a component.
        name: bare name; empty for the plugin itself.
        plugin: its record.
        catalog: of everything that is installed.
        reference: stored outputs by subject, for level 2; None where there are none.
    """

    kind: str
    name: str
    plugin: PluginRecord
    catalog: Catalog
    reference: StoredOutputs | None = None

    @property
    def label(self) -> str:
        """``backbone/resnet``; empty for the plugin itself."""
        return f"{self.kind}/{self.name}" if self.name else ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Name of the subject in a check's messages."""
        return (self.kind,)


@dataclass(frozen=True, eq=False)
class DefinitionSubject(Subject):
    """A recipe, an extra head, weights, a published network, a kind or a command.

    Attributes:
        definition: what the hook yielded.
    """

    # Any: each hook yields a class of its own, and the checks of a kind know theirs.
    definition: Any = None


@dataclass(frozen=True, eq=False)
class ModelSubject(Subject):
    """A model by name and method."""

    model: Model = field(kw_only=True)

    def skip_incomplete(self) -> None:
        """To be called first: a model that needs a plugin which is not installed cannot be tried.

        Raises:
            AssertionError: what it needs is neither known nor required by the plugin's distribution.
            NotApplicable: says what to install.
        """
        if self.model not in self.catalog.incomplete():
            return
        known = known_names().distributions
        required = required_by(self.plugin.distribution)
        for namespace in set(self.model.needs) - {r.name for r in self.catalog.plugins}:
            demand(
                namespace in known or f"pose-{namespace}" in required,
                f"{self.model.name} names a component of {namespace!r}, which is no installed plugin and "
                "none that "
                f"{self.plugin.distribution} requires in its pyproject.toml; correct the name of the "
                "component",
            )
        raise skip(self.catalog.advice(A_MODEL, self.model.full_name, (self.model.method,)))


@dataclass(frozen=True, eq=False)
class ComponentSubject(Subject):
    """A component.

    Attributes:
        component: as the catalogue has it.
    """

    component: Component = field(kw_only=True)

    @property
    def kinds(self) -> tuple[str, ...]:
        row = self.installed_kind.row
        return (self.kind, *((COMPONENT,) if row.config else ()), *((NETWORK,) if row.harness else ()))

    @property
    def installed_kind(self) -> InstalledKind:
        """The kind; one without anything where no installed plugin opens it."""
        # A component of a kind that no installed plugin opens is refused with the plugin; level 0 still has
        # to describe it.
        without = InstalledKind(Kind(self.kind, "", config=""))
        return self.catalog.kinds.get(self.kind, without)

    @cached_property
    def config_class(self) -> type[ComponentConfig]:
        """The plugin's config class."""
        return self.component.config_class()

    @cached_property
    def config(self) -> Any:
        """A small config: the ``example`` of its class (its defaults, where it says nothing).

        Raises:
            AssertionError: the example does not validate.
        """
        # The defaults of most networks are far too large to be built in a test.
        example = dict(self.config_class.example())
        try:
            return self.config_class.model_validate({**example, "type": self.component.full_name})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the config"
            what = f"example() {example}" if example else "a config without any setting (override example())"
            raise AssertionError(f"{what} is not valid: {where}: {first['msg']}") from None


def find_plugins(name: str) -> list[PluginRecord]:
    """The plugins that a name means: a distribution or a namespace, installed under any status.

    Raises:
        ConfigError: there is none.
    """
    catalog = get_catalog()
    wanted = name.lower().replace("_", "-")
    found = [
        r for r in catalog.plugins if wanted in (r.distribution.lower().replace("_", "-"), r.name.lower())
    ]
    if not found:
        known = ", ".join(sorted({r.distribution for r in catalog.plugins}))
        raise ConfigError(f"no plugin {name!r} is installed; distributions with plugins are {known}")
    return found


def subjects(name: str, reference: StoredOutputs | None = None) -> list[Subject]:
    """Find what a name means: all that a distribution or plugin offers, or one component or model.

    Args:
        name: of a distribution, a plugin, a component or a model (bare or full).
        reference: stored outputs.

    Raises:
        ConfigError: nothing of that name is installed.
    """
    catalog = get_catalog()
    try:
        # Plugins come first: a plugin is often called like its component, and then all of it is meant.
        plugins = find_plugins(name)
    except ConfigError:
        chosen = [
            s
            for record in catalog.plugins
            for s in _list_offered(record, catalog, reference)
            if s.name and name in _list_names(s)
        ]
        if not chosen:
            raise _make_error(name, catalog) from None
        return chosen
    return [s for record in plugins for s in _list_offered(record, catalog, reference)]


def _list_names(subject: Subject) -> tuple[str, ...]:
    """The names that it goes by: its own, bare, and with the plugin in front."""
    # Networks of a zoo are called as the architectures that they are of; they are meant by their project only.
    bare = subject.name if subject.kind == ZOO else subject.name.rpartition("/")[2]
    return subject.name, bare, f"{subject.plugin.name}/{bare}"


def answers_for(record: PluginRecord, namespaces: Collection[str], catalog: Catalog) -> bool:
    """Whether a plugin must keep its promises together with others: with those that its distribution requires
    and with the first-party ones, not with whatever else happens to be installed."""
    required = required_by(record.distribution)
    strangers = {
        r.name
        for r in catalog.plugins
        if not r.first_party and canonicalize_name(r.distribution) not in required
    }
    # Else the tests of a plugin would fail on a machine where an unrelated one is broken.
    return not (strangers - {record.name}).intersection(namespaces)


def _list_offered(record: PluginRecord, catalog: Catalog, reference: StoredOutputs | None) -> list[Subject]:
    # Any: it is spread over the parameters of dataclasses, each of another type.
    common: dict[str, Any] = {"plugin": record, "catalog": catalog, "reference": reference}
    # A plugin that did not load has no definitions, but the check that it is active must say why.
    found: list[Subject] = [Subject(PLUGIN, "", **common)]
    if record.status != ACTIVE:
        return found
    defined = record.definitions
    found += [
        ComponentSubject(d.kind, d.name, component=Component(d, record), **common)
        for d in defined.get("pose_components", ())
    ]
    found += [
        ModelSubject(MODEL, f"{m.method}/{m.name}", model=m, **common)
        for m in (*catalog.models(), *catalog.incomplete())
        if m.plugin.name == record.name and answers_for(record, m.needs, catalog)
    ]
    found += [
        DefinitionSubject(RECIPE, f"{d.method}/{d.name}", definition=d, **common)
        for d in defined.get("pose_recipes", ())
    ]
    found += [
        DefinitionSubject(EXTRA_HEAD, f"{'+'.join(d.methods)}/{d.name}", definition=d, **common)
        for d in defined.get("pose_extra_heads", ())
    ]
    for kind, hook in (
        (WEIGHTS, "pose_weights"),
        (ZOO, "pose_zoo"),
        (KIND, "pose_kinds"),
        (COMMAND, "pose_commands"),
    ):
        found += [DefinitionSubject(kind, d.name, definition=d, **common) for d in defined.get(hook, ())]
    return found


def _make_error(name: str, catalog: Catalog) -> ConfigError:
    """The error for a name of nothing that is installed; says what to install, where that is known."""
    for namespace, distribution in known_names().distributions.items():
        if name.lower().replace("_", "-") in (namespace, distribution):
            return ConfigError(f"the plugin {distribution} is not installed: {install([distribution])}")
    if kinds_of(name, ()):
        return catalog.nothing(name)
    installed = ", ".join(sorted({r.distribution for r in catalog.plugins}))
    return ConfigError(
        f"no plugin, component or model {name!r} is installed; distributions with plugins are {installed}"
    )


def skip(reason: str) -> NotApplicable:
    """To be raised where a check says nothing."""
    return NotApplicable(" ".join(reason.split()))
