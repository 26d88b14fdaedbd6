"""What Dask workers run: a task that is one worker of a plan, as a process beside the Dask worker.

A process of its own, so that what a decoder or a network does to it (memory, a crash, the lock of the interpreter)
does not reach the Dask worker, whose signs of life the scheduler waits for. Its standard input is a pipe: when the
Dask worker ends, however it ends, the system closes the pipe, and the worker keeps what it has and stops.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from distributed import Reschedule, get_worker
from distributed.core import Status

_LOOKS = 0.2
"""Seconds between two looks at the Dask worker."""

_WORKS = (Status.init, Status.running, Status.paused)
_STOPPED = 128 + signal.SIGTERM

_lock = threading.Lock()
_running: dict[str, list[subprocess.Popen[bytes]]] = {}
_told: set[str] = set()


class WorkerKilledError(Exception):
    """A worker was ended by a signal that nobody asked for; Dask tries the task again."""


def run_worker(command: Sequence[str], name: str, log: str, cancelled: str, threads: int | None) -> int:
    """Run a worker until it ends.

    Args:
        command: of the worker; its interpreter is replaced by that of the Dask worker.
        name: of the workers that were started together.
        log: file for what it prints.
        cancelled: file that exists while workers are to stop.
        threads: that it computes with; None: as the environment says.

    Returns:
        its exit status.

    Raises:
        Reschedule: the Dask worker, or its job, is ending, and work is left.
        WorkerKilledError: it was killed.
    """
    environment = dict(os.environ)
    if threads is not None:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    dask_worker = get_worker()
    with Path(log).open("ab") as output, _lock:
        # Told between the scheduler's order and now.
        if name in _told:
            return _STOPPED
        process = subprocess.Popen(
            [sys.executable, *command[1:], "--attached"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
        _running.setdefault(name, []).append(process)
    try:
        while True:
            try:
                status = process.wait(_LOOKS)
                break
            except subprocess.TimeoutExpired:
                if dask_worker.status not in _WORKS:
                    process.terminate()
    finally:
        if process.stdin is not None:
            process.stdin.close()
        with _lock:
            _running[name].remove(process)
    if name in _told or Path(cancelled).exists():
        return status
    if status in (_STOPPED, -signal.SIGTERM):
        raise Reschedule
    if status < 0:
        raise WorkerKilledError(f"a worker was killed by {signal.Signals(-status).name}")
    return status


def stop_workers(name: str) -> None:
    """Tell the workers of that name which this Dask worker runs, and any that it would begin."""
    with _lock:
        _told.add(name)
        for process in _running.get(name, ()):
            process.terminate()
