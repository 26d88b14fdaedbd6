"""Runs ``pose`` in a process of its own that has imported torch already.

Most of a short command's time is the import of torch and Lightning, and hundreds of tests run commands. A server
process imports them once, and each command is a fork of it: a process with its own environment, working directory,
standard streams and exit code, as when a user starts it. Nothing of pose_core is imported beforehand, so plugins,
caches and settings are read anew in each.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
# Distributions only: before Python 3.12.3 the server does not look where pytest adds folders.
_CONTEXT.set_forkserver_preload(
    [
        "cv2",
        "lightning.pytorch",
        "pandas",
        "pyarrow.parquet",
        "pydantic",
        "rich",
        "scipy.optimize",
        "torch",
        "torchvision",
        "typer",
    ]
)

COMMANDS = frozenset(
    {
        "adapt",
        "check",
        "compare",
        "config",
        "evaluate",
        "export",
        "import",
        "predict",
        "show-batch",
        "show-maps",
        "train",
    }
)
"""Those that import torch; others start as they always do, also to show that they do without."""


def can_be_warm(arguments: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether a command is the same in a process that was not started anew."""
    # Several devices are processes that Lightning starts by the command line of the first one. What Python reads at
    # its start is read no more.
    return (
        bool(arguments)
        and arguments[0] in COMMANDS
        and "--devices" not in arguments
        and not any(name.startswith(("PYTHON", "OMP_", "MKL_", "LD_")) for name in env)
    )


def run(
    arguments: Sequence[str], folder: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a command, as :func:`subprocess.run` would with ``capture_output``."""
    with tempfile.TemporaryDirectory() as streams:
        files = [Path(streams) / name for name in ("stdout", "stderr")]
        process = start_function(_main, list(arguments), folder, dict(env), files)
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(["pose", *arguments], timeout)
        out, err = (file.read_text(encoding="utf-8", errors="strict") for file in files)
        return subprocess.CompletedProcess(["pose", *arguments], process.exitcode, out, err)


def start_function(function: Callable[..., None], *arguments: object) -> BaseProcess:
    """Start a function of a module, and do not wait for it."""
    process = _CONTEXT.Process(target=function, args=arguments)
    process.start()
    return process


def _main(arguments: list[str], folder: Path, env: dict[str, str], files: list[Path]) -> None:
    for number, file in enumerate(files, start=1):
        handle = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    # multiprocessing has put the null device in the place of standard input, as a test's is.
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    sys.argv = ["pose", *arguments]
    from pose_core.cli.main import run as run_command

    try:
        run_command()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
