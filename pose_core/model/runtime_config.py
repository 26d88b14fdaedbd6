"""Configs of the core's own runtimes; apart from them, since configs are read without torch."""

from __future__ import annotations

from pydantic import Field

from pose_core.specs import RuntimeConfig


class TorchRuntimeConfig(RuntimeConfig):
    """PyTorch as it is; nothing to set."""


class AutoRuntimeConfig(RuntimeConfig):
    """What is fastest here; nothing to set."""


class CudaGraphsRuntimeConfig(RuntimeConfig):
    """PyTorch on a GPU of CUDA, started as graphs."""

    shapes: int = Field(
        8,
        ge=1,
        description="Shapes of input (images a batch, height, width) that have a graph at a time; others are computed "
        "without one. Each takes memory of the GPU.",
    )
