"""Finding plugins and looking at what they offer. No torch."""

from pose_core.plugins.attribution import describe_defect, find_place
from pose_core.plugins.discovery import (
    ACTIVE,
    DISABLED,
    FAILED,
    INCOMPATIBLE,
    SESSION,
    PluginRecord,
    discover,
    load_all,
)
from pose_core.plugins.files import find_beside

__all__ = [
    "ACTIVE",
    "DISABLED",
    "FAILED",
    "INCOMPATIBLE",
    "SESSION",
    "PluginRecord",
    "describe_defect",
    "discover",
    "find_beside",
    "find_place",
    "load_all",
]
