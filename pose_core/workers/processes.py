"""Say which process this is, so that another on the same machine can see whether it still runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")


def describe_process() -> dict[str, object]:
    """Describe this process: ``host``, ``pid``, ``machine``, ``started``; plain values."""
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "pid": pid,
        "machine": name_machine(),
        "started": read_start(pid),
    }


def name_machine() -> str:
    """Name what process numbers count in: one boot of a machine, and the container on it; empty where unknown."""
    try:
        return f"{socket.gethostname()} {_BOOT.read_text().strip()} {_NAMESPACE.readlink()}"
    except OSError:
        return ""


def is_gone(described: Mapping[str, object]) -> bool:
    """Whether a process that was described on this machine runs no more; False where that cannot be seen."""
    machine, pid = described.get("machine"), described.get("pid")
    if not machine or machine != name_machine() or not isinstance(pid, int):
        return False
    # A number may be given to another process, which began later.
    return read_start(pid) != described.get("started")


def read_start(pid: int) -> str:
    """Read when a process began, in ticks since the boot; empty for one that does not run or waits to be buried."""
    try:
        # After the name, which may hold anything, brackets included.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
