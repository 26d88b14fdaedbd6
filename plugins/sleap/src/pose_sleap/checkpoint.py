"""Read the weights of ``best.ckpt``, which Lightning wrote; nothing in it is run."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from pose_core.errors import RunError, described
from pose_core.interfaces import (
    describe_non_finite,
    find_non_finite,
    load_plain,
    refused_global,
    storage_problem,
)
from pose_core.io.files import is_file

CHECKPOINT = "best.ckpt"
INERT = ("omegaconf.", "sleap_nn.", "sleap_io.", "typing.", "_operator.getitem")
"""Names of what stands beside the weights and is not needed: the configuration as objects."""
_PREFIX = "model."


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the weights of a network.

    Returns:
        under SLEAP-NN's names without ``model.`` before them.

    Raises:
        RunError: the file is missing or damaged, holds objects of other classes than those of SLEAP-NN's
            configuration, or no weights.
    """
    if not is_file(path):
        raise RunError(
            f"{path}: no such file; a model folder of SLEAP has a {CHECKPOINT} beside its configuration"
        )
    try:
        content = load_plain(path, INERT)
    except pickle.UnpicklingError as error:
        if (name := refused_global(error)) is not None:
            raise RunError(
                f"{path}: holds an object of {name}, which no model of SLEAP does and which could run code; "
                "get the file from where it was trained"
            ) from None
        raise RunError(f"{path}: is no checkpoint, or is damaged; copy it again") from None
    except Exception as error:
        # A damaged file can raise nearly anything.
        reason = described(error)[:120]
        raise RunError(f"{path}: is no checkpoint, or is damaged ({reason}); copy it again") from None
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not state:
        raise RunError(f"{path}: holds no state_dict; is it the {CHECKPOINT} of a model of SLEAP?")
    weights: dict[str, Tensor] = {}
    for name, value in state.items():
        if not isinstance(name, str) or not name.startswith(_PREFIX) or not isinstance(value, Tensor):
            raise RunError(f"{path}: {str(name)[:80]!r} in its state_dict is no weight of a network of SLEAP")
        if problem := storage_problem(value):
            raise RunError(f"{path}: {name} is {problem}; save weights as dense float32 tensors")
        weights[name.removeprefix(_PREFIX)] = value.detach()
    if bad := find_non_finite(weights):
        raise RunError(f"{path}: {describe_non_finite(bad)}")
    return weights
