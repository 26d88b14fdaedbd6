"""Decide every ``auto``: here only, once, when training starts."""

from __future__ import annotations

from typing import Any

from pose_core.catalog.merge import merge
from pose_core.data.split import Split
from pose_core.data.untrained import find_untrained
from pose_core.specs import AnyRunSpec
from pose_core.specs.run import RUN_SPECS, run_of_stage, stage_of_run
from pose_core.specs.yaml_file import validate_as
from pose_core.structures import LabelledDataset
from pose_core.training.task import TASKS


def decide(spec: AnyRunSpec, dataset: LabelledDataset, split: Split) -> AnyRunSpec:
    """Replace every ``auto`` by what the training images call for.

    The networks that the run builds on are included.

    Args:
        spec: the configuration.
        dataset, split: what is trained on.

    Raises:
        DataError: no training image shows what the network learns from.
    """
    decided: dict[str, Any] = TASKS[spec.trains].decide(spec, dataset, split)
    stages = {
        name: stage_of_run(decide(run_of_stage(spec, name), dataset, split)) for name in spec.builds_on()
    }
    # What the user lists is never predicted either.
    untrained = dict.fromkeys((*find_untrained(dataset, split.train), *spec.untrained_keypoints))
    content = {**merge(spec.model_dump(mode="json"), decided), "untrained_keypoints": list(untrained)}
    # Sections of networks are replaced and not merged: they are whole specs already.
    if stages:
        content["stages"] = stages
    return validate_as(content, {}, "", RUN_SPECS[spec.trains])
