"""Networks as ONNX files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import onnxruntime  # type: ignore[import-untyped]
import torch
from torch import Tensor

from pose_core.errors import ConfigError, DataError
from pose_core.interfaces.exporter import Exporter, ExporterContext, RunFile, WrittenNetwork
from pose_onnxruntime.config import OnnxExporterConfig
from pose_onnxruntime.export import export


class OnnxExporter(Exporter):
    """Writes ONNX files by ``torch.onnx``, and computes them by ONNX Runtime on the CPU."""

    suffix = ".onnx"
    config: OnnxExporterConfig

    def write(self, context: ExporterContext, path: Path) -> WrittenNetwork:
        """Write the file, with any number of images, and with sides of any length where the network has them."""
        export(
            context.network,
            context.example,
            context.inputs,
            path,
            fixed_size=context.fixed_size,
            refusal=f"exporter onnx: {context.name} cannot be exported to ONNX",
            advice="export it to torch",
            outputs=context.outputs,
            side_axes=(1, 2),
            opset=self.config.opset,
        )
        model = onnx.load(path, load_external_data=False)
        (opset,) = (each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
        names = [put.name for put in model.graph.output]
        if names != list(context.outputs):
            raise ConfigError(
                f"exporter onnx: {context.name}: the file puts out {', '.join(names)}, not "
                f"{', '.join(context.outputs)}; export it to torch"
            )
        image = next(put for put in model.graph.input if put.name == context.inputs[0])
        sides = [dim.HasField("dim_value") for dim in image.type.tensor_type.shape.dim[1:3]]
        return WrittenNetwork({"opset": opset, "onnx": onnx.__version__}, any(sides))

    def open(self, path: Path) -> RunFile:
        """Open a session."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        # Its errors have no class in common that it makes public.
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DataError(f"{path}: cannot be opened as an ONNX file ({reason})") from error

        def run(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
            feed = {
                put.name: tensor.contiguous().numpy()
                for put, tensor in zip(session.get_inputs(), tensors, strict=True)
            }
            return [torch.from_numpy(found) for found in session.run(None, feed)]

        return run
