"""Programs in a process of their own: a module is imported once in a process, and in this one that was long ago."""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from pose_core.testing.checks.fork_server import Request

_FORKS = sys.platform == "linux"

_SECONDS = 300
"""That a program may take."""


def run_program(program: str, imported: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, that finds the modules which this one finds.

    Args:
        program: its source.
        imported: modules that the program imports first of all. Where this system can, the process is a fork of one
            that has imported them once for all programs, since torch alone takes seconds.

    Raises:
        subprocess.TimeoutExpired: it has not ended after five minutes.
    """
    if _FORKS:
        return _start_server(imported).run(program)
    lines = [f"import {name}" for name in imported]
    return subprocess.run(
        [sys.executable, "-c", "\n".join([*lines, program])],
        capture_output=True,
        text=True,
        check=False,
        env=_describe_environment(),
        timeout=_SECONDS,
    )


def _describe_environment() -> dict[str, str]:
    # Tests and editable installs put folders on sys.path that a new interpreter would not have.
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


class _Server:
    """A process that runs programs in forks of itself, one after the other.

    Args:
        imported: modules that it imports before.
    """

    def __init__(self, imported: tuple[str, ...]) -> None:
        script = Path(__file__).with_name("fork_server.py")
        self._process = subprocess.Popen(
            # -P: the folder of the script, whose modules have common names, is not on the path.
            [sys.executable, "-P", str(script), *imported],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_describe_environment(),
            # So that it can be killed together with a program that does not end.
            start_new_session=True,
        )
        atexit.register(self._close)

    def run(self, program: str) -> subprocess.CompletedProcess[str]:
        """Run a program; see :func:`run_program`."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        with tempfile.TemporaryDirectory() as folder:
            said = [Path(folder) / name for name in ("stdout", "stderr")]
            for file in said:
                file.touch()
            request: Request = {
                "program": program,
                "path": [place for place in sys.path if place],
                "folder": str(Path.cwd()),
                "environment": _describe_environment(),
                "stdout": str(said[0]),
                "stderr": str(said[1]),
            }
            # Where it could not import the modules its input is closed, and its errors say why.
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
            answered = False
            try:
                answered = bool(select.select([process.stdout], [], [], _SECONDS)[0])
            finally:
                # A later answer would be taken for that of the next program.
                if not answered:
                    _start_server.cache_clear()
                    self._close()
            if not answered:
                raise subprocess.TimeoutExpired(process.args, _SECONDS)
            code = process.stdout.readline()
            if not code:
                _start_server.cache_clear()
                return subprocess.CompletedProcess(process.args, process.wait(), "", process.stderr.read())
            out, err = (file.read_text(encoding="utf-8", errors="replace") for file in said)
            return subprocess.CompletedProcess(process.args, int(code), out, err)

    def _close(self) -> None:
        # At once, with a program that does not end: this process may be one that was interrupted.
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(BrokenPipeError):
            self._process.communicate()


@functools.cache
def _start_server(imported: tuple[str, ...]) -> _Server:
    return _Server(imported)
