"""Turn the labels of a project into what a network learns of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pose_core.data.boxes import CropRule, find_centres
from pose_core.specs import RunSpec
from pose_core.structures import Instances, LabelledDataset, LabelledImage, Skeleton


def learned_labels(dataset: LabelledDataset, spec: RunSpec) -> LabelledDataset:
    """The project as the network of a run learns it: all keypoints, or one point an animal.

    A network of centres learns ``spec.finds``. Each animal keeps its box, which says how large it is; one that
    has a box and no keypoint has a centre, too.

    Args:
        dataset: the project with the skeleton of the run.
        spec: of the run.

    Raises:
        ConfigError: ``model.preprocess.centre`` is no keypoint.
    """
    if not spec.model.learns_centres():
        return dataset
    # Boxes as they are: enlarging them would not move their middles.
    rule = CropRule(dataset.skeleton, 0.0)
    centre = spec.model.preprocess.centre
    images = tuple(_reduce(image, rule, centre, spec.finds) for image in dataset.images)
    return replace(dataset, skeleton=spec.finds, images=images)


def _reduce(image: LabelledImage, rule: CropRule, centre: str, skeleton: Skeleton) -> LabelledImage:
    animals = image.instances
    boxes = rule.around_labels(image)
    points = find_centres(animals.keypoints, boxes, centre, rule.skeleton)[:, None]
    instances = Instances.from_keypoints(
        points, scores=animals.scores, boxes=boxes, identity=animals.identity, track=animals.track
    )
    return replace(
        image,
        instances=instances,
        occluded=np.zeros(points.shape[:2], bool),
        unique_keypoints=np.zeros((len(skeleton.unique_keypoints), 2), np.float32),
    )
