"""Refuse what is wrong whatever the project holds, before it is read: reading one may take minutes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pose_core.catalog import get_catalog
from pose_core.errors import ConfigError, argument
from pose_core.model.device import choose_device
from pose_core.runs.new_run import check_new_run
from pose_core.runs.run_folder import Run
from pose_core.runs.start import check_weights
from pose_core.specs.run import LEARNS, find_supplier
from pose_core.training.written import Written


def check_early(
    written: Written, model: str | None, networks: Mapping[str, str], out: Path, *, resume: bool
) -> None:
    """Check the folder of the run, names, weights and device.

    Args:
        written: by the user.
        model: name of a model.
        networks: that it builds on: names, or folders of runs.
        out: the run folder.
        resume: whether a run in it is gone on with.

    Raises:
        PoseError: one of them cannot be used.
    """
    check_new_run(out, resume)
    if model is not None:
        get_catalog().model(model)
    for name, given in networks.items():
        _check_network(name, given)
        # Without a model a folder means nothing yet, and is refused with what else the configuration says.
        if model is not None and Path(given).is_dir():
            _check_kind(name, Path(given))
    for loc, train in _find_trainings(written.content):
        device, weights = train.get("device"), train.get("weights")
        if isinstance(device, str):
            choose_device(device)
        # A run that is gone on with has its weights; the file that it once started from may be gone.
        if isinstance(weights, str) and not resume:
            check_weights(weights, written.name_of(*loc, "weights"))


def _find_trainings(content: Mapping[str, object]) -> Iterator[tuple[tuple[str, ...], Mapping[str, object]]]:
    """Iterate over the sections ``train`` of all networks, with their keys."""
    # What is no mapping is refused later, by key.
    if isinstance(train := content.get("train"), Mapping):
        yield ("train",), train
    stages = content.get("stages")
    for name, stage in stages.items() if isinstance(stages, Mapping) else ():
        if isinstance(stage, Mapping):
            for loc, train in _find_trainings(stage):
                yield ("stages", name, *loc), train


def _check_network(name: str, given: str) -> None:
    """Check a network that a model builds on: the name of one to train, or the folder of a trained one."""
    catalog, trains = get_catalog(), find_supplier(name).trains
    try:
        if trains == "boxes":
            catalog.component("detector", given)
        else:
            catalog.model(given)
    except ConfigError as error:
        if not Path(given).is_dir():
            raise ConfigError(f"{argument(name, given)}: {error} (and there is no such run folder)") from None


def _check_kind(name: str, folder: Path) -> None:
    trains, learned = find_supplier(name).trains, Run.open(folder).spec.trains
    # Empty: the supplier takes the run of any network.
    if trains not in ("", learned):
        raise ConfigError(
            f"{argument(name, str(folder))}: is the run of {LEARNS[learned]}; name that of {LEARNS[trains]}"
        )
