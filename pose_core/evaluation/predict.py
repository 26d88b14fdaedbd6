"""Predictions of labelled images, in pixels of the image files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from pose_core.data.dataset import Batch, PoseSamples, collate
from pose_core.data.geometry import invert
from pose_core.data.sample import Sample
from pose_core.errors import ConfigError
from pose_core.evaluation.bootstrap import Floats
from pose_core.evaluation.matching import present
from pose_core.interfaces import Predictions
from pose_core.model.assemble import PoseModel
from pose_core.specs import RunSpec
from pose_core.structures import Frame, Instances, LabelledDataset

Progress = Callable[[int, int], None]
"""Told how many of how many samples are done."""


def predict_images(
    model: PoseModel,
    spec: RunSpec,
    dataset: LabelledDataset,
    rows: Sequence[int],
    *,
    device: torch.device,
    batch_size: int,
    progress: Progress | None = None,
) -> list[Frame]:
    """Predict some images of a project.

    The network sees what it saw in validation: whole frames, or crops around the labelled animals.
    Only images of equal size share a batch, so that the result does not depend on ``batch_size``.

    Args:
        model: in evaluation mode, on ``device``.
        spec: of the run; keypoints that score below ``inference.threshold`` are missing, as in ``pose predict``.
        dataset: the project.
        rows: the images, rows of ``dataset.images``.
        device: of the model.
        batch_size: inputs a batch.
        progress: called after each batch.

    Returns:
        a frame for each row, numbered from 0 in that order.

    Raises:
        DataError: an image cannot be read.
        ConfigError: the network refines poses of another one and cannot be measured by itself.
    """
    if spec.model.inputs:
        raise ConfigError(
            f"model {spec.model.name} refines poses that another model found ({', '.join(spec.model.inputs)}): "
            "it has no predictions of its own to evaluate"
        )
    by_size = sorted(rows, key=lambda row: (dataset.images[row].height, dataset.images[row].width))
    samples = PoseSamples(dataset, by_size, spec.model.decided_preprocess(), model.size_multiple, None, 0, 0)
    parts: dict[int, list[_Part]] = {row: [] for row in rows}
    done = 0
    for batch in _batches(samples, batch_size):
        images = batch.images.to(device=device, memory_format=torch.channels_last)
        found = model.predict(images).to("cpu")
        for number, row in enumerate(batch.indices.tolist()):
            parts[row].append(_Part(found, number, batch.matrices[number].numpy()))
        done += len(batch.indices)
        if progress is not None:
            progress(done, len(samples))
    return [_frame(index, row, parts[row], dataset, spec.inference.threshold) for index, row in enumerate(rows)]


class _Part:
    """What was found in one input of the network, in pixels of the image file."""

    def __init__(self, found: Predictions, number: int, matrix: Floats) -> None:
        inverse = invert(matrix)

        def back(points: npt.NDArray[np.float32]) -> Floats:
            return points.astype(np.float64) @ inverse[:2, :2].T + inverse[:2, 2]

        self.keypoints = back(found.keypoints[number].numpy())
        self.keypoint_scores = found.keypoint_scores[number].numpy()
        self.scores = found.scores[number].numpy()
        self.identity = found.identity[number].numpy()
        self.unique_keypoints = back(found.unique_keypoints[number].numpy())
        self.unique_scores = found.unique_scores[number].numpy()


def _batches(samples: PoseSamples, batch_size: int) -> Iterator[Batch]:
    held: list[Sample] = []
    for number in range(len(samples)):
        sample = samples[number]
        if held and (len(held) == batch_size or held[0].image.shape != sample.image.shape):
            yield collate(held)
            held = []
        held.append(sample)
    if held:
        yield collate(held)


def _frame(index: int, row: int, parts: Sequence[_Part], dataset: LabelledDataset, threshold: float) -> Frame:
    skeleton, image = dataset.skeleton, dataset.images[row]
    if not parts:  # crops, and no animal is labelled
        unique = len(skeleton.unique_keypoints)
        return Frame(
            index,
            Instances.empty(skeleton.num_keypoints),
            np.full((unique, 2), np.nan, np.float32),
            np.zeros(unique, np.float32),
            image=str(image.image),
        )
    keypoints = np.concatenate([part.keypoints for part in parts])
    keypoint_scores = np.concatenate([part.keypoint_scores for part in parts])
    keypoints[keypoint_scores < threshold] = np.nan
    instances = Instances.from_keypoints(
        keypoints,
        keypoint_scores=keypoint_scores,
        scores=np.concatenate([part.scores for part in parts]),
        identity=np.concatenate([part.identity for part in parts]),
    )
    # Where several crops show the same frame, each unique keypoint comes from the crop that is surest of it.
    unique_scores = np.stack([part.unique_scores for part in parts])
    surest, column = unique_scores.argmax(axis=0), np.arange(len(skeleton.unique_keypoints))
    unique_points = np.stack([part.unique_keypoints for part in parts])[surest, column].astype(np.float32)
    scores = unique_scores[surest, column]
    gone = ~present(unique_points) | (scores < threshold)
    return Frame(
        index,
        instances.select(present(instances.keypoints).any(axis=1)),
        np.where(gone[:, None], np.float32(np.nan), unique_points),
        np.where(gone, np.float32(0), scores).astype(np.float32),
        image=str(image.image),
    )
