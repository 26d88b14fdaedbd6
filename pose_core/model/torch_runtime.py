"""PyTorch as a runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from pose_core.interfaces import Runtime


class TorchRuntime(Runtime):
    """The network itself.

    Attributes:
        replaces_network: whether it does more than the network by itself where the precision is 32.
    """

    channels_last = True
    replaces_network: ClassVar[bool] = False

    @classmethod
    def devices(cls) -> Sequence[str]:
        """List the devices of this installation of torch."""
        there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        return [name for name, available in there.items() if available]

    @classmethod
    def precisions(cls, device: str) -> Sequence[int]:
        """List 32 bits, and 16 on a GPU."""
        # bfloat16 on a CPU with instructions for it: 1.2 to 1.7 times as fast (unet, 256 x 320, a loaded machine), less
        # than OpenVINO gains with 32 bits, and much less than it gains by bfloat16.
        return (32,) if device == "cpu" else (32, 16)

    @torch.inference_mode()
    def run(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Run the network; float32 comes out."""
        return [tensor.float() for tensor in self.compute(tensors)]

    def compute(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Run the network; with 16 bits, what is safe in float16 is computed so, and comes out so."""
        half = self.context.precision == 16
        # Without the cache of converted weights, which must not outlive the recording of a graph.
        with torch.autocast(self.context.device.type, torch.float16, enabled=half, cache_enabled=False):
            found: Sequence[Tensor] = self.context.network(*tensors)
        return found


class AutoRuntime(TorchRuntime):
    """The network itself, until something else was measured to be faster; ``pipeline/computing.py`` does so."""
