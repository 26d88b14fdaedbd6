"""Files that lie beside a plugin's module."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from pose_core.plugins.discovery import PluginRecord


def find_beside(plugin: PluginRecord, file: str) -> Path | None:
    """Find a file in the folder of a plugin's module, without importing it; None where there is none."""
    try:
        spec = importlib.util.find_spec(plugin.target.partition(":")[0])
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / file
    return path if path.is_file() else None
