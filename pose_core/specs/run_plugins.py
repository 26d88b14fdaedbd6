"""Whether the plugins that a run needs are installed; which they are its folder tells."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from pose_core.catalog import get_catalog
from pose_core.catalog.composition import namespaces_in
from pose_core.catalog.install_hints import advice
from pose_core.errors import ConfigError
from pose_core.plugins import SESSION
from pose_core.specs.yaml_file import read_yaml

_SECTIONS = ("model", "network", "stages", "data")
"""Keys at which the configuration of a run names components."""

_DISTRIBUTION = re.compile(r"([A-Za-z0-9][\w.-]*) \S+")


def check_plugins(folder: Path) -> None:
    """Refuse a run that needs what is not installed, in one line that says what to install.

    Args:
        folder: of the run, with its ``config.yaml`` and, where it is there, its ``provenance.json``.

    Raises:
        ConfigError: a plugin is missing or not active, or the configuration is no YAML.
    """
    # Read as plain YAML: validation would fail on the missing plugin, with an error about one component.
    content, _ = read_yaml(folder / "config.yaml")
    named = {section: content.get(section) for section in _SECTIONS}
    catalog = get_catalog()
    needed = namespaces_in(named, catalog.kinds)
    if missing := needed - {plugin.name for plugin in catalog.plugins if plugin.active}:
        if SESSION in missing:
            raise ConfigError(
                f"{folder}: needs what the Python session that trained it had registered; run the code that calls "
                "pose_core.register first, or make a plugin of it"
            )
        raise ConfigError(
            f"{folder}: {advice(missing, catalog.plugins, came_with=_read_distributions(folder))}"
        )


def _read_distributions(folder: Path) -> dict[str, str]:
    """Namespace -> distribution, as the run remembers it. A damaged file is reported by what needs it."""
    try:
        content = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    plugins = content.get("plugins") if isinstance(content, Mapping) else None
    found = {}
    for namespace, distribution in (plugins if isinstance(plugins, Mapping) else {}).items():
        # It becomes part of a message, so nothing but a name may come through.
        if match := _DISTRIBUTION.fullmatch(str(distribution)):
            found[str(namespace)] = match[1]
    return found
