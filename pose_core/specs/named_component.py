"""Fields that hold a component: looked up by ``type``, validated by the config class its plugin names."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from pose_core.catalog import Component, get_catalog
from pose_core.errors import PoseError
from pose_core.specs.component_config import ComponentConfig

# Global, since pydantic hands no state down its schema functions. Filled and emptied within one call.
_describing: set[str] = set()
"""Kinds of the components that are being put into a JSON Schema."""


class NamedComponent:
    """Marks a field as holding a component of ``kind``."""

    def __init__(self, kind: str, base: type[ComponentConfig]) -> None:
        self.kind = kind
        self.base = base

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        # A plain validator instead of a union of all configs: the union would be fixed when the class is
        # made, before the plugins are known, and its errors would name every component.
        return core_schema.no_info_plain_validator_function(
            self._resolve,
            serialization=core_schema.wrap_serializer_function_ser_schema(
                # By the class of the value: by that of the field, the plugin's own settings would be left
                # out.
                lambda value, nxt: value.model_dump(),
                schema=core_schema.any_schema(),
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        components = get_catalog().components(self.kind)
        names = [name for component in components for name in (component.full_name, component.name)]
        if self.kind in _describing:
            # A backbone around a backbone, for instance: its schema would hold itself without end, so the
            # inner one is described by its name only.
            return {"anyOf": [{"enum": names}, {"type": "object", "properties": {"type": {"enum": names}}}]}
        _describing.add(self.kind)
        try:
            return self._described(components, names, handler)
        finally:
            _describing.remove(self.kind)

    def _described(
        self, components: Sequence[Component], names: Sequence[str], handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """One choice for each type; one for a name alone; and one without a type, for files that change a few
        settings of what the model's preset names."""
        choices: list[JsonSchemaValue] = []
        settings: dict[str, list[JsonSchemaValue]] = {}
        for component in components:
            choice = handler(component.config_class().__pydantic_core_schema__)
            resolved = dict(handler.resolve_ref_schema(choice))
            for name, setting in resolved["properties"].items():
                if setting not in settings.setdefault(name, []):
                    settings[name].append(setting)
            own = [component.full_name, component.name]
            # Required here, though the class has a default: it is what tells the choices apart.
            resolved["properties"] = {**resolved["properties"], "type": {"enum": own}}
            resolved["required"] = sorted({*resolved.get("required", []), "type"})
            resolved["description"] = component.definition.summary
            choices.append(resolved)
        if not choices:
            return {"type": "object", "properties": {"type": {"type": "string"}}}
        partial: JsonSchemaValue = {
            "type": "object",
            "description": f"Settings of the {self.kind} that the model's preset names.",
            "properties": {name: {"anyOf": found} for name, found in settings.items() if name != "type"},
            # Without it a misspelt setting of a complete component would pass as a partial one.
            "additionalProperties": False,
        }
        return {"oneOf": [*choices, {"enum": list(names)}, partial]}

    def _resolve(self, value: object) -> ComponentConfig:
        # Already validated, for instance when a spec is copied; without a type it is a bare base class.
        if isinstance(value, self.base) and value.type:
            return value
        if isinstance(value, str):
            value = {"type": value}
        if not isinstance(value, dict):
            raise PydanticCustomError(
                "component", "must be the name of a {kind} or a mapping with its type", {"kind": self.kind}
            )
        name = value.get("type")
        if not isinstance(name, str) or not name:
            raise PydanticCustomError("component", "needs 'type', the name of a {kind}", {"kind": self.kind})
        try:
            component = get_catalog().component(self.kind, name)
            config_class = component.config_class()
        except PoseError as error:
            raise PydanticCustomError("component", "{reason}", {"reason": str(error)}) from None
        if not (isinstance(config_class, type) and issubclass(config_class, self.base)):
            raise PydanticCustomError(
                "component",
                "config {config} of {name} is not a subclass of {base}; the plugin is broken",
                {
                    "config": component.definition.config,
                    "name": component.full_name,
                    "base": self.base.__name__,
                },
            )
        # A ValidationError raised here keeps its locations: pydantic nests them under this field's path.
        return config_class.model_validate({**value, "type": component.full_name})
