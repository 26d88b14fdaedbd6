"""Make a network compute with 8 bits, calibrated on images of the training."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import re
import warnings
from collections.abc import Sequence

import openvino
from torch import Tensor

from pose_core.errors import ConfigError
from pose_openvino.core import keep_signal_stack

NEEDS = "pip install 'pose-openvino[int8]'"


def quantize(
    model: openvino.Model, calibration: Sequence[Sequence[Tensor]], keep_float: Sequence[str], called: str
) -> openvino.Model:
    """Quantise weights and activations to 8 bits.

    NNCF's post-training quantisation with the preset ``mixed``: weights and non-negative activations symmetric,
    other activations (of GELU, SiLU ...) asymmetric. What a value becomes is fixed by the ranges that it had in the
    calibration.

    Args:
        model: as converted.
        calibration: for each of some images the tensors (1, C, H, W) that the network was given.
        keep_float: parts of the network (``model.heads``) that stay in float32.
        called: name of the network, for messages.

    Raises:
        ConfigError: NNCF is not installed, or refuses the network.
    """
    if importlib.util.find_spec("nncf") is None:
        raise ConfigError(f"runtime openvino: 8 bits need nncf, which is not installed: {NEEDS}")
    # Its reports of use to a server are off in what it takes for its own tests.
    os.environ.setdefault("NNCF_CI", "1")
    # It looks for a compiler of CUDA when it is imported, and says so.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    # It draws bars to standard output, where the names of results go.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), keep_signal_stack():
        warnings.simplefilter("ignore")
        import nncf

        # Not nncf.set_log_level, which also sets the levels of handlers that are not its own.
        logging.getLogger("nncf").setLevel(logging.ERROR)
        try:
            return nncf.quantize(
                model,
                nncf.Dataset(calibration, lambda tensors: [t.contiguous().cpu().numpy() for t in tensors]),
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(calibration),
                ignored_scope=nncf.IgnoredScope(
                    patterns=[rf"__module\.{re.escape(part)}\..*" for part in keep_float], validate=False
                ),
            )
        # It raises errors of several libraries; what it was is in the first line.
        except Exception as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigError(
                f"runtime openvino: {called} cannot be computed with 8 bits: {first}; leave out the precision"
            ) from error
