"""Base of the configs of all components."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import Field, model_validator

from pose_core.catalog.merge import merge
from pose_core.definitions import Content
from pose_core.specs.base import Spec


@contextmanager
def prefix_errors(key: str) -> Iterator[None]:
    """Put ``key.`` before the message of a ValueError, for checks that know their own fields only.

    ``with prefix_errors("target_generator"): ...`` turns ``sigma: 2 is too small`` into
    ``target_generator.sigma: 2 is too small``.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{key}.{error}") from None


class ComponentConfig(Spec):
    """Base of all component configs."""

    type: str = Field("", description="Which component: namespace/name, or the bare name while it is unique.")

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, value: object) -> object:
        return cls.onto_defaults(value)

    @classmethod
    def onto_defaults(cls, value: object) -> object:
        """Merge what a user writes of nested components with their defaults: ``predictor: {sigmoid: true}``
        need not repeat the type, and ``losses: {locref: {weight: 0.1}}`` keeps the other losses."""
        if not isinstance(value, dict):
            return value
        defaults = {
            name: field.default
            for name, field in cls.model_fields.items()
            if isinstance(field.default, dict) and isinstance(value.get(name), dict)
        }
        # Only mappings are merged: a name alone replaces the default, and its settings with it.
        return {**value, **merge(defaults, {name: value[name] for name in defaults})}

    @classmethod
    def example(cls) -> Content:
        """Settings that make the component small and quick, for the conformance checks: ``{"depth": 18}``. By
        default none; a component with settings that have no default must give an example."""
        return {}
