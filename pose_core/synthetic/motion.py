"""Move a synthetic animal: a route of limited curvature, and a gait."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Route:
    """A smooth route through the arena, sampled every pixel of length.

    Attributes:
        points: (S, 2), x and y in pixels.
        heading: (S,) radians, continuous (not wrapped).
    """

    points: Array
    heading: Array

    def at(self, distance: npt.ArrayLike) -> Array:
        """Interpolate positions (..., 2) after ``distance`` pixels (...)."""
        where, grid = np.asarray(distance, float), np.arange(len(self.points))
        return np.stack([np.interp(where, grid, self.points[:, i]) for i in (0, 1)], axis=-1)

    def heading_at(self, distance: npt.ArrayLike) -> Array:
        """Interpolate headings (...) in radians after ``distance`` pixels (...)."""
        return np.asarray(np.interp(np.asarray(distance, float), np.arange(len(self.heading)), self.heading))


def plan_route(rng: np.random.Generator, size: tuple[int, int], body: float, distance: float) -> Route:
    """Plan a random walk through an arena.

    It heads for one point after another, always on the other side of the arena, so that several animals meet
    in the middle; the turning circle is not narrower than the body allows.

    Args:
        rng: source of everything random.
        size: (H, W) of the arena in pixels.
        body: length of the animal, pixels.
        distance: length of the walk, pixels.
    """
    height, width = size
    margin = min(0.85 * body, 0.36 * min(size))
    low, high = np.array([margin, margin]), np.array([width - 1 - margin, height - 1 - margin])
    middle = (low + high) / 2
    start = rng.uniform(low, high)
    x, y = float(start[0]), float(start[1])
    heading = math.atan2(middle[1] - y, middle[0] - x) + rng.uniform(-0.5, 0.5)
    steps = math.ceil(distance) + 2
    wobble = sample_smooth_noise(rng, steps, 0.6 * body) / body
    limit, reach = 1 / (0.5 * body), 0.5 * body
    goal, bend = middle + rng.normal(0, 0.1, 2) * (high - low), 0.0
    points, headings = np.empty((steps, 2)), np.empty(steps)
    for i in range(steps):
        points[i], headings[i] = (x, y), heading
        if math.hypot(goal[0] - x, goal[1] - y) < reach:
            far = 2 * middle - (x, y) + rng.normal(0, 0.3, 2) * (high - low)
            goal = np.clip(far, low, high)
        turn = math.remainder(math.atan2(goal[1] - y, goal[0] - x) - heading, 2 * math.pi)
        wanted = min(max(2.0 * turn / body + float(wobble[i]), -limit), limit)
        # The curvature itself changes gradually (over a sixth
        # of the body), or the trunk would kink on the route.
        bend += (wanted - bend) * min(6 / body, 1.0)
        heading += bend
        x, y = x + math.cos(heading), y + math.sin(heading)
    return Route(points, headings)


def sample_smooth_noise(rng: np.random.Generator, length: int, period: float) -> Array:
    """Sample noise that changes over about ``period`` samples.

    Returns:
        (length,) of unit variance.
    """
    if length == 0:
        return np.zeros(0)
    time = np.arange(length)[:, None] / max(period, 1e-9)
    frequencies, phases = rng.uniform(0.4, 1.6, 6), rng.uniform(0, 2 * np.pi, 6)
    # Six sines of variance 1/2 each: their sum has variance 3.
    return np.asarray(np.sin(2 * np.pi * frequencies * time / 2 + phases).sum(axis=1) / math.sqrt(3))


@dataclass(frozen=True)
class Gait:
    """The times at which each paw stands and swings.

    Attributes:
        stride: pixels that the body moves in one cycle.
        duty: fraction of the cycle in which a paw stands.
    """

    stride: float
    duty: float = 0.62

    def paw(self, way: Route, travelled: float, behind: float, aside: float, phase: float) -> Array:
        """Place a paw: (2,) in pixels.

        While it stands it keeps its place on the ground; while it swings it moves to the next one.

        Args:
            way: of the nose.
            travelled: of the nose, pixels.
            behind: distance of the limb's root from the nose along the body, pixels.
            aside: where the paw stands beside the route, pixels, positive to the right.
            phase: of the limb in the cycle, in [0, 1).
        """
        cycle = travelled / self.stride + phase
        number = math.floor(cycle)
        progress = max(cycle - number - self.duty, 0.0) / (1 - self.duty)
        # Smoothstep: a paw leaves the ground and lands at rest.
        progress = progress * progress * (3 - 2 * progress)
        # In the middle of the stance the limb's root passes the paw.
        middles = (np.array([number, number + 1]) + self.duty / 2 - phase) * self.stride - behind
        heading = way.heading_at(middles)
        stands = way.at(middles) + aside * np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
        return np.asarray(stands[0] + progress * (stands[1] - stands[0]))


def place_joint(root: Array, tip: Array, upper: float, lower: float, side: float) -> tuple[Array, Array]:
    """Place the middle joint and the tip of a two-bone limb.

    The tip is drawn towards the root where it is out of reach.

    Args:
        root, tip: (2,) in pixels.
        upper, lower: lengths of the bones, pixels.
        side: +1 or -1, the side to which the joint bends.

    Returns:
        middle joint and tip, (2,) each.
    """
    reach = tip - root
    distance = max(float(np.hypot(*reach)), 1e-6)
    direction = reach / distance
    length = min(distance, 0.999 * (upper + lower))
    along = (length**2 + upper**2 - lower**2) / (2 * length)
    aside = math.sqrt(max(upper**2 - along**2, 0.0))
    middle = root + along * direction + side * aside * np.array([-direction[1], direction[0]])
    return middle, root + length * direction
