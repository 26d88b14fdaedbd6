"""A runtime that is the network itself, and keeps a number in its cache."""

import torch

from pose_core.interfaces import Runtime


class ToyRuntime(Runtime):
    def __init__(self, config, context):
        super().__init__(config, context)
        file = context.cache / "factor"
        if not file.is_file() or not file.read_text().startswith("1"):
            context.cache.mkdir(parents=True, exist_ok=True)
            file.write_text("1.0")
        self.factor = float(file.read_text())

    @classmethod
    def devices(cls):
        return ["cpu"]

    @classmethod
    def precisions(cls, device):
        return (32, 16)

    def run(self, tensors):
        with torch.inference_mode():
            return [found * self.factor for found in self.context.network(*tensors)]
