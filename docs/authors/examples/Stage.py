import torch

from pose_core.interfaces import FrameGroup, Stage, StageContext, StageResult, View
from pose_core.specs import StageConfig
from pose_core.structures import Skeleton


class ArenaConfig(StageConfig):
    def gives(self) -> tuple[str, ...]:
        return ("boxes",)


class Arena(Stage):
    """One box, that of the arena, in every frame."""

    def __init__(self, config: ArenaConfig, context: StageContext) -> None:
        self.device = context.device

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        box = torch.tensor([0.0, 0.0, group.width - 1.0, group.height - 1.0], device=self.device)
        return StageResult(boxes=box.expand(len(group), 1, 4), box_scores=torch.ones(len(group), 1, device=self.device))


cpu = torch.device("cpu")
group = FrameGroup([0, 1], [None, None], 640, 480, [None], [], cpu)
found = Arena(ArenaConfig(), StageContext(Skeleton(("nose",)), cpu, "toy")).run(group, None, StageResult())
assert found.boxes is not None
assert found.boxes.shape == (2, 1, 4)
