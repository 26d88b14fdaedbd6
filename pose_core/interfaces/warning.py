"""Warnings to the user, from parts of networks."""

from __future__ import annotations

import logging

from pose_core.processes import is_first

_LOG = logging.getLogger("pose_core")


def warn_once(line: str) -> None:
    """Warn the user, once for all processes of a training.

    Each process builds the network, and one warning is enough: only the first process gives it, to the logger
    ``pose_core``, which commands print.

    Args:
        line: one line that says what is different from what was asked for, and what follows.
    """
    if is_first():
        _LOG.warning("%s", line)
