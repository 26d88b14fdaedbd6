"""Base of the configs of filters."""

from __future__ import annotations

from pose_core.specs.component_config import ComponentConfig


class FilterConfig(ComponentConfig):
    """Base of the configs of filters."""
