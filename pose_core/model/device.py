"""Choose the device that networks compute on."""

from __future__ import annotations

import torch

from pose_core.errors import ConfigError, argument


def choose_device(name: str = "auto") -> torch.device:
    """Choose the device that a user names.

    Args:
        name: ``auto`` (CUDA, then Apple's MPS, then the CPU), ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.

    Raises:
        ConfigError: unknown, or not available on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdigit())):
        raise ConfigError(f"device {name!r} is unknown; write auto, cpu, cuda, cuda:N or mps")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[kind] or (number and int(number) >= torch.cuda.device_count()):
        raise ConfigError(
            f"device {name!r} is not available on this machine; use "
            f"{argument('device', 'auto')} or {argument('device', 'cpu')}"
        )
    return torch.device(name)
