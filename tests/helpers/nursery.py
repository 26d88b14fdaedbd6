"""A process that has imported all that a worker needs, and forks workers.

A worker's start takes seconds of imports, for which a test that kills hundreds of them would mostly wait. What is
forked runs the command ``pose worker`` from its first line on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import Self

import warm_process


class Nursery:
    """Starts workers, and says how they ended.

    Args:
        run: that they will use.
        logs: folder for what workers print.
    """

    def __init__(self, run: Path, logs: Path) -> None:
        self._here, there = Pipe()
        self._process = warm_process.start_function(_serve, there, run, logs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._here.close()
        self._process.join()

    def start(self, out: Path) -> int:
        """Start a worker of the plan in a folder; its process number."""
        return self._ask(out)

    def poll(self, pid: int) -> int | None:
        """Ask how a worker ended: its exit status, or minus the signal; None while it runs."""
        ended = self._ask(pid)
        return None if ended == _RUNS else ended

    def _ask(self, what: Path | int) -> int:
        self._here.send(what)
        answer: int = self._here.recv()
        return answer


_RUNS = 1000
"""No exit status."""


def _serve(connection: Connection, run: Path, logs: Path) -> None:
    from pose_core.cli import main
    from pose_core.prediction.estimator import load

    # For what it imports. The network is tiny, so torch begins no threads, which a fork would lack.
    load(run, "cpu")
    import_module("pose_core.prediction.worker")
    ended: dict[int, int] = {}
    while True:
        try:
            what: Path | int = connection.recv()
        except EOFError:
            return
        if isinstance(what, Path):
            number = os.fork()
            if number == 0:
                connection.close()
                _work(main.run, what, logs / f"{os.getpid()}.log")
            connection.send(number)
            continue
        if what not in ended:
            gone, status = os.waitpid(what, os.WNOHANG)
            if gone:
                ended[what] = os.waitstatus_to_exitcode(status)
        connection.send(ended.get(what, _RUNS))


def _work(run: Callable[[], None], out: Path, log: Path) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT, 0o600)
    for number in (1, 2):
        os.dup2(handle, number)
    sys.argv = ["pose", "worker", str(out)]
    code = 1
    try:
        run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        os._exit(code)
