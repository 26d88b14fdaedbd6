"""Config of the core's own exporter; apart from it, since configs are read without torch."""

from __future__ import annotations

from pose_core.specs import ExporterConfig


class TorchExporterConfig(ExporterConfig):
    """A program of torch.export; nothing to set."""
