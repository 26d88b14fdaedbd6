"""Some of the keypoints of a project: for training, and for metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pose_core.data.keypoint_order import find_order, take_keypoints, take_labels
from pose_core.data.matching import Pair
from pose_core.errors import ConfigError
from pose_core.specs import EvaluationSpec
from pose_core.structures import Frame, Instances, LabelledDataset, LabelledImage, Skeleton


def select_keypoints(dataset: LabelledDataset, names: Sequence[str] | None, key: str) -> LabelledDataset:
    """Leave out all keypoints of a project but some.

    Boxes stay as they are: an animal is as large as before.

    Args:
        dataset: the project.
        names: of those that stay, unique keypoints included; None: all.
        key: of the configuration that says it, for messages.

    Raises:
        ConfigError: the project has no keypoint of a name, or no keypoint of animals is left.
    """
    if names is None:
        return dataset
    skeleton = select_in_skeleton(dataset.skeleton, names, key)
    images = tuple(select_in_image(image, dataset.skeleton, skeleton) for image in dataset.images)
    return replace(dataset, skeleton=skeleton, images=images)


def select_in_skeleton(skeleton: Skeleton, names: Sequence[str], key: str) -> Skeleton:
    """Leave out all keypoints of a skeleton but some, in its own order, with the limbs and pairs between them.

    Raises:
        ConfigError: as :func:`select_keypoints`.
    """
    known = (*skeleton.keypoints, *skeleton.unique_keypoints)
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"{key}: there is no keypoint {unknown[0]!r}; there are {', '.join(known)}")
    chosen = set(names)
    kept = tuple(name for name in skeleton.keypoints if name in chosen)
    if not kept:
        raise ConfigError(
            f"{key}: names no keypoint of the animals; they have {', '.join(skeleton.keypoints)}"
        )
    landmarks = skeleton.landmarks
    return replace(
        skeleton,
        keypoints=kept,
        edges=tuple(edge for edge in skeleton.edges if chosen.issuperset(edge)),
        symmetry=tuple(pair for pair in skeleton.symmetry if chosen.issuperset(pair)),
        unique_keypoints=tuple(name for name in skeleton.unique_keypoints if name in chosen),
        landmarks=landmarks if landmarks is None else tuple(name for name in landmarks if name in chosen),
    )


def select_in_image(image: LabelledImage, of: Skeleton, chosen: Skeleton) -> LabelledImage:
    """Leave out the labels of keypoints that a smaller skeleton lacks."""
    boxed = replace(image, instances=_with_boxes(image.instances))
    taken = take_labels(boxed, find_order(of.keypoints, chosen.keypoints))
    unique = find_order(of.unique_keypoints, chosen.unique_keypoints)
    return replace(taken, unique_keypoints=image.unique_keypoints[unique])


def select_in_frame(frame: Frame, of: Skeleton, chosen: Skeleton) -> Frame:
    """Leave out the predictions of keypoints that a smaller skeleton lacks."""
    unique = find_order(of.unique_keypoints, chosen.unique_keypoints)
    order = find_order(of.keypoints, chosen.keypoints)
    return replace(
        frame,
        instances=take_keypoints(_with_boxes(frame.instances), order),
        unique_keypoints=frame.unique_keypoints[unique],
        unique_scores=frame.unique_scores[unique],
    )


def select_measured(
    pairs: Sequence[Pair], skeleton: Skeleton, spec: EvaluationSpec
) -> tuple[list[Pair], Skeleton, EvaluationSpec]:
    """Leave out the keypoints that metrics are not asked for.

    Args:
        pairs: labels and prediction of each image.
        skeleton: of both.
        spec: names the keypoints, and sigmas, of which only those of these keypoints are left.

    Raises:
        ConfigError: as :func:`select_keypoints`, of ``evaluation.keypoints``.
    """
    if spec.keypoints is None:
        return list(pairs), skeleton, spec
    chosen = select_in_skeleton(skeleton, spec.keypoints, "evaluation.keypoints")
    taken = [
        (select_in_image(image, skeleton, chosen), select_in_frame(frame, skeleton, chosen))
        for image, frame in pairs
    ]
    if isinstance(spec.sigmas, Mapping):
        # Only those that were left out: a name that no keypoint has is still refused.
        left_out = set(skeleton.keypoints) - set(chosen.keypoints)
        kept = {name: sigma for name, sigma in spec.sigmas.items() if name not in left_out}
        spec = spec.model_copy(update={"sigmas": kept})
    return taken, chosen, spec


def _with_boxes(instances: Instances) -> Instances:
    # Of an animal without a box of its own, the box stays that of all its keypoints.
    return replace(instances, boxes=instances.animal_boxes())
