"""Check what the hooks of a plugin return.

A dataclass takes any value for any field. Here they are checked before anything uses them, so that an error
names the plugin and not the place that used it.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from pose_core import hooks
from pose_core.kinds import KINDS

Implementation = Callable[[], object]

# Any: each hook has a class of its own, and the hook's name says which.
Definitions = Mapping[str, tuple[Any, ...]]

COMMANDS = (
    *(
        "inspect",
        "config",
        "show-batch",
        "train",
        "adapt",
        "evaluate",
        "compare",
        "show-maps",
        "predict",
        "status",
        "cancel",
        "worker",
        "track",
        "filter",
        "render",
        "plot",
        "export",
    ),
    *("import", "demo"),
    *(
        "models",
        "detectors",
        "runtimes",
        "exporters",
        "engines",
        "trackers",
        "filters",
        "weights",
        "writers",
        "plugins",
        "show",
        "schema",
        "check",
        "cite",
        "licenses",
    ),
)
"""The commands of ``pose`` itself. They are named here, below the command line, since a plugin that claims
one is refused when it is loaded; a test compares them with those that there are."""

# A mapping that holds itself must not end in a RecursionError.
_DEPTH = 30


class MalformedError(Exception):
    """A hook returned something that is not what its page says."""


def ask(hook: str, implementation: Implementation) -> tuple[Any, ...]:
    """Call a plugin's implementation of a hook, and check the result.

    Raises:
        MalformedError: it is not what the hook's page says.
    """
    result = implementation()
    # A text and a mapping are iterable too, and would give letters and keys.
    if result is None or isinstance(result, (str, Mapping)) or not isinstance(result, Iterable):
        raise MalformedError(
            f"{hook} must return an iterable of {hooks.HOOKS[hook].__name__}, not {type(result).__name__}"
        )
    # Read once: hooks may be generators, and fail only here.
    definitions = tuple(result)
    for definition in definitions:
        if not isinstance(definition, hooks.HOOKS[hook]):
            raise MalformedError(
                f"{hook} yields {type(definition).__name__}, not {hooks.HOOKS[hook].__name__}"
            )
    return definitions


def check_definitions(definitions: Definitions) -> None:
    """Refuse what can be wrong with a plugin's definitions without importing what they name.

    Args:
        definitions: by hook.

    Raises:
        MalformedError: one line that names the definition.
    """
    for definition in (each for hook in definitions.values() for each in hook):
        check_fields(definition, f"{type(definition).__name__} {getattr(definition, 'name', '')!r:.60}")
    seen: set[tuple[str, str]] = set()

    def once(group: str, name: str) -> None:
        if not name or "/" in name or any(c.isspace() for c in name):
            raise MalformedError(f"{group} name {name!r} must be a word without '/' and spaces")
        if (group, name) in seen:
            raise MalformedError(f"{group} {name!r} is defined twice")
        seen.add((group, name))

    for component in definitions.get("pose_components", ()):
        # A kind with a namespace may be opened by a plugin that is not loaded yet, or not installed.
        if component.kind not in KINDS and "/" not in component.kind:
            raise MalformedError(
                f"component {component.name!r} has unknown kind {component.kind!r}; kinds are "
                f"{', '.join(KINDS)}"
            )
        once(component.kind, component.name)
        for what in ("config", "factory"):
            target = getattr(component, what)
            # A plugin's own kind may have components without settings.
            if what == "config" and target == "" and "/" in component.kind:
                continue
            _check_target(target, f"{what} of {component.kind} {component.name!r}")
    for backbone in definitions.get("pose_backbones", ()):
        once("backbone preset", backbone.name)
        if not isinstance(backbone.backbone.get("type"), str):
            raise MalformedError(f"backbone preset {backbone.name!r} must say its component: {{'type': ...}}")
        if unknown := [word for word in backbone.recommended if word not in hooks.RECOMMENDED]:
            raise MalformedError(
                f"backbone preset {backbone.name!r} is recommended for {unknown[0]!r}; the words are "
                f"{', '.join(hooks.RECOMMENDED)}"
            )
        for spec in (backbone.spec, *backbone.overrides.values()):
            _check_spec(spec, backbone.name)
    for recipe in definitions.get("pose_recipes", ()):
        if "{backbone}" not in recipe.name:
            raise MalformedError(f"recipe name {recipe.name!r} must contain {{backbone}}")
        # Not by once(): one name for several methods is the rule here, and {backbone} is no word.
        if (group := (recipe.method, recipe.name)) in seen:
            raise MalformedError(f"recipe {recipe.name!r} is defined twice for {recipe.method}")
        seen.add(group)
        if recipe.needs:
            _check_need(recipe.needs, f"recipe {recipe.name!r}")
    for model in definitions.get("pose_models", ()):
        once("model", model.name)
        # In full, since the bare name may belong to another plugin on another machine.
        if model.backbone and not all(model.backbone.partition("/")):
            raise MalformedError(
                f"model {model.name!r} must name its backbone preset in full, 'namespace/name', not "
                f"{model.backbone!r}"
            )
        if model.wrapper and not (model.backbone and isinstance(model.wrapper.get("type"), str)):
            raise MalformedError(
                f"model {model.name!r} has a wrapper, which needs a 'type', and a backbone preset to be put "
                "around"
            )
    for model in (*definitions.get("pose_recipes", ()), *definitions.get("pose_models", ())):
        _check_spec(model.spec, model.name)
    for extra in definitions.get("pose_extra_heads", ()):
        # One name may stand for two heads: what serves whole frames need not serve crops.
        for method in extra.methods:
            once(f"extra head of {method}", extra.name)
        _check_need(extra.needs, f"extra head {extra.name!r}")
        if not isinstance(extra.head.get("type"), str):
            raise MalformedError(f"extra head {extra.name!r} must say its component: {{'type': ...}}")
    for weights in definitions.get("pose_weights", ()):
        once("weights", weights.name)
    for network in definitions.get("pose_zoo", ()):
        _check_zoo_network(network)
        if ("zoo", network.name) in seen:
            raise MalformedError(f"zoo network {network.name!r} is defined twice")
        seen.add(("zoo", network.name))
    for former in definitions.get("pose_former_names", ()):
        if not former.name or not former.now:
            raise MalformedError(f"former name {former.name!r} must say what it is called now")
    for method in definitions.get("pose_methods", ()):
        once("method", method.name)
        _check_method(method)
    for supplier in definitions.get("pose_suppliers", ()):
        once("supplier", supplier.name)
        _check_supplier(supplier)
    for kind in definitions.get("pose_kinds", ()):
        once("kind", kind.name)
        for what in ("config", "interface", "harness"):
            if target := getattr(kind, what):
                _check_target(target, f"{what} of kind {kind.name!r}")
        for module in (*kind.checks, *kind.config_checks):
            if not all(part.isidentifier() for part in module.split(".")):
                raise MalformedError(f"checks of kind {kind.name!r} must be 'package.module', not {module!r}")
    for command in definitions.get("pose_commands", ()):
        once("command", command.name)
        if command.name in COMMANDS:
            raise MalformedError(f"command {command.name!r} is one of pose itself; choose another name")
        _check_target(command.app, f"app of command {command.name!r}", "app")


def _check_target(target: str, what: str, attribute: str = "Class") -> None:
    module, _, name = target.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), name]):
        raise MalformedError(f"{what} must be 'package.module:{attribute}', not {target!r}")


def _check_method(method: hooks.MethodSpec) -> None:
    for attribute, choices in (
        ("view", hooks.VIEWS),
        ("animals", hooks.ANIMALS),
        ("heads", hooks.HEADS),
        ("learns", hooks.LEARNS),
    ):
        if (value := getattr(method, attribute)) not in choices:
            raise MalformedError(
                f"{attribute} of method {method.name!r} must be {' or '.join(choices)}, not {value!r}"
            )
    if not method.stages:
        raise MalformedError(
            f"method {method.name!r} must name the stages that predict: {{'NAME': {{'type': ...}}}}"
        )
    for name, stage in method.stages.items():
        if (
            not name.isidentifier()
            or not isinstance(stage, Mapping)
            or not isinstance(stage.get("type"), str)
        ):
            raise MalformedError(
                f"stage {name!r} of method {method.name!r} must say its component: {{'type': ...}}"
            )


def _check_supplier(supplier: hooks.SupplierSpec) -> None:
    # It becomes an argument of functions and an option of commands.
    if not supplier.name.isidentifier():
        raise MalformedError(f"supplier name {supplier.name!r} must be a word that Python takes for a name")
    if not isinstance(supplier.stage.get("type"), str):
        raise MalformedError(f"supplier {supplier.name!r} must say its component: {{'type': ...}}")
    takes = set(supplier.takes)
    if not takes or not takes <= set(hooks.TAKES) or ("labels" in takes and len(takes) > 1):
        raise MalformedError(
            f"supplier {supplier.name!r} must take some of 'run', 'file' and 'memory', or 'labels'"
        )
    if not supplier.gives:
        raise MalformedError(f"supplier {supplier.name!r} must say what it gives, such as 'boxes'")


def _check_zoo_network(network: hooks.ZooNetwork) -> None:
    for word in (network.project, network.network):
        if not word or "/" in word or any(c.isspace() for c in word):
            raise MalformedError(
                f"zoo network {network.name!r}: project and network must be words without '/' and spaces"
            )
    if network.trains not in hooks.LEARNED:
        raise MalformedError(
            f"trains of zoo network {network.name!r} must be {' or '.join(hooks.LEARNED)}, not {network.trains!r}"
        )
    if bool(network.description) == bool(network.description_file):
        raise MalformedError(
            f"zoo network {network.name!r} must have a description or a description_file, and not both"
        )
    if network.importer and not isinstance(network.importer.get("type"), str):
        raise MalformedError(
            f"importer of zoo network {network.name!r} must say its component: {{'type': ...}}"
        )
    if network.converter:
        _check_target(network.converter, f"converter of zoo network {network.name!r}", "function")


def _check_need(need: str, where: str) -> None:
    if need not in hooks.NEEDS:
        raise MalformedError(f"{where} has unknown need {need!r}; needs are {', '.join(hooks.NEEDS)}")


def _check_spec(spec: object, name: str) -> None:
    if not isinstance(spec, Mapping) or not isinstance(spec.get("model", {}), Mapping):
        raise MalformedError(f"the spec of {name!r} must hold keys and values, and so must its 'model'")


def check_fields(definition: object, what: str) -> None:
    """Hold each field against its annotation: text, words, or what a YAML mapping can hold.

    Args:
        definition: an instance of one of the dataclasses of :mod:`pose_core.hooks`.
        what: how messages call it.

    Raises:
        MalformedError: one line that names the field.
    """
    for name, kind in _read_kinds(_find_class(definition)).items():
        value = getattr(definition, name)
        place = f"{name} of {what}"
        if kind is str:
            _check_text(value, place)
        elif kind is tuple:
            if not isinstance(value, (tuple, list)):
                raise MalformedError(f"{place} must be a tuple of texts, not {type(value).__name__}")
            for each in value:
                _check_text(each, place)
        elif kind is int:
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise MalformedError(f"{place} must be a whole number, not {value!r:.60}")
        else:
            if not isinstance(value, Mapping):
                raise MalformedError(f"{place} must be a mapping, not {type(value).__name__}")
            _check_plain(value, place, 0)


def _find_class(definition: object) -> type:
    return next(kind for kind in hooks.HOOKS.values() if isinstance(definition, kind))


@cache
def _read_kinds(of: type) -> dict[str, type]:
    """str, tuple, int or Mapping for each field."""
    # Annotations are texts (from __future__ import annotations), and evaluating them is slow: once a class.
    hints = typing.get_type_hints(of)
    return {f.name: typing.get_origin(hints[f.name]) or hints[f.name] for f in dataclasses.fields(of)}


def _check_text(value: object, place: str) -> None:
    if not isinstance(value, str):
        raise MalformedError(f"{place} must be text, not {type(value).__name__}")
    # Texts of plugins are printed to terminals, which obey control characters.
    if not value.isprintable():
        raise MalformedError(f"{place} must be one line of printable text, not {value[:60]!r}")


def _check_plain(value: object, place: str, depth: int) -> None:
    """Refuse what a YAML file could not say."""
    if depth > _DEPTH:
        raise MalformedError(f"{place} is nested too deeply")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise MalformedError(f"{place} has the key {key!r:.60}, which is no text")
            _check_plain(inner, f"{key!r:.60} in {place}" if depth < 1 else place, depth + 1)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check_plain(inner, place, depth + 1)
    # bool is an int; a set, a path or an array would fail only when a run is written.
    elif value is not None and not isinstance(value, (str, int, float)):
        raise MalformedError(f"{place} is a {type(value).__name__}, which no YAML file could hold")
