"""Level 0: configs of components, as users write them. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import get_args

import yaml
from pydantic import BaseModel, ValidationError

from pose_core import specs
from pose_core.catalog.composition import namespaces_in
from pose_core.testing.checks.check import COMPONENT, check, demand
from pose_core.testing.checks.targets import ComponentSubject


@check(0, COMPONENT)
def check_config_is_of_its_kind(subject: ComponentSubject) -> None:
    """The config subclasses the base of its kind (BackboneConfig ...)."""
    base = subject.installed_kind.config_base()
    demand(
        isinstance(subject.config_class, type) and issubclass(subject.config_class, base),
        f"{subject.component.definition.config} is not a subclass of {_name_publicly(base)}",
    )


def _name_publicly(base: type) -> str:
    """The name by which an author imports a config base."""
    # Authors import from the package, and the module in which a base is defined may change.
    home = "pose_core.specs" if base.__name__ in specs.__all__ else base.__module__
    return f"{home}.{base.__name__}"


@check(0, COMPONENT)
def check_config_has_an_example(subject: ComponentSubject) -> None:
    """The defaults, or what the config's example() returns, are valid, so that the component can be tried."""
    demand(subject.config.type == subject.component.full_name, "example() must not set the type")


@check(0, COMPONENT)
def check_config_is_strict(subject: ComponentSubject) -> None:
    """Unknown keys are refused and values cannot be changed: keep the model_config of
    pose_core.specs.Spec."""
    config = subject.config
    try:
        type(config).model_validate({**config.model_dump(), "no_such_key": 1})
    except ValidationError:
        pass
    else:
        raise AssertionError("an unknown key is accepted; a user's typing error would pass unnoticed")
    try:
        # Configs are shared between the runs of a process, so a part that changed its own would change
        # others.
        config.type = "other"
    except ValidationError:
        return
    raise AssertionError("the config can be changed after validation; keep frozen=True")


@check(0, COMPONENT)
def check_config_is_described(subject: ComponentSubject) -> None:
    """Every field that a user can write has Field(description=...); the JSON Schema shows it in the
    editor."""
    silent = sorted(set(_find_undescribed(subject.config_class, "", ())))
    demand(not silent, f"without a description: {', '.join(silent)}")


def _find_undescribed(model: type[BaseModel], path: str, above: tuple[type, ...]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if not field.description:
            yield path + name
        for inner in (field.annotation, *get_args(field.annotation)):
            if (
                # Nested components are subjects of their own, and a spec that may hold itself would never
                # end.
                isinstance(inner, type)
                and issubclass(inner, BaseModel)
                and not issubclass(inner, specs.ComponentConfig)
                and inner not in above
            ):
                yield from _find_undescribed(inner, f"{path}{name}.", (*above, inner))


@check(0, COMPONENT)
def check_config_round_trips_yaml(subject: ComponentSubject) -> None:
    """Written to a run's config.yaml and read back it is equal: every value must survive
    model_dump(mode='json')."""
    config = subject.config
    try:
        # Just as a run folder writes it: safe_dump refuses what is not plain, such as tuples left by
        # mode='python'.
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        again = type(config).model_validate(yaml.safe_load(text))
    except (ValidationError, ValueError, yaml.YAMLError) as error:
        raise AssertionError(
            f"cannot be written and read back: {' '.join(str(error).split())[:200]}"
        ) from None
    changed = [n for n in type(config).model_fields if getattr(again, n) != getattr(config, n)]
    demand(not changed, f"changes when it is written and read back: {', '.join(changed)}")


@check(0, COMPONENT)
def check_config_has_a_schema(subject: ComponentSubject) -> None:
    """The JSON Schema for editors can be made: use types that pydantic can describe."""
    try:
        text = json.dumps(subject.config_class.model_json_schema())
    # pydantic raises several unrelated exceptions for types that it cannot describe.
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}") from None
    demand('"properties"' in text, "the schema shows no field")


@check(0, COMPONENT)
def check_requires_is_complete(subject: ComponentSubject) -> None:
    """requires of ComponentSpec names the other plugins whose components the config has by default."""
    kinds = subject.catalog.kinds
    used = namespaces_in({subject.kind: subject.config.model_dump(mode="json")}, kinds)
    # What the example chooses is no default.
    chosen = namespaces_in(
        {subject.kind: {**subject.config_class.example(), "type": subject.component.full_name}}, kinds
    )
    stated = {*subject.component.definition.requires, subject.plugin.name, *chosen}
    missing = sorted(used - stated)
    demand(
        not missing,
        f"by default it has components of {', '.join(missing)}; write requires={tuple(missing)!r} in its "
        "ComponentSpec",
    )


CHECKS = (
    check_config_is_of_its_kind,
    check_config_has_an_example,
    check_config_is_strict,
    check_config_is_described,
    check_config_round_trips_yaml,
    check_config_has_a_schema,
    check_requires_is_complete,
)
