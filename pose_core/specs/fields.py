"""Fields that many plugins' configs have, so that a user finds them under one name and with one meaning.

A config class gives the default: ``pretrained: Pretrained = "auto"``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

# Literal with booleans, not a str: YAML makes true and false of the unquoted words.
Pretrained = Annotated[
    Literal["auto", True, False],
    Field(
        description="Published weights (mostly of ImageNet) when training starts: auto goes on from random "
        "weights, "
        "with a warning, where they cannot be had; true makes that an error; false does not ask for them."
    ),
]
"""For :func:`pose_core.interfaces.load_pretrained` and :func:`pose_core.interfaces.load_timm`."""

FrozenNorms = Annotated[
    Literal["statistics", True, False],
    Field(
        description="Keep the batch norms as they are (with pretrained weights): true keeps statistics and "
        "parameters, "
        "statistics keeps the statistics only."
    ),
]
"""For :meth:`pose_core.interfaces.Backbone.freeze_norms`."""

STAGES = (1, 2, 3, 4)
"""Numbers of the stages of most backbones."""


def _check_stages(stages: tuple[int, ...]) -> tuple[int, ...]:
    if not stages or any(s not in STAGES for s in stages) or list(stages) != sorted(set(stages)):
        raise PydanticCustomError(
            "stages", "must be different stages from 1 to 4 in increasing order, such as [2, 3, 4]"
        )
    return stages


OutFeatures = Annotated[
    tuple[int, ...],
    AfterValidator(_check_stages),
    Field(description="Stages (1 to 4) of the output maps, from fine to coarse; later stages are not built."),
]
"""For backbones of four stages."""

FeatureIndex = Annotated[
    int | None,
    Field(description="Which of the incoming feature maps (from 0); the finest where it is left out."),
]
"""For :func:`pose_core.specs.choose_feature`."""

GridOffset = Annotated[
    float | None,
    Field(
        description="Centre of cell 0 in pixels of the network's input; null: where the layers put it. For "
        "imported "
        "weights that were trained in another frame."
    ),
]
"""For :meth:`pose_core.interfaces.Grid.with_offset`."""
