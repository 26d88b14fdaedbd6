"""Crowds: poses of look-alike animals over time with the truth, and what an imperfect model would find of them.

No pictures: trackers read poses. Everything follows from the spec.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pose_core.structures import Frame, Instances, Skeleton

_KEYPOINTS = 12
_RELAXATION = 20.0
"""Frames over which an animal changes its velocity."""


@dataclass(frozen=True)
class CrowdSpec:
    """The settings that determine a crowd completely.

    Attributes:
        seed: of all that moves and of all errors.
        frames: number of frames.
        animals: number of animals.
        size: (height, width) of the arena in pixels.
        length: of an animal, pixels.
        speed: usual speed, lengths a frame.
        pull: how strongly an animal is drawn to another one; 0: they meet by chance.
        lost: share of animals that are not found, a frame; stretches of some frames among them.
        hidden: share of keypoints that are not found; near another animal more.
        double: share of animals that are found twice.
        noise: standard deviation of found keypoints, in lengths.
        door: animals leave for 30 to 300 frames now and then, and come back in the middle of the left wall.

    Raises:
        ValueError: a number is too small, or the arena for animals of this length.
    """

    seed: int = 0
    frames: int = 1000
    animals: int = 5
    size: tuple[int, int] = (800, 800)
    length: float = 80.0
    speed: float = 0.06
    pull: float = 0.0
    lost: float = 0.05
    hidden: float = 0.05
    double: float = 0.02
    noise: float = 0.03
    door: bool = False

    def __post_init__(self) -> None:
        for name, least in (("frames", 1), ("animals", 1), ("speed", 0), ("pull", 0), ("noise", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("lost", "hidden", "double"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share, from 0 to 1, not {getattr(self, name)}")
        if not 0 < self.length <= min(self.size) / 3:
            raise ValueError(f"length must be above 0 and at most a third of the arena, not {self.length}")


CROWD_SKELETON = Skeleton(tuple(f"p{i}" for i in range(_KEYPOINTS)))


def _make_body() -> npt.NDArray[np.complex128]:
    """A body of unit length along the x axis, with points on either side."""
    along = np.linspace(0.5, -0.5, _KEYPOINTS)
    side = 0.16 * np.sin(np.linspace(0, np.pi, _KEYPOINTS)) * np.where(np.arange(_KEYPOINTS) % 2, 1, -1)
    return along + 1j * side


class Crowd:
    """The frames of a crowd.

    Args:
        spec: its settings.

    Attributes:
        skeleton: of the animals.
    """

    def __init__(self, spec: CrowdSpec) -> None:
        self.spec = spec
        self.skeleton = CROWD_SKELETON
        self._points, self._inside = self._walk()

    def truth(self) -> Iterator[Frame]:
        """Yield the frames with all animals that are there, each with its ``track``."""
        for t, (points, inside) in enumerate(zip(self._points, self._inside, strict=True)):
            rows = np.flatnonzero(inside)
            yield Frame(t, Instances.from_keypoints(_split(points[rows]), track=rows))

    def found(self) -> Iterator[Frame]:
        """Yield the frames as a model would find them, in any order and without tracks."""
        spec = self.spec
        rng = np.random.default_rng([spec.seed, 2])
        # Half of those that are not found are missing for several frames.
        away = np.zeros(spec.animals, np.int64)
        for t, (points, inside) in enumerate(zip(self._points, self._inside, strict=True)):
            begins = rng.random(spec.animals) < spec.lost / 10
            away = np.where(begins & (away == 0), rng.integers(2, 9, spec.animals), np.maximum(away - 1, 0))
            seen = inside & (away == 0) & (rng.random(spec.animals) >= spec.lost / 2)
            rows = np.flatnonzero(seen)
            twice = rows[rng.random(len(rows)) < spec.double]
            rows = rng.permutation(np.concatenate([rows, twice]))
            own = points[rows]
            noise = rng.normal(0, spec.noise * spec.length, (2, *own.shape))
            own = own + noise[0] + 1j * noise[1]
            centres = points.mean(axis=1)
            apart = np.abs(centres[rows, None] - centres)
            apart[np.arange(len(rows)), rows] = np.inf
            apart[:, ~inside] = np.inf
            near = apart.min(axis=1, initial=np.inf) < 0.45 * spec.length
            rate = np.where(near & (spec.hidden > 0), np.minimum(5 * spec.hidden, 0.6), spec.hidden)
            own[rng.random(own.shape) < rate[:, None]] = np.nan
            scores = rng.beta(8, 2, own.shape)
            known = np.isfinite(own).any(axis=1)
            yield Frame(t, Instances.from_keypoints(_split(own[known]), keypoint_scores=scores[known]))

    def _walk(self) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.bool_]]:
        spec = self.spec
        rng = np.random.default_rng([spec.seed, 1])
        height, width = spec.size
        low, high = spec.length * (1 + 1j), (width - spec.length) + 1j * (height - spec.length)
        places = rng.uniform(low.real, high.real, spec.animals) + 1j * rng.uniform(
            low.imag, high.imag, spec.animals
        )
        velocity = np.zeros(spec.animals, complex)
        heading = np.exp(2j * np.pi * rng.random(spec.animals))
        bend = np.zeros(spec.animals)
        body = _make_body()
        goals = np.full(spec.animals, -1)
        away = np.zeros(spec.animals, np.int64)
        points = np.zeros((spec.frames, spec.animals, _KEYPOINTS), complex)
        inside = np.ones((spec.frames, spec.animals), bool)
        pace = spec.speed * spec.length
        for t in range(spec.frames):
            push = rng.normal(0, 1, (2, spec.animals))
            velocity += -velocity / _RELAXATION + pace * np.sqrt(2 / _RELAXATION) * (push[0] + 1j * push[1])
            if spec.pull and spec.animals > 1:
                change = rng.random(spec.animals) < 0.01
                goals = np.where(change, rng.integers(-1, spec.animals, spec.animals), goals)
                drawn = (goals >= 0) & (goals != np.arange(spec.animals))
                way = np.where(drawn, places[goals] - places, 0)
                velocity += spec.pull * pace * way / np.maximum(np.abs(way), spec.length) / 4
            places = places + velocity
            # Walls turn the animal around.
            for axis, bottom, top in ((1, low.real, high.real), (1j, low.imag, high.imag)):
                value = places.real if axis == 1 else places.imag
                kept = np.clip(value, bottom, top)
                places = places + axis * (kept - value)
                speed = velocity.real if axis == 1 else velocity.imag
                velocity = velocity - axis * np.where(kept != value, 1.6 * speed, 0)
            quick = np.abs(velocity)
            heading = heading + 0.15 * np.where(quick > 0.2 * pace, velocity / np.maximum(quick, 1e-9), 0)
            heading /= np.maximum(np.abs(heading), 1e-9)
            bend += -0.1 * bend + 0.05 * rng.normal(0, 1, spec.animals)
            if spec.door:
                leaves = (away == 0) & (rng.random(spec.animals) < 0.002)
                away = np.where(leaves, rng.integers(30, 301, spec.animals), np.maximum(away - 1, 0))
                places = np.where(away > 0, low.real + 1j * height / 2, places)
            inside[t] = away == 0
            curved = body[None] * np.exp(1j * bend[:, None] * body.real[None])
            points[t] = places[:, None] + spec.length * heading[:, None] * curved
        return points, inside


def _split(points: npt.NDArray[np.complex128]) -> npt.NDArray[np.float32]:
    return np.stack([points.real, points.imag], axis=-1).astype(np.float32)
