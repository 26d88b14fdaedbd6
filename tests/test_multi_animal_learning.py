"""What networks learn from images with many people: a COCO file with 0, 1, 2 and 12 of them, boxes alone and
crowds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from pose_core.data.augment import Augmenter
from pose_core.data.batches import collate
from pose_core.data.boxes import CropRule
from pose_core.data.projects import read_project
from pose_core.data.samples import DetectorSamples, PoseSamples, find_cropped
from pose_core.data.split import make_split
from pose_core.errors import DataError
from pose_core.interfaces import Labels, Predictions
from pose_core.model.assemble import PoseModel
from pose_core.specs import DetectorConfig, Preprocess, RunSpec, SplitSpec
from pose_core.specs.train import TRANSFORMS, DecidedAugmentationSpec, DecidedCropSpec
from pose_core.structures import LabelledDataset, Skeleton
from pose_core.training.prepare import prepare
from pose_core.training.validation import sum_errors

NAMES = ["nose", "left_ear", "right_ear"]
SIZE = 160
PEOPLE = {"none": 0, "one": 1, "two": 2, "boxes": 0, "mixed": 2, "twelve": 12}
PLAIN = DecidedAugmentationSpec(
    rotation=0,
    scale=(1, 1),
    translation=0,
    flip=0,
    transforms={name: {"p": 0} for name in TRANSFORMS},
    crop=DecidedCropSpec(size=None),
)


def person(number: int, image: int, x: float, y: float, **changes: Any) -> dict[str, Any]:
    """Someone 24 x 20 pixels large; the second keypoint is hidden."""
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "keypoints": [x + 4, y + 4, 2, x + 20, y + 4, 1, x + 12, y + 16, 2],
        "num_keypoints": 3,
        "bbox": [x, y, 24, 20],
        "area": 300.0,
        "iscrowd": 0,
        **changes,
    }


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    """The file and its images, all white."""
    unseen: dict[str, Any] = {"keypoints": [0] * 9, "num_keypoints": 0}
    people = [person(1, 2, 10, 10), person(2, 3, 10, 10), person(3, 3, 100, 100)]
    people += [person(4, 4, 30, 30, **unseen), person(5, 4, 90, 90, **unseen)]
    # A labelled person within a crowd, one beside it, and one of whom only the box is known, which overlaps
    # the first.
    people += [person(6, 5, 40, 40), person(7, 5, 120, 10), person(8, 5, 52, 44, **unseen)]
    rle = {"size": [SIZE, SIZE], "counts": [4000, 4000, SIZE * SIZE - 8000]}
    people.append(person(9, 5, 0, 0, **unseen, iscrowd=1, segmentation=rle) | {"bbox": [30, 30, 60, 90]})
    people += [person(10 + i, 6, 5 + 38 * (i % 4), 5 + 50 * (i // 4)) for i in range(12)]
    content = {
        "images": [
            {"id": i + 1, "file_name": f"{name}.png", "width": SIZE, "height": SIZE}
            for i, name in enumerate(PEOPLE)
        ],
        "annotations": [*people, person(30, 1, 10, 10, category_id=2) | {"keypoints": []}],
        "categories": [
            {"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[1, 2]]},
            {"id": 2, "name": "dog"},
        ],
    }
    for name in PEOPLE:
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((SIZE, SIZE, 3), 255, np.uint8))
    (tmp_path / "people.json").write_text(json.dumps(content))
    return tmp_path / "people.json"


@pytest.fixture
def people(crowd: Path) -> LabelledDataset:
    return read_project(crowd)


def named(dataset: LabelledDataset, name: str) -> int:
    return [image.name for image in dataset.images].index(f"{name}.png")


def test_who_is_there(people: LabelledDataset) -> None:
    assert [image.name for image in people.images] == [
        "one.png",
        "two.png",
        "boxes.png",
        "mixed.png",
        "twelve.png",
    ]
    assert people.skeleton.num_individuals == 12
    assert [len(image.instances) for image in people.images] == [1, 2, 2, 3, 12]
    assert [len(find_cropped(image, people.skeleton)) for image in people.images] == [1, 2, 0, 2, 12]
    assert people.images[0].occluded.tolist() == [[False, True, False]]
    assert people.images[3].ignore.tolist() == [[29.5, 29.5, 89.5, 119.5]]


def test_images_with_boxes_alone_take_part_in_the_split(people: LabelledDataset) -> None:
    split = make_split(people, SplitSpec(), 0)
    assert sorted((*split.train, *split.validation, *split.test)) == [0, 1, 2, 3, 4]
    bare = replace(people, images=(people.images[named(people, "boxes")],))
    with pytest.raises(DataError, match="no image has a labelled keypoint"):
        make_split(bare, SplitSpec(), 0)


def test_a_detector_learns_everybody_with_a_box_and_sees_them(people: LabelledDataset) -> None:
    rows = list(range(len(people.images)))
    rule = CropRule(people.skeleton, 0.0)
    samples = DetectorSamples(
        people, rows, DetectorConfig(size=None), rule, Augmenter(PLAIN, Skeleton(("a",))), 0, 0
    )
    batch = collate([samples[i] for i in rows])
    assert torch.isfinite(batch.labels.boxes).all(-1).sum(1).tolist() == [1, 2, 2, 3, 12]
    for row, image in zip(rows, people.images, strict=True):
        np.testing.assert_allclose(
            batch.labels.boxes[row, : len(image.instances)],
            rule.around_labels(image),
            atol=1e-3,
        )
    # The crowd is black, but the people in it who are labelled are to be found, and are seen.
    mixed = samples[named(people, "mixed")].image
    assert mixed[100:118, 40:80].max() == 0
    assert mixed[41:59, 41:63].min() > 200
    assert mixed[11:28, 122:142].min() > 200


def test_whole_frames_do_not_show_people_whose_keypoints_are_unknown(people: LabelledDataset) -> None:
    rows = [named(people, "boxes"), named(people, "mixed")]
    preprocess = Preprocess(scale=1.0)
    skeleton = people.skeleton
    training = PoseSamples(people, rows, preprocess, 32, Augmenter(PLAIN, skeleton), 0, 0)
    assert training[0].image[32:48, 32:52].max() == 0
    assert training[0].image[:28].min() > 200
    assert np.isnan(training[0].labels.keypoints).all()
    # In validation the image is what inference sees.
    assert PoseSamples(people, rows, preprocess, 32, None, 0, 0)[0].image[32:48, 32:52].min() > 200


def test_crops_are_of_people_with_keypoints_and_show_everything(people: LabelledDataset) -> None:
    rows = list(range(len(people.images)))
    preprocess = Preprocess(view="animal", size=(64, 64), min_box=0.0, margin=0.1)
    samples = PoseSamples(people, rows, preprocess, 32, Augmenter(PLAIN, people.skeleton), 0, 0)
    assert len(samples) == 17
    first = samples[3]  # within the crowd, overlapped by someone of whom only the box is known
    assert first.index == named(people, "mixed")
    assert first.image.min() > 200
    assert np.isfinite(first.labels.keypoints[0]).all()


def tiny(skeleton: Skeleton, view: str) -> PoseModel:
    size = {"size": [64, 64], "min_box": 0.0} if view == "animal" else {"scale": 1.0}
    spec = RunSpec.model_validate(
        {
            "skeleton": {"keypoints": skeleton.keypoints, "unique_keypoints": skeleton.unique_keypoints},
            "data": {"source": "nowhere"},
            "model": {
                "name": "tiny",
                "method": "top_down" if view == "animal" else "single_animal",
                "preprocess": size,
                "backbone": {"type": "unet", "filters": 4, "max_stride": 8, "output_stride": 2},
                "heads": {"keypoints": {"type": "heatmap"}},
            },
        }
    )
    torch.manual_seed(0)
    return PoseModel(spec.model, skeleton).eval()


def labels_of(keypoints: Tensor, unique: Tensor | None = None) -> Labels:
    b, n = keypoints.shape[:2]
    boxes = torch.cat([keypoints.nan_to_num(1e9).amin(2), keypoints.nan_to_num(-1e9).amax(2)], -1)
    return Labels.from_keypoints(
        keypoints,
        boxes=boxes,
        areas=torch.ones(b, n),
        identity=torch.zeros(b, n, dtype=torch.int64),
        unique_keypoints=unique,
    )


def test_a_crop_teaches_its_own_animal_only() -> None:
    """Another animal that reaches into the crop is no part of the targets; in a whole frame it is."""
    own = torch.tensor([[[[10.0, 10], [30, 12]]]])
    both = torch.cat([own, own + 25], dim=1)
    images = torch.rand(1, 3, 64, 64)
    for view, same in (("animal", True), ("frame", False)):
        model = tiny(Skeleton(("nose", "tail"), individuals=("a", "b")), view)
        outputs = model(images)
        alone, crowded = (sum(model.losses(outputs, labels_of(points)).values()) for points in (own, both))
        assert torch.isclose(torch.as_tensor(alone), torch.as_tensor(crowded), rtol=1e-6).item() == same


class Fixed:
    """A model that finds one animal, 3 px off, and no unique keypoint."""

    def __init__(self, model: PoseModel, points: Tensor) -> None:
        self._model, self._points = model, points
        self.targets, self.predicts_unique = model.targets, model.predicts_unique

    def extra_for_training(self, *_: Any) -> dict[str, Tensor]:
        return {}

    def normalise(self, images: Tensor) -> Tensor:
        return images.float()

    def __call__(self, images: Tensor) -> Tensor:
        return images

    def decode(self, _: Tensor) -> Predictions:
        found = Predictions.none(1, self._model.skeleton)
        return found.with_animals(self._points, torch.ones(self._points.shape[:-1]))


def test_validation_asks_for_nothing_that_the_model_cannot_find() -> None:
    """Neither for other animals in a crop, nor for unique keypoints without a head for them."""
    from pose_core.data.batches import Batch

    skeleton = Skeleton(("nose", "tail"), individuals=("a", "b"), unique_keypoints=("corner",))
    own = torch.tensor([[[[10.0, 10], [30, 12]]]])
    labels = labels_of(torch.cat([own, own + 20], dim=1), torch.tensor([[[5.0, 5]]]))
    batch = Batch(
        torch.zeros(1, 3, 64, 64, dtype=torch.uint8),
        labels,
        torch.eye(3, dtype=torch.float64)[None],
        torch.tensor([0]),
    )
    model: Any = Fixed(tiny(skeleton, "animal"), own + torch.tensor([3.0, 0]))

    def errors(model: Any) -> tuple[float, int]:
        return sum_errors(model, model.decode(batch.images), batch)

    total, count = errors(model)
    assert count == 2
    assert total == pytest.approx(6)
    # The neighbour may not lend its labels either: a prediction on it is wrong.
    model = Fixed(tiny(skeleton, "animal"), own + 20)
    assert errors(model)[0] == pytest.approx(2 * 800**0.5, rel=1e-5)
    # In a whole frame both are asked for.
    assert errors(Fixed(tiny(skeleton, "frame"), own))[1] == 4


def test_preparing_a_pose_network_and_a_detector(crowd: Path) -> None:
    prepared = prepare(crowd, "top_down_unet")
    assert prepared.spec.skeleton.num_individuals == 12
    detector = prepare(crowd, networks={"detector": "ssdlite"})
    assert detector.split.train == prepared.split.train


def test_without_keypoints_in_the_training_images_a_pose_network_is_refused(
    crowd: Path, tmp_path: Path
) -> None:
    file = tmp_path / "split.yaml"
    file.write_text("train: [boxes.png]\nvalidation: [one.png]\ntest: [two.png]\n")
    with pytest.raises(DataError, match="no training image shows an animal with a labelled keypoint"):
        prepare(crowd, "top_down_unet", assignments=[f"data.split.file={file}"])


def test_validation_images_without_keypoints_do_not_choose_the_weights() -> None:
    from types import SimpleNamespace

    from pose_core.training.best_checkpoint import BestCheckpoint
    from pose_core.training.validation_metrics import KeypointError

    def validated(total: float, count: int) -> dict[str, float]:
        best_checkpoint: Any = SimpleNamespace(
            batches=[], metrics=[KeypointError()], schedule=SimpleNamespace(reserved=0.0)
        )
        module: Any = SimpleNamespace(
            average=torch.nn.Identity(),
            device="cpu",
            task=SimpleNamespace(validate=lambda *_: [((total, count),)]),
        )
        trainer: Any = SimpleNamespace(world_size=1)
        return BestCheckpoint.validate(best_checkpoint, trainer, module)

    assert validated(6.0, 2) == {"validation_error_px": 3}
    assert validated(0.0, 0) == {}
