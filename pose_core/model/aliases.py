"""Match keypoints of a project with those of other weights, by name and by alias."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pose_core.errors import ConfigError
from pose_core.structures import Skeleton

Aliases = Mapping[str, Sequence[str]]
"""Own keypoint -> the names that it may have elsewhere, best first."""

METADATA_ALIASES = "aliases"
"""Key of ``LabelledDataset.metadata`` under which a reader leaves the project's table of names: a JSON
object, own keypoint -> list of the names that it has elsewhere."""


@dataclass(frozen=True)
class WeightSource:
    """Source of the weights of one own keypoint.

    Attributes:
        keypoint: of the source; None: nowhere, the fresh initial values stay.
        alias: whether the name came from the aliases.
    """

    keypoint: str | None
    alias: bool = False

    def line(self, own: str) -> str:
        """``nose <- nose``, ``tailbase <- tail_base (alias)``, ``left_ear: new``."""
        return (
            f"{own}: new" if self.keypoint is None else f"{own} <- {self.keypoint}{' (alias)' * self.alias}"
        )


def match_keypoints(
    own: Sequence[str], source: Sequence[str], aliases: Aliases, origin: str
) -> dict[str, WeightSource]:
    """Match each own keypoint with one of the source; see :func:`pose_core.model.transfer.transfer`.

    Raises:
        ConfigError: a name fits several of the source's, which differ in case only.
    """
    folded: dict[str, list[str]] = {}
    for name in source:
        folded.setdefault(name.casefold(), []).append(name)

    def lookup(name: str) -> str | None:
        same = folded.get(name.casefold(), [])
        if name in same or len(same) < 2:
            return name if name in same else next(iter(same), None)
        raise ConfigError(
            f"{origin}: keypoint {name!r} may be {' or '.join(map(repr, same))} there; say which in "
            "train.aliases"
        )

    result: dict[str, WeightSource] = {}
    for name in own:
        others = [found for alias in aliases.get(name, ()) if (found := lookup(alias)) is not None]
        # An alias that differs from the own name in case only would be found without the table.
        if others and others[0].casefold() != name.casefold():
            result[name] = WeightSource(others[0], alias=True)
        else:
            result[name] = WeightSource(others[0] if others else lookup(name))
    return result


def merge_aliases(
    metadata: Mapping[str, str], given: Mapping[str, str], own: Skeleton, source: Skeleton | None
) -> Aliases:
    """Merge the aliases of a project with those that the user gave.

    Those of the user come first. For the table of a project see :data:`METADATA_ALIASES`.

    Raises:
        ConfigError: the user's name a keypoint that does not exist here or there, or the project's are no
            such table.
    """
    mine = {*own.keypoints, *own.unique_keypoints}
    merged: dict[str, list[str]] = {}
    try:
        table = json.loads(metadata.get(METADATA_ALIASES, "{}"))
        for name, others in table.items():
            merged[str(name)] = [str(other) for other in others]
    # JSON of another form has no items() (AttributeError) or holds what cannot be iterated (TypeError).
    except (ValueError, AttributeError, TypeError):
        raise ConfigError(
            f"metadata.{METADATA_ALIASES}: must be a JSON object of lists, as the reader of the project "
            "wrote it"
        ) from None
    theirs = (
        {n.casefold() for n in (*source.keypoints, *source.unique_keypoints)} if source is not None else None
    )
    for name, other in given.items():
        if name not in mine:
            raise ConfigError(
                f"train.aliases: the project has no keypoint {name!r}; it has {', '.join(sorted(mine))}"
            )
        if theirs is not None and other.casefold() not in theirs:
            assert source is not None
            there = ", ".join((*source.keypoints, *source.unique_keypoints))
            raise ConfigError(
                f"train.aliases.{name}: the weights have no keypoint {other!r}; they have {there}"
            )
        merged[name] = [other, *merged.get(name, [])]
    return merged
