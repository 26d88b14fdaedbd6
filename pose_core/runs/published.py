"""Files of trained networks that zoos publish: which a file is, where it lies, and what it holds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import yaml

from pose_core.catalog import ZooEntry, get_catalog
from pose_core.catalog.zoo import suggest
from pose_core.errors import ConfigError, argument
from pose_core.interfaces import Imported, ImportedNetwork, Importer
from pose_core.interfaces.hub import read_tensors
from pose_core.io.downloads import get_cache_folder
from pose_core.io.files import make_folder, write_whole
from pose_core.model.weights import file_hash
from pose_core.specs.zoo import read_description

ZOO = "zoo"
"""Folder in the cache of the runs made of what zoos publish; in the provenance of a run, the project of its zoo."""

_NETWORK = "network."
"""In front of the names of a detector's weights in a run."""


def describe_origin(entry: ZooEntry) -> dict[str, str]:
    """Describe where a network comes from, for the provenance of runs."""
    published = entry.definition
    return {
        "name": entry.full_name,
        ZOO: published.project,
        "url": published.url,
        "license": published.license,
        "source": published.source,
    }


def make_mark(entry: ZooEntry) -> str:
    """Eight digits that change with what a zoo says of a network, so that a run made before is not used then."""
    published = entry.definition
    said = [
        published.url,
        published.sha256,
        dict(published.importer),
        published.converter,
        read_description(entry),
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:8]


def locate_in_cache(entry: ZooEntry) -> Path:
    """Say where the run of a published network lies, whether it is there or not."""
    name = f"{entry.definition.network}-{make_mark(entry)}"
    return get_cache_folder() / ZOO / entry.plugin.name / entry.definition.project / name


def read_published(
    entry: ZooEntry, file: Path, reader: Importer | None, data: Path | None = None
) -> Imported:
    """Read the file of a published network.

    Args:
        entry: what the zoo says of it.
        file: on this machine.
        reader: its importer; None where the file holds the weights of a run.
        data: the labelled project of which the run will be, for an importer; None: of none.

    Raises:
        RunError: the file cannot be used, or holds another network.
        WeightsError: it is damaged.
        PluginError: what the zoo says of it is wrong.
    """
    content = read_description(entry)
    if reader is not None:
        # Importers read what lies beside a file; here it is written there.
        run = locate_in_cache(entry)
        place = run.with_name(f"{run.name}.yaml")
        make_folder(place.parent)
        write_whole(place, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
        return reader.read(file, place, None, data)
    state = read_tensors(file).tensors
    if (convert := entry.converter()) is not None:
        state = dict(convert(state))
    elif entry.definition.trains == "boxes":
        state = {name.removeprefix(_NETWORK): tensor for name, tensor in state.items()}
    return Imported(
        ImportedNetwork(content, state, file), provenance={"file": str(file), "sha256": file_hash(file)}
    )


def list_candidates(importer: str, file: Path, project: str | None, trains: str) -> list[ZooEntry]:
    """List the published networks that a file of another tool may be.

    Args:
        importer: full name of the importer that reads it.
        file: known by its name, where that is the name under which it is published.
        project: what the user says of it: ``project`` or ``project/network``; None: nothing.
        trains: what a network of a whole project has learned, ``poses`` or ``boxes``.

    Raises:
        ConfigError: there is no such project or network.
    """
    # By its name alone, in full or bare: the importer of another zoo need not be installed.
    names = (importer, importer.rpartition("/")[2])
    entries = [entry for entry in get_catalog().zoo() if entry.definition.importer.get("type") in names]
    named = [entry for entry in entries if _is_named(file, entry)]
    if project is None:
        return named
    if chosen := [entry for entry in entries if project in (entry.name, entry.full_name)]:
        return [entry for entry in chosen if entry.definition.trains == trains]
    of_project = [entry for entry in entries if entry.definition.project == project]
    if not of_project:
        projects = ", ".join(dict.fromkeys(entry.definition.project for entry in entries))
        hint = suggest(project, entries) or (
            f"there are {projects}" if projects else "no installed plugin publishes any"
        )
        raise ConfigError(
            f"{argument('project', project)}: no zoo has files of the importer {importer} in such a project; {hint}"
        )
    named = [entry for entry in named if entry.definition.project == project]
    return named or [entry for entry in of_project if entry.definition.trains == trains]


def _is_named(file: Path, entry: ZooEntry) -> bool:
    # Tools rename files when they download them, to PROJECT_NETWORK.
    own = f"{entry.definition.project}_{entry.definition.network}{Path(entry.file_name).suffix}"
    return file.name in (entry.file_name, own)
