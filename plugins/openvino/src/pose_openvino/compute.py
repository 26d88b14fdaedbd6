"""Compute a model of OpenVINO on the CPU, in float32 or with bfloat16."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino
import torch
from openvino import properties
from torch import Tensor

Array = np.ndarray[Any, Any]


def has_bfloat16(core: openvino.Core) -> bool:
    """Whether the processor has instructions for bfloat16; others would be slower by it."""
    return "BF16" in core.get_property("CPU", properties.device.capabilities())


def compile_model(
    core: openvino.Core, model: openvino.Model, threads: int | None, *, half: bool = False, lanes: int = 1
) -> openvino.CompiledModel:
    """Compile a model for the CPU.

    Args:
        core: that read it.
        model: itself.
        threads: that compute; None: as many as torch has.
        half: compute with bfloat16 what OpenVINO holds to be safe in it.
        lanes: requests that are computed side by side, each by its part of the threads.

    Raises:
        RuntimeError: OpenVINO cannot compute it.
    """
    settings = {
        # By default processors with bfloat16 would compute with it, asked or not.
        properties.hint.inference_precision(): openvino.Type.bf16 if half else openvino.Type.f32,
        properties.inference_num_threads(): threads or torch.get_num_threads(),
        properties.num_streams(): lanes,
    }
    return core.compile_model(model, "CPU", settings)


def infer(model: openvino.CompiledModel, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Compute a model; new tensors on the device of the first one.

    Args:
        model: compiled.
        tensors: in the order of its inputs, of their dtypes.

    Raises:
        RuntimeError: shapes do not fit.
    """
    # By place: of a model that was just converted, the names of inputs are those of the trace.
    found = model([tensor.contiguous().cpu().numpy() for tensor in tensors])
    return [torch.from_numpy(np.array(found[output])).to(tensors[0].device) for output in model.outputs]


class SideBySide:
    """Computes the images of a batch one by one, several at a time. May be used by several threads.

    Args:
        model: compiled for as many requests at a time as there are lanes.
        lanes: see :func:`compile_model`.
    """

    def __init__(self, model: openvino.CompiledModel, lanes: int) -> None:
        self._outputs = len(model.outputs)
        self._queue = openvino.AsyncInferQueue(model, lanes)
        self._queue.set_callback(self._keep)

    def _keep(self, request: openvino.InferRequest, place: tuple[list[list[Array]], int]) -> None:
        found, row = place
        found[row] = [np.array(request.get_output_tensor(i).data) for i in range(self._outputs)]

    def infer(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Compute a batch, as :func:`infer` does."""
        arrays = [tensor.contiguous().cpu().numpy() for tensor in tensors]
        found: list[list[Array]] = [[] for _ in range(len(arrays[0]))]
        for row in range(len(found)):
            self._queue.start_async(
                {place: array[row : row + 1] for place, array in enumerate(arrays)}, (found, row)
            )
        self._queue.wait_all()
        return [
            torch.from_numpy(np.concatenate(rows)).to(tensors[0].device) for rows in zip(*found, strict=True)
        ]
