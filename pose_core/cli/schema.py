"""``pose schema``."""

from __future__ import annotations

from pose_core.cli.tables import print_json


def schema() -> None:
    """Print the JSON Schema of configuration files, for editors.

    Save it (pose schema > pose.schema.json) and put this line at the top of a YAML file:
    # yaml-language-server: $schema=pose.schema.json
    """
    from pose_core.specs.schema import json_schema

    print_json(json_schema())
