"""Where tracks are expected: a Kalman filter of constant velocity for all of them at once.

Both axes have one covariance, and noise is relative to the size of the animal (as in SORT, Bewley et al., 2016).
Prediction over any number of frames is in closed form, so time is the number of the frame and frames in between need
not be computed. Places are complex numbers, x + iy: a few animals take numpy as long as one, so what counts is how
often it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_tracking.config import MotionTrackerConfig

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.complex128]
Rows = Ints | slice
"""Some tracks: their rows, or ``slice(None)`` for all."""

_STEADY = 3
"""Frames for which an animal that is not seen is expected to keep its velocity."""

_REPLAYED = 40
"""Frames of a gap that the filter is run over again, at most."""

_SIZE_GAIN = 0.1

_START = (0.1**2, 0.0, 1 / 16**2)
"""Covariance of the place and velocity of a new track, in sizes: its entries 11, 12 and 22."""

_SETTLED = 1e-13
"""Relative change of the gains in a step from which on they are taken for constant."""

_STEPS = 10_000
"""Steps that gains are computed for, at most."""


class Motion:
    """Centres and velocities of tracks, in the order in which they were added.

    Attributes:
        frame: (T,) number of the frame in which each was last seen.
        centre, velocity: (T,) after that frame; pixels, pixels a frame.
        size: (T,) pixels.
    """

    _FIELDS = ("frame", "centre", "velocity", "size", "seen", "steps")

    def __init__(self, config: MotionTrackerConfig) -> None:
        self._config = config
        self._gains = compute_gains(config)
        self.frame = np.zeros(0, np.int64)
        self.centre, self.velocity = np.zeros(0, np.complex128), np.zeros(0, np.complex128)
        self.size = np.zeros(0)
        # The last measured centre, from which the way through a gap is drawn.
        self.seen = np.zeros(0, np.complex128)
        # How often the filter was run for each, up to the number of gains: it decides how much a measurement counts.
        self.steps = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.frame)

    def predict(self, frame: int) -> Places:
        """Predict the centres (T,) in a later frame."""
        n = frame - self.frame
        longest = find_longest(n)
        if longest == 1:
            return self.centre + self.velocity
        if longest <= _STEADY:
            return self.centre + self.velocity * n
        # An animal that is not seen has often stopped, and a straight line leaves the arena.
        decay = self._config.velocity_decay
        unseen = np.maximum(n - _STEADY, 0)
        more = unseen if decay == 1 else decay * (1 - decay**unseen) / (1 - decay)
        return self.centre + self.velocity * (np.minimum(n, _STEADY) + more)

    def correct(self, rows: Rows, frame: int, measured: Places, sizes: Floats) -> None:
        """Take measured centres (R,) and sizes (R,), NaN where unknown, of some tracks."""
        n = frame - self.frame[rows]
        if find_longest(n) == 1:
            self._step(rows, measured)
        else:
            if isinstance(rows, slice):
                rows = np.arange(len(self))
            late = n > 1
            self._replay(rows[late], n[late], measured[late])
            if not late.all():
                self._step(rows[~late], measured[~late])
        self.frame[rows] = frame
        self.seen[rows] = measured
        before = self.size[rows]
        grown = before + _SIZE_GAIN * (sizes - before)
        unknown = np.isnan(grown)
        self.size[rows] = np.where(unknown, before, grown) if np.count_nonzero(unknown) else grown

    def add(self, frame: int, centres: Places, sizes: Floats) -> None:
        """Begin tracks at centres (R,)."""
        count = len(centres)
        new = {
            "frame": np.full(count, frame),
            "centre": centres,
            "velocity": np.zeros(count),
            "size": sizes,
            "seen": centres,
            "steps": np.zeros(count, np.int64),
        }
        for name in self._FIELDS:
            setattr(self, name, np.concatenate([getattr(self, name), new[name]]))

    def move(self, rows: Rows, by: Places) -> None:
        """Call another point of the animals (R,) their centre, ``by`` (R,) pixels from the former."""
        self.centre[rows] += by
        self.seen[rows] += by

    def keep(self, kept: npt.NDArray[np.bool_]) -> None:
        """Forget the other tracks."""
        for name in self._FIELDS:
            setattr(self, name, getattr(self, name)[kept])

    def state_dict(self) -> dict[str, Any]:
        """Copy all of it."""
        return {name: getattr(self, name).copy() for name in self._FIELDS}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave."""
        for name in self._FIELDS:
            setattr(self, name, np.array(state[name]))

    def _step(self, rows: Rows, measured: Places) -> None:
        """Go one frame on, and take a measurement."""
        steps, velocity = self.steps[rows], self.velocity[rows]
        gains = self._gains.take(steps, axis=0)
        expected = self.centre[rows] + velocity
        off = measured - expected
        self.centre[rows] = expected + gains[:, 0] * off
        self.velocity[rows] = velocity + gains[:, 1] * off
        self.steps[rows] = np.minimum(steps + 1, len(self._gains) - 1)

    def _replay(self, rows: Ints, n: Ints, measured: Places) -> None:
        """Go through a gap again, on a straight line to where the animal was found (OC-SORT's re-update).

        The velocity would hold the noise of the whole gap otherwise (Cao et al., 2023).
        """
        steps = np.minimum(n, _REPLAYED)
        # Of a long gap the last frames are replayed, at the pace of the whole.
        way = (measured - self.seen[rows]) / n
        skipped = n > steps
        start = measured - way * steps
        self.centre[rows[skipped]] = start[skipped]
        self.velocity[rows[skipped]] = way[skipped]
        for step in range(1, int(steps.max()) + 1):
            on = steps >= step
            self._step(rows[on], start[on] + way[on] * step)


def compute_gains(config: MotionTrackerConfig) -> Places:
    """Compute how much of a step's error centre and velocity take up, (S, 2), for a track's first, second ... step.

    The covariance of a Kalman filter does not depend on what is measured, so that all tracks have the same gains. They
    settle soon; the last row holds for all steps after it. Complex, as places are: mixed products take twice as long.
    """
    (p11, p12, p22), gains = _START, [(0.0, 0.0)]
    for _ in range(_STEPS):
        both = p12 + p22
        p11 = p11 + p12 + both + config.position_noise**2
        total = p11 + config.measurement_noise**2
        gain, pull = p11 / total, both / total
        p11, p12 = (1 - gain) * p11, (1 - gain) * both
        p22 = p22 + config.velocity_noise**2 - pull * both
        before = gains[-1]
        gains.append((gain, pull))
        if abs(gain - before[0]) <= _SETTLED * gain and abs(pull - before[1]) <= _SETTLED * pull:
            break
    return np.array(gains[1:], np.complex128)


def find_longest(n: Ints) -> int:
    """Find the most of some numbers of frames (T,); 1 of none."""
    # Of a few, a list is quicker than max().
    return max(n.tolist(), default=1)


# Views, not copies.
def split_places(places: Places) -> Floats:
    """Split places (...) into x and y, (..., 2)."""
    return np.ascontiguousarray(places).view(np.float64).reshape(*places.shape, 2)


def join_places(points: Floats) -> Places:
    """Join x and y (..., 2) to places, (...)."""
    return np.ascontiguousarray(points).view(np.complex128)[..., 0]
