"""Compute a model of OpenVINO on the CPU, in float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import openvino
import torch
from openvino import properties
from torch import Tensor


def compile_model(core: openvino.Core, model: openvino.Model, threads: int | None) -> openvino.CompiledModel:
    """Compile a model for the CPU.

    Args:
        core: that read it.
        model: itself.
        threads: that compute; None: as many as torch has.

    Raises:
        RuntimeError: OpenVINO cannot compute it.
    """
    settings = {
        # By default processors with bfloat16 would compute with it.
        properties.hint.inference_precision(): openvino.Type.f32,
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
