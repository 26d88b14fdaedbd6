"""Runs of published networks by name: downloaded once, made a run in the cache, and used from there."""

from __future__ import annotations

import shutil
from pathlib import Path

from pose_core.catalog import ZooEntry, get_catalog
from pose_core.errors import RunError
from pose_core.io.files import make_folder
from pose_core.io.locks import wait_for_lock
from pose_core.io.name_lengths import name_temporary
from pose_core.model.pretrained import fetch_network
from pose_core.runs.importing import import_published
from pose_core.runs.published import ZOO, locate_in_cache
from pose_core.runs.run_folder import CONFIG, PROVENANCE, Run
from pose_core.specs import AnyRunSpec
from pose_core.specs.run import LEARNS


def find_run(name: str, trains: str | None = None) -> Path | None:
    """Give the run folder of a published network; it is downloaded and made a run where that was not done yet.

    Args:
        name: ``project/network``, or with its plugin in front.
        trains: what the network has to have learned, ``poses`` or ``boxes``; None: either.

    Returns:
        the folder; None where no zoo has that name.

    Raises:
        ConfigError: the name is ambiguous, or what the network needs is not installed.
        DownloadError: its file is not there and cannot be downloaded.
        WeightsError: the file that is there is damaged.
        RunError: it has learned something else, or the file holds another network.
    """
    entry = get_catalog().zoo_network(name)
    if entry is None:
        return None
    learned = entry.definition.trains
    if trains is not None and learned != trains:
        others = ", ".join(list_networks(entry.definition.project, trains)) or "none"
        raise RunError(
            f"{name}: is {LEARNS[learned]}, not {LEARNS[trains]}; of its project there are {others}"
        )
    folder = locate_in_cache(entry)
    if not (folder / CONFIG).is_file():
        _make_run(entry, folder)
    return folder


def _make_run(entry: ZooEntry, folder: Path) -> None:
    file = fetch_network(entry)
    make_folder(folder.parent)
    with wait_for_lock(name_temporary(folder, ".lock")):
        # Another process may have made it while this one waited.
        if (folder / CONFIG).is_file():
            return
        temporary = name_temporary(folder, ".new")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            import_published(entry, file, temporary)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def list_networks(project: str, trains: str) -> list[str]:
    """List the published networks of a project that have learned ``poses`` or ``boxes``, by their full name."""
    return [
        entry.name
        for entry in get_catalog().zoo()
        if entry.definition.project == project and entry.definition.trains == trains
    ]


def read_origin(run: Run[AnyRunSpec]) -> dict[str, object] | None:
    """Read which published network a run is, or was trained from; None for others.

    Returns:
        ``name``, ``zoo`` (the project), ``url``, ``license`` and ``source``.
    """
    # Folders that were put together by hand may lack it.
    origin = run.provenance.get("weights") if (run.path / PROVENANCE).is_file() else None
    if not isinstance(origin, dict) or not isinstance(origin.get(ZOO), str):
        return None
    return {key: origin[key] for key in ("name", ZOO, "url", "license", "source") if key in origin}


def find_project(run: Run[AnyRunSpec]) -> str | None:
    """Find the project of the zoo that a run comes from, or whose network it was trained from; None: of none."""
    origin = read_origin(run)
    return None if origin is None else str(origin[ZOO])
