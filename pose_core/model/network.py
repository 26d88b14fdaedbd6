"""Base class of the networks of all tasks, and loading weights into them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from pose_core.errors import ConfigError, WeightsError, listed
from pose_core.interfaces import without_common_prefix
from pose_core.interfaces.hub import misfits
from pose_core.specs import ModelSpec
from pose_core.structures import Skeleton


@dataclass(frozen=True, eq=False)
class FoundWeights:
    """Weights of a network or of a part of one, with what is known of them.

    Attributes:
        state: by name.
        path: of their file.
        origin: what messages call them.
        part: what they are for: ``model``, ``backbone``, ``detector``; empty where their names must tell.
        skeleton: what they were trained on; None where that is unknown.
        spec: of the pose network that they were trained in; None where that is unknown.
        provenance: of them.
    """

    state: dict[str, Tensor]
    path: Path
    origin: str
    part: str = ""
    skeleton: Skeleton | None = None
    spec: ModelSpec | None = None
    provenance: Mapping[str, object] = field(default_factory=dict)


class Network(nn.Module, ABC):
    """A network with the weights and the pre- and post-processing of its task.

    Attributes:
        trains: what it learns, as in its spec.
        size_multiple: height and width of input images must be multiples of this.
    """

    trains: ClassVar[str]
    size_multiple: int

    @abstractmethod
    def parts(self) -> Mapping[str, nn.Module]:
        """Parts that weights may be made for, the whole network first.

        The names are those of :attr:`pose_core.catalog.Weights.part`.
        """

    @abstractmethod
    def take_over(
        self, found: FoundWeights, metadata: Mapping[str, str], aliases: Mapping[str, str]
    ) -> list[str]:
        """Load weights that a training starts from.

        Args:
            found: the weights.
            metadata: of the labelled project, which may hold a table of aliases.
            aliases: names of keypoints there, ``train.aliases``.

        Returns:
            lines for the user.

        Raises:
            ConfigError: aliases do not suit.
            WeightsError: the weights do not fit.
        """

    def check(self) -> None:
        """Refuse a network that cannot be trained, before any data is read; does nothing by default.

        Raises:
            PluginError: a part does not do what it declares.
            ConfigError: a setting does not suit the network.
        """


def load_exactly(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load weights that must agree in every name and shape.

    Raises:
        WeightsError: they do not; the message lists the first differences.
    """
    if problems := misfits(module.state_dict(), state):
        raise WeightsError(f"{origin}: does not fit: {listed(problems, most=5)}")
    module.load_state_dict(dict(state))


def match_part(parts: Mapping[str, nn.Module], found: FoundWeights) -> tuple[str, dict[str, Tensor]]:
    """Find the part that weights are for by their names.

    Returns:
        name of the part, and the weights under the names of that part.

    Raises:
        WeightsError: they fit no part.
    """
    best: tuple[float, str, dict[str, Tensor]] = (0.0, "", {})
    whole = next(iter(parts))
    for part, module in parts.items():
        own = set(module.state_dict())
        shared = {name.partition(".")[0] for name in own}
        # A class around the network has put its name in front of all names, and a backbone that was cut out
        # of a whole network has that of the part.
        readings = [found.state, *without_common_prefix(found.state)]
        # A part that wraps one network has one more component in front of all its names.
        if part != whole and len(shared) == 1:
            first = next(iter(shared))
            readings += [{f"{first}.{n}": t for n, t in reading.items()} for reading in readings]
        for state in readings:
            # The share of the part counts, not that of the file: a file may hold more than the part uses.
            # In a tie the whole network wins, since it comes first.
            share = len(own & set(state)) / max(len(own), 1)
            if share > best[0]:
                best = (share, part, state)
    if not best[1]:
        have = "; ".join(f"the {part} has {_examples(module.state_dict())}" for part, module in parts.items())
        raise WeightsError(
            f"{found.origin}: fits neither the {' nor the '.join(parts)}: it holds {_examples(found.state)}; "
            f"{have}"
        )
    return best[1], best[2]


def refuse_aliases(aliases: Mapping[str, str], why: str) -> None:
    """Refuse names of keypoints for weights that have none.

    Raises:
        ConfigError: there are aliases.
    """
    if aliases:
        raise ConfigError(f"train.aliases: {why}; leave it out")


def _examples(state: Mapping[str, Tensor]) -> str:
    names = list(state)
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
