"""Tell the processes of a training apart."""

from __future__ import annotations

import os


def rank() -> int:
    """Return the number of this process among those of one training, from 0; 0 outside of such.

    Lightning starts the processes of a training on several devices by this variable; a process of a data
    loader inherits it.
    """
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_first() -> bool:
    """Whether this is the process that writes files and speaks."""
    return rank() == 0
