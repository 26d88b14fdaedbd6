"""Write a network as an ONNX file that takes any number of images, and sides of any length where it can."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pose_core.errors import ConfigError
from pose_core.interfaces import find_reason, keep_quiet

_NOISY = ("torch.onnx", "onnxscript", "onnx_ir", "torch.fx.experimental.symbolic_shapes", "torch._export")


def export(
    network: nn.Module,
    tensors: Sequence[Tensor],
    names: Sequence[str],
    path: Path,
    *,
    fixed_size: bool,
    refusal: str,
    advice: str,
    outputs: Sequence[str] | None = None,
    side_axes: tuple[int, int] = (2, 3),
    opset: int | None = None,
) -> None:
    """Export a network; the file appears whole or not at all.

    Args:
        network: ``network(*tensors) -> tuple of tensors``.
        tensors: that it takes, (B, ...), B at least 2. Of those with four axes two are the sides of an image.
        names: of the tensors in the file.
        path: of the file; its folder is made.
        fixed_size: keep H and W as they are; else they are left open, unless the network fixes them.
        refusal, advice: beginning and end of the message for a network that cannot be exported.
        outputs: names of what comes out; None: those that torch gives.
        side_axes: H and W among the axes of images.
        opset: version of ONNX's operators; None: that of torch.

    Raises:
        ConfigError: the network holds an operation that cannot be exported, or fixes the number of images.
    """
    batch = torch.export.Dim("batch")
    sides = {} if fixed_size else dict.fromkeys(side_axes, torch.export.Dim.AUTO)
    # One argument takes all of them: the network of a runtime has a variable number.
    image = tensors[0].dim()
    shapes = tuple(
        {0: batch, **(sides if tensor.dim() == image and tensor.dtype == tensors[0].dtype else {})}
        for tensor in tensors
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".export-", suffix=".onnx")
    os.close(handle)
    try:
        with torch.no_grad(), keep_quiet(_NOISY):
            torch.onnx.export(
                network,
                # Contiguous: channels last is a matter of torch.
                tuple(tensor.contiguous() for tensor in tensors),
                temporary,
                input_names=list(names),
                output_names=None if outputs is None else list(outputs),
                opset_version=opset,
                dynamic_shapes={"tensors": shapes},
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        Path(temporary).replace(path)
    # The exporter raises whatever its steps do; the first line says which operation it was.
    except Exception as error:
        raise ConfigError(f"{refusal}: {find_reason(error)}; {advice}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)
