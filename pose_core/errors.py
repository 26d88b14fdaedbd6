"""How the house fails: every error a user can cause is one line and says what to do.

The command line prints ``str(error)`` after ``error:`` and exits with code 2. Anything that is not a
:class:`PoseError` is a defect of ours (or of a plugin) and keeps its traceback.
"""

from __future__ import annotations

_LONGEST = 2000


def readable(message: str) -> str:
    """A message as one line of a terminal.

    What a file says may stand in a message: its line breaks become blanks, what a terminal would obey or not show is
    written as in Python (``\\x1b``), and of very long ones the middle is left out.
    """
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(message.split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 500]} ... {line[-400:]}"


def described(error: BaseException) -> str:
    """What an exception of somebody else's says, as one line; of one that cannot even say that, so much."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    return text or "no message"


class PoseError(Exception):
    """Base class of all expected failures. The message is one line: what, where, what to do."""


class ConfigError(PoseError):
    """A configuration, a name or an option is wrong."""


class DataError(PoseError):
    """Labels, images or a project cannot be used as they are."""


class VideoError(PoseError):
    """A video cannot be opened, decoded or written."""


class RunError(PoseError):
    """A run folder is incomplete, altered or of the wrong kind."""


class PluginError(PoseError):
    """A plugin is missing, broken or returns something that the core cannot use."""


class WeightsError(PoseError):
    """Pretrained weights are damaged, or do not fit the network."""


class DownloadError(WeightsError):
    """A published file is not on this machine and cannot be downloaded."""
