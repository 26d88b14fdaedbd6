"""Filter the tracks of a video in windows, as its frames pass.

Windows begin at multiples of a number of frames, wherever a video begins and however it is read, and are larger than
what is used of them by the reach of the filters. So memory is constant, and where a window ends decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from pose_core.errors import DataError, PluginError, argument, command
from pose_core.interfaces.filter import Filter, Series
from pose_core.interfaces.tracker import Floats
from pose_core.structures import Frame, Instances, IntArray, keypoint_boxes

WINDOW = 1024
"""Frames that are filtered at once."""

Naming = Literal["track", "identity", "alone"]
"""What says which animals of two frames are the same: their tracks, identities, or that there is only one."""


@dataclass
class FilterCounts:
    """What filters made of a video.

    Attributes:
        frames: that were read.
        keypoints: that were measured, all frames together.
        moved: of these, that are in another place.
        filled: keypoints that were filled in.
        removed: measured ones that were taken away.
    """

    frames: int = 0
    keypoints: int = 0
    moved: int = 0
    filled: int = 0
    removed: int = 0


def find_naming(frames: Iterable[Frame], name: str) -> Naming:
    """Find out what says who is who in a video.

    Raises:
        DataError: nothing does though there are several animals, two of a frame are the same, frames are out of order,
            or no keypoint has a score.
    """
    previous: int | None = None
    several: int | None = None
    twice: dict[str, int] = {}
    tracked = named = scored = found = False
    for frame in frames:
        if previous is not None and frame.index <= previous:
            raise DataError(
                f"{name}: frame {frame.index} comes after frame {previous}; filters need frames in order, each once: "
                "sort the file, or predict again"
            )
        previous = frame.index
        animals = frame.instances
        for kind in ("track", "identity"):
            ids = getattr(animals, kind)
            ids = ids[ids >= 0]
            if len(ids) > 1 and len(np.unique(ids)) < len(ids):
                twice.setdefault(kind, frame.index)
        tracked = tracked or bool((animals.track >= 0).any())
        named = named or bool((animals.identity >= 0).any())
        scored = scored or bool((animals.keypoint_scores > 0).any())
        found = found or len(animals) > 0
        if several is None and len(animals) > 1:
            several = frame.index
    if found and not scored:
        raise DataError(
            f"{name}: no keypoint has a score above 0, by which measured ones are known; predict or convert it again"
        )
    naming: Naming = "track" if tracked else "identity" if named else "alone"
    if naming == "alone" and several is not None:
        raise DataError(
            f"{name}: frame {several} has several animals, and nothing says who is who over time; run "
            f"{command('track')} first, and filter its result"
        )
    if naming in twice:
        raise DataError(
            f"{name}: frame {twice[naming]} has two animals with one {naming}; run {command('track')} first, and "
            "filter its result"
        )
    return naming


def filter_frames(
    frames: Iterable[Frame], filters: Sequence[Filter], naming: Naming, counts: FilterCounts
) -> Iterator[Frame]:
    """Filter the tracks of a video.

    Args:
        frames: in order of their numbers; numbers may be left out.
        filters: are applied one after another.
        naming: what says which animals of two frames are the same. Animals without it stay as they are.
        counts: is told what was done.

    Yields:
        the same frames. An animal that was filled in comes after those that were found; nothing is filled into a frame
        that could not be decoded. Scores stay, and those of filled keypoints are 0.

    Raises:
        PluginError: a filter does not keep what filters promise.
    """
    reach = sum(one.reach for one in filters)
    held: list[Frame] = []
    start = 0
    for frame in frames:
        if not held:
            start = frame.index // WINDOW * WINDOW
        while held and frame.index >= start + WINDOW + reach:
            yield from _filter_window(held, start, reach, filters, naming, counts)
            start += WINDOW
            if held[-1].index < start:
                # Nothing is left to do until this frame; numbers may be far apart.
                start = max(start, frame.index // WINDOW * WINDOW)
            held = [one for one in held if one.index >= start - reach]
        held.append(frame)
    while held and held[-1].index >= start:
        yield from _filter_window(held, start, reach, filters, naming, counts)
        start += WINDOW
        held = [one for one in held if one.index >= start - reach]


def _name_animals(animals: Instances, naming: Naming) -> IntArray:
    if naming == "alone":
        return np.zeros(len(animals), np.int64)
    ids: IntArray = getattr(animals, naming)
    return ids


def _filter_window(
    held: Sequence[Frame],
    start: int,
    reach: int,
    filters: Sequence[Filter],
    naming: Naming,
    counts: FilterCounts,
) -> Iterator[Frame]:
    """Filter the frames from ``start`` to ``start + WINDOW``, with those around them."""
    held = [frame for frame in held if frame.index < start + WINDOW + reach]
    first, length = held[0].index, held[-1].index + 1 - held[0].index
    times = np.array([frame.index - first for frame in held])
    # Animals: the row in the window of each that has a name.
    row_time = np.repeat(times, [len(frame.instances) for frame in held])
    names = np.concatenate([_name_animals(frame.instances, naming) for frame in held])
    who, place = np.unique(names[names >= 0], return_inverse=True)
    points = np.concatenate([frame.instances.keypoints for frame in held])
    scores = np.concatenate([frame.instances.keypoint_scores for frame in held])
    table = np.full((length, len(who)), -1, np.int64)
    rows = np.flatnonzero(names >= 0)
    table[row_time[rows], place] = rows
    new, new_scores = _filter_table(table, points, scores, filters)
    # An animal that is filled in has the name of its track, which is the same in all frames.
    identity = np.concatenate([frame.instances.identity for frame in held])
    own = np.full(len(who), -1, np.int64)
    own[place[identity[rows] >= 0]] = identity[rows][identity[rows] >= 0]
    # Keypoints that exist once a frame.
    unique_points = np.stack([frame.unique_keypoints for frame in held])
    unique_scores = np.stack([frame.unique_scores for frame in held])
    unique_table = np.full((length, 1), -1, np.int64)
    unique_table[times, 0] = np.arange(len(held))
    new_unique, new_unique_scores = _filter_table(unique_table, unique_points, unique_scores, filters)
    for number, frame in enumerate(held):
        if not start <= frame.index < start + WINDOW:
            continue
        counts.frames += 1
        if frame.missing is not None:
            # What could not be decoded stays what it is.
            yield frame
            continue
        at = int(times[number])
        animals = _replace_keypoints(
            frame.instances, naming, who, own, table[at] >= 0, new[at], new_scores[at], counts
        )
        _count(unique_points[number], unique_scores[number], new_unique[at, 0], counts)
        yield replace(
            frame,
            instances=animals,
            unique_keypoints=new_unique[at, 0],
            unique_scores=new_unique_scores[at, 0],
        )


def _filter_table(
    table: IntArray,
    points: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    filters: Sequence[Filter],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Filter keypoints (R, K, 2) with scores (R, K), whose rows ``table`` (T, A) has, -1 for none.

    Returns:
        (T, A, K, 2) keypoints and (T, A, K) scores.
    """
    there = table >= 0
    found = np.full((*table.shape, *points.shape[1:]), np.nan, np.float64)
    kept = np.zeros((*table.shape, points.shape[1]), np.float32)
    found[there], kept[there] = points[table[there]], scores[table[there]]
    if found.size:
        for one in filters:
            seen = np.isfinite(found).all(axis=-1)
            found = _ask_filter(one, Series(found, kept.astype(np.float64), seen & (kept == 0)))
            # What is filled in, or away now, has no score; what comes back later is filled in.
            kept = np.where(np.isfinite(found).all(axis=-1) & seen, kept, np.float32(0))
    return found.astype(np.float32), kept


def _ask_filter(one: Filter, series: Series) -> Floats:
    made = one.apply(series)
    wrong = ""
    if made.shape != series.points.shape:
        wrong = f"gives {made.shape} for {series.points.shape} keypoints"
    elif (np.isnan(made[..., 0]) != np.isnan(made[..., 1])).any() or np.isinf(made).any():
        wrong = "gives keypoints that are infinite or half missing"
    if wrong:
        raise PluginError(
            f"filter {one.config.type}: {wrong}; tell its authors, and choose another {argument('filter')}"
        )
    return made


def _replace_keypoints(
    animals: Instances,
    naming: Naming,
    who: IntArray,
    own: IntArray,
    found: npt.NDArray[np.bool_],
    points: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    counts: FilterCounts,
) -> Instances:
    """Put filtered keypoints (A, K, 2) of the window's animals, called ``who``, into a frame.

    Args:
        animals: of the frame.
        naming: what ``who`` are.
        who: (A,) tracks or identities.
        own: (A,) their identities, -1 where unknown.
        found: (A,) whether they are among the animals.
        points, scores: (A, K, 2) and (A, K) filtered keypoints.
        counts: is told what was done.
    """
    names = _name_animals(animals, naming)
    rows = np.flatnonzero(names >= 0)
    place = np.searchsorted(who, names[rows])
    keypoints, keypoint_scores = animals.keypoints.copy(), animals.keypoint_scores.copy()
    _count(keypoints[rows], keypoint_scores[rows], points[place], counts)
    keypoints[rows], keypoint_scores[rows] = points[place], scores[place]
    animals = replace(animals, keypoints=keypoints, keypoint_scores=keypoint_scores)
    # Animals that were not found here: what could be filled in.
    absent = np.flatnonzero(~found & np.isfinite(points).all(axis=-1).any(axis=-1))
    if not len(absent):
        return animals
    counts.filled += int(np.isfinite(points[absent]).all(axis=-1).sum())
    unknown, none = np.full(len(absent), -1, np.int64), np.zeros(len(absent), np.float32)
    return Instances(
        keypoints=np.concatenate([keypoints, points[absent]]),
        keypoint_scores=np.concatenate([keypoint_scores, scores[absent]]),
        scores=np.concatenate([animals.scores, none]),
        boxes=np.concatenate([animals.boxes, keypoint_boxes(points[absent])]),
        identity=np.concatenate([animals.identity, own[absent]]),
        track=np.concatenate([animals.track, who[absent] if naming == "track" else unknown]),
        identity_scores=np.concatenate([animals.identity_scores, none]),
    )


def _count(
    before: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    after: npt.NDArray[np.float32],
    counts: FilterCounts,
) -> None:
    there, still = np.isfinite(before).all(axis=-1), np.isfinite(after).all(axis=-1)
    measured = there & (scores > 0)
    counts.keypoints += int(measured.sum())
    counts.filled += int((~there & still).sum())
    counts.removed += int((measured & ~still).sum())
    counts.moved += int((measured & still & (before != after).any(axis=-1)).sum())
