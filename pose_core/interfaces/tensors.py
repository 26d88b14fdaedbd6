"""Batched labels, targets and predictions: what goes into and comes out of a network, on its device.

All coordinates are pixels of the network's input image (after resizing, cropping and padding), except where a
stage of a pipeline says that they are pixels of the frames.

:class:`Labels` and :class:`Predictions` hold tensors whose first axis is the image and whose second is the
animal (but for unique keypoints). They are moved, cut and joined as a whole, so that the tensors stay
aligned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from pose_core.interfaces.geometry import Matrix, points_through
from pose_core.structures import Skeleton

Rows = slice | Tensor
"""Selects images: a slice, or a tensor of their numbers."""


@dataclass(frozen=True)
class _Aligned:
    """Tensors of the same images. Subclasses say what fills the places of animals that are not there."""

    _NO_ANIMAL: ClassVar[dict[str, float]]

    def __len__(self) -> int:
        """Number of images."""
        return len(self._tensors()[fields(self)[0].name])

    def __getitem__(self, images: Rows) -> Self:
        """Those of some images."""
        return replace(self, **{name: tensor[images] for name, tensor in self._tensors().items()})

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same on another device."""
        moved = {
            name: tensor.to(device, non_blocking=non_blocking) for name, tensor in self._tensors().items()
        }
        return replace(self, **moved)

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Those of several batches, one after the other; padded to the largest number of animals.

        Args:
            parts: one or more, on one device.
        """
        # Batches are padded to their own largest number, so their tensors do not join as they are.
        most = max(part._animals for part in parts)
        padded = [part._padded(most)._tensors() for part in parts]
        return cls(**{name: torch.cat([tensors[name] for tensors in padded]) for name in padded[0]})

    @property
    def _animals(self) -> int:
        """Places for animals in each image."""
        return int(self._tensors()[next(iter(self._NO_ANIMAL))].shape[1])

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: tensor for name, tensor in tensors.items() if tensor is not None}

    def _padded(self, animals: int) -> Self:
        missing = animals - self._animals
        if not missing:
            return self
        filled = {}
        for name, fill in self._NO_ANIMAL.items():
            tensor = self._tensors().get(name)
            if tensor is None:
                continue
            filled[name] = torch.cat(
                [tensor, tensor.new_full((len(self), missing, *tensor.shape[2:]), fill)], 1
            )
        return replace(self, **filled)


@dataclass(frozen=True)
class Labels(_Aligned):
    """Labels of a batch of B images, padded to N animals.

    Attributes:
        keypoints: (B, N, K, 2) float32; NaN where unlabelled or where there is no animal.
        occluded: (B, N, K) bool, labelled but hidden.
        boxes: (B, N, 4) float32 ``x1, y1, x2, y2``; NaN where unknown.
        areas: (B, N) float32, square pixels; NaN where unknown.
        identity: (B, N) int64; -1 where unknown.
        unique_keypoints: (B, U, 2) float32; NaN where unlabelled.
        absent: (B, N, K) bool, keypoints that are certainly nowhere in the input, although they have no place in
            ``keypoints``: landmarks that are labelled outside of it. None: none are.
    """

    _NO_ANIMAL: ClassVar[dict[str, float]] = {
        "keypoints": torch.nan,
        "occluded": False,
        "boxes": torch.nan,
        "areas": torch.nan,
        "identity": -1,
        "absent": False,
    }

    keypoints: Tensor
    occluded: Tensor
    boxes: Tensor
    areas: Tensor
    identity: Tensor
    unique_keypoints: Tensor
    absent: Tensor | None = None

    @classmethod
    def from_keypoints(
        cls,
        keypoints: Tensor,
        *,
        occluded: Tensor | None = None,
        boxes: Tensor | None = None,
        areas: Tensor | None = None,
        identity: Tensor | None = None,
        unique_keypoints: Tensor | None = None,
    ) -> Labels:
        """Make labels of which little is known; what is left out is unknown, visible, or not there.

        Args:
            keypoints: (B, N, K, 2) float32.
            occluded, boxes, areas, identity, unique_keypoints: as of the class.
        """
        shape, device = keypoints.shape[:3], keypoints.device
        return cls(
            keypoints,
            torch.zeros(shape, dtype=torch.bool, device=device) if occluded is None else occluded,
            keypoints.new_full((*shape[:2], 4), torch.nan) if boxes is None else boxes,
            keypoints.new_full(shape[:2], torch.nan) if areas is None else areas,
            torch.full(shape[:2], -1, device=device) if identity is None else identity,
            keypoints.new_zeros(shape[0], 0, 2) if unique_keypoints is None else unique_keypoints,
        )

    def of_first(self) -> Labels:
        """The labels of the first animal of each image: in crops the one that the crop is about."""
        tensors = self._tensors()
        return replace(self, **{name: tensors[name][:, :1] for name in self._NO_ANIMAL if name in tensors})


class Target(NamedTuple):
    """Target of one output.

    Attributes:
        value: same shape as the output.
        weight: broadcastable to ``value``; 0 where the output does not matter (unlabelled keypoints ...).
    """

    value: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Predictions(_Aligned):
    """Animals found in a batch of B images, padded to N.

    A head's predictor gets what the heads before it found and returns it extended or regrouped: an identity
    head fills ``identity_scores`` of the animals that a keypoint head found. Names are given once a frame,
    after the last stage (:func:`pose_core.pipeline.naming.assign_names`), because no two animals of a frame
    have the same one.

    Attributes:
        keypoints: (B, N, K, 2) float32; NaN where missing.
        keypoint_scores: (B, N, K) float32 in [0, 1]; 0 where missing.
        scores: (B, N) float32 in [0, 1]; 0 where there is no animal.
        identity: (B, N) int64, the individual that is reported; -1 where unknown.
        identity_scores: (B, N, I) float32 in [0, 1], probability of each of the I individuals of the
            skeleton; 0 where no head knows.
        unique_keypoints: (B, U, 2) float32; NaN where missing.
        unique_scores: (B, U) float32.
    """

    _NO_ANIMAL: ClassVar[dict[str, float]] = {
        "keypoints": torch.nan,
        "keypoint_scores": 0.0,
        "scores": 0.0,
        "identity": -1,
        "identity_scores": 0.0,
    }

    keypoints: Tensor
    keypoint_scores: Tensor
    scores: Tensor
    identity: Tensor
    identity_scores: Tensor
    unique_keypoints: Tensor
    unique_scores: Tensor

    @classmethod
    def none(cls, batch: int, skeleton: Skeleton, device: torch.device | str = "cpu") -> Predictions:
        """No animal found yet (N = 0)."""
        k, u = skeleton.num_keypoints, len(skeleton.unique_keypoints)
        return cls(
            keypoints=torch.zeros(batch, 0, k, 2, device=device),
            keypoint_scores=torch.zeros(batch, 0, k, device=device),
            scores=torch.zeros(batch, 0, device=device),
            identity=torch.zeros(batch, 0, dtype=torch.int64, device=device),
            identity_scores=torch.zeros(batch, 0, skeleton.num_individuals, device=device),
            unique_keypoints=torch.full((batch, u, 2), float("nan"), device=device),
            unique_scores=torch.zeros(batch, u, device=device),
        )

    def with_animals(
        self, keypoints: Tensor, keypoint_scores: Tensor, scores: Tensor | None = None
    ) -> Predictions:
        """These predictions with the animals replaced; missing keypoints get score 0.

        ``scores`` defaults to the mean score of an animal's keypoints. Nothing is known of who the new
        animals are.
        """
        missing = torch.isnan(keypoints).any(dim=-1)
        # A score without a point would count in the mean and pass thresholds.
        keypoint_scores = keypoint_scores.masked_fill(missing, 0.0)
        if scores is None:
            # At least 1: an animal without any keypoint has score 0, not NaN.
            scores = keypoint_scores.sum(-1) / (~missing).sum(-1).clamp(min=1)
        return replace(
            self,
            keypoints=keypoints,
            keypoint_scores=keypoint_scores,
            scores=scores,
        ).without_names(self.identity_scores.shape[-1])

    def without_names(self, individuals: int) -> Predictions:
        """The same animals, of whom nobody knows who they are, in a project of so many individuals."""
        return replace(
            self,
            identity=torch.full(self.scores.shape, -1, dtype=torch.int64, device=self.scores.device),
            identity_scores=self.scores.new_zeros(*self.scores.shape, individuals),
        )

    def mean_keypoint_scores(self) -> Tensor:
        """Mean score of the keypoints of each animal that are not missing, (B, N); 0 where all are."""
        return _mean_score(self.keypoints, self.keypoint_scores)

    def without(self, keypoints: Sequence[int], unique: Sequence[int] = ()) -> Predictions:
        """The same with some keypoints missing in all animals: NaN with score 0.

        Scores of animals keep their proportion to the mean score of their keypoints; an animal that had
        nothing else is none.

        Args:
            keypoints: their indices.
            unique: indices of unique keypoints.
        """
        found = self
        if len(keypoints):
            points, scores = self.keypoints.clone(), self.keypoint_scores.clone()
            points[:, :, keypoints] = torch.nan
            scores[:, :, keypoints] = 0.0
            before, after = (
                _mean_score(*each) for each in ((self.keypoints, self.keypoint_scores), (points, scores))
            )
            factor = torch.where(before > 0, after / before.clamp(min=1e-12), torch.ones_like(before))
            found = replace(
                self,
                keypoints=points,
                keypoint_scores=scores,
                scores=(self.scores * factor).clamp(max=1.0).to(self.scores.dtype),
            )
        if len(unique):
            points, scores = self.unique_keypoints.clone(), self.unique_scores.clone()
            points[:, unique] = torch.nan
            scores[:, unique] = 0.0
            found = replace(found, unique_keypoints=points, unique_scores=scores)
        return found

    def through(self, matrix: Matrix) -> Predictions:
        """The same in pixels of another image.

        Args:
            matrix: (3, 3) float64, or (B, 3, 3) with one for each image.
        """
        return replace(
            self,
            keypoints=points_through(self.keypoints, matrix),
            unique_keypoints=points_through(self.unique_keypoints, matrix),
        )

    def select(self, images: Tensor, animals: Tensor) -> Predictions:
        """Some animals, each as an image of its own with one animal: what a network that refines crops takes.

        Args:
            images: (A,) int64, the image of each.
            animals: (A,) int64, its place in the image.
        """
        chosen = {name: getattr(self, name)[images, animals][:, None] for name in self._NO_ANIMAL}
        return replace(self[images], **chosen)

    def arrange(self, images: Tensor, animals: Tensor, shape: tuple[int, int]) -> Predictions:
        """The way back from :meth:`select`: one animal an image -> animals at their places in the frames.

        Of several crops of a frame each unique keypoint is taken from the one that scores it highest.

        Args:
            images: (A,) int64, the image of each.
            animals: (A,) int64, its place in the image.
            shape: (B, N) of the result.
        """
        unique, unique_scores = best_of(self.unique_keypoints, self.unique_scores, images, shape[0])
        placed = {}
        for name, fill in self._NO_ANIMAL.items():
            found = getattr(self, name)[:, 0]
            # Places without an animal keep the fill; dtype and device are those of what was found.
            placed[name] = found.new_full((*shape, *found.shape[1:]), fill)
            placed[name][images, animals] = found
        return Predictions(**placed, unique_keypoints=unique, unique_scores=unique_scores)

    @classmethod
    def merge(cls, parts: Sequence[Predictions]) -> Predictions:
        """The animals of several looks at the same B images beside each other.

        Each unique keypoint is taken from the look that scores it highest.

        Args:
            parts: one or more, in pixels of the same images.
        """
        batch, device = len(parts[0]), parts[0].scores.device
        every = torch.arange(batch, device=device).repeat(len(parts))
        points = torch.cat([part.unique_keypoints for part in parts])
        scores = torch.cat([part.unique_scores for part in parts])
        unique, unique_scores = best_of(points, scores, every, batch)
        beside = {name: torch.cat([getattr(part, name) for part in parts], 1) for name in cls._NO_ANIMAL}
        return cls(**beside, unique_keypoints=unique, unique_scores=unique_scores)


def _mean_score(points: Tensor, scores: Tensor) -> Tensor:
    """Mean score of the keypoints that are not missing, (B, N); 0 where all are."""
    there = torch.isfinite(points).all(-1)
    return (scores * there).sum(-1) / there.sum(-1).clamp(min=1)


def best_of(points: Tensor, scores: Tensor, images: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    """Choose among several finds of the same points in each image those with the highest score.

    Args:
        points: (A, U, 2), of each look at an image.
        scores: (A, U).
        images: (A,) int64, the image of each look.
        batch: number of images, B.

    Returns:
        points (B, U, 2), NaN where an image was not looked at or nothing scored above 0, and scores (B, U).
    """
    chosen = points.new_full((batch, *points.shape[1:]), torch.nan)
    highest = scores.new_zeros(batch, scores.shape[1])
    # torch takes no maximum over an axis of no entries.
    if not scores.shape[1] or not len(images):
        return chosen, highest
    # One look after the other, for they are few (the crops of a frame): assigned all at once, it would be
    # open which of several looks at one image wins.
    for look in scores.max(dim=1).values.argsort():
        better = scores[look] > highest[images[look]]
        chosen[images[look]] = torch.where(better[:, None], points[look], chosen[images[look]])
        highest[images[look]] = torch.where(better, scores[look], highest[images[look]])
    return chosen, highest
