"""What models cost: parameters, operations and time, as ``model_costs.json`` beside a plugin's module says.

``pose models --measure --json`` makes the file. It is read for listing, so there is no torch here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from pose_core.catalog.composition import Model
from pose_core.errors import PluginError
from pose_core.plugins import find_beside

FILE = "model_costs.json"


@dataclass(frozen=True)
class ModelCost:
    """The cost of one forward pass of a model's network, for one image.

    Attributes:
        name, method: bare name of the model, and its method.
        height, width: of the input, pixels.
        parameters: numbers that are learned, all heads included (for 12 keypoints).
        gflops: floating-point operations, 1e9; a multiplication and an addition count as two.
        relative_time: on one core of a CPU, as a multiple of what 1 GFLOP of 3 x 3 convolutions takes there.
    """

    name: str
    method: str
    height: int
    width: int
    parameters: int
    gflops: float
    relative_time: float


def read_costs(models: Iterable[Model]) -> dict[tuple[str, str], ModelCost]:
    """Read what plugins say of the cost of their models.

    Returns:
        (full name, method) -> cost; models of which nothing is said are left out.

    Raises:
        PluginError: a plugin's file is damaged.
    """
    found: dict[tuple[str, str], ModelCost] = {}
    for plugin in {model.plugin.name: model.plugin for model in models}.values():
        path = find_beside(plugin, FILE)
        if path is None:
            continue
        try:
            costs = [ModelCost(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError) as error:
            raise PluginError(
                f"{FILE} of plugin {plugin.name} cannot be read: {error}; {plugin.distribution} has to make it "
                "again, as the guide for authors says"
            ) from None
        found |= {(f"{plugin.name}/{cost.name}", cost.method): cost for cost in costs}
    return found
