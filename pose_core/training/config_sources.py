"""Where the values of a configuration come from: labels, user, project, model, defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pose_core.catalog import get_catalog
from pose_core.catalog.merge import merge
from pose_core.errors import PoseError
from pose_core.specs import AnyRunSpec, DetectorConfig, parse_component
from pose_core.specs.key_meanings import Key
from pose_core.specs.run import NetworkSpec, PoseNetworkSpec
from pose_core.training.configure import OF_THE_MACHINE
from pose_core.training.prepared import Prepared

_OF_THE_PROJECT = (
    ("skeleton",),
    ("metadata",),
    ("data", "source"),
    ("data", "crop"),
    ("data", "video_crops"),
)
_MISSING = object()


class Sources:
    """Tells where the values of a prepared configuration come from."""

    def __init__(self, prepared: Prepared[AnyRunSpec]) -> None:
        self._prepared = prepared
        self._presets: dict[tuple[str, ...], Mapping[str, Any]] = {(): _find_preset(prepared.spec)}
        for name, stage in prepared.spec.builds_on().items():
            self._presets["stages", name] = _find_preset(stage)

    def name(self, key: Key) -> str:
        """Say where a value comes from, in a few words."""
        loc, decisions = key.loc, self._prepared.decisions
        if loc[-3:] == ("data", "split", "name") and (why := decisions.get(".".join(loc))):
            return f"the project: {why}"
        # The labels come first: what the user wrote as auto is decided by them all the same.
        for n in range(len(loc), 0, -1):
            if why := decisions.get(".".join(loc[:n])):
                return f"decided by the labels: {why}"
        if (origin := self._prepared.origins.get(loc)) is not None:
            return str(origin)
        network: tuple[str, ...] = loc[:2] if loc[0] == "stages" and len(loc) > 2 else ()
        own = loc[len(network) :]
        # Some keys hold for the networks under stages, too.
        shared = bool(network) and own[0] == "train" and own[1] in OF_THE_MACHINE
        if shared and (origin := self._prepared.origins.get(own)) is not None:
            return f"{origin}, which holds for all networks"
        spec = self._prepared.spec.builds_on()[network[1]] if network else self._prepared.spec
        if own[:1] == ("skeleton",) and self._prepared.teacher is not None:
            return "the project, and behind its keypoints those of the weights"
        if own[:1] in _OF_THE_PROJECT or own[:2] in _OF_THE_PROJECT:
            return "the project"
        if own in (("data", "bit_depth"), ("untrained_keypoints",)):
            return "decided by the labels"
        if own == ("replayed_keypoints",) and self._prepared.teacher is not None:
            return "the weights"
        if own[:2] in (("model", "name"), ("model", "method"), ("network", "type"), ("trains",)):
            return f"the choice of {spec.name}"
        found: Any = self._presets.get(network, {})
        for part in own:
            found = found.get(part, _MISSING) if isinstance(found, Mapping) else _MISSING
        if found is not _MISSING and _plain(found) == _plain(key.value):
            return (
                f"the model {spec.name}" if isinstance(spec, PoseNetworkSpec) else f"the detector {spec.name}"
            )
        if own[:2] == ("model", "heads") and own[2] not in _list_heads(self._presets.get(network, {})):
            return "a head that the project calls for"
        if key.was_auto:
            return "auto, as decided for this project"
        return f"default of {key.component}" if key.component else "default"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _list_heads(preset: Mapping[str, Any]) -> Mapping[str, Any]:
    heads: Mapping[str, Any] = preset.get("model", {}).get("heads", {})
    return heads


def _find_preset(spec: NetworkSpec) -> Mapping[str, Any]:
    """Find what the named model of a network sets; nothing where a file described it."""
    try:
        if isinstance(spec, PoseNetworkSpec):
            found = get_catalog().model(spec.model.name, spec.model.method)[0].spec()
            # What the method sets stands below what the model says, as when a spec is made.
            stages = get_catalog().method(spec.model.method).stages
            return merge({"inference": {"stages": stages}}, found)
        content = spec.model_dump(mode="json")["network"]
        return dict(parse_component("detector", DetectorConfig, content).defaults())
    except PoseError:
        return {}
