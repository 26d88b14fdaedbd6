"""Config of the core's own runtime; apart from it, since configs are read without torch."""

from __future__ import annotations

from pose_core.specs import RuntimeConfig


class TorchRuntimeConfig(RuntimeConfig):
    """PyTorch as it is; nothing to set."""
