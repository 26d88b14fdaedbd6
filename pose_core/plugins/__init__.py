"""Finding plugins and looking at what they offer. No torch."""

from pose_core.plugins.attribution import place_in, whose_defect
from pose_core.plugins.discovery import (
    ACTIVE,
    DISABLED,
    FAILED,
    INCOMPATIBLE,
    PluginRecord,
    discover,
    load_all,
)

__all__ = [
    "ACTIVE",
    "DISABLED",
    "FAILED",
    "INCOMPATIBLE",
    "PluginRecord",
    "discover",
    "load_all",
    "place_in",
    "whose_defect",
]
