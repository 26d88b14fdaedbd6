"""Configuration and data of a training that can start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic

from typing_extensions import TypeVar

from pose_core.data.held_out import HeldOutProject
from pose_core.data.split import Split
from pose_core.runs.run_folder import Run
from pose_core.specs import AnyRunSpec, RunBase, RunSpec
from pose_core.specs.run import run_of_stage
from pose_core.specs.validation_errors import Loc
from pose_core.structures import LabelledDataset
from pose_core.training.teacher import Teacher

S = TypeVar("S", bound=RunBase, covariant=True, default=RunSpec)


@dataclass(frozen=True)
class Prepared(Generic[S]):
    """Configuration and data of a training; ``Prepared`` for short is that of a pose network.

    Attributes:
        spec: the configuration, every ``auto`` decided.
        dataset: the labelled project.
        split: rows of ``dataset.images`` by part.
        notes: what the user should know, a line each.
        reader: full name of the reader of the project.
        trained: trained networks that the model builds on, by the name of what they supply; they are copied.
            The others in ``spec.stages`` are trained with it.
        decisions: why keys that were ``auto`` have their values, by key.
        origins: where the user wrote the keys of the configuration, by their paths.
        held_out: the project of the test images, where it is another; ``split.test`` is empty then.
        teacher: the run whose keypoints are kept by memory replay; None: without.
        taught: the same project, with predictions of the teacher as labels of the training images; None: without, or
            not predicted yet. Training alone sees it.
    """

    spec: S
    dataset: LabelledDataset
    split: Split
    notes: tuple[str, ...]
    reader: str
    trained: Mapping[str, Run[AnyRunSpec]] = field(default_factory=dict)
    decisions: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[Loc, str] = field(default_factory=dict)
    held_out: HeldOutProject | None = None
    teacher: Teacher | None = None
    taught: LabelledDataset | None = None

    @property
    def test_names(self) -> tuple[str, ...]:
        """Names of the test images, in the project that they are of."""
        if self.held_out is not None:
            return self.held_out.names
        return tuple(self.dataset.images[row].name for row in self.split.test)

    def stages(self) -> dict[str, Prepared[AnyRunSpec]]:
        """Prepare the networks that the model builds on."""
        # On the same split: a detector that saw test images would flatter the whole model.
        names = [name for name in self.spec.builds_on() if name not in self.trained]
        return {
            name: Prepared(
                run_of_stage(self.spec, name),
                self.dataset,
                self.split,
                (),
                self.reader,
                decisions={
                    key.removeprefix(f"stages.{name}."): why
                    for key, why in self.decisions.items()
                    if key.startswith((f"stages.{name}.", "skeleton.", "data."))
                },
                held_out=self.held_out,
            )
            for name in names
        }
