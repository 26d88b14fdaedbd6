"""Parse the configuration of one component that is no part of a whole configuration."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, TypeVar, cast

import yaml
from pydantic import SerializeAsAny, create_model

from pose_core.definitions import Content
from pose_core.errors import ConfigError
from pose_core.specs.base import Spec
from pose_core.specs.component_config import ComponentConfig
from pose_core.specs.named_component import NamedComponent
from pose_core.specs.yaml_file import parse_yaml, validate_as

C = TypeVar("C", bound=ComponentConfig)


def parse_component(kind: str, base: type[C], content: str | Content, place: str = "") -> C:
    """Parse one component, given by its name or with settings.

    Args:
        kind: of component (``writer``).
        base: config class of that kind.
        content: the name, a mapping, or a YAML mapping as text: ``{type: NAME, setting: value}``.
        place: key that a message names (``data.reader``); may be empty.

    Raises:
        ConfigError: no such component is installed, or a setting is wrong; one line.
    """
    if isinstance(content, str) and content.startswith("{"):
        try:
            content = cast(Content, parse_yaml(content))
        except yaml.YAMLError:
            raise ConfigError(
                f"{content!r} is not valid YAML; write {{type: NAME, setting: value}}"
            ) from None
    keys = (place or kind).split(".")
    # Wrapped as in a configuration, so that one function words the errors of both.
    whole: Any = content
    for key in reversed(keys):
        whole = {key: whole}
    try:
        found: Any = validate_as(whole, {}, "", _make_holder(kind, base, tuple(keys)))
    except ConfigError as error:
        message = str(error)
        if not place:
            # Without a place the caller's command has no such key; the kind would only puzzle.
            message = message.removeprefix(f"{kind}: ").removeprefix(f"{kind}.")
        raise ConfigError(message) from None
    for key in keys:
        found = getattr(found, key)
    return cast(C, found)


# Making a pydantic class is far slower than validating by it, and each file written asks again.
@lru_cache(maxsize=64)
def _make_holder(kind: str, base: type[ComponentConfig], keys: tuple[str, ...]) -> type[Spec]:
    """A spec that holds the component at these keys, so that a wrong setting is named as in a
    configuration."""
    held: Any = Annotated[SerializeAsAny[base], NamedComponent(kind, base)]  # type: ignore[valid-type, misc]
    for key in reversed(keys):
        fields: dict[str, Any] = {key: (held, ...)}
        held = create_model("Holder", __base__=Spec, **fields)
    return cast(type[Spec], held)
