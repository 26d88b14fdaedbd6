"""Memory that trainings free and ask for again."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import torch
from pose_core.training.memory import keep_freed_memory

assert keep_freed_memory()
for _ in range(10):  # at first the heap grows
    torch.zeros(16 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.zeros(16 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux keeps memory")
def test_large_blocks_are_not_asked_for_anew() -> None:
    """64 MiB are 16,384 pages, each of which would be asked for, and cleared by the kernel, in every step."""
    process = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(process.stdout) < 1000
