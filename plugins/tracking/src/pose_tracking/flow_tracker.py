"""Tracker by optical flow: poses of past frames, moved by what the pictures show, beside those of the new frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from pose_core.interfaces import Tracker, TrackerContext
from pose_core.structures import ByteArray, FloatArray, Instances, IntArray, box_overlaps, keypoint_boxes
from pose_tracking.config import FlowConfig
from pose_tracking.matching import assign, assign_greedily, compute_margins
from pose_tracking.motion import Floats, Ints, Places, join_places, split_places
from pose_tracking.poses import Poses, guess_size, measure_poses
from pose_tracking.similarity import (
    Mask,
    add_up,
    compare_centres,
    compare_keypoints,
    compare_within,
    square,
)

_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01)
"""Iterations of Lucas and Kanade's method at each level of a pyramid, and the step at which they end, pixels."""

_GROWTH = 0.35
"""Sizes by which the circle grows, a frame, in which a lost animal is looked for where ids are final."""

_PADDING = 0.1
"""Added to boxes on each side, in sizes."""


@dataclass(frozen=True, eq=False)
class _Past:
    """A frame of the window.

    Attributes:
        frame: its number.
        grey: (h, w) uint8, scaled.
        ids: (T,) of the animals that had one.
        points: (T, K) places x + iy, NaN where missing; pixels of the whole frame.
        sizes: (T,) pixels.
    """

    frame: int
    grey: ByteArray
    ids: Ints
    points: Places
    sizes: Floats

    def select(self, chosen: Mask) -> _Past:
        """Those animals alone."""
        return replace(self, ids=self.ids[chosen], points=self.points[chosen], sizes=self.sizes[chosen])


class FlowTracker(Tracker):
    """Animals of the last frames are moved to the new one by optical flow, and matched with those found there.

    The flow is that of Lucas and Kanade on pyramids (Bouguet, 2001), at the keypoints, from each frame of the window
    straight to the new one. A track is as similar to an animal as its poses in the window are, by a quantile.
    """

    config: FlowConfig

    def __init__(self, config: FlowConfig, context: TrackerContext) -> None:
        super().__init__(config, context)
        fixed = context.skeleton.landmarks or ()
        # Landmarks do not move with the animal.
        self._moving = np.array([name not in fixed for name in context.skeleton.keypoints])
        self._window: list[_Past] = []
        self._grey: ByteArray | None = None
        self._scale = np.ones(2)
        self._next = 0
        self._endless = context.animals is not None and not context.linked
        # Where ids are final and animals are counted: where each track was last, by id.
        self._last: dict[int, tuple[int, complex]] = {}
        self._compared: tuple[Floats, Ints, Ints] | None = None
        self._default_size = guess_size(context)

    def take_image(self, frame: int, image: ByteArray) -> None:
        """Keep the next frame in grey, scaled."""
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        height, width = grey.shape
        side = [max(1, round(length * self.config.img_scale)) for length in (width, height)]
        if side != [width, height]:
            grey = cv2.resize(grey, side, interpolation=cv2.INTER_AREA)
        self._grey = np.asarray(grey, np.uint8)
        self._scale = np.array(side) / (width, height)

    def update(self, frame: int, instances: Instances) -> IntArray:
        """Say who the animals of the next frame are."""
        ids = np.full(len(instances), -1, np.int64)
        self._compared = None
        if not len(instances):
            return ids
        self._window = [past for past in self._window if frame - past.frame <= self.config.track_window]
        found = self._measure(instances)
        if self._window:
            self._match(found, ids)
        if self._endless:
            self._find_lost(frame, found, instances, ids)
        self._begin(found, instances, ids)
        self._keep(frame, found, ids)
        return ids

    def compute_margins(self) -> FloatArray | None:
        """Compute how much similarity the nearest rival of each match of the last frame was behind."""
        if self._compared is None:
            return None
        return compute_margins(*self._compared, self.config.min_match_similarity)

    def _measure(self, instances: Instances) -> Poses:
        """Measure the animals of a frame; sizes that are unknown are those of others."""
        found = measure_poses(instances.keypoints[:, self._moving])
        missing = np.isnan(found.sizes)
        if not missing.any():
            return found
        known = np.concatenate([found.sizes[~missing], *(past.sizes for past in self._window)])
        usual = np.median(known) if len(known) else self._default_size
        return found._replace(sizes=np.where(missing, usual, found.sizes))

    def _match(self, found: Poses, ids: Ints) -> None:
        """Match tracks with animals, and write the ids of these."""
        tracks = np.unique(np.concatenate([past.ids for past in self._window]))
        moved = np.full((len(self._window), len(tracks), found.points.shape[1]), np.nan, np.complex128)
        sizes = np.ones(moved.shape[:2])
        for row, past in enumerate(self._window):
            at = np.searchsorted(tracks, past.ids)
            moved[row, at], sizes[row, at] = self._move(past), past.sizes
        # A pose of which the flow lost too much says nothing.
        usable = np.isfinite(moved).sum(axis=-1) >= max(self.config.min_match_points, 1)
        similarity = np.full((*moved.shape[:2], len(ids)), np.nan)
        similarity[usable] = self._compare(moved[usable], sizes[usable], found)
        joined = _reduce(similarity, self.config.robust)
        joined[:, found.counts == 0] = -np.inf
        match = assign if self.config.match == "hungarian" else assign_greedily
        rows, columns = match(joined, self.config.min_match_similarity)
        # A track that was lost is not found in the second detection of an animal that has its own.
        late = ~np.isin(tracks[rows], self._window[-1].ids)
        twice = self._find_alike(found, columns, columns[~late]).any(axis=1) & late
        rows, columns = rows[~twice], columns[~twice]
        best = np.argsort(-joined[rows, columns], kind="stable")[: self.context.animals]
        ids[columns[best]] = tracks[rows[best]]
        self._compared = joined, tracks, ids

    def _move(self, past: _Past) -> Places:
        """Move the poses (T, K) of a past frame to the present one; NaN where the flow lost a keypoint."""
        moved = np.full(past.points.shape, np.nan, np.complex128)
        known = np.isfinite(past.points)
        grey = self._look()
        # Images of a folder may differ in size: of those nothing can be said.
        if past.grey.shape != grey.shape or not known.any():
            return moved
        start = (split_places(past.points[known]) + 0.5) * self._scale - 0.5
        side = self.config.of_window_size
        end, status, _ = cv2.calcOpticalFlowPyrLK(
            past.grey,
            grey,
            start.astype(np.float32)[:, None],
            None,  # type: ignore[call-overload]
            winSize=(side, side),
            maxLevel=self.config.of_max_levels,
            criteria=_CRITERIA,
        )
        places = join_places((end[:, 0].astype(np.float64) + 0.5) / self._scale - 0.5)
        moved[known] = np.where(status[:, 0] == 1, places, np.nan)
        return moved

    def _look(self) -> ByteArray:
        assert self._grey is not None, "take_image() comes before update()"
        return self._grey

    def _compare(self, moved: Places, sizes: Floats, found: Poses) -> Floats:
        """Compare moved poses (C, K) with the animals, (C, N)."""
        known = np.isfinite(moved)
        poses = np.where(known, moved, 0.0)
        match self.config.similarity:
            case "oks":
                most = np.maximum(add_up(known)[:, None], found.counts)
                weights, distant = known.astype(np.float64), found.distant
                return compare_keypoints(poses, weights, distant, most, sizes, self.config.oks_stddev)
            case "centroid":
                centres = add_up(poses) / np.maximum(add_up(known), 1)
                return compare_centres(square(found.centres - centres[:, None]), sizes)
            case "iou":
                there = np.where(found.known, found.points, np.nan)
                return box_overlaps(_surround(moved, sizes), _surround(there, found.sizes))

    def _find_lost(self, frame: int, found: Poses, instances: Instances, ids: Ints) -> None:
        """Match animals that are left with tracks that are lost, in circles that grow with time."""
        lost = np.array(sorted(set(self._last) - set(ids.tolist())), np.int64)
        left = self._list_left(found, instances, ids)
        if not len(lost) or not len(left):
            return
        last = [self._last[i] for i in lost.tolist()]
        away = frame - np.array([seen for seen, _ in last])
        far = np.abs(found.centres[left] - np.array([place for _, place in last])[:, None])
        reach = found.sizes[left] * (1 + _GROWTH * away)[:, None]
        rows, columns = assign(1 - far / reach, 0.0)
        ids[left[columns]] = lost[rows]

    def _begin(self, found: Poses, instances: Instances, ids: Ints) -> None:
        """Begin tracks with animals that are left, those with high scores first."""
        new = self._list_left(found, instances, ids)
        new = new[found.counts[new] >= self.config.min_new_track_points]
        if self.context.animals is not None:
            there = len(self._last) if self._endless else int((ids >= 0).sum())
            new = new[: max(self.context.animals - there, 0)]
        ids[new] = self._next + np.arange(len(new))
        self._next += len(new)

    def _list_left(self, found: Poses, instances: Instances, ids: Ints) -> Ints:
        """List animals that have no id and are no second detection, those with high scores first."""
        left = np.flatnonzero((found.counts > 0) & (ids < 0))
        # By score, then by place: the order of animals within the frame means nothing.
        centres, scores = found.centres[left], np.nan_to_num(instances.scores[left])
        left = left[np.lexsort((centres.imag, centres.real, -scores))]
        others = np.concatenate([np.flatnonzero(ids >= 0), left])
        # Of those that have an id, or come first.
        before = np.arange(len(others)) < len(others) - len(left) + np.arange(len(left))[:, None]
        return left[~(self._find_alike(found, left, others) & before).any(axis=1)]

    def _find_alike(self, found: Poses, some: Ints, others: Ints) -> Mask:
        """Find second detections: whether animals (S,) are those of others (O,), (S, O)."""
        near = compare_within(found, found.sizes, some, others, self.config.oks_stddev)
        return np.asarray(near >= self.config.duplicate_similarity)

    def _keep(self, frame: int, found: Poses, ids: Ints) -> None:
        """Keep the animals with an id for the frames to come."""
        kept = np.flatnonzero(ids >= 0)
        if not len(kept):
            return
        # In the order of ids, since that within a frame means nothing.
        kept = kept[np.argsort(ids[kept])]
        points = np.where(found.known[kept], found.points[kept], np.nan)
        self._window.append(_Past(frame, self._look(), ids[kept], points, found.sizes[kept]))
        if self._endless:
            places = [(frame, complex(place)) for place in found.centres[kept]]
            self._last.update(zip(ids[kept].tolist(), places, strict=True))
        elif self.context.animals is not None:
            self._end_surplus(self.context.animals)

    def _end_surplus(self, animals: int) -> None:
        """End tracks beyond the number of animals, those that were not seen for longest.

        With more tracks than animals one animal has two, and they would take turns.
        """
        # The latest first; of each track its first row here is where it was seen last.
        ids = np.concatenate([past.ids for past in reversed(self._window)])
        tracks, first = np.unique(ids, return_index=True)
        kept = tracks[np.argsort(first)[:animals]]
        if len(kept) < len(tracks):
            self._window = [past.select(np.isin(past.ids, kept)) for past in self._window]

    def state_dict(self) -> dict[str, Any]:
        """Copy what it remembers."""
        return {
            "window": [
                {
                    "frame": past.frame,
                    "grey": past.grey.copy(),
                    "ids": past.ids.copy(),
                    "points": past.points.copy(),
                    "sizes": past.sizes.copy(),
                }
                for past in self._window
            ],
            "last": {str(i): [seen, place.real, place.imag] for i, (seen, place) in self._last.items()},
            "next": self._next,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave."""
        self._window = [
            _Past(int(past["frame"]), *(np.array(past[name]) for name in ("grey", "ids", "points", "sizes")))
            for past in state["window"]
        ]
        self._last = {int(i): (int(seen), complex(x, y)) for i, (seen, x, y) in state["last"].items()}
        self._next = int(state["next"])


def _reduce(similarity: Floats, quantile: float) -> Floats:
    """Reduce (W, T, N) to (T, N): a quantile over the poses of the window, -inf where there is none."""
    if len(similarity) == 1:
        joined = similarity[0]
    elif quantile == 1:
        joined = np.fmax.reduce(similarity, axis=0)
    else:
        known = np.isfinite(similarity)
        # Of those that are there, by place among them; missing ones are sorted to the end.
        ordered = np.sort(similarity, axis=0)
        place = quantile * np.maximum(known.sum(axis=0) - 1, 0)
        low = np.floor(place).astype(np.int64)
        high = np.ceil(place).astype(np.int64)
        one, other = (np.take_along_axis(ordered, at[None], axis=0)[0] for at in (low, high))
        joined = one + (place - low) * (other - one)
    return np.where(np.isnan(joined), -np.inf, joined)


def _surround(points: Places, sizes: Floats) -> Floats:
    """Draw boxes (N, 4) around poses (N, K), a little wider: a thin animal has one without area."""
    boxes = keypoint_boxes(split_places(points).astype(np.float32)).astype(np.float64)
    return np.asarray(boxes + _PADDING * sizes[:, None] * np.array([-1, -1, 1, 1]))
