"""Configs of the core's own runtimes; apart from them, since configs are read without torch."""

from __future__ import annotations

from pose_core.specs import RuntimeConfig


class TorchRuntimeConfig(RuntimeConfig):
    """PyTorch as it is; nothing to set."""


class AutoRuntimeConfig(RuntimeConfig):
    """What is fastest here; nothing to set."""
