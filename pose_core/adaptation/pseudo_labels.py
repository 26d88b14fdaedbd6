"""Make a labelled project of a model's own confident predictions.

Labels that are predictions are called pseudo-labels (Lee, Pseudo-Label, 2013).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from pose_core.adaptation.sampled_frames import SampledFrame, read_frames
from pose_core.errors import ConfigError, argument
from pose_core.formats.project_writing import Example, write_project
from pose_core.io.files import disk_errors
from pose_core.pipeline.sources import FrameSource
from pose_core.prediction.estimator import PoseEstimator
from pose_core.reporting import Reporter
from pose_core.structures import Frame, present_keypoints

LEAST_PART = 0.5
"""Part of its keypoints that an animal needs confident, to be one that the model is sure of."""


@dataclass
class Counts:
    """Frames by what became of them.

    Attributes:
        labelled: are in the project.
        empty: show no animal that the model is sure of.
        doubtful: show animals that it is not sure of, beside others, which a network on whole frames would learn as
            background.
        damaged: cannot be decoded.
        animals, keypoints: labels.
    """

    labelled: int = 0
    empty: int = 0
    doubtful: int = 0
    damaged: int = 0
    animals: int = 0
    keypoints: int = 0

    def describe(self) -> str:
        """Describe them in a line."""
        left = [
            f"{number} {why}"
            for number, why in (
                (self.empty, "without an animal that it is sure of"),
                (self.doubtful, "with animals in doubt"),
                (self.damaged, "that cannot be decoded"),
            )
            if number
        ]
        out = f"; left out: {', '.join(left)}" if left else ""
        return f"{self.keypoints} keypoints of {self.animals} animals in {self.labelled} frames are labels now{out}"


def write_pseudo_labels(
    folder: Path,
    estimator: PoseEstimator,
    videos: Sequence[Path],
    frames: int,
    threshold: float,
    reporter: Reporter,
) -> Counts:
    """Predict frames of videos, and write what the model is sure of as a labelled project.

    Frames are spread evenly over the videos. Keypoints below the threshold are not labelled. An animal counts with
    half of its keypoints at least (:data:`LEAST_PART`), and where individuals are told apart with its name; of a
    model on whole frames, all animals of the frame must count.

    Args:
        folder: of the project; must not exist. Images are the part of frames that the run looks at.
        estimator: of the run, with the threshold as its own.
        videos: their files.
        frames: how many are predicted.
        threshold: for messages.
        reporter: is told how far it is.

    Raises:
        ConfigError: the model is sure of nothing.
        VideoError: a video cannot be read.
        RunError: the disk is full, or the folder cannot be written.
    """
    sources: list[FrameSource] = [estimator.open_video(path) for path in videos]
    regions = {
        number: estimator.regions.only_of_source(source, str(source.video))
        for number, source in enumerate(sources)
    }
    sampled = read_frames(videos, frames, estimator.spec.data.decided_bit_depth(), regions)
    counts = Counts()
    # What was interrupted must not be taken for all.
    unfinished = folder.with_name(f".{folder.name}")
    with disk_errors(folder, again="run the same command again"):
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            examples = _label_all(estimator, sampled, videos, frames, counts, reporter)
            write_project(unfinished, estimator.skeleton, examples, name="pseudo-labels")
            if counts.labelled:
                unfinished.rename(folder)
                return counts
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    raise ConfigError(
        f"{argument('threshold', f'{threshold:g}')}: {estimator.run.path} is sure of no animal in "
        f"{counts.empty + counts.doubtful} frames of {', '.join(map(str, videos))}; lower it, or label some frames"
    )


def _label_all(
    estimator: PoseEstimator,
    sampled: Iterator[SampledFrame],
    videos: Sequence[Path],
    number: int,
    counts: Counts,
    reporter: Reporter,
) -> Iterator[Example]:
    done = 0
    while batch := list(islice(sampled, estimator.batch_size)):
        readable = [(item, item.image) for item in batch if item.image is not None]
        counts.damaged += len(batch) - len(readable)
        # By the pipeline: the estimator would look for its region in what is cut out already.
        found = estimator.pipeline.run_once([image for _, image in readable]) if readable else []
        for (item, image), frame in zip(readable, found, strict=True):
            labels = choose_labels(frame, estimator, counts)
            if labels is not None:
                name = f"{item.video}-{_file_name(videos[item.video])}/{item.frame:06d}.png"
                yield Example(name, image, labels.instances, unique_keypoints=labels.unique_keypoints)
        done += len(batch)
        reporter.progress("predicting frames", done, number)


def choose_labels(frame: Frame, estimator: PoseEstimator, counts: Counts) -> Frame | None:
    """Choose what of a prediction becomes labels; None where nothing does.

    Args:
        frame: what was found; keypoints below the threshold are missing.
        estimator: that found it.
        counts: is added up.
    """
    spec, skeleton, animals = estimator.spec, estimator.skeleton, frame.instances
    learned = [n for n, name in enumerate(skeleton.keypoints) if name not in spec.untrained_keypoints]
    there = present_keypoints(animals.keypoints)
    sure = there[:, learned].mean(axis=1) >= LEAST_PART
    if skeleton.identified:
        # Without its name an animal would get that of another one.
        sure &= animals.identity >= 0
    if not sure.any():
        counts.empty += 1
        return None
    # A crop is about one animal; a whole frame teaches that there is nothing where nothing is labelled.
    if spec.model.view != "animal" and not sure.all():
        counts.doubtful += 1
        return None
    counts.labelled += 1
    counts.animals += int(sure.sum())
    counts.keypoints += int(there[sure].sum()) + int(present_keypoints(frame.unique_keypoints).sum())
    return Frame(
        frame.index, animals.select(np.flatnonzero(sure)), frame.unique_keypoints, frame.unique_scores
    )


def _file_name(video: Path) -> str:
    return re.sub(r"[^\w-]", "_", video.stem)
