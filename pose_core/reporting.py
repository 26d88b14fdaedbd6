"""Notes and progress of work that takes long, to whoever wants to see them."""

from __future__ import annotations

import logging
from typing import Protocol

_LOG = logging.getLogger("pose_core")


class Reporter(Protocol):
    """Is told how work goes. The command line shows it on the terminal; a caller in Python may give one of
    its own."""

    def note(self, line: str) -> None:
        """Take a line that the user should know."""

    def progress(self, what: str, done: float, total: float | None) -> None:
        """Take how far work is.

        Args:
            what: in a few words: ``training``, the name of a video.
            done: of ``total``, in its units.
            total: None where it is not known. Where ``done`` reaches it the work is over.
        """


class LogReporter:
    """Notes go to the log ``pose_core``; progress goes nowhere."""

    def note(self, line: str) -> None:
        """Log a line."""
        _LOG.info(line)

    def progress(self, what: str, done: float, total: float | None) -> None:
        """Show nothing."""


_reporter: Reporter = LogReporter()


def set_reporter(reporter: Reporter) -> Reporter:
    """Choose who hears of work that nobody gave a reporter, such as downloads; for the whole process.

    Returns:
        the one before.
    """
    global _reporter
    before, _reporter = _reporter, reporter
    return before


def current_reporter() -> Reporter:
    """Return who hears of it: a :class:`LogReporter` by default."""
    return _reporter
