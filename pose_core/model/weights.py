"""Weights on disk: safetensors only, nothing is ever unpickled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from pose_core.errors import RunError, listed
from pose_core.interfaces import describe_non_finite, find_non_finite
from pose_core.interfaces.hub import load_safetensors, misfits
from pose_core.io.files import write_whole


def file_hash(path: Path) -> str:
    """Compute the sha256 of a file, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_weights(path: Path, state: Mapping[str, Tensor]) -> str:
    """Write weights atomically.

    Args:
        state: parameters and buffers by name.

    Returns:
        sha256 of the file.
    """
    # safetensors refuses tensors that are not contiguous (channels last) or share memory, hence the clone.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    write_whole(path, safetensors.torch.save(tensors))
    return file_hash(path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file.

    Raises:
        RunError: the file is missing or damaged, or holds values that are NaN or infinite.
    """
    if not path.is_file():
        raise RunError(f"{path}: no such file; the weights are missing")
    try:
        state = load_safetensors(path)
    except (SafetensorError, OSError) as error:
        raise RunError(
            f"{path}: not a readable safetensors file ({error}); restore it from a backup"
        ) from None
    if bad := find_non_finite(state):
        raise RunError(f"{path}: {describe_non_finite(bad)}")
    return state


def load_into(model: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    """Load weights into a model; every name and shape must agree.

    Raises:
        RunError: names are missing or left over, or a shape differs; the message lists the first of them.
    """
    if problems := misfits(model.state_dict(), state):
        raise RunError(f"{source}: does not fit the model: {listed(problems, most=5)}")
    model.load_state_dict(dict(state))
