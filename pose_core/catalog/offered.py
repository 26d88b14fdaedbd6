"""The rows of the catalogue: what a plugin offers under a name, and the plugin it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pose_core import hooks
from pose_core.catalog.loading import PluginClass, load_callable, load_target
from pose_core.errors import PluginError
from pose_core.plugins import PluginRecord

# Any: tensors, which are unknown here, where there is no torch.
Converter = Callable[[dict[str, Any]], Mapping[str, Any]]


class HasName(Protocol):
    """A definition; all of them have a name."""

    @property
    def name(self) -> str: ...


class Named(Protocol):
    """A row of the catalogue, or a model, which is composed of several."""

    @property
    def name(self) -> str: ...
    @property
    def full_name(self) -> str: ...
    @property
    def plugin(self) -> PluginRecord: ...


D = TypeVar("D", bound=HasName, covariant=True)


@dataclass(frozen=True)
class Offered(Generic[D]):
    """A definition and the plugin it comes from."""

    definition: D
    plugin: PluginRecord

    @property
    def name(self) -> str:
        """The bare name."""
        return self.definition.name

    @property
    def full_name(self) -> str:
        """``namespace/name``, which is what the program writes."""
        return f"{self.plugin.name}/{self.definition.name}"


class Component(Offered[hooks.ComponentSpec]):
    """A component and the plugin it comes from."""

    def config_class(self) -> PluginClass:
        """The pydantic config class. Imports the plugin's config module, no torch.

        Raises:
            PluginError: the plugin's string does not lead to a class.
        """
        found = self._load(self.definition.config, "config")
        # By its fields, not by its base: the catalogue lies below specs, and the kind of a plugin may have
        # configs of a base of its own.
        if not (isinstance(found, type) and hasattr(found, "model_fields")):
            where = f"config {self.definition.config!r} of {self.definition.kind} {self.full_name!r}"
            raise PluginError(f"{where} is no config class; the plugin {self.plugin.distribution} is broken")
        return found

    def factory(self) -> PluginClass:
        """The class that implements the component. Imports its module, torch included.

        Raises:
            PluginError: the plugin's string does not lead to a class.
        """
        return self._load(self.definition.factory, "factory")

    def _load(self, target: str, what: str) -> PluginClass:
        where = f"{what} {target!r} of {self.definition.kind} {self.full_name!r}"
        return load_callable(target, where, self.plugin.distribution)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Weights(Offered[hooks.WeightSpec]):
    """Pretrained weights that can be named.

    Attributes:
        part: what they fit: ``model`` (a whole pose network), ``backbone`` or ``detector``.
    """

    part: str

    def converter(self) -> Converter | None:
        """Import the converter of the file's tensors to those of the part; None where the names agree.

        Raises:
            PluginError: the plugin's string does not lead to a function.
        """
        target = self.definition.converter
        where = f"converter {target!r} of weights {self.full_name!r}"
        return load_callable(target, where, self.plugin.distribution) if target else None


class Command(Offered[hooks.CommandSpec]):
    """A command of ``pose`` and the plugin it comes from."""

    def load(self) -> object:
        """Import the typer application.

        Raises:
            PluginError: the plugin's string does not lead anywhere.
        """
        where = f"app {self.definition.app!r} of command {self.full_name!r}"
        return load_target(self.definition.app, where, self.plugin.distribution)
