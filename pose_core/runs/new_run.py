"""Check that a folder can take a new run, before any work is done for it."""

from __future__ import annotations

from pathlib import Path

from pose_core.errors import RunError, argument
from pose_core.runs.run_folder import CONFIG


def check_new_run(out: Path, resume: bool | None = None) -> None:
    """Refuse a folder that cannot take a new run.

    Args:
        out: the folder; need not exist.
        resume: whether a run in it is gone on with; None: where that is not possible.

    Raises:
        RunError: it is a file or lies below one, or holds a run that is not to be gone on with.
    """
    # The topmost first: of a file in the way the part of the path that is one is named.
    for folder in reversed((out, *out.parents)):
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder}: is a file, not a folder; choose another {argument('out')}")
    if not resume and (out / CONFIG).is_file():
        go_on = "" if resume is None else f"add {argument('resume', True)} to go on with it, or "
        raise RunError(f"{out}: already holds a run; {go_on}choose another {argument('out')}")
