import torch
from torch import Tensor

from pose_core.interfaces import BuildContext, ExtraInput, Labels, Predictions
from pose_core.specs import InputConfig
from pose_core.structures import Skeleton


class Count(ExtraInput):
    """How many keypoints are known, the same number in every pixel."""

    def for_training(self, labels: Labels, image_size: tuple[int, int]) -> Tensor:
        return self.plane(labels.keypoints, image_size)

    def for_inference(self, found: Predictions, image_size: tuple[int, int]) -> Tensor:
        return self.plane(found.keypoints, image_size)

    def plane(self, keypoints: Tensor, image_size: tuple[int, int]) -> Tensor:
        count = torch.isfinite(keypoints).all(-1).sum((1, 2)).float()
        return count[:, None, None, None].expand(-1, 1, *image_size)


skeleton = Skeleton(("nose", "tail"))
found = Predictions.none(1, skeleton).with_animals(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2))
plane = Count(InputConfig(), BuildContext(skeleton)).for_inference(found, (8, 8))
assert plane.shape == (1, 1, 8, 8)
assert (plane == 2).all()
