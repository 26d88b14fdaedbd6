"""Published trained networks by name: ``project/network``, or in full ``plugin/project/network``."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from pose_core import hooks
from pose_core.catalog.loading import load_callable
from pose_core.catalog.offered import Converter, Offered
from pose_core.errors import ConfigError, PluginError


class ZooEntry(Offered[hooks.ZooNetwork]):
    """A published trained network and the plugin it comes from."""

    @property
    def file_name(self) -> str:
        """The name of its file where it is published."""
        return PurePosixPath(unquote(urlsplit(self.definition.url).path)).name

    def converter(self) -> Converter | None:
        """Import the converter of the file's tensors; None where there is none.

        Raises:
            PluginError: the plugin's string does not lead to a function.
        """
        target = self.definition.converter
        where = f"converter {target!r} of zoo network {self.full_name!r}"
        return load_callable(target, where, self.plugin.distribution) if target else None

    def description_text(self) -> str:
        """Read the file that describes it.

        Raises:
            PluginError: its package has no such file.
        """
        package, _, path = self.definition.description_file.partition(":")
        try:
            return files(package).joinpath(path).read_text(encoding="utf-8")
        except (ImportError, OSError, ValueError, TypeError) as error:
            raise PluginError(
                f"description_file {self.definition.description_file!r} of zoo network {self.full_name!r} cannot be "
                f"read ({error}); correct it in the plugin {self.plugin.distribution}"
            ) from None


def pick(name: str, among: Sequence[ZooEntry]) -> ZooEntry | None:
    """Find a network by its name, bare or in full; None where there is none.

    Raises:
        ConfigError: several plugins offer that name, and none of them or several are first-party.
    """
    found = [entry for entry in among if name in (entry.name, entry.full_name)]
    if len(found) > 1:
        # As everywhere: a bare name of a first-party plugin stays its own.
        first = [entry for entry in found if entry.plugin.first_party]
        if len(first) != 1:
            raise ConfigError(
                f"the network {name!r} is ambiguous: write {' or '.join(entry.full_name for entry in found)}"
            )
        found = first
    return found[0] if found else None


def suggest(name: str, among: Sequence[ZooEntry]) -> str:
    """Say which published network may be meant by a name that nobody offers; empty where none is near."""
    names = sorted({entry.name for entry in among})
    project, _, network = name.rpartition("/")
    if same := [entry for entry in among if entry.definition.project == project]:
        own = [entry.definition.network for entry in same]
        near = difflib.get_close_matches(network, own, n=1)
        meant = f"; did you mean {project}/{near[0]}?" if near else ""
        return f"the networks of {project} are {', '.join(own)}{meant}"
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.7)
    return f"did you mean {' or '.join(near)}?" if near else ""
