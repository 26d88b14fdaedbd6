"""``pose worker``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Annotated

import typer

from pose_core.cli.shared_options import SharedWork


def worker(
    out: SharedWork,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="DEVICE",
            help="Where to compute: auto, cpu, cuda, cuda:N or mps; by default as 'pose predict' was told.",
            show_default=False,
        ),
    ] = None,
    attached: Annotated[
        bool,
        typer.Option(
            "--attached",
            help="Stop when standard input is closed, as when the process that started this one ends.",
        ),
    ] = False,
) -> None:
    """Work on the plan that 'pose predict --engine' made, until nothing is left.

    Engines start workers; more may be started by hand, on any machine that sees the folder, the videos and the run
    under the same paths. SIGTERM and Ctrl-C stop it after the batch that it is at; what it has is kept, and others go
    on with it. The exit code is 0 when nothing is left to do, 143 when it was stopped before, 2 when it cannot work.
    """
    from pose_core.prediction.worker import work

    stop = threading.Event()

    def ask_to_stop(number: int, frame: object) -> None:
        if number == signal.SIGINT:
            # A second Ctrl-C ends the process at once. A second SIGTERM says nothing new: schedulers send it to a job
            # and to its processes, and a job's script hands it on.
            signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    if attached:
        threading.Thread(target=_wait_for_end_of_input, args=(stop,), daemon=True).start()

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def end(reason: str) -> None:
        tell(f"error: {reason}")
        # The thread that hangs cannot be ended in any other way.
        os._exit(2)

    if not work(out, device, stop, tell, end):
        raise typer.Exit(128 + signal.SIGTERM)


def _wait_for_end_of_input(stop: threading.Event) -> None:
    # Not through sys.stdin: a thread that waits in it when the interpreter ends makes it abort.
    while os.read(sys.stdin.fileno(), 4096):
        continue
    stop.set()
