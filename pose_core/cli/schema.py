"""``pose schema``."""

from __future__ import annotations

from pose_core.cli.tables import print_json


def schema() -> None:
    """Print the JSON Schema of configuration files, for editors.

    It describes what the installed plugins offer. Save it, and make the line below the first of a YAML file
    beside it; an editor with a YAML language server then completes keys and marks mistakes.

    \b
    pose schema > pose.schema.json
    # yaml-language-server: $schema=pose.schema.json
    """
    from pose_core.specs.schema import json_schema

    print_json(json_schema())
