"""Decide every ``auto`` that the labels decide: here only, once, when training starts.

The depth of images is decided before, in :mod:`pose_core.training.prepare`, since it changes how they are read;
device and workers belong to the machine.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from pose_core.catalog.merge import merge
from pose_core.data.landmarks import tell_landmarks
from pose_core.data.split import Split
from pose_core.data.untrained import find_untrained
from pose_core.errors import setting
from pose_core.specs import AnyRunSpec
from pose_core.specs.run import RUN_SPECS, RunSpec, run_of_stage, stage_of_run
from pose_core.specs.yaml_file import validate_as
from pose_core.structures import LabelledDataset
from pose_core.training.task import TASKS


@dataclass(frozen=True)
class Decided:
    """A configuration without ``auto``.

    Attributes:
        spec: the configuration.
        dataset: the project with the skeleton of the configuration.
        why: a line for each key that was decided by the labels, those of networks under ``stages`` included.
    """

    spec: AnyRunSpec
    dataset: LabelledDataset
    why: Mapping[str, str]

    def describe(self) -> list[str]:
        """Describe what was decided: keys and values, as they are set, and the reason, a line for each reason."""
        keys: dict[str, list[str]] = {}
        for key, reason in self.why.items():
            keys.setdefault(reason, []).append(f"{key}={_find_value(self.spec.model_dump(mode='json'), key)}")
        return [f"decided by the labels: {', '.join(values)}: {reason}" for reason, values in keys.items()]


def decide(spec: AnyRunSpec, dataset: LabelledDataset, split: Split, known: Collection[str] = ()) -> Decided:
    """Replace every ``auto`` by what the training images call for.

    Landmarks come first, for the size of animals and their mirror images are without them. The networks that
    the run builds on are included.

    Args:
        spec: the configuration.
        dataset, split: what is trained on.
        known: keypoints that the weights know: no labels are needed to predict them.

    Raises:
        DataError: no training image shows what the network learns from.
        ConfigError: ``train.select`` names a metric that the validation images do not have.
    """
    why: dict[str, str] = {}
    asked = spec.skeleton
    dataset = tell_landmarks(replace(dataset, skeleton=asked), split.train)
    if asked.landmarks is None:
        spec = spec.model_copy(update={"skeleton": dataset.skeleton})
        if found := dataset.skeleton.landmarks:
            why["skeleton.landmarks"] = (
                f"{', '.join(found)} hardly move while the animals do: counted as landmarks of the frame, and "
                f"left out of the animals' size, boxes and left/right pairs, PCK and OKS; "
                f"{setting('skeleton.landmarks=[]')} counts them as parts of the animal"
            )
    return Decided(_decide(spec, dataset, split, known, "", why), dataset, why)


def _decide(
    spec: AnyRunSpec,
    dataset: LabelledDataset,
    split: Split,
    known: Collection[str],
    place: str,
    why: dict[str, str],
) -> AnyRunSpec:
    """Decide what a network and those that it builds on leave open.

    Args:
        spec, dataset, split, known: as of :func:`decide`.
        place: of the network's keys, ``stages.detector.``.
        why: gets the reasons.
    """
    content, reasons = TASKS[spec.trains].decide(spec, dataset, split)
    why.update({place + key: reason for key, reason in reasons.items()})
    stages = {
        name: stage_of_run(
            _decide(run_of_stage(spec, name), dataset, split, known, f"{place}stages.{name}.", why)
        )
        for name in spec.builds_on()
    }
    # A network of centres has no keypoints of the project. What the user lists is never predicted either.
    centres = isinstance(spec, RunSpec) and spec.model.learns_centres()
    found = () if centres else find_untrained(dataset, split.train)
    found = tuple(name for name in found if name not in known)
    untrained = dict.fromkeys((*found, *spec.untrained_keypoints))
    content = {**merge(spec.model_dump(mode="json"), content), "untrained_keypoints": list(untrained)}
    # Sections of networks are replaced and not merged: they are whole specs already.
    if stages:
        content["stages"] = stages
    decided = validate_as(content, {}, "", RUN_SPECS[spec.trains])
    # Before anything is trained: the networks that this one builds on come first, and may take hours.
    TASKS[spec.trains].check_selection(decided, dataset, split, place)
    return decided


def _find_value(content: object, key: str) -> str:
    for name in key.split("."):
        assert isinstance(content, Mapping)
        content = content[name]
    # As YAML has it, so that the line can be typed.
    return f"[{', '.join(map(str, content))}]" if isinstance(content, list) else str(content)
