"""Tracking with a conditional model: the poses of one frame are the initial poses of the next."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pose_buctd.config import RefineConfig
from pose_buctd.stages.refiner import Refiner
from pose_core.errors import ConfigError, argument
from pose_core.interfaces import (
    EarlierStages,
    FrameGeometry,
    FrameGroup,
    Predictions,
    Stage,
    StageContext,
    StageResult,
    View,
    compare_poses,
    find_duplicates,
)
from pose_core.structures import Frame, Skeleton

MIN_SIMILARITY = 0.3
"""Above it a pose that is followed and one that was found are thought to be of the same animal."""


@dataclass(frozen=True)
class _Tracks:
    """Animals that are followed, T of them.

    Attributes:
        keypoints: (T, K, 2) in pixels of the frame, NaN where missing.
        keypoint_scores: (T, K).
        numbers: (T,) int64, from 0; no two are equal.
    """

    keypoints: Tensor
    keypoint_scores: Tensor
    numbers: Tensor

    def select(self, rows: Tensor) -> _Tracks:
        return _Tracks(self.keypoints[rows], self.keypoint_scores[rows], self.numbers[rows])

    def joined(self, other: _Tracks) -> _Tracks:
        return _Tracks(
            torch.cat([self.keypoints, other.keypoints]),
            torch.cat([self.keypoint_scores, other.keypoint_scores]),
            torch.cat([self.numbers, other.numbers]),
        )


class TrackStage(Stage):
    """Each animal's pose in the last frame is what the network refines in this one (Zhou et al. 2023).

    The whole frame is searched for animals when there are fewer than there should be: at the beginning, in
    the frame in which one is lost (the mean score of its keypoints falls below
    ``inference.follow_threshold``, or it became the same as another animal) and, until it is found again, in
    those that follow. It is searched in every ``search_every``-th
    frame, too: where that finds an animal that is not followed yet, it takes the place of one that is
    followed and not found, if there is one. An animal that is found anew gets the number of the lost one that
    was nearest to it, or the lowest that is free. Frames depend on each other here and are computed one by
    one; what is found depends on the frame, its number and the result of the one before it alone.

    The stages before it find initial poses in whole frames; it runs them where it searches.

    Raises:
        ConfigError: there may be any number of animals.
    """

    needs_frames = True
    sequential = True
    takes_over = True

    def __init__(self, config: RefineConfig, context: StageContext) -> None:
        if context.max_animals is None:
            raise ConfigError(
                f"inference.max_animals: {argument('follow')} must know how many animals there are; set a "
                "number"
            )
        self._refiner = Refiner(context.in_crops(), config.threshold)
        self._skeleton = context.skeleton
        self._search = EarlierStages(context.before)
        self._max_animals = context.max_animals
        self._threshold = context.follow_threshold
        self._duplicate = config.duplicate
        self._every = config.search_every
        self._device = context.device
        self._hidden = torch.as_tensor(context.keypoint_thresholds, device=self._device)
        self._tracks = _none(context.skeleton, self._device)

    def begin(self, previous: Frame | None) -> TrackStage:
        """The same stage for one stream of frames, which goes on after ``previous``."""
        # A shallow copy: streams share the networks and differ in what they follow.
        stage = copy(self)
        stage._tracks = _none(self._skeleton, self._device)
        if previous is not None and len(previous.instances):
            animals = previous.instances
            arrays = animals.keypoints, animals.keypoint_scores, animals.track
            stage._tracks = _Tracks(*(torch.from_numpy(array).to(self._device) for array in arrays))
        return stage

    def view(self, width: int, height: int) -> FrameGeometry | None:
        """What the search wants to see."""
        return self._search.view(width, height)

    def run(self, group: FrameGroup, view: View | None, found: StageResult) -> StageResult:
        """The animals of each frame, in the order of their numbers."""
        each = [self._one(*group.alone(view, i)) for i in range(len(group))]
        b, n, k = len(each), max(len(t.numbers) for t in each), self._skeleton.num_keypoints
        keypoints = torch.full((b, n, k, 2), torch.nan, device=self._device)
        scores = torch.zeros(b, n, k, device=self._device)
        numbers = torch.full((b, n), -1, dtype=torch.int64, device=self._device)
        for row, tracks in enumerate(each):
            t = len(tracks.numbers)
            keypoints[row, :t], scores[row, :t] = tracks.keypoints, tracks.keypoint_scores
            numbers[row, :t] = tracks.numbers
        none = Predictions.none(b, self._skeleton, self._device)
        return replace(found, predictions=none.with_animals(keypoints, scores), tracks=numbers)

    def _one(self, group: FrameGroup, view: View | None) -> _Tracks:
        before = self._tracks
        kept = self._seen(group, before)
        due = self._every is not None and group.indices[0] % self._every == 0
        if due or len(kept.numbers) < self._max_animals:
            initial = self._search.run(group, view).predictions
            assert initial is not None
            there = initial.scores[0] > 0
            found = _Tracks(
                initial.keypoints[0][there], initial.keypoint_scores[0][there], there.nonzero()[:, 0]
            )
            kept = self._believed(kept, found)
            if len(kept.numbers) < self._max_animals:
                kept = kept.joined(self._entering(group, found, before, kept))
        self._tracks = self._as_written(kept.select(kept.numbers.argsort()))
        return self._tracks

    def _believed(self, kept: _Tracks, found: _Tracks) -> _Tracks:
        """The animals that are followed, without those that make room for others: as many as were found and
        are not followed yet, and of those that were not found the ones with the lowest scores."""
        if not len(kept.numbers) or not len(found.numbers):
            return kept
        near = compare_poses(kept.keypoints, found.keypoints) > MIN_SIMILARITY
        needed = int((~near.any(0)).sum()) - (self._max_animals - len(kept.numbers))
        doubtful = (~near.any(1)).nonzero()[:, 0]
        if needed <= 0 or not len(doubtful):
            return kept
        scores = kept.keypoint_scores[doubtful].mean(1)
        leaving = doubtful[scores.argsort(stable=True)[:needed]]
        stays = torch.ones(len(kept.numbers), dtype=torch.bool, device=leaving.device)
        stays[leaving] = False
        return kept.select(stays)

    def _seen(self, group: FrameGroup, before: _Tracks) -> _Tracks:
        """The animals of the last frame where they are now, without those that are lost."""
        if not len(before.numbers):
            return before
        poses = self._refined(group, before.keypoints, before.keypoint_scores)
        after = _Tracks(poses.keypoints[0], poses.keypoint_scores[0], before.numbers)
        return after.select(self._alive(poses))

    def _entering(self, group: FrameGroup, found: _Tracks, before: _Tracks, kept: _Tracks) -> _Tracks:
        """The animals that were found in the whole frame and are not among those that were kept, best
        first."""
        points, scores = found.keypoints, found.keypoint_scores
        if len(kept.numbers) and len(points):
            known = (compare_poses(points, kept.keypoints) > self._duplicate).any(1)
            points, scores = points[~known], scores[~known]
        if not len(points):
            return _none(self._skeleton, self._device)
        poses = self._refined(group, points, scores)
        new = poses.keypoints[0], poses.keypoint_scores[0]
        alive = self._alive(poses)
        if len(kept.numbers):
            alive &= ~(compare_poses(new[0], kept.keypoints) > self._duplicate).any(1)
        chosen = alive.nonzero()[:, 0]
        chosen = chosen[poses.scores[0][chosen].argsort(descending=True, stable=True)]
        chosen = chosen[: self._max_animals - len(kept.numbers)]
        numbers = self._numbers(new[0][chosen], before, kept)
        return _Tracks(new[0][chosen], new[1][chosen], numbers)

    def _numbers(self, found: Tensor, before: _Tracks, kept: _Tracks) -> Tensor:
        """Numbers for animals that were found anew: those of lost ones by distance, then the lowest free
        ones."""
        taken = set(kept.numbers.tolist())
        lost = before.select(
            torch.tensor([n not in taken for n in before.numbers.tolist()], dtype=torch.bool)
        )
        numbers = np.full(len(found), -1, np.int64)
        if len(lost.numbers) and len(found):
            # Middles and not keypoints: a lost pose and a new one may have no keypoint in common.
            middles = [np.nanmean(points.cpu().numpy(), axis=1) for points in (found, lost.keypoints)]
            distance = np.linalg.norm(middles[0][:, None] - middles[1][None], axis=-1)
            rows, columns = linear_sum_assignment(distance)
            numbers[rows] = lost.numbers.cpu().numpy()[columns]
        # Never empty: there are at most max_animals tracks, kept ones included.
        free = iter(sorted(set(range(self._max_animals)) - taken - set(numbers.tolist())))
        return torch.tensor([n if n >= 0 else next(free) for n in numbers.tolist()], dtype=torch.int64).to(
            self._device
        )

    def _refined(self, group: FrameGroup, keypoints: Tensor, scores: Tensor) -> Predictions:
        none = Predictions.none(1, self._skeleton, self._device)
        return self._refiner.refine(group, none.with_animals(keypoints[None], scores[None]))

    def _alive(self, poses: Predictions) -> Tensor:
        """(N,) bool, which animals are still to be seen and not the same as another."""
        shown = torch.isfinite(poses.keypoints[0]).all(-1) & (poses.keypoint_scores[0] >= self._hidden)
        mean = (poses.keypoint_scores[0] * shown).sum(-1) / shown.sum(-1).clamp(min=1)
        same = find_duplicates(poses.keypoints, poses.scores, self._duplicate)[0]
        return shown.any(-1) & (mean >= self._threshold) & ~same

    def _as_written(self, tracks: _Tracks) -> _Tracks:
        """The animals as a file would have them: then an interrupted prediction goes on as one that was
        not."""
        hidden = torch.isnan(tracks.keypoints).any(-1) | (tracks.keypoint_scores < self._hidden)
        return _Tracks(
            tracks.keypoints.masked_fill(hidden[..., None], torch.nan),
            tracks.keypoint_scores.masked_fill(hidden, 0.0),
            tracks.numbers,
        )


def _none(skeleton: Skeleton, device: torch.device) -> _Tracks:
    k = skeleton.num_keypoints
    numbers = torch.zeros(0, dtype=torch.int64, device=device)
    return _Tracks(torch.zeros(0, k, 2, device=device), torch.zeros(0, k, device=device), numbers)
