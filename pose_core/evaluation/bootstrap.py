"""95 % intervals by resampling images (percentile bootstrap; Efron, 1979).

Images are drawn with replacement, not keypoints: errors within one image are not independent. A resampling is
a row of counts, how often each image was drawn, so that every metric of all resamplings is a product of
matrices.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pose_core.evaluation.results import Interval

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
# Elements of a temporary (resamplings x keypoints) array; bounds the memory to tens of MB.
CHUNK = 4_000_000


class Bootstrap:
    """Resamplings of a set of images.

    Args:
        images: number of images, I.
        resamplings: number of resamplings, R.
        seed: the same seed gives the same resamplings.
    """

    def __init__(self, images: int, resamplings: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.images = images
        self.seed = seed
        # An image is drawn a few times at most; uint16 keeps 1000 resamplings of 50000 images at 100 MB.
        self.counts = np.empty((resamplings if images else 0, images), np.uint16)
        if images:
            for rows in _chunks(len(self.counts), images):
                self.counts[rows] = rng.multinomial(
                    images, np.full(images, 1 / images), size=rows.stop - rows.start
                )

    @property
    def undefined(self) -> str | None:
        """Why there are no intervals; None where there are."""
        if self.images < 2:
            return "an interval needs at least two images"
        return None if len(self.counts) else "no interval: evaluation.bootstrap is 0"

    def ratio(self, numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> Floats:
        """sum(numerator) / sum(denominator) of every resampling.

        Args:
            numerator: (I, ...) sums of each image.
            denominator: same shape, or (I,).

        Returns:
            (R, ...) float64; NaN where the denominator of a resampling is 0.
        """
        above, below = self._sums(numerator), self._sums(denominator)
        below = below.reshape(below.shape + (1,) * (above.ndim - below.ndim))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(below > 0, above / below, np.nan)

    def percentile(self, values: npt.ArrayLike, image: npt.ArrayLike, percentage: float) -> Floats:
        """Percentile of the values of every resampling, between two values by their distance (as numpy's).

        Args:
            values: (V,) without NaN.
            image: (V,) the image that each value belongs to.
            percentage: in [0, 100]; 50 is the median.

        Returns:
            (R,) float64; NaN where a resampling holds no value.
        """
        ordered, images = _sorted(values, image)
        found = np.full(len(self.counts), np.nan)
        if not len(ordered):
            return found
        for rows in _chunks(len(self.counts), len(ordered)):
            until = np.cumsum(self.counts[rows][:, images], axis=1, dtype=np.int64)
            total = until[:, -1:]
            # The values around the place in the list in which values stand as often as drawn.
            place = np.maximum(total - 1, 0) * (percentage / 100)
            low = (until <= np.floor(place)).sum(axis=1)
            high = (until <= np.ceil(place)).sum(axis=1)
            some = total[:, 0] > 0
            last, share = len(ordered) - 1, (place - np.floor(place))[:, 0]
            below, above = ordered[np.minimum(low, last)], ordered[np.minimum(high, last)]
            found[rows] = np.where(some, below + (above - below) * share, np.nan)
        return found

    def _sums(self, values: npt.ArrayLike) -> Floats:
        per_image = np.asarray(values, np.float64)
        flat = per_image.reshape(self.images, -1)
        sums = np.empty((len(self.counts), flat.shape[1]))
        # In chunks, and as floats: counts are kept in 16 bits, in which sums would overflow.
        for rows in _chunks(len(self.counts), self.images):
            sums[rows] = self.counts[rows].astype(np.float64) @ flat
        return sums.reshape(len(self.counts), *per_image.shape[1:])


def interval(resampled: Floats) -> Interval | None:
    """Compute the central 95 % of resamplings (R,); None if all are undefined."""
    # A metric may be undefined in a few of them (drawn without any labelled animal); those do not count.
    defined = resampled[np.isfinite(resampled)]
    if not len(defined):
        return None
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)


def _sorted(values: npt.ArrayLike, image: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.int64]]:
    numbers = np.asarray(values, np.float64)
    order = np.argsort(numbers, kind="stable")
    return numbers[order], np.asarray(image, np.int64)[order]


def _chunks(rows: int, width: int) -> Iterator[slice]:
    step = max(1, CHUNK // max(width, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
