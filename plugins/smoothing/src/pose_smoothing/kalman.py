"""Smooth by a Kalman filter and back (Rauch, Tung and Striebel, 1965)."""

from __future__ import annotations

import math

import numpy as np

from pose_core.interfaces import Filter, Series
from pose_smoothing.config import KalmanConfig
from pose_smoothing.shapes import Floats

_UNKNOWN = 1e6
"""Variance of place and velocity before the first measurement, relative to that of a keypoint of score 1."""

_SETTLED = 8.0
"""Time constants of the filter after which what was before does not matter."""


class Kalman(Filter):
    """The most likely way of a keypoint whose velocity changes at random, given measurements with noise.

    The noise of a measurement is that of score 1 divided by its score, so that a poor one is moved more. What was
    filled in is no measurement: it lies where the way goes through.
    """

    config: KalmanConfig

    @property
    def reach(self) -> int:
        """Frames after which a measurement has no effect, of the lowest scores."""
        # The poles of the steady filter: its time constant is the square root of twice the ratio of the noises.
        worst = self.config.acceleration_noise * self.config.min_score
        return math.ceil(_SETTLED * math.sqrt(2 / worst))

    def apply(self, series: Series) -> Floats:
        """Smooth where a keypoint is; nothing is filled in."""
        points = series.points
        there = np.asarray(np.isfinite(points).all(axis=-1))
        measured = there & ~series.filled
        # Relative to the first measurement: numbers stay small, and its noise is all that is known of the place.
        first = np.argmax(measured, axis=0)
        origin = np.take_along_axis(
            np.where(measured[..., None], points, 0.0), first[None, ..., None], axis=0
        )[0]
        noise = 1 / np.maximum(series.scores, self.config.min_score) ** 2
        off = np.where(measured[..., None], points - origin, 0.0)
        smooth = self._smooth(off, measured, noise) + origin
        # Without any measurement there is nothing to go by.
        known = there & measured.any(axis=0)
        return np.where(known[..., None], smooth, points)

    def _smooth(self, off: Floats, measured: np.ndarray, noise: Floats) -> Floats:
        """Run forward, and back again over what was stored; (T, A, K, 2) with (T, A, K)."""
        length, shape = len(off), off.shape[1:3]
        place, velocity = np.zeros((*shape, 2)), np.zeros((*shape, 2))
        p11, p12, p22 = np.full(shape, _UNKNOWN), np.zeros(shape), np.full(shape, _UNKNOWN)
        means, spreads = np.zeros((length, 2, *shape, 2)), np.zeros((length, 3, *shape))
        grown = self.config.acceleration_noise**2
        for t in range(length):
            if t:
                place = place + velocity
                p11, p12, p22 = p11 + 2 * p12 + p22, p12 + p22, p22 + grown
            total = p11 + noise[t]
            gain, pull = measured[t] * p11 / total, measured[t] * p12 / total
            new = off[t] - place
            place, velocity = place + gain[..., None] * new, velocity + pull[..., None] * new
            p11, p12, p22 = (1 - gain) * p11, (1 - gain) * p12, p22 - pull * p12
            means[t], spreads[t] = (place, velocity), (p11, p12, p22)
        smooth = means[:, 0].copy()
        for t in range(length - 2, -1, -1):
            p11, p12, p22 = spreads[t]
            # Covariance of the next frame as predicted from this one, and the gain C = P F' (F P F' + Q)^-1.
            n11, n12, n22 = p11 + 2 * p12 + p22, p12 + p22, p22 + grown
            whole = n11 * n22 - n12**2
            c11 = ((p11 + p12) * n22 - p12 * n12) / whole
            c12 = (p12 * n11 - (p11 + p12) * n12) / whole
            c21 = ((p12 + p22) * n22 - p22 * n12) / whole
            c22 = (p22 * n11 - (p12 + p22) * n12) / whole
            ahead = smooth[t + 1] - means[t, 0] - means[t, 1]
            faster = velocity - means[t, 1]
            smooth[t] = means[t, 0] + c11[..., None] * ahead + c12[..., None] * faster
            velocity = means[t, 1] + c21[..., None] * ahead + c22[..., None] * faster
        return smooth
