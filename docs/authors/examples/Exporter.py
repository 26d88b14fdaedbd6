import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from pose_core.errors import DataError
from pose_core.interfaces.exporter import Exporter, ExporterContext, RunFile, WrittenNetwork
from pose_core.specs import ExporterConfig


class Programs(Exporter):
    """A program of torch.export with its example, for those who trust whom it is from."""

    suffix = ".program"

    def write(self, context: ExporterContext, path: Path) -> WrittenNetwork:
        batch, auto = torch.export.Dim("batch"), torch.export.Dim.AUTO
        sides = {} if context.fixed_size else {1: auto, 2: auto}
        shapes = tuple({0: batch, **(sides if i == 0 else {})} for i in range(len(context.example)))
        program = torch.export.export(context.network, context.example, dynamic_shapes={"tensors": shapes})
        with path.open("wb") as file:
            torch.export.save(program, file)
        return WrittenNetwork({"torch": torch.__version__}, context.fixed_size)

    def open(self, path: Path) -> RunFile:
        try:
            with path.open("rb") as file:
                module = torch.export.load(file).module()
        except (RuntimeError, ValueError) as error:
            raise DataError(f"{path}: is no program of torch, or damaged; export the run again") from error
        return lambda tensors: module(*tensors)  # type: ignore[no-any-return]


class Brightness(nn.Module):
    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return (tensors[0].float().mean((1, 2)),)


network, example = Brightness().eval(), torch.zeros(2, 64, 96, 3, dtype=torch.uint8)
context = ExporterContext(network, ("image",), ("brightness",), (example,), False, 32, "a network")
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "network.program"
    Programs(ExporterConfig()).write(context, path)
    (brightness,) = Programs(ExporterConfig()).open(path)([torch.full((3, 32, 32, 3), 7, dtype=torch.uint8)])
assert torch.equal(brightness, torch.full((3, 3), 7.0))
