"""Compute a model of OpenVINO on the CPU, in float32 or with bfloat16."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import openvino
import torch
from openvino import properties
from torch import Tensor


def has_bfloat16(core: openvino.Core) -> bool:
    """Whether the processor has instructions for bfloat16; others would be slower by it."""
    return "BF16" in core.get_property("CPU", properties.device.capabilities())


def compile_model(
    core: openvino.Core, model: openvino.Model, threads: int | None, *, half: bool = False
) -> openvino.CompiledModel:
    """Compile a model for the CPU.

    Args:
        core: that read it.
        model: itself.
        threads: that compute; None: as many as torch has.
        half: compute with bfloat16 what OpenVINO holds to be safe in it.

    Raises:
        RuntimeError: OpenVINO cannot compute it.
    """
    settings = {
        # By default processors with bfloat16 would compute with it, asked or not.
        properties.hint.inference_precision(): openvino.Type.bf16 if half else openvino.Type.f32,
        properties.inference_num_threads(): threads or torch.get_num_threads(),
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
