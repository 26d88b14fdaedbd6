"""What converters of networks have in common: silence meanwhile, and a line for a failure."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def keep_quiet(names: Sequence[str], level: int = logging.ERROR) -> Iterator[None]:
    """Keep back what a converter tells its own developers: warnings, and what some loggers say below a level.

    Args:
        names: of the loggers.
        level: of :mod:`logging`.
    """
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, before in zip(loggers, levels, strict=True):
            logger.setLevel(before)


def find_reason(error: BaseException) -> str:
    """Find the first line of the innermost cause: the outer ones say in which step it was."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
