"""A quick exporter, for tests of what surrounds one: a traced module in a file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pose_core.errors import DataError
from pose_core.interfaces import Exporter, ExporterContext, WrittenNetwork
from pose_core.interfaces.exporter import RunFile


class TracedExporter(Exporter):
    """Writes what ``torch.jit.trace`` makes; ``moved`` pixels are added to all that comes out first."""

    suffix = ".traced"
    moved = 0.0

    def write(self, context: ExporterContext, path: Path) -> WrittenNetwork:
        with torch.inference_mode(), warnings.catch_warnings():
            # It is deprecated, and warns of each branch.
            warnings.simplefilter("ignore")
            torch.jit.trace(context.network, context.example, check_trace=False).save(str(path))
        return WrittenNetwork({"torch": torch.__version__}, context.fixed_size)

    def open(self, path: Path) -> RunFile:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = torch.jit.load(str(path))
        except RuntimeError as error:
            raise DataError(f"{path}: is damaged") from error

        def run(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
            with torch.inference_mode():
                first, *others = module(*tensors)
            return [first + self.moved, *others]

        return run
