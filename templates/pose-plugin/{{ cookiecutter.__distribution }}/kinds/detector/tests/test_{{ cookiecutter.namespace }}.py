"""The detector."""

import torch
from pose_core.interfaces import BuildContext, Detector, Labels
from pose_core.specs import AnyDetector
from pose_core.structures import Skeleton
from pydantic import TypeAdapter
from torch import Tensor

NAME = "{{ cookiecutter.namespace }}/{{ cookiecutter.namespace }}"


def make(**settings: object) -> Detector:
    config = TypeAdapter(AnyDetector).validate_python({"type": NAME, "channels": 8, **settings})
    torch.manual_seed(0)
    detector: Detector = BuildContext(Skeleton(("nose",))).build("detector", config)
    return detector


def batch() -> tuple[Tensor, Labels]:
    """A bright rectangle in the first image, nothing in the second."""
    images = torch.full((2, 3, 64, 64), 0.3)
    images[0, :, 16:33, 24:49] = 0.9
    boxes = torch.tensor([[[24.0, 16.0, 48.0, 32.0]], [[torch.nan] * 4]])
    labels = Labels.from_keypoints(torch.full((2, 1, 1, 2), torch.nan), boxes=boxes)
    return images, labels


def test_it_learns_one_batch_and_finds_the_box() -> None:
    detector = make()
    images, labels = batch()
    optimizer = torch.optim.Adam(detector.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        sum(detector.loss(images, labels).values()).backward()  # type: ignore[union-attr]
        optimizer.step()
    detector.eval()
    # Statistics of the batch norms lag behind in so few steps.
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train()
    with torch.no_grad():
        boxes, scores = detector(images)
    assert scores[0, 0] > 0.5
    assert (boxes[0, 0] - labels.boxes[0, 0]).abs().max() < 6
    assert not (scores[1] > 0.5).any()
    assert boxes[scores == 0].isnan().all()


def test_images_without_boxes_are_no_error() -> None:
    images, labels = batch()
    losses = make().loss(images, Labels(**{**vars(labels), "boxes": torch.zeros(2, 0, 4)}))
    assert all(torch.isfinite(value) for value in losses.values())
    assert losses["sides"] == 0


def test_best_first_and_never_too_many() -> None:
    boxes, scores = make(most=3, threshold=0)(torch.rand(2, 3, 40, 56))
    assert boxes.shape == (2, 3, 4)
    assert (scores.diff(dim=1) <= 0).all()
