import torch

from pose_core.interfaces import FrameGroup, Stage, StageResult, View


class DropSmallBoxes(Stage):
    """Leaves out boxes that are shorter than 8 pixels, so that no crop is cut around them."""

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        assert found.boxes is not None  # its config's needs() says ("boxes",)
        short = (found.boxes[..., 2:] - found.boxes[..., :2]).amin(-1) < 8
        boxes = found.boxes.masked_fill(short[..., None], torch.nan)
        scores = None if found.box_scores is None else found.box_scores.masked_fill(short, 0.0)
        return StageResult(boxes=boxes, box_scores=scores)


cpu = torch.device("cpu")
group = FrameGroup(indices=[0], images=[None], width=64, height=48, views=[None], frames=[], device=cpu)
boxes = torch.tensor([[[2.0, 2.0, 30.0, 30.0], [40.0, 40.0, 44.0, 44.0]]])
kept = DropSmallBoxes().run(group, None, StageResult(boxes=boxes, box_scores=torch.ones(1, 2)))
assert kept.box_scores is not None
assert kept.box_scores.tolist() == [[1.0, 0.0]]
