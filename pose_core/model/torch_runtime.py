"""PyTorch as a runtime."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pose_core.interfaces import Runtime


class TorchRuntime(Runtime):
    """The network itself."""

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
        """Run the network; with 16 bits, what is safe in float16 is computed so."""
        half = self.context.precision == 16
        with torch.autocast(self.context.device.type, torch.float16, enabled=half):
            found = self.context.network(*tensors)
        return [tensor.float() for tensor in found]


class AutoRuntime(TorchRuntime):
    """The network itself, until something else was measured to be faster; ``pipeline/computing.py`` does so."""
