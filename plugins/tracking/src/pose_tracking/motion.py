"""Where tracks are expected: a Kalman filter of constant velocity for all of them at once.

Both axes have one covariance, and noise is relative to the size of the animal (as in SORT, Bewley et al., 2016).
Prediction over any number of frames is in closed form, so time is the number of the frame and frames in between need
not be computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pose_tracking.config import MotionTrackerConfig

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_STEADY = 3
"""Frames for which an animal that is not seen is expected to keep its velocity."""

_REPLAYED = 40
"""Frames of a gap that the filter is run over again, at most."""

_SIZE_GAIN = 0.1


class Motion:
    """Centres and velocities of tracks, in the order in which they were added.

    Attributes:
        frame: (T,) number of the frame in which each was last seen.
        centre, velocity: (T, 2) after that frame; pixels, pixels a frame.
        size: (T,) pixels.
    """

    _FIELDS = ("frame", "centre", "velocity", "size", "seen", "p11", "p12", "p22")

    def __init__(self, config: MotionTrackerConfig) -> None:
        self._config = config
        self.frame = np.zeros(0, np.int64)
        self.centre, self.velocity = np.zeros((0, 2)), np.zeros((0, 2))
        self.size = np.zeros(0)
        # The last measured centre, from which the way through a gap is drawn.
        self.seen = np.zeros((0, 2))
        self.p11, self.p12, self.p22 = np.zeros(0), np.zeros(0), np.zeros(0)

    def __len__(self) -> int:
        return len(self.frame)

    def predict(self, frame: int) -> Floats:
        """Predict the centres (T, 2) in a later frame."""
        n = (frame - self.frame).astype(np.float64)
        # An animal that is not seen has often stopped, and a straight line leaves the arena.
        decay = self._config.velocity_decay
        unseen = np.maximum(n - _STEADY, 0.0)
        more = unseen if decay == 1 else decay * (1 - decay**unseen) / (1 - decay)
        return self.centre + self.velocity * (np.minimum(n, _STEADY) + more)[:, None]

    def correct(self, rows: Ints, frame: int, measured: Floats, sizes: Floats) -> None:
        """Take measured centres (R, 2) and sizes (R,), NaN where unknown, of some tracks."""
        n = (frame - self.frame[rows]).astype(np.float64)
        late = n > 1
        if not late.any():
            self._step(rows, measured)
        else:
            self._replay(rows[late], n[late], measured[late])
            if not late.all():
                self._step(rows[~late], measured[~late])
        self.frame[rows] = frame
        self.seen[rows] = measured
        known = np.isfinite(sizes)
        kept = rows[known]
        self.size[kept] += _SIZE_GAIN * (sizes[known] - self.size[kept])

    def add(self, frame: int, centres: Floats, sizes: Floats) -> None:
        """Begin tracks at centres (R, 2)."""
        count = len(centres)
        self.frame = np.concatenate([self.frame, np.full(count, frame)])
        self.centre = np.concatenate([self.centre, centres])
        self.seen = np.concatenate([self.seen, centres])
        self.velocity = np.concatenate([self.velocity, np.zeros((count, 2))])
        self.size = np.concatenate([self.size, sizes])
        self.p11 = np.concatenate([self.p11, (0.1 * sizes) ** 2])
        self.p12 = np.concatenate([self.p12, np.zeros(count)])
        self.p22 = np.concatenate([self.p22, (sizes / 16) ** 2])

    def move(self, rows: Ints, by: Floats) -> None:
        """Call another point of the animals (R,) their centre, ``by`` (R, 2) pixels from the former."""
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

    def _step(self, rows: Ints, measured: Floats) -> None:
        """Go one frame on, and take a measurement."""
        config, squared = self._config, self.size[rows] ** 2
        p11 = self.p11[rows] + 2 * self.p12[rows] + self.p22[rows] + config.position_noise**2 * squared
        p12 = self.p12[rows] + self.p22[rows]
        p22 = self.p22[rows] + config.velocity_noise**2 * squared
        noise = config.measurement_noise**2 * squared
        gain, pull = p11 / (p11 + noise), p12 / (p11 + noise)
        expected = self.centre[rows] + self.velocity[rows]
        off = measured - expected
        self.centre[rows] = expected + gain[:, None] * off
        self.velocity[rows] += pull[:, None] * off
        self.p11[rows], self.p12[rows] = (1 - gain) * p11, (1 - gain) * p12
        self.p22[rows] = p22 - pull * p12

    def _replay(self, rows: Ints, n: Floats, measured: Floats) -> None:
        """Go through a gap again, on a straight line to where the animal was found (OC-SORT's re-update).

        The velocity would hold the noise of the whole gap otherwise (Cao et al., 2023).
        """
        steps = np.minimum(n, _REPLAYED)
        # Of a long gap the last frames are replayed, at the pace of the whole.
        way = (measured - self.seen[rows]) / n[:, None]
        skipped = n > steps
        start = measured - way * steps[:, None]
        self.centre[rows[skipped]] = start[skipped]
        self.velocity[rows[skipped]] = way[skipped]
        for step in range(1, int(steps.max()) + 1):
            on = steps >= step
            self._step(rows[on], start[on] + way[on] * step)
