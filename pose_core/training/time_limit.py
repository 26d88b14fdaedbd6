"""The time of a whole training, divided among the networks that it trains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pose_core.catalog.merge import merge
from pose_core.errors import ConfigError, argument
from pose_core.specs import AnyRunSpec
from pose_core.specs.run import RUN_SPECS, NetworkSpec
from pose_core.specs.yaml_file import validate_as

Loc = tuple[str, ...]


def share_time(spec: AnyRunSpec, total: float | None, trained: Iterable[str]) -> AnyRunSpec:
    """Divide the time evenly among the networks that are trained.

    A network under ``stages`` that has a ``train.max_time`` of its own keeps it; the others share the rest.

    Args:
        spec: of the run, with the networks that it builds on.
        total: seconds; None: no limit.
        trained: names of networks that are not trained again.

    Returns:
        the spec with the share of each network as its ``train.max_time``.

    Raises:
        ConfigError: nothing is left for the others.
    """
    if total is None:
        return spec
    networks = dict(_trainable(spec, (), set(trained)))
    own = {loc: n.train.max_time for loc, n in networks.items() if loc and n.train.max_time is not None}
    rest = total - sum(own.values())
    sharing = [loc for loc in networks if loc not in own]
    if sharing and rest <= 0:
        listed = " and ".join(f"{'.'.join(loc)}.train.max_time" for loc in own)
        raise ConfigError(
            f"{listed}: {sum(own.values()):g} s leave nothing of the {total:g} s of "
            f"{argument('max_time')}; give more time"
        )
    changes: dict[str, Any] = {}
    for loc in sharing:
        part: dict[str, Any] = {"train": {"max_time": rest / len(sharing)}}
        for key in reversed(loc):
            part = {key: part}
        changes = merge(changes, part)
    return validate_as(merge(spec.model_dump(mode="json"), changes), {}, "", RUN_SPECS[spec.trains])


def _trainable(network: NetworkSpec, loc: Loc, trained: set[str]) -> Iterator[tuple[Loc, NetworkSpec]]:
    if network.trainable():
        yield loc, network
    for name, stage in network.builds_on().items():
        if loc or name not in trained:
            yield from _trainable(stage, (*loc, "stages", name), trained)
