"""Prepare the folder of a demo, and remove only the demo's own files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pose_core.errors import ConfigError

MARKER = ".pose-demo.json"
PROJECT, VIDEO, RUN, PREDICTIONS = "project", "video.mp4", "run", "predictions"
LABELLED, SHEET, CURVES, REPORT = (
    "labelled.mp4",
    "predicted_and_true.png",
    "training_curves.png",
    "report.html",
)
OWN = (PROJECT, VIDEO, RUN, PREDICTIONS, LABELLED, SHEET, CURVES, REPORT)


@contextmanager
def prepare_demo_folder(out: Path, overwrite: bool) -> Iterator[bool]:
    """Prepare a folder for a demo, and clean it if the demo fails.

    Files that no demo created are never touched.

    Args:
        out: the folder; created if needed.
        overwrite: remove an earlier demo in it.

    Yields:
        whether an earlier demo was removed.

    Raises:
        ConfigError: ``out`` is a file or cannot be written; or holds an earlier demo and ``overwrite`` is
            false; or holds something else under a name that the demo uses.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file, not a folder; choose another --out")
    there = [name for name in OWN if (out / name).exists()]
    if there and not (out / MARKER).is_file():
        raise ConfigError(f"{out / there[0]}: exists, and no demo created it; choose another --out")
    if there and not overwrite:
        raise ConfigError(
            f"{out}: holds an earlier demo; add --overwrite to replace it, or choose another --out"
        )
    new = not out.exists()
    # The marker comes first: whatever a killed demo leaves behind may then be replaced by the next one.
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / MARKER).write_text(json.dumps({"made by": "pose demo", "files": OWN}) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror}); choose another --out") from None
    _remove(out)
    try:
        yield bool(there)
    # Ctrl-C, too: it is no Exception.
    except BaseException:
        _remove(out)
        (out / MARKER).unlink(missing_ok=True)
        if new:
            # It is not empty where the user has put something into it meanwhile.
            with suppress(OSError):
                out.rmdir()
        raise


def _remove(out: Path) -> None:
    for name in OWN:
        if (out / name).is_dir():
            shutil.rmtree(out / name)
        else:
            (out / name).unlink(missing_ok=True)
