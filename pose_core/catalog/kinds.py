"""Kinds of component: the rows of the core, and those that plugins open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pose_core.catalog.loading import PluginClass, load_callable, load_target
from pose_core.definitions import Kind
from pose_core.errors import PluginError
from pose_core.kinds import KINDS
from pose_core.plugins import PluginRecord

_CORE = "pose-core"


@dataclass(frozen=True)
class InstalledKind:
    """A kind, and the distribution that it comes from.

    Attributes:
        row: as it was written; its name is the full one (``namespace/kind`` for a plugin's).
        distribution: of the plugin that opened it; that of the core for its own.
    """

    row: Kind
    distribution: str = _CORE

    def config_base(self) -> PluginClass:
        """Import the base of its configs. No torch.

        Raises:
            PluginError: the kind has none, or the string leads to no class.
        """
        return self._load_class(self.row.config, "config")

    def interface(self) -> PluginClass:
        """Import what its factories are subclasses of; imports torch for parts of networks.

        Raises:
            PluginError: the kind has none, or the string leads to no class.
        """
        return self._load_class(self.row.interface, "interface")

    def harness(self) -> PluginClass:
        """Import the class that builds and runs its components in the conformance checks.

        Raises:
            PluginError: the kind has none, or the string leads to no class.
        """
        return self._load_class(self.row.harness, "harness")

    def load_checks(self, module: str) -> tuple[object, ...]:
        """Import a module of conformance checks of this kind.

        Args:
            module: one of ``checks`` or ``config_checks`` of the row.

        Raises:
            PluginError: the module cannot be imported or has no ``CHECKS``.
        """
        where = f"checks {module!r} of kind {self.row.name!r}"
        return tuple(load_target(f"{module}:CHECKS", where, self.distribution))

    def _load_class(self, target: str, what: str) -> PluginClass:
        where = f"{what} {target!r} of kind {self.row.name!r}"
        found = load_callable(target, where, self.distribution)
        if not isinstance(found, type):
            raise PluginError(f"{where} is no class; the plugin {self.distribution} is broken")
        return found


def installed_kinds(plugins: Sequence[PluginRecord]) -> dict[str, InstalledKind]:
    """Collect the kinds of the core and of plugins, by full name.

    Args:
        plugins: active ones.
    """
    found = {name: InstalledKind(row) for name, row in KINDS.items()}
    for plugin in plugins:
        for row in plugin.definitions.get("pose_kinds", ()):
            full = f"{plugin.name}/{row.name}"
            # With the namespace: two plugins may open kinds of one name, and neither can replace one of the
            # core.
            found[full] = InstalledKind(replace(row, name=full), plugin.distribution)
    return found


class KindsByKey:
    """Find the kind of component that a key of a configuration holds.

    A kind of the core keeps its keys where a plugin's claims them, too.

    Args:
        kinds: those that there are, by name.
    """

    def __init__(self, kinds: Mapping[str, InstalledKind]) -> None:
        self._keys: dict[str, str] = {}
        for name, kind in kinds.items():
            for key in kind.row.keys:
                self._keys.setdefault(key, name)
        self._names: dict[str, str] = {}
        for name in kinds:
            # A kind's own name is a key as well, bare where that is still free.
            for key in (name, name.rpartition("/")[2]):
                self._names.setdefault(key, name)

    def kind_of(self, path: tuple[str, ...]) -> str:
        """The kind of the component that may stand at a path of keys; empty where none does.

        ``model.heads.main``: the key around a name decides, else the key itself (``model.backbone``).
        """
        return self._holds(path[:-1]) or self._holds(path) or self._names.get(path[-1], "")

    def _holds(self, path: tuple[str, ...]) -> str:
        # A key that means something else elsewhere is written with the one around it: "inference.stages".
        return self._keys.get(".".join(path[-2:])) or self._keys.get(path[-1], "") if path else ""
