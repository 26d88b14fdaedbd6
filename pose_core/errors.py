"""Expected failures: every error that a user can cause is one line and says what to do.

::

    PoseError               anything below
    +-- ConfigError         a configuration, a name, an option or an argument
    +-- DataError           labels, images, or a project
    +-- VideoError          a video
    +-- RunError            a run folder, or a trained model that is imported
    +-- PluginError         a plugin
    +-- WeightsError        pretrained weights
        +-- DownloadError   a published file that is not on this machine

The command line prints ``str(error)`` after ``error:`` and exits with code 2. Anything else that is raised is
a defect of ours (or of a plugin) and keeps its traceback.

A message names arguments and commands by :func:`argument` and :func:`command`, so that a caller in Python
reads ``detector=RUN`` where the command line says ``--detector RUN``.
"""

from __future__ import annotations

from collections.abc import Sequence

from pose_core.escapes import escape_line

# A message may quote a whole section of a file; a terminal should still show what was run before.
_LONGEST = 2000

_IN_PYTHON = {
    "inspect": "inspect_project",
    "config": "make_config",
    "train": "train",
    "adapt": "adapt",
    "evaluate": "evaluate",
    "predict": "predict",
    "status": "read_status",
    "cancel": "cancel",
    "worker": "work",
    "track": "track",
    "export": "export",
    "import": "import_model",
    "models": "available_models",
    "detectors": "available_detectors",
}
"""Commands that are functions, too; the others have no function, and are named as commands in Python as well."""

_on_command_line = False


def speak_command_line(yes: bool = True) -> None:
    """Word arguments and commands as on the command line, in the whole process."""
    # One state of the process and not a context variable, since threads of a pipeline raise errors, too.
    global _on_command_line
    _on_command_line = yes


def argument(name: str, value: str | bool = "") -> str:
    """Name an argument in the words of the caller.

    Args:
        name: as in Python, ``max_animals``.
        value: what stands for its value (``RUN``); True for a switch that is to be on; empty: the argument by
            itself.

    Returns:
        ``detector=RUN``, or ``--detector RUN`` on the command line.
    """
    if _on_command_line:
        option = f"--{name.replace('_', '-')}"
        return f"{option} {value}" if value and value is not True else option
    return f"{name}={value}" if value else name


def setting(*assignments: str) -> str:
    """Name settings of a configuration in the words of the caller.

    Args:
        assignments: ``key.key=value``, or the keys alone.

    Returns:
        ``settings={"key.key": value}``, or ``--set key.key=value`` on the command line.
    """
    if _on_command_line:
        return " ".join(f"--set {assignment}" for assignment in assignments)
    return "settings={" + ", ".join(map(_as_entry, assignments)) + "}"


def _as_entry(assignment: str) -> str:
    """Write ``key=value``, as YAML has it, as an entry of a dictionary in Python."""
    key, _, value = assignment.partition("=")
    plain = {"null": "None", "true": "True", "false": "False", "": "..."}
    if value in plain:
        return f'"{key}": {plain[value]}'
    is_literal = value[0] in "[{" or value.replace(".", "", 1).lstrip("-").isdigit()
    return f'"{key}": {value if is_literal else chr(34) + value + chr(34)}'


def command(verb: str, *arguments: str) -> str:
    """Name a command in the words of the caller.

    Args:
        verb: the command.
        arguments: with which it is called; of those that are options what :func:`argument` returns.

    Returns:
        ``'pose train DATA --out RUN'`` on the command line and for commands that are no functions, else
        ``pose_core.train(DATA, out=RUN)``.
    """
    if _on_command_line or verb not in _IN_PYTHON:
        return f"'{' '.join(('pose', verb, *arguments))}'"
    function = f"pose_core.{_IN_PYTHON[verb]}"
    return f"{function}({', '.join(arguments)})" if arguments else function


def readable(message: str) -> str:
    """Put a message on one line of a terminal.

    What a file says may stand in a message: its line breaks become blanks, what a terminal would obey or not
    show is written as in Python (``\\x1b``), a byte of a name that is not UTF-8 as ``\\xe9``, and of very long
    ones the middle is left out.
    """
    # Escape sequences in a file could recolour or overwrite what the terminal shows.
    lines = message.splitlines()
    # Other blanks stay: a name in a message may hold several, and is to be found by it.
    joined = message if len(lines) < 2 else " ".join(part.strip() for part in lines if part.strip())
    line = escape_line(joined)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 500]} ... {line[-400:]}"


def listed(items: Sequence[str], separator: str = "; ", most: int = 10) -> str:
    """Name the first of some things, and say how many more there are."""
    rest = f" and {len(items) - most} more" if len(items) > most else ""
    return separator.join(items[:most]) + rest


def described(error: BaseException) -> str:
    """Put the message of another library's exception on one line; ``no message`` where it has none."""
    try:
        # __str__ of another library's exception may raise itself, and that must not hide the first error.
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
