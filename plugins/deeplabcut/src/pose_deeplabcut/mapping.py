"""What the mappings of several families share.

A mapping says what a part of DeepLabCut's network is here: ``convert(part, about)`` gets the part's section
of ``pytorch_config.yaml`` and returns the config of our component and a :data:`Rename`, with an
:data:`Arrange` where the tensors themselves differ. It names our components by strings only, so the plugin
that has them need not be installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from pose_core.interfaces import BuildContext
from pose_core.specs import AnyBackbone
from pose_core.structures import Skeleton

Rename = Callable[[str], str | None]
"""From a name in the snapshot, without the prefix of the part, to the name in our component. None: a weight
that is not used. Raises KeyError for a name that a part of this type does not have."""

Arrange = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""From the renamed weights of a part to those that our component holds."""

Converted = tuple[dict[str, Any], Rename]


def refuse_unknown(part: Mapping[str, Any], known: Set[str], what: str, where: str = "") -> None:
    """Refuse settings that a mapping does not know.

    Args:
        part: a section, or one within it.
        known: the settings that can be imported, or do not matter.
        what: name of the part, for the message.
        where: the way to the section within the part, with a dot at its end.

    Raises:
        ValueError: there is another one.
    """
    if unknown := sorted(set(part) - known):
        raise ValueError(f"{where}{unknown[0]}: no setting of {what} that can be imported")


def freeze_bn(part: Mapping[str, Any]) -> str | bool:
    """Read ``freeze_bn`` of our backbones; both settings are on where the file does not say otherwise.

    Raises:
        ValueError: the parameters are kept and the statistics are not.
    """
    statistics, weights = part.get("freeze_bn_stats", True), part.get("freeze_bn_weights", True)
    if weights and not statistics:
        raise ValueError("freeze_bn_weights without freeze_bn_stats cannot be imported; set both or neither")
    return True if weights else "statistics" if statistics else False


def validate(kind: Any, config: Mapping[str, Any]) -> Any:
    """Make the config of a component of ours.

    Args:
        kind: such as ``pose_core.specs.AnyBackbone``.
        config: as YAML would have it.

    Raises:
        ValueError: it cannot be; one line.
    """
    try:
        return TypeAdapter(kind).validate_python(dict(config))
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise ValueError(f"cannot be taken over ({reasons})") from None


def weight_names(config: Mapping[str, Any]) -> frozenset[str]:
    """List the names in the ``state_dict`` of a backbone of ours.

    Raises:
        ValueError: there is no such backbone.
    """
    spec = validate(AnyBackbone, config)
    # The network is made without memory for its weights.
    with torch.device("meta"):
        network = BuildContext(skeleton=Skeleton(("any",))).build("backbone", spec)
    return frozenset(network.state_dict())


def keep_names(config: Mapping[str, Any]) -> Rename:
    """Rename nothing: for a backbone that has the same names here and there.

    Args:
        config: of our backbone.
    """
    names = weight_names(config)

    def rename(key: str) -> str | None:
        if key not in names:
            raise KeyError(key)
        return key

    return rename
