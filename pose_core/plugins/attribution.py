"""Tell defects of plugins from defects of the core."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

from pose_core.plugins.discovery import PluginRecord, discover

_PLACE = re.compile(r'File "(?P<file>[^"\n]+)", line (?P<line>\d+)')


def describe_defect(error: BaseException, records: Iterable[PluginRecord] | None = None) -> str:
    """One line below a traceback: who wrote the code that raised, and who should hear of it.

    Args:
        error: what came through.
        records: the plugins there are; by default those installed.
    """
    for record, file, line in _find_places(error, discover() if records is None else records):
        return (
            f"this is a defect of the plugin {record.name} ({record.distribution} {record.version}), in "
            f"{file}:{line}; please tell its authors, with the lines above"
        )
    return "this is a defect of pose_core; please report it, with the lines above"


def find_place(error: BaseException, record: PluginRecord) -> str:
    """The last ``file.py:line`` of a plugin in the traceback of an exception; empty if there is none."""
    return next((f"{file.name}:{line}" for _, file, line in _find_places(error, [record])), "")


def _find_places(
    error: BaseException, records: Iterable[PluginRecord]
) -> Iterator[tuple[PluginRecord, Path, str]]:
    """Find the places of a traceback in code of plugins, the last first."""
    # Its text is read, not its frames: what a worker process raised arrives as text.
    folders = {folder: r for r in records if (folder := _find_folder(r)) is not None}
    for place in reversed(list(_PLACE.finditer("".join(traceback.format_exception(error))))):
        file = Path(place["file"])
        for folder, record in folders.items():
            if file.is_relative_to(folder):
                yield record, file, place["line"]


def _find_folder(record: PluginRecord) -> Path | None:
    """Find the folder of the plugin's code; None for one that was not imported."""
    name = record.target.partition(":")[0]
    module = sys.modules.get(name.rpartition(".")[0] or name)
    file = getattr(module, "__file__", None)
    if file is None:
        return None
    # A plugin of one module lies beside strangers: it is its file alone.
    return Path(file).parent if hasattr(module, "__path__") else Path(file)
