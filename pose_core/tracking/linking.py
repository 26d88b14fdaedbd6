"""Join tracklets to a known number of animals, over the whole video.

A min-cost flow (Zhang, Li and Nevatia, 2008): each of N animals goes through tracklets that follow each other in
time. Frames of a tracklet are a reward and joints cost, by how well place, motion, size and names of the two ends
agree; so what fits nowhere stays out, and there always is a solution. Where no joint is likely, an animal may still
go on with a tracklet anywhere (through a pool of those that are not seen), at a fixed price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array

from pose_core.interfaces.tracker import Floats, Tracklet
from pose_core.structures import IntArray

JUMP = 12.0
"""Price of an animal that is lost in one place and found in another, in units of -log probability."""

REWARD = 0.6
"""Reward of a frame of a tracklet."""

MAX_GAP = 600
"""Frames between the ends of a likely joint; an animal that is away for longer goes through the pool."""

WINDOW = 4000
"""Tracklets that are joined at once; of more, those before are taken as they were joined."""

_JOINTS = 12
"""Likely continuations of a tracklet that are considered, the cheapest."""

# Standard deviation of the distance between ends after a gap g, in sizes of the animal: a + b sqrt(g).
_NEAR, _SPREAD = 0.15, 0.08
_DECAY = 0.9
_SIZES = 0.25
_NAMES = 20
"""Frames with names after which names are believed as much as they say; neighbouring frames repeat each other."""


def link_tracklets(tracklets: Sequence[Tracklet], animals: int) -> Mapping[int, int]:
    """Say to which animal each tracklet belongs.

    Args:
        tracklets: by their first frames.
        animals: how many there are.

    Returns:
        id of a tracklet -> number of its animal, from 0 in the order in which animals are first seen. Tracklets
        that belong to none are left out. No two of an animal share a frame.
    """
    # Of a path its last tracklet is kept: tracklets may be made when they are asked for.
    heads: list[Tracklet] = []
    numbers: dict[int, int] = {}
    for start in range(0, len(tracklets), WINDOW):
        window = [*heads, *tracklets[start : start + WINDOW]]
        for follower, before in solve_window(window, animals, len(heads)):
            tracklet = window[follower]
            if before is None:
                number = len(heads)
                heads.append(tracklet)
            else:
                number = numbers[window[before].id]
                heads[number] = tracklet
            numbers[tracklet.id] = number
    return numbers


@dataclass(frozen=True, eq=False)
class _Ends:
    """Ends of n tracklets as arrays."""

    start: IntArray
    end: IntArray
    count: Floats
    size: Floats
    first: Floats
    last: Floats
    first_velocity: Floats
    last_velocity: Floats
    names: Floats
    named: Floats

    @classmethod
    def of(cls, tracklets: Sequence[Tracklet]) -> _Ends:
        names = np.array([t.identity for t in tracklets])
        total = names.sum(axis=1)
        return cls(
            start=np.array([t.first.frame for t in tracklets], np.int64),
            end=np.array([t.last.frame for t in tracklets], np.int64),
            count=np.array([t.count for t in tracklets], float),
            size=np.array([t.size for t in tracklets], float),
            first=np.array([t.first.centre for t in tracklets]),
            last=np.array([t.last.centre for t in tracklets]),
            first_velocity=np.array([t.first.velocity for t in tracklets]),
            last_velocity=np.array([t.last.velocity for t in tracklets]),
            names=names / np.maximum(total, 1e-9)[:, None],
            named=total,
        )


def _price(ends: _Ends, before: IntArray, after: IntArray, by_place: bool = True) -> Floats:
    """Price joints of tracklets (P,) ``before`` and ``after``: -log of how likely they are one animal.

    Args:
        ends: of all tracklets.
        before, after: rows of it.
        by_place: whether place, motion and size count; else names alone.
    """
    price = np.zeros(len(before))
    if by_place:
        gap = (ends.start[after] - ends.end[before]).astype(float)
        # An animal that is not seen slows down: a straight line leaves the arena.
        reach = (1 - _DECAY**gap) / (1 - _DECAY) * _DECAY
        forward = ends.last[before] + ends.last_velocity[before] * reach[:, None] - ends.first[after]
        backward = ends.first[after] - ends.first_velocity[after] * reach[:, None] - ends.last[before]
        squared = ((forward**2).sum(axis=1) + (backward**2).sum(axis=1)) / 2
        usual = float(np.median(ends.size[ends.size > 0])) if (ends.size > 0).any() else 1.0
        one, other = (np.where(ends.size[rows] > 0, ends.size[rows], usual) for rows in (before, after))
        spread = _NEAR + _SPREAD * np.sqrt(gap)
        price += squared / (2 * (spread * np.sqrt(one * other)) ** 2) + 2 * np.log(spread / (_NEAR + _SPREAD))
        price += np.log(one / other) ** 2 / (2 * _SIZES**2)
    if ends.names.shape[1] > 1:
        common = (ends.names[before] * ends.names[after]).sum(axis=1)
        chance = 1 / ends.names.shape[1]
        believed = np.minimum(np.minimum(ends.named[before], ends.named[after]) / _NAMES, 1.0)
        price -= believed * np.log((common + 0.01) / (chance + 0.01))
    # Ends that are nowhere link to nothing.
    return np.where(np.isfinite(price), price, np.inf)


def _list_joints(ends: _Ends, heads: int) -> tuple[IntArray, IntArray, Floats]:
    """List likely joints (before, after, price), the cheapest of each tracklet."""
    order = np.argsort(ends.start, kind="stable")
    starts = ends.start[order]
    low = np.searchsorted(starts, ends.end, side="right")
    high = np.searchsorted(starts, ends.end + MAX_GAP, side="right")
    befores, afters, prices = [], [], []
    for i in range(len(starts)):
        after = order[low[i] : high[i]]
        # What was joined in an earlier window is the start of a path here.
        after = after[after >= heads]
        if not len(after):
            continue
        before = np.full(len(after), i)
        price = _price(ends, before, after)
        kept = np.flatnonzero(price < JUMP)
        kept = kept[np.argsort(price[kept], kind="stable")[:_JOINTS]]
        befores.append(before[kept])
        afters.append(after[kept])
        prices.append(price[kept])
    if not befores:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    return np.concatenate(befores), np.concatenate(afters), np.concatenate(prices)


def solve_window(tracklets: Sequence[Tracklet], animals: int, heads: int) -> list[tuple[int, int | None]]:
    """Join the tracklets of a window; the first ``heads`` are ends of paths that stand.

    Returns:
        (tracklet, the one before it) as row numbers, by first frames; None before the first of a new path.
    """
    n = len(tracklets)
    ends = _Ends.of(tracklets)
    before, after, prices = _list_joints(ends, heads)
    begun, returned, joined = _find_flow(ends, before, after, prices, animals, heads)
    previous = dict(zip(after[joined].tolist(), before[joined].tolist(), strict=True))
    found: list[tuple[int, int | None]] = []
    pool: list[int] = []
    started = heads
    order = sorted(range(n), key=lambda i: (int(ends.start[i]), i))
    waiting = sorted(np.flatnonzero(returned).tolist(), key=lambda i: int(ends.end[i]))
    for i in order:
        if i < heads:
            continue
        while waiting and ends.end[waiting[0]] < ends.start[i]:
            pool.append(waiting.pop(0))
        if i in previous:
            found.append((i, previous[i]))
        elif begun[i]:
            choice = _choose_from_pool(ends, pool, i, animals > started)
            if choice is None:
                started += 1
            else:
                pool.remove(choice)
            found.append((i, choice))
    return found


def _choose_from_pool(ends: _Ends, pool: Sequence[int], after: int, may_start: bool) -> int | None:
    """Choose who goes on with a tracklet that fits no end: by names where they tell, else an animal that was not
    seen so far, else the cheapest."""
    if not pool:
        return None
    rows, followers = np.array(pool), np.full(len(pool), after)
    by_name = _price(ends, rows, followers, by_place=False)
    if may_start and by_name.min() > -0.5:
        return None
    whole = np.minimum(_price(ends, rows, followers), 1e6) + by_name
    return int(rows[np.argmin(whole)])


def _find_flow(
    ends: _Ends, before: IntArray, after: IntArray, prices: Floats, animals: int, heads: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], IntArray]:
    """Find the cheapest flow of animals through tracklets.

    Returns:
        masks (n,) of the tracklets that an animal comes to from nowhere or from the pool, and that it leaves for the
        pool; and the joints that are made.
    """
    n, joints = len(ends.start), len(before)
    # Events of the pool in order of time; what ends with a frame can go on in the next.
    times = np.concatenate([2 * ends.start, 2 * ends.end + 1])
    place = np.empty(2 * n, np.int64)
    place[np.argsort(times, kind="stable")] = np.arange(2 * n)
    # Variables: animals that begin with a tracklet, are taken from the pool, go to it, joints, and the pool after each
    # event. To begin costs nothing: N animals are there.
    begin, take, give = np.arange(n), n + np.arange(n), 2 * n + np.arange(n)
    joint, pool = 3 * n + np.arange(joints), 3 * n + joints + np.arange(2 * n)
    variables = 5 * n + joints
    reward = REWARD * ends.count
    # Paths that stand go on from their ends in any case; nothing else is worth as much.
    reward[:heads] = 1e6
    cost = np.zeros(variables)
    cost[begin], cost[take], cost[joint] = -reward, JUMP - reward, prices - reward[after]
    # What comes into a tracklet goes out of it; what goes to the pool and is not taken is there after the event.
    nodes = np.arange(n)
    equal = _make_matrix(
        [
            (nodes, begin, 1),
            (nodes, take, 1),
            (nodes, give, -1),
            (after, joint, 1),
            (before, joint, -1),
            (n + np.arange(2 * n), pool, 1),
            (n + np.arange(1, 2 * n), pool[:-1], -1),
            (n + place[:n], take, 1),
            (n + place[n:], give, -1),
        ],
        (3 * n, variables),
    )
    # An animal at most goes through a tracklet, and all that begin are at most as many as there are.
    most = _make_matrix(
        [(nodes, begin, 1), (nodes, take, 1), (after, joint, 1), (np.full(n, n), begin, 1)],
        (n + 1, variables),
    )
    limits = np.append(np.ones(n), animals)
    solution = linprog(
        cost, A_ub=most, b_ub=limits, A_eq=equal, b_eq=np.zeros(3 * n), bounds=(0, None), method="highs-ds"
    )
    # The matrix is one of a network: vertices are whole numbers, and that nobody goes anywhere is always feasible.
    assert solution.status == 0, solution.message
    flow = solution.x > 0.5
    return flow[begin] | flow[take], flow[give], np.flatnonzero(flow[joint])


def _make_matrix(parts: Sequence[tuple[IntArray, IntArray, int]], shape: tuple[int, int]) -> csr_array:
    rows = np.concatenate([rows for rows, _, _ in parts])
    columns = np.concatenate([columns for _, columns, _ in parts])
    values = np.concatenate([np.full(len(rows), sign, float) for rows, _, sign in parts])
    return coo_array((values, (rows, columns)), shape=shape).tocsr()
