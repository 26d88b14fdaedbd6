import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pose_core.interfaces import Runtime, RuntimeContext
from pose_core.specs import RuntimeConfig


class OneByOne(Runtime):
    """The network itself, one image at a time, for machines with little memory."""

    @classmethod
    def devices(cls) -> Sequence[str]:
        return ["cpu", "cuda"]

    @torch.inference_mode()
    def run(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        each = [self.context.network(*images) for images in zip(*(t.split(1) for t in tensors), strict=True)]
        return [torch.cat(found) for found in zip(*each, strict=True)]


class Maps(nn.Sequential):
    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return (super().forward(image),)


network, image = Maps(nn.Conv2d(3, 2, 1)).eval(), torch.rand(2, 3, 64, 96)
with tempfile.TemporaryDirectory() as cache:
    context = RuntimeContext(network, ("image",), (image,), False, 32, image.device, Path(cache), "a network")
    (maps,) = OneByOne(RuntimeConfig(), context).run([image])
assert maps.shape == (2, 2, 64, 96)
