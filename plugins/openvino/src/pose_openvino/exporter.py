"""Networks as models of OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import openvino
from torch import Tensor

from pose_core.errors import ConfigError, DataError
from pose_core.interfaces.exporter import Exporter, ExporterContext, RunFile, WrittenNetwork
from pose_openvino.compute import compile_model, infer
from pose_openvino.config import OpenVinoExporterConfig
from pose_openvino.convert import convert, find_reason
from pose_openvino.core import get_core


class OpenVinoExporter(Exporter):
    """Writes OpenVINO's own files, ``network.xml`` with its weights in ``network.bin``; computes them on the CPU."""

    suffix = ".xml"
    config: OpenVinoExporterConfig

    def write(self, context: ExporterContext, path: Path) -> WrittenNetwork:
        """Write both files, for any number of images; sides are left open unless the context fixes them."""
        refusal, advice = (
            f"exporter openvino: {context.name} cannot be converted",
            "export it to onnx or torch",
        )
        model = convert(context.network, context.example, refusal=refusal, advice=advice)
        try:
            _name_ports(model, context)
        except RuntimeError as error:
            raise ConfigError(f"{refusal}: {find_reason(error)}; {advice}") from error
        openvino.save_model(model, path, compress_to_fp16=self.config.compress_to_fp16)
        needs = {"openvino": openvino.__version__.partition("-")[0], "inference_precision": "f32"}
        return WrittenNetwork(needs, context.fixed_size)

    def open(self, path: Path) -> RunFile:
        """Compile the model."""
        core = get_core()
        try:
            model = compile_model(core, core.read_model(path), None)
        except RuntimeError as error:
            raise DataError(
                f"{path}: cannot be opened as a model of OpenVINO ({find_reason(error)}); export the run again"
            ) from error

        def run(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
            return infer(model, tensors)

        return run


def _name_ports(model: openvino.Model, context: ExporterContext) -> None:
    """Give inputs and outputs the names of the contract in the place of those of the trace, and inputs shapes.

    Raises:
        RuntimeError: the model does not take such shapes, or has other inputs and outputs than the network.
    """
    for ports, names in ((model.inputs, context.inputs), (model.outputs, context.outputs)):
        if len(ports) != len(names):
            raise RuntimeError(f"{len(ports)} tensors were found in the place of {', '.join(names)}")
        for port, name in zip(ports, names, strict=True):
            port.get_tensor().set_names({name})
    shapes = {}
    for place, (port, tensor) in enumerate(zip(model.inputs, context.example, strict=True)):
        _, *sizes = tensor.shape
        if place == 0 and not context.fixed_size:
            sizes[:2] = [-1, -1]
        shapes[port] = openvino.PartialShape([-1, *sizes])
    model.reshape(shapes)
