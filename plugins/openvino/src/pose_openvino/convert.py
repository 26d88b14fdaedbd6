"""Convert a network into OpenVINO's form, and keep it on disk as one folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import openvino
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn

from pose_core.errors import ConfigError
from pose_core.interfaces import keep_quiet
from pose_openvino.operations import list_extensions

_MODEL = "network.xml"

_WHERE = (
    "Exception from",
    "Check '",
    "Exception:",
    "Converting input model",
    "Couldn't get TorchScript",
    "FrontEnd API failed",
    "Model wasn't fully converted",
    "Summary:",
)
"""Lines of its errors that say where it was, not what."""


def convert(network: nn.Module, tensors: Sequence[Tensor], *, refusal: str, advice: str) -> openvino.Model:
    """Convert a network; any number of images, and sides of any length where it does not fix them.

    By the converter of PyTorch's networks itself: ``openvino.convert_model``, which goes the same way, reports each use
    to a server of analytics unless the user has refused.

    Args:
        network: ``network(*tensors) -> tuple of tensors``.
        tensors: that it takes, (B, ...), B at least 2.
        refusal, advice: beginning and end of the message for a network that cannot be converted.

    Raises:
        ConfigError: the network holds an operation that OpenVINO does not know.
    """
    # Clones: tensors of inference mode cannot be traced. Contiguous: channels last is a matter of torch.
    example = tuple(tensor.clone().contiguous() for tensor in tensors)
    try:
        with torch.no_grad(), keep_quiet(["torch.jit"]):
            frontend = FrontEndManager().load_by_framework("pytorch")
            for extension in list_extensions():
                frontend.add_extension(extension)
            # Held by a name: the converter does not keep it alive.
            decoder = TorchScriptPythonDecoder(network, example_input=example)
            return frontend.convert(frontend.load(decoder))
    # The converter raises whatever its steps do; the first line says which operation it was.
    except Exception as error:
        raise ConfigError(f"{refusal}: {find_reason(error)}; {advice}") from error


def find_reason(error: BaseException) -> str:
    """Find the line that says what went wrong, below the places in OpenVINO's own source."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip().removeprefix("-- ") for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(_WHERE)]
    # A summary names the operation; what stands before it may be a consequence.
    rules = [line for line in telling if line.startswith("No conversion rule")]
    return (rules or telling or lines or [type(error).__name__])[0].rstrip(".:")


def load_or_make(core: openvino.Core, folder: Path, make: Callable[[], openvino.Model]) -> openvino.Model:
    """Read a model that is kept on disk, or make it and keep it; one that is damaged is made anew.

    Args:
        core: reads it.
        folder: of the model; it appears whole or not at all.
        make: makes it.

    Returns:
        the model as the file has it.
    """
    if folder.is_dir():
        try:
            return core.read_model(folder / _MODEL)
        # Whatever its reader raises: the folder is no model, or not a whole one.
        except RuntimeError:
            shutil.rmtree(folder, ignore_errors=True)
    model = make()
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".convert-"))
    try:
        openvino.save_model(model, temporary / _MODEL, compress_to_fp16=False)
        try:
            temporary.rename(folder)
        except OSError:
            # Where another process was faster, its folder is as good.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    # From the file, also the first time: a model that was just converted shares its weights with PyTorch.
    return core.read_model(folder / _MODEL)
