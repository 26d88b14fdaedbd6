"""What a zoo says of its networks beside their files. No torch."""

from __future__ import annotations

import yaml

from pose_core.catalog import ZooEntry
from pose_core.catalog.merge import ContentDict
from pose_core.errors import PluginError
from pose_core.specs.yaml_file import parse_yaml


def read_description(entry: ZooEntry) -> ContentDict:
    """Read what a zoo says of a network: the ``description`` of its row, or the file that holds it.

    Raises:
        PluginError: the file is missing or no YAML mapping.
    """
    file = entry.definition.description_file
    if not file:
        return dict(entry.definition.description)
    where = f"{file} of zoo network {entry.full_name!r}"
    try:
        content = parse_yaml(entry.description_text())
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise PluginError(
            f"{where} is not valid YAML ({reason}); correct it in the plugin {entry.plugin.distribution}"
        ) from None
    if not isinstance(content, dict):
        raise PluginError(
            f"{where} must hold keys and values; correct it in the plugin {entry.plugin.distribution}"
        )
    return content
