"""What suppliers are given by the caller: checked, opened, and told from one another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pose_core.catalog import get_catalog
from pose_core.errors import ConfigError, argument, command
from pose_core.model.weights import file_hash
from pose_core.runs.run_folder import WEIGHTS, Run
from pose_core.runs.zoo import list_networks
from pose_core.specs import AnyRunSpec

Source = Path | str | bool | None
"""Value that a caller gives a supplier: a folder or file; True for one that takes the labels, or poses that come with
each image in memory; None or False: nothing."""

AnyRun = Run[AnyRunSpec]


def given_sources(sources: Mapping[str, Source], evaluated: bool) -> dict[str, Path | bool]:
    """Check what suppliers are given, and leave out what is nothing.

    Args:
        sources: by name; None and False are nothing.
        evaluated: whether there are labels to take.

    Raises:
        ConfigError: no supplier has that name, or it does not take what it is given.
    """
    suppliers = {supplier.name: supplier for supplier in get_catalog().suppliers()}
    given: dict[str, Path | bool] = {}
    for name, value in sources.items():
        if name not in suppliers:
            raise ConfigError(
                f"{name}: is no source of what stages need; there are {', '.join(sorted(suppliers))}"
            )
        if value is None or value is False:
            continue
        if "labels" in suppliers[name].takes:
            if not evaluated:
                raise ConfigError(
                    f"{argument(name)}: takes labels, and only images that are evaluated have some"
                )
            if value is not True:
                raise ConfigError(f"{argument(name)}: takes the labels and nothing else, not {str(value)!r}")
            given[name] = True
        elif value is True and "memory" in suppliers[name].takes and not evaluated:
            given[name] = True
        elif value is True:
            raise ConfigError(f"{argument(name)}: needs a value, {suppliers[name].metavar}")
        else:
            given[name] = Path(value)
    return given


def identify_run(run: AnyRun) -> str:
    """Hash what decides about the results of a run, the networks that it builds on included."""
    # How it was trained shows in the weights; these parts say how they are used.
    content = run.spec.model_dump(mode="json", include={"skeleton", "model", "network"})
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    inner = (f", {name}: {identify_run(stage)}" for name, stage in sorted(run.stages.items()))
    return f"run {file_hash(run.path / WEIGHTS)} {digest}{''.join(inner)}"


def open_given(supplier: str, folder: Path, project: str | None) -> AnyRun:
    """Open the run that a supplier is given: a folder, or the name of a published network.

    Args:
        supplier: by name.
        folder: as the caller gave it.
        project: of the zoo that the run which predicts comes from; its networks go by their bare names, too.
    """
    if (
        not folder.exists()
        and project is not None
        and f"{project}/{folder}" in list_networks(project, "boxes")
    ):
        return Run.open(f"{project}/{folder}")
    kinds = get_catalog().kinds_of(str(folder))
    if kinds and not folder.exists():
        train = command("train", "DATA", argument(supplier, str(folder)), argument("out", "RUN"))
        raise ConfigError(
            f"{argument(supplier, str(folder))}: is the name of {kinds[0]}, and here the folder of a trained "
            f"one is needed; {train} makes it"
        )
    return Run.open(folder)
