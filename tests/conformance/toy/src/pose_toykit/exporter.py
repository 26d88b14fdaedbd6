"""An exporter that writes a traced module, and a text that names it."""

import torch

from pose_core.errors import DataError
from pose_core.interfaces import Exporter, WrittenNetwork


class ToyExporter(Exporter):
    suffix = ".toy"

    def write(self, context, path):
        other = path.with_suffix(".traced")
        torch.jit.trace(context.network, context.example).save(str(other))
        path.write_text(other.name)
        return WrittenNetwork({"torch": torch.__version__}, fixed_size=False)

    def open(self, path):
        try:
            module = torch.jit.load(str(path.parent / path.read_text()))
        except (RuntimeError, ValueError) as error:
            raise DataError(f"{path}: is damaged") from error
        return lambda tensors: module(*tensors)
