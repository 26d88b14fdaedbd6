"""Run programs in forks of a process that has imported what all of them import.

``python -P fork_server.py MODULE...`` imports the modules, then reads requests from standard input, a line of JSON
each, and answers each by a line with the exit code. It ends when its input is closed. For Linux: elsewhere not every
library survives a fork.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import TypedDict


class Request(TypedDict):
    """What a program finds when it begins.

    Attributes:
        program: its source.
        path: its ``sys.path``.
        folder: that it begins in.
        environment: its environment variables.
        stdout, stderr: files that it writes to.
    """

    program: str
    path: list[str]
    folder: str
    environment: dict[str, str]
    stdout: str
    stderr: str


def serve(modules: list[str]) -> None:
    """Import modules, and run programs until the input is closed."""
    for name in modules:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os._exit(_run(json.loads(line)))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(request: Request) -> int:
    # The input of the server holds the next requests, and its output the answers.
    for number, path in enumerate((os.devnull, request["stdout"], request["stderr"])):
        opened = os.open(path, os.O_RDWR)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.path[:] = request["path"]
    importlib.invalidate_caches()
    code = 0
    try:
        exec(request["program"], {"__name__": "__main__"})
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # as an interpreter reports it
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return code


if __name__ == "__main__":
    serve(sys.argv[1:])
