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

    @torch.inference_mode()
    def run(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Run the network."""
        return self.context.network(*tensors)  # type: ignore[no-any-return]
