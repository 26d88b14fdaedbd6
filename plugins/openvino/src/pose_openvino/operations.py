"""Operations of PyTorch that OpenVINO's converter does not know, made of ones that OpenVINO has."""

from __future__ import annotations

import math

import numpy as np
from openvino import Output, opset15
from openvino.frontend import NodeContext
from openvino.frontend.pytorch import ConversionExtension

_LARGEST = float(np.finfo(np.float32).max)


def list_extensions() -> list[ConversionExtension]:
    """List what is to be added to the converter."""
    return [
        ConversionExtension("aten::nan_to_num", _convert_nan_to_num),
        ConversionExtension("aten::mT", _convert_mt),
    ]


def _convert_nan_to_num(node: NodeContext) -> list[Output]:
    """``torch.nan_to_num(values, nan, posinf, neginf)``; missing keypoints are NaN, and decoders take them out."""
    values = node.get_input(0)
    replaced = ((1, 0.0, None), (2, _LARGEST, True), (3, -_LARGEST, False))
    changed = values
    for place, default, positive in replaced:
        given = node.get_values_from_const_input(place, default, float)
        by = default if given is None else float(given)
        if positive is None:
            found = opset15.is_nan(values)
        elif math.isinf(by) and (by > 0) is positive:
            # Infinity stays as it is.
            continue
        else:
            found = opset15.is_inf(values, {"detect_positive": positive, "detect_negative": not positive})
        number = opset15.convert_like(opset15.constant(np.float32(by)), values)
        changed = opset15.select(found, number, changed).output(0)
    return [changed]


def _convert_mt(node: NodeContext) -> list[Output]:
    """``tensor.mT``: the last two axes change places, however many there are."""
    values = node.get_input(0)
    axes = opset15.squeeze(opset15.shape_of(opset15.shape_of(values)), opset15.constant([0]))
    first, last = (opset15.subtract(axes, opset15.constant(np.int64(number))) for number in (2, 1))
    others = opset15.range(
        opset15.constant(np.int64(0)), first, opset15.constant(np.int64(1)), output_type="i64"
    )
    swapped = [opset15.unsqueeze(axis, opset15.constant([0])) for axis in (last, first)]
    return [opset15.transpose(values, opset15.concat([others, *swapped], 0)).output(0)]
