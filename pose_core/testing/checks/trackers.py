"""Level 1: trackers."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt

from pose_core.interfaces.tracker import Tracker, TrackerContext
from pose_core.structures import ByteArray, Frame, Instances, IntArray, Skeleton
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.targets import ComponentSubject

_SKELETON = Skeleton(("a", "b", "c", "d"), individuals=("one", "two", "three", "four"), identified=True)
_CONTEXT = TrackerContext(_SKELETON, width=400, height=400)
_BODY = np.array([[0, 0], [12, 2], [24, -2], [36, 0]], float)

_GROUND = np.random.default_rng(0).integers(60, 90, (400, 400), np.uint8)

_Frames = Sequence[tuple[int, Instances]]


def _build_tracker(subject: ComponentSubject, context: TrackerContext = _CONTEXT) -> Tracker:
    made: Tracker = subject.component.factory()(subject.config, context)
    return made


def _make_instances(rng: np.random.Generator, centres: np.ndarray, names: np.ndarray) -> Instances:
    turned = rng.normal(0, 1, (len(centres), *_BODY.shape)) + _BODY
    return Instances.from_keypoints(
        centres[:, None] + turned,
        keypoint_scores=rng.uniform(0.6, 1, turned.shape[:2]),
        identity=names,
        identity_scores=rng.uniform(0.6, 1, len(names)),
    )


def _walk(frames: int, seed: int = 0, lost: float = 0.2) -> list[tuple[int, Instances]]:
    """Four animals that wander and meet, of which some are not found, in a new order each frame."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(50, 350, (4, 2))
    speed = rng.normal(0, 4, (4, 2))
    made = []
    for frame in range(frames):
        speed = 0.9 * speed + rng.normal(0, 2, (4, 2))
        places = np.clip(places + speed, 20, 380)
        found = rng.permutation(4)[: 4 - int((rng.random(4) < lost).sum())]
        made.append((frame, _make_instances(rng, places[found], found)))
    return made


def _draw(animals: Instances) -> ByteArray:
    """Draw a frame, in grey: a speckled ground with a bright spot at each keypoint, whatever the order of animals."""
    image = _GROUND.copy()
    places = animals.keypoints[np.isfinite(animals.keypoints).all(axis=-1)]
    x, y = places.round().astype(np.int64).T
    for right, down in np.ndindex(5, 5):
        inside = (x + right >= 2) & (x + right < 402) & (y + down >= 2) & (y + down < 402)
        image[y[inside] + down - 2, x[inside] + right - 2] = 250 - 20 * (abs(right - 2) + abs(down - 2))
    return np.repeat(image[..., None], 3, axis=2)


def _ask(tracker: Tracker, frame: int, animals: Instances) -> IntArray:
    """Ask for the ids of a frame, as the core does: after its image, where the tracker needs images."""
    if "images" in tracker.config.needs():
        tracker.take_image(frame, _draw(animals))
    return tracker.update(frame, animals)


def _follow(tracker: Tracker, frames: Iterable[tuple[int, Instances]]) -> list[list[int]]:
    return [[int(i) for i in _ask(tracker, frame, animals)] for frame, animals in frames]


def _rename(ids: list[list[int]]) -> list[list[int]]:
    """Number ids by their first appearance, so that only who is the same as whom remains."""
    names: dict[int, int] = {-1: -1}
    return [[names.setdefault(i, len(names) - 1) for i in row] for row in ids]


def _test_ids(ids: IntArray, animals: Instances) -> None:
    is_array = isinstance(ids, np.ndarray) and ids.dtype == np.int64
    demand(is_array, f"update() gives {type(ids).__name__}, not an array of int64")
    demand(ids.shape == (len(animals),), f"update() gives {ids.shape} ids for {len(animals)} animals")
    demand(bool((ids >= -1).all()), f"an id is {ids.min(initial=0)}")
    given = ids[ids >= 0]
    demand(len(set(given.tolist())) == len(given), "two animals of a frame have one id")


@check(1, "tracker")
def check_tracker_gives_ids(subject: ComponentSubject) -> None:
    """Every frame gets int64 ids of 0 or more, each once, or -1; 2 animals known, no frame has more ids than 2."""
    rng = np.random.default_rng(0)
    places = np.array([[80.0, 80.0], [320.0, 80.0], [80.0, 320.0], [320.0, 320.0]])
    # Two, then the other two, then all of them, as if double detections came and went.
    turns = [np.arange(2), np.arange(2, 4), np.arange(4)]
    in_turns = [(t, _make_instances(rng, places[turns[t // 5]], turns[t // 5])) for t in range(15)]
    for animals, frames in ((None, _walk(40)), (2, _walk(40)), (2, in_turns)):
        tracker = _build_tracker(subject, replace(_CONTEXT, animals=animals, linked=frames is in_turns))
        for frame, found in frames:
            ids = _ask(tracker, frame, found)
            _test_ids(ids, found)
            given = int((ids >= 0).sum())
            demand(animals is None or given <= animals, f"of 2 animals a frame has {given}")


@check(1, "tracker")
def check_tracker_changes_nothing(subject: ComponentSubject) -> None:
    """The animals that it is given stay as they are, to the last coordinate."""
    tracker = _build_tracker(subject)
    for frame, found in _walk(20):
        before = copy.deepcopy(found)
        tracker.prepare([Frame(frame, found)])
        _ask(tracker, frame, found)
        for field in fields(found):
            one, other = getattr(before, field.name), getattr(found, field.name)
            demand(np.array_equal(one, other, equal_nan=True), f"it changes {field.name}")


@check(1, "tracker")
def check_tracker_follows(subject: ComponentSubject) -> None:
    """Two animals far from each other, found in every frame and hardly moving, keep two ids."""
    rng = np.random.default_rng(0)
    tracker, seen = _build_tracker(subject), set()
    for frame in range(30):
        order = rng.permutation(2)
        places = np.array([[100.0, 100 + frame], [300.0, 300 - frame]])
        ids = _ask(tracker, frame, _make_instances(rng, places[order], order))
        seen.add(tuple(ids[np.argsort(order)].tolist()))
    demand(len(seen) == 1, f"they have {len(seen)} pairs of ids")
    demand(-1 not in next(iter(seen)), "one of them has no id")


@check(1, "tracker")
def check_tracker_is_deterministic(subject: ComponentSubject) -> None:
    """Frames alone decide: two that are fed in turns give what each gives alone, made again gives the same."""
    one, other = _walk(40), _walk(40, seed=1)
    alone = _follow(_build_tracker(subject), one)
    first, second = _build_tracker(subject), _build_tracker(subject)
    turns = []
    for mine, theirs in zip(one, other, strict=True):
        turns.append([int(i) for i in _ask(first, *mine)])
        _ask(second, *theirs)
    demand(turns == alone, "another video at the same time changes the ids")
    demand(_follow(_build_tracker(subject), one) == alone, "run again, it gives other ids")


@check(1, "tracker")
def check_tracker_ignores_the_order(subject: ComponentSubject) -> None:
    """In whichever order the animals of a frame stand, the same are taken for one."""
    frames = _walk(40)
    rng = np.random.default_rng(2)
    orders = [rng.permutation(len(found)) for _, found in frames]
    shuffled = [(frame, found.select(order)) for (frame, found), order in zip(frames, orders, strict=True)]
    back = [
        [row[i] for i in np.argsort(order)]
        for row, order in zip(_follow(_build_tracker(subject), shuffled), orders, strict=True)
    ]
    demand(
        _rename(back) == _rename(_follow(_build_tracker(subject), frames)),
        "in another order other animals are taken for one",
    )


@check(1, "tracker")
def check_tracker_tells_margins(subject: ComponentSubject) -> None:
    """Where it tells margins, each frame has one an animal, 0 to 1, NaN for one without an id, in its order."""
    frames = _walk(40)
    rng = np.random.default_rng(3)
    one, other = _build_tracker(subject), _build_tracker(subject)
    for frame, found in frames:
        if not len(found):
            continue
        order = rng.permutation(len(found))
        ids, margins = _ask(one, frame, found), one.compute_margins()
        _ask(other, frame, found.select(order))
        shuffled = other.compute_margins()
        demand((margins is None) == (shuffled is None), "it tells margins of one order and not of another")
        if margins is None or shuffled is None:
            continue
        shape = np.shape(margins)
        demand(shape == (len(found),), f"compute_margins() gives {shape} for {len(found)} animals")
        wrong = (margins < 0) | (margins > 1) | (np.isfinite(margins) & (ids < 0))
        demand(not wrong.any(), "a margin is not from 0 to 1, or of an animal without an id")
        same = np.allclose(shuffled, margins[order], atol=1e-4, equal_nan=True)
        demand(same, "in another order animals have other margins")


@check(1, "tracker")
def check_tracker_continues(subject: ComponentSubject) -> None:
    """A new one that was given state_dict() goes on exactly as the one that it came from."""
    frames = _walk(40)
    whole = _follow(_build_tracker(subject), frames)
    for cut in (0, 1, 17, 39):
        first, second = _build_tracker(subject), _build_tracker(subject)
        _follow(first, frames[:cut])
        state = first.state_dict()
        kept = pickle.dumps(state)
        _follow(first, frames[cut:])
        demand(pickle.dumps(state) == kept, "state_dict() is no copy: it changes when the tracker goes on")
        second.load_state_dict(state)
        demand(_follow(second, frames[cut:]) == whole[cut:], f"continued at frame {cut}, it gives other ids")


@check(1, "tracker")
def check_tracker_counts_time_by_frames(subject: ComponentSubject) -> None:
    """A frame without animals is the same as one that is left out, at the start too; a video may have none."""
    empty, walk = Instances.empty(4), _walk(60)
    frames = [(frame, empty if frame < 3 or 20 <= frame < 26 else found) for frame, found in walk]
    ids = _follow(_build_tracker(subject), frames)
    left_out = _follow(_build_tracker(subject), [(f, found) for f, found in frames if len(found)])
    demand([row for row in ids if row] == left_out, "frames without animals change the ids of others")
    demand(not any(_follow(_build_tracker(subject), [(f, empty) for f, _ in walk])), "empty frames have ids")


@check(1, "tracker")
def check_tracker_takes_whatever_is_stored(subject: ComponentSubject) -> None:
    """Missing keypoints, scores and boxes, single keypoints, equal animals, and long gaps are no reason to fail."""
    missing, (_, usual) = np.nan, _walk(1)[0]
    same = np.repeat(usual.keypoints[:1], 3, axis=0)
    alone = np.full((3, 4, 2), missing)
    alone[:, 1] = usual.keypoints[:3, 1]
    unscored = replace(usual, scores=np.full_like(usual.scores, missing))
    no_boxes = replace(usual, boxes=np.full_like(usual.boxes, missing))
    kinds = [
        Instances.from_keypoints(np.full((3, 4, 2), missing)),
        Instances.from_keypoints(same),
        Instances.from_keypoints(alone),
        Instances.from_keypoints(np.zeros((2, 4, 2))),
        replace(unscored, keypoint_scores=np.zeros_like(usual.keypoint_scores)),
        no_boxes,
    ]
    tracker, frame = _build_tracker(subject), 0
    for round_ in range(3):
        for found in [usual, *kinds, *kinds[::-1], *[k for kind in kinds for k in (kind, usual)]]:
            frame += 1 if round_ < 2 else 10**6
            _test_ids(_ask(tracker, frame, found), found)


@check(1, "tracker")
def check_tracker_state_is_bounded(subject: ComponentSubject) -> None:
    """What it remembers does not grow with the frames, however many animals have come and gone."""
    tracker, sizes, rng = _build_tracker(subject), [], np.random.default_rng(0)
    for frame in range(1200):
        # Animals that are there for ten frames each, far from those before.
        places = np.array([[100.0, 100.0], [300.0, 100.0]]) * (1 + frame // 10 % 3)
        _ask(tracker, frame * 5, _make_instances(rng, places, np.array([0, 1])))
        if frame in (399, 1199):
            sizes.append(len(pickle.dumps(tracker.state_dict())))
    demand(
        sizes[1] < sizes[0] + 400, f"its state has {sizes[0]} bytes after 400 frames, {sizes[1]} after 1,200"
    )


@check(1, "tracker")
def check_tracker_takes_images(subject: ComponentSubject) -> None:
    """One that needs images is given each before its frame, leaves it as it is, and keeps no more than copies."""
    takes = type(_build_tracker(subject)).take_image is not Tracker.take_image
    needs = "images" in subject.config.needs()
    demand(takes or not needs, "its config names images in needs(), and it does not override take_image()")
    demand(needs or not takes, "it overrides take_image(), and its config names no images in needs()")
    if not needs:
        return
    frames = _walk(40)
    usual = _follow(_build_tracker(subject), frames)
    # As a camera does, which writes each image where the one before was.
    tracker, buffer, ids = _build_tracker(subject), np.zeros((400, 400, 3), np.uint8), []
    for frame, found in frames:
        buffer[:] = image = _draw(found)
        tracker.take_image(frame, buffer)
        ids.append([int(i) for i in tracker.update(frame, found)])
        demand(np.array_equal(buffer, image), "it changes the image")
    demand(ids == usual, "it keeps an image that is not its own: written over, it gives other ids")


@check(1, "tracker")
def check_tracker_prepares(subject: ComponentSubject) -> None:
    """Whether prepare() tells it of one, some or all frames before or not, it gives the same ids and margins."""
    empty = Instances.empty(4)
    frames = [(frame, empty if 20 <= frame < 23 else found) for frame, found in _walk(40)]
    ids, margins = _follow_prepared(_build_tracker(subject), frames, 0)
    for size in (1, 7, len(frames)):
        told, sure = _follow_prepared(_build_tracker(subject), frames, size)
        demand(told == ids, f"told of {size} frames at once by prepare(), it gives other ids")
        same = np.allclose(sure, margins, atol=1e-4, equal_nan=True)
        demand(same, f"told of {size} frames at once by prepare(), it gives other margins")
    first, second = _build_tracker(subject), _build_tracker(subject)
    first.prepare([Frame(*one) for one in frames])
    _follow(first, [one for one in frames[:17] if len(one[1])])
    second.load_state_dict(first.state_dict())
    rest = [row for row in _follow(second, frames[17:]) if row]
    demand(rest == ids[len(ids) - len(rest) :], "what prepare() was told of changes state_dict()")


def _follow_prepared(
    tracker: Tracker, frames: _Frames, size: int
) -> tuple[list[list[int]], npt.NDArray[np.floating]]:
    """Follow the frames that have animals, told of so many at once (0: not at all); ids, and all margins in a row."""
    ids, margins = [], []
    for place, (frame, animals) in enumerate(frames):
        if size and place % size == 0:
            tracker.prepare([Frame(*one) for one in frames[place : place + size]])
        if len(animals):
            ids.append([int(i) for i in _ask(tracker, frame, animals)])
            told = tracker.compute_margins()
            margins.append(np.full(len(animals), np.nan) if told is None else told)
    return ids, np.concatenate(margins)


CHECKS = (
    check_tracker_gives_ids,
    check_tracker_changes_nothing,
    check_tracker_follows,
    check_tracker_is_deterministic,
    check_tracker_ignores_the_order,
    check_tracker_tells_margins,
    check_tracker_continues,
    check_tracker_counts_time_by_frames,
    check_tracker_takes_whatever_is_stored,
    check_tracker_state_is_bounded,
    check_tracker_takes_images,
    check_tracker_prepares,
)
