import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from pose_core.errors import DataError
from pose_core.interfaces.exporter import Exporter, ExporterContext, RunFile, WrittenNetwork
from pose_core.specs import ExporterConfig


class TorchScript(Exporter):
    """A traced module, for programs that read TorchScript."""

    suffix = ".ts"

    def write(self, context: ExporterContext, path: Path) -> WrittenNetwork:
        torch.jit.trace(context.network, context.example).save(str(path))
        return WrittenNetwork({"torch": torch.__version__}, context.fixed_size)

    def open(self, path: Path) -> RunFile:
        try:
            module = torch.jit.load(str(path))
        except RuntimeError as error:
            raise DataError(f"{path}: is no TorchScript, or damaged; export the run again") from error
        return lambda tensors: module(*tensors)


class Brightness(nn.Module):
    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return (tensors[0].float().mean((1, 2)),)


network, example = Brightness().eval(), torch.zeros(2, 64, 96, 3, dtype=torch.uint8)
context = ExporterContext(network, ("image",), ("brightness",), (example,), False, 32, "a network")
with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    warnings.simplefilter("ignore")
    path = Path(folder) / "network.ts"
    TorchScript(ExporterConfig()).write(context, path)
    (brightness,) = TorchScript(ExporterConfig()).open(path)(
        [torch.full((3, 32, 32, 3), 7, dtype=torch.uint8)]
    )
assert torch.equal(brightness, torch.full((3, 3), 7.0))
