import numpy as np
from pydantic import Field

from pose_core.interfaces import Filter, FilterContext, Series
from pose_core.specs import FilterConfig
from pose_core.structures import Skeleton


class JumpsConfig(FilterConfig):
    farthest: float = Field(
        50.0, gt=0, description="Pixels that a keypoint moves from one frame to the next, at most."
    )


class Jumps(Filter):
    """Keypoints that jump away from the frame before and are back in the next are taken away."""

    config: JumpsConfig

    @property
    def reach(self) -> int:
        return 1  # one frame before and one after decide

    def apply(self, series: Series) -> np.ndarray:
        points = series.points.copy()  # (T, A, K, 2): frames, animals, keypoints
        far = np.linalg.norm(np.diff(series.points, axis=0), axis=-1) > self.config.farthest  # NaN is not
        points[1:-1][far[:-1] & far[1:]] = np.nan
        return points


made = Jumps(JumpsConfig(), FilterContext(Skeleton(("nose",))))
points = np.zeros((5, 1, 1, 2))
points[2] = 99.0
nothing = np.zeros(points.shape[:3], bool)
assert np.isnan(made.apply(Series(points, np.ones(points.shape[:3]), nothing))[:, 0, 0, 0]).tolist() == [
    0,
    0,
    1,
    0,
    0,
]
