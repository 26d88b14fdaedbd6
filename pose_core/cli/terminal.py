"""Notes and progress on standard error."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pose_core.errors import readable
from pose_core.escapes import escape_line
from pose_core.processes import is_first

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class TerminalReporter:
    """Prints notes, and shows a bar where standard error is a terminal.

    rich is imported with the first line, so that commands that print none start quickly.

    Args:
        lines: work of which a line for each tenth is printed where there is no terminal: ``training``.
    """

    def __init__(self, *, lines: str = "") -> None:
        self._lines = lines
        self._console: Console | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._tenth = -1
        self._began = (0.0, 0.0)

    @property
    def console(self) -> Console:
        """The console of standard error; silent in all but the first process of a training."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(
                stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False, quiet=not is_first()
            )
        return self._console

    def note(self, line: str) -> None:
        """Print a line."""
        # A name in it may hold line breaks, and bytes that are no text.
        self.console.print(readable(line))

    def progress(self, what: str, done: float, total: float | None) -> None:
        """Move the bar; it goes away when all is done."""
        what = escape_line(what)
        if self.console.is_terminal:
            self._move(what, done, total)
        elif self._lines and what.startswith(self._lines) and total:
            tenth = int(10 * done / total)
            # The work begins again where a model has several networks.
            if tenth > self._tenth:
                verb, _, rest = what.partition("  ")
                self.note(f"{verb} {100 * done / total:3.0f} %  {rest}")
            self._tenth = tenth

    def close(self) -> None:
        """Take the bar away, where work ends before all is done."""
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None

    def _move(self, what: str, done: float, total: float | None) -> None:
        if self._bar is None or self._task is None:
            self._bar, self._task = self._start(done)
        self._bar.update(
            self._task, description=what, completed=done, total=total, count=self._count(done, total)
        )
        if total is not None and done >= total:
            self.close()

    def _start(self, done: float) -> tuple[Progress, TaskID]:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            # rich would else catch the results that go to standard output and print them to standard error.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        bar.start()
        # With what was done already: after a resume the rate must count new work only.
        self._began = (time.monotonic(), done)
        return bar, bar.add_task("", total=None, count="")

    def _count(self, done: float, total: float | None) -> str:
        """``120/900  31.4/s`` for things that are counted, a share for the others."""
        # By type: frames and images are counted in int, shares of a time are float.
        if not isinstance(done, int):
            return f"{100 * done / total:3.0f} %" if total else ""
        began, before = self._began
        seconds = time.monotonic() - began
        rate = f"  {(done - before) / seconds:.1f}/s" if seconds > 0 and done > before else ""
        return f"{done}{f'/{total:g}' if total is not None else ''}{rate}"
