"""Runs ``pose`` within this process and judges how it ended: success, or one line; in time; no code of the
file run."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import logging
import os
import random
import re
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from pose_core.cli import main

SECONDS = 30.0
"""An example that takes longer hangs; none should take a second, but the machine may be busy."""

MEMORY = 4 * 2**30
"""Bytes by which an example may enlarge the address space."""

_PROGRESS = re.compile(
    r"^note: |^warning: |^starting from |^  |^training .* %|^training .*, \d+ epochs?, .* images a step$|"
    r" \d+ epochs?$|frames/s|going on from there$"
)
"""Lines about work that goes well, until it does not."""

_MISSING = re.compile(r"^warning: .* could not be decoded and (are|is) marked as missing: ")

_OF_PLUGINS = re.compile(r"; plugins not loaded: .*|\(\w+: .*\); the plugin .*is broken")

LONGEST = 2500
"""Characters of an error line; more is no line that a person reads."""

TRACE = "TRACE"
"""What a file must not be able to make: every bomb makes a file of this name in the working folder."""

KEPT = Path(tempfile.gettempdir()) / "pose-fuzz"
"""Where failing examples are put."""

_PYTHON = re.compile(r"Traceback|\b[A-Z]\w*(?:Error|Exception|Warning)\b")
_PLACE = re.compile(r"^error: ([a-z_0-9]+(\.[\w-]+)*|--[a-z-]+)\b|\(--set | /[\w./-]+\b")


cv2.utils.logging.setLogLevel(
    2
)  # errors only, as the command asks OpenCV for by OPENCV_LOG_LEVEL; too late here, it is imported


class Hang(BaseException):
    """The time is over."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit code; None for one that ended in an exception.
        output, errors: what it wrote.
        crash: the traceback of an exception that came through.
        warned: warnings of Python that a user would see.
        seconds: it took.
    """

    code: int | None
    output: str
    errors: str
    crash: str = ""
    warned: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def line(self) -> str:
        """The error line, or an empty one."""
        return next((line for line in self.errors.splitlines() if line.startswith("error: ")), "")


def pose(arguments: Sequence[str | Path], folder: Path) -> Ended:
    """Run the command as its entry point does, in a folder, with limits on time and memory."""
    output = io.TextIOWrapper(io.BytesIO(), "utf-8", "strict", write_through=True)
    before = list(logging.getLogger("pose_core").handlers)
    argv, here, started = sys.argv, Path.cwd(), time.perf_counter()
    code: int | None = 0
    crash = ""
    with tempfile.TemporaryFile("w+b", buffering=0) as file, warnings.catch_warnings(record=True) as caught:
        errors = io.TextIOWrapper(file, "utf-8", "backslashreplace", write_through=True)
        warnings.simplefilter("default")
        for hidden in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", hidden)
        os.chdir(folder)
        sys.argv = ["pose", *map(str, arguments)]
        try:
            with (
                _limits(),
                _errors_into(file),
                contextlib.redirect_stdout(output),
                contextlib.redirect_stderr(errors),
            ):
                main.run()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except Hang:
            code, crash = None, f"took more than {SECONDS:g} s\n{traceback.format_exc()}"
        except BaseException:  # whatever comes through would end the program with a traceback
            code, crash = None, traceback.format_exc()
        finally:
            sys.argv = argv
            os.chdir(here)
            logging.getLogger("pose_core").handlers[:] = before
        file.seek(0)
        written = file.read().decode("utf-8", "replace")
        errors.detach()
    seen = output.buffer.getvalue().decode("utf-8")  # type: ignore[attr-defined]
    warned = tuple(f"{w.category.__name__}: {w.message} ({w.filename}:{w.lineno})" for w in caught)
    return Ended(code, seen, written, crash, warned, time.perf_counter() - started)


@contextlib.contextmanager
def _errors_into(file: Any) -> Iterator[None]:
    """What libraries in C write to standard error is seen by a user, too."""
    kept = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    def end(*_: object) -> None:
        raise Hang

    used = (
        int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        if os.name == "posix"
        else 0
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    former = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    # A library that does not come back to Python hears no alarm.
    faulthandler.dump_traceback_later(4 * SECONDS, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def problem(ended: Ended, folder: Path, codes: Sequence[int] = (0, 2)) -> str:
    """What is wrong with the way a command ended; empty if nothing is.

    Args:
        ended: of the command.
        folder: in which it ran; all files that were given to it lie there.
        codes: which exit codes are right.
    """
    if ended.crash:
        return ended.crash
    if (folder / TRACE).exists():
        return "code of the file was run"
    if ended.warned:
        return f"a warning of Python: {ended.warned[0]}"
    if ended.code not in codes:
        return f"exit code {ended.code}: {ended.errors}"
    if ended.code != 2:
        return f"not one line: {ended.errors}" if _PYTHON.search(ended.errors) else ""
    lines = [line for line in ended.errors.splitlines() if line.strip()]
    told = [line for line in lines if not _PROGRESS.search(line)]
    # A result that lacks frames is a result, and the exit code says that some are missing.
    if not told and any(_MISSING.search(line) for line in lines):
        return ""
    if len(told) != 1 or not told[0].startswith("error: ") or not told[0][7:].strip():
        return f"not one line: {ended.errors}"
    # What became of a plugin is told with the name of its exception: its author is the one who reads it.
    if _PYTHON.search(_OF_PLUGINS.sub("", told[0])):
        return f"names an exception of Python: {told[0]}"
    if len(told[0]) > LONGEST or not told[0].isprintable():
        return f"not a line to read: {told[0][:500]!r}"
    if str(folder) not in told[0] and not _PLACE.search(told[0]):
        return f"names neither file nor key: {told[0]}"
    return ""


@dataclass
class Example:
    """A command to run.

    Attributes:
        arguments: of ``pose``.
        about: what was spoilt.
        codes: exit codes that are right.
    """

    arguments: list[str | Path]
    about: str
    codes: tuple[int, ...] = (0, 2)


@dataclass
class Tally:
    """How examples of a family ended."""

    family: str
    ends: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def share_deep(self) -> float:
        """Share of successes."""
        return self.ends["success"] / max(sum(self.ends.values()), 1)


Make = Callable[[random.Random, Path], Example]
Run = Callable[[Example, Path], Ended]


def in_process(example: Example, folder: Path) -> Ended:
    """Run an example here."""
    return pose(example.arguments, folder)


def fuzz(family: str, numbers: Sequence[int], make: Make, scratch: Path, run: Run = in_process) -> Tally:
    """Make and run examples; each is made from its number alone.

    Args:
        family: name of what is spoilt.
        numbers: of the examples.
        make: spoils something in an empty folder and says what to run.
        scratch: an empty folder.
        run: runs it.
    """
    tally = Tally(family)
    for number in chosen(numbers):
        folder = scratch / "example"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        example = make(random.Random(f"{family} {number}"), folder)
        ended = run(example, folder)
        wrong = problem(ended, folder, example.codes)
        tally.ends["failure" if wrong else "success" if ended.code == 0 else "error"] += 1
        tally.messages[shape(ended.line, folder)] += 1
        if wrong:
            tally.failures.append(_keep(family, number, example, folder, wrong))
        _log(family, number, example, ended, wrong, folder)
    return tally


def chosen(numbers: Sequence[int]) -> Sequence[int]:
    """The numbers, those that ``POSE_FUZZ=17,1203`` asks for, or every eighth (``POSE_FUZZ=/8``)."""
    asked = os.environ.get("POSE_FUZZ", "")
    if asked.startswith("/"):
        return numbers[:: int(asked[1:])]
    return [int(n) for n in asked.split(",")] if asked else numbers


def shape(line: str, folder: Path) -> str:
    """A message without what differs from example to example."""
    return re.sub(r"\d+", "#", re.sub(r"'[^']*'|\"[^\"]*\"", "'…'", line.replace(str(folder), "")))[:110]


def _keep(family: str, number: int, example: Example, folder: Path, wrong: str) -> str:
    kept = KEPT / f"{family}-{number}"
    shutil.rmtree(kept, ignore_errors=True)
    with contextlib.suppress(OSError):  # what cannot be copied can be made again
        shutil.copytree(folder, kept, symlinks=True)
    command = shlex.join(["pose", *(str(a).replace(str(folder), str(kept)) for a in example.arguments)])
    again = f"POSE_FUZZ={number} .venv/bin/python -m pytest tests/fuzzing -k {family}"
    return f"{family} {number} ({example.about}): {wrong.strip()}\n  {command[:600]}\n  again: {again}"


def _log(family: str, number: int, example: Example, ended: Ended, wrong: str, folder: Path) -> None:
    """``POSE_FUZZ_LOG=FILE`` gets a line an example, to see how deep they go."""
    if not (file := os.environ.get("POSE_FUZZ_LOG")):
        return
    about = {"family": family, "number": number, "about": example.about, "code": ended.code, "wrong": wrong}
    with Path(file).open("a") as stream:
        line = ended.line.replace(str(folder), "")
        stream.write(json.dumps({**about, "line": line, "seconds": round(ended.seconds, 3)}) + "\n")


def check(tally: Tally) -> None:
    """Print how it went, and fail where an example did."""
    print(f"{tally.family}: {dict(tally.ends)}")
    for message, count in tally.messages.most_common(15):
        print(f"  {count:4d} {message}")
    if tally.failures:
        shown = "\n\n".join(tally.failures[:5])
        raise AssertionError(
            f"{len(tally.failures)} examples failed; the first are kept in {KEPT}:\n\n{shown}"
        )
