"""Synthetic scenes: textured animals on cluttered ground, with exact labels.

    scene = Scene(SceneSpec(seed=3, frames=100, animals=2))
    for image, instances, occluded in scene:
        ...

Everything follows from the spec: the same spec gives the same pixels and the same labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pose_core.structures import ByteArray, FloatArray, Instances, Skeleton
from pose_core.synthetic import textures
from pose_core.synthetic.animal import KEYPOINTS, Animal, Pose, make_skeleton
from pose_core.synthetic.drawing import (
    Picture,
    Points,
    contains,
    outline_band,
    outline_disc,
    paint,
    rasterize,
)
from pose_core.synthetic.motion import plan_route, sample_smooth_noise

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class SceneSpec:
    """The settings that determine a scene completely.

    Attributes:
        seed: of all that moves, and of noise.
        frames: number of frames.
        size: (height, width) in pixels.
        animals: number of animals; with more than one they meet and hide each other.
        length: of an animal from nose to base of the tail, pixels; None: 0.3 of the shorter side.
        speed: mean, in body lengths a frame.
        ground: seed of the background; None: ``seed``.
        coat: which fur; None: chosen by ``seed``. Animal i gets the i-th following one.
        clutter: density of litter, stones and twigs on the ground; 1 is usual, 0: bare ground.
        occluders: number of blades of grass above the animals.
        noise: standard deviation of the camera's noise, grey levels.
        illumination: largest relative change of the light.
        markers: colour of a disc drawn over each keypoint, hidden ones too (to check the ground truth); None:
            none.
    """

    seed: int = 0
    frames: int = 100
    size: tuple[int, int] = (256, 256)
    animals: int = 1
    length: float | None = None
    speed: float = 0.035
    ground: int | None = None
    coat: int | None = None
    clutter: float = 1.0
    occluders: int = 0
    noise: float = 3.0
    illumination: float = 0.15
    markers: Colour | None = None

    def __post_init__(self) -> None:
        if min(self.size) < 32:
            raise ValueError(f"size must be at least 32 x 32 pixels, not {self.size[0]} x {self.size[1]}")
        for name, minimum in (
            ("frames", 1),
            ("animals", 1),
            ("clutter", 0),
            ("occluders", 0),
            ("noise", 0),
            ("speed", 0),
        ):
            if getattr(self, name) < minimum:
                raise ValueError(f"{name} must be at least {minimum}, not {getattr(self, name)}")
        if not 0 <= self.illumination < 1:
            raise ValueError(f"illumination must be in [0, 1), not {self.illumination}")
        if self.length is not None and self.length < 8:
            raise ValueError(f"length must be at least 8 pixels, not {self.length}")


class SceneFrame(NamedTuple):
    """One frame with its ground truth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        instances: the animals with at least one keypoint in the image; ``identity`` and ``track`` number
            them. Keypoints outside the image are NaN.
        occluded: (N, K) bool: in the image, but hidden by the animal itself, another one or a blade of grass.
    """

    image: ByteArray
    instances: Instances
    occluded: npt.NDArray[np.bool_]


class Scene:
    """A video rendered frame by frame, in any order.

    Args:
        spec: its settings.

    Attributes:
        skeleton: keypoints, edges, left/right pairs and individuals of the labels.
        animals: each one's shape and path through the scene.
        drawing_order: indices of the animals, the lowest one first.
    """

    def __init__(self, spec: SceneSpec) -> None:
        self.spec = spec
        self.skeleton: Skeleton = make_skeleton(spec.animals)
        self.length = spec.length or 0.3 * min(spec.size)
        # Streams of their own for animals, ground, each animal and each frame's noise: one more animal leaves
        # the ground as it is, and a frame looks the same whichever frames were rendered before.
        rng = np.random.default_rng([spec.seed, 1])
        look = np.random.default_rng([spec.seed if spec.ground is None else spec.ground, 2])
        first_coat = int(rng.integers(len(textures.COATS)))
        self._ground = textures.paint_ground(
            look, spec.size, int(look.integers(len(textures.GROUNDS))), spec.clutter
        )
        self.animals = [
            self._animal(
                np.random.default_rng([spec.seed, 3, i]), (first_coat if spec.coat is None else spec.coat) + i
            )
            for i in range(spec.animals)
        ]
        self.drawing_order = [int(i) for i in rng.permutation(spec.animals)]
        self._grass = [self._blade(rng) for _ in range(spec.occluders)]
        height, width = spec.size
        # Sampling normal noise takes a fifth of the time of a
        # frame; each frame shows another window of this array.
        self._noise = rng.standard_normal((height + 64, width + 64, 3), dtype=np.float32) * np.float32(
            spec.noise
        )
        self._light = np.stack([sample_smooth_noise(rng, spec.frames, 120) for _ in range(3)]) / 2.5

    def __len__(self) -> int:
        return self.spec.frames

    def __iter__(self) -> Iterator[SceneFrame]:
        return (self.frame(t) for t in range(len(self)))

    def frame(self, t: int) -> SceneFrame:
        """Render frame ``t``.

        Raises:
            IndexError: there is no such frame.
        """
        if not 0 <= t < len(self):
            raise IndexError(f"frame {t} of a scene of {len(self)} frames")
        picture = self._ground.copy()
        poses = [animal.pose(t) for animal in self.animals]
        points = np.stack([pose.keypoints for pose in poses])
        hidden = np.zeros(points.shape[:2], bool)
        for number, i in enumerate(self.drawing_order):
            self._shadow(picture, self.animals[i], poses[i])
            below = self.drawing_order[: number + 1]
            self._draw(picture, i, poses[i], points, hidden, below)
        for outline, colour in self._grass:
            paint(picture, rasterize(outline + 2.0, self.spec.size), (20, 22, 12), 0.3)
            paint(picture, rasterize(outline, self.spec.size), colour)
            hidden |= contains(outline, points.reshape(-1, 2)).reshape(hidden.shape)
        if self.spec.markers is not None:
            for point in points.reshape(-1, 2):
                paint(picture, rasterize(outline_disc(point, 2.5), self.spec.size), self.spec.markers)
        return SceneFrame(self._expose(picture, t), *self._labels(points, hidden))

    def _animal(self, rng: np.random.Generator, coat: int) -> Animal:
        spec, body = self.spec, self.length
        pace = np.clip(0.95 + 0.7 * sample_smooth_noise(rng, spec.frames, 30), 0.0, None)
        # The route is longer than the walk: the body follows
        # behind the nose, and paws land a stride before it.
        travelled = 2.2 * body + np.cumsum(spec.speed * body * pace)
        return Animal(
            rng,
            body,
            spec.frames,
            coat,
            plan_route(rng, spec.size, body, travelled[-1] + 2 * body),
            travelled,
        )

    def _blade(self, rng: np.random.Generator) -> tuple[Points, Picture]:
        height, width = self.spec.size
        middle, angle = rng.uniform((0.15, 0.15), (0.85, 0.85)) * (width, height), rng.uniform(0, np.pi)
        direction = np.array([np.cos(angle), np.sin(angle)])
        along = np.linspace(-0.5, 0.5, 30)[:, None] * rng.uniform(0.3, 0.6) * min(height, width)
        line = (
            middle
            + along * direction
            + rng.uniform(-2, 2) * along**2 / max(height, width) * direction[::-1] * (-1, 1)
        )
        green = np.array([92, 128, 56], np.float32) * np.float32(rng.uniform(0.75, 1.2))
        return outline_band(line, np.linspace(0.03, 0.008, 30) * self.length), green

    def _draw(
        self,
        picture: Picture,
        i: int,
        pose: Pose,
        points: Points,
        hidden: npt.NDArray[np.bool_],
        below: list[int],
    ) -> None:
        """Paint animal ``i`` and note which keypoints of the animals ``below`` (itself included) it hides."""
        drawn = {animal: np.ones(len(KEYPOINTS), bool) for animal in below}
        drawn[i][:] = False
        for part in self.animals[i].parts(pose, self.spec.size):
            if part.colour is not None:
                paint(picture, rasterize(part.outline, self.spec.size), part.colour, part.opacity)
            # A translucent part (a shadow on the fur, a whisker) does not hide what lies below.
            if part.opacity == 1.0:
                for animal in below:
                    hidden[animal] |= drawn[animal] & contains(part.outline, points[animal])
            drawn[i][list(part.keypoints)] = True

    def _shadow(self, picture: Picture, animal: Animal, pose: Pose) -> None:
        height, width = self.spec.size
        mask = np.zeros((height, width), np.float32)
        offset = 0.045 * self.length
        for outline in animal.silhouette(pose):
            coverage = rasterize(outline + offset, self.spec.size)
            if coverage is not None:
                part = mask[coverage.window]
                np.maximum(part, coverage.mask, out=part)
        # Only around the animal (three standard deviations):
        # blurring the whole picture takes twenty times longer.
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return
        spread = 0.035 * self.length
        border = int(3 * spread) + 1
        window = (
            slice(max(rows[0] - border, 0), rows[-1] + border + 1),
            slice(max(columns[0] - border, 0), columns[-1] + border + 1),
        )
        picture[window] *= 1 - 0.5 * cv2.GaussianBlur(mask[window], (0, 0), spread)[..., None]

    def _expose(self, picture: Picture, t: int) -> ByteArray:
        """Apply light, lens and noise: float (H, W, 3) -> uint8."""
        height, width = self.spec.size
        gain, slope_x, slope_y = (1.0 + self.spec.illumination * self._light[0, t], *self._light[1:, t])
        x = np.linspace(-1, 1, width, dtype=np.float32)
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        slope = np.float32(self.spec.illumination * 0.6)
        light = (
            np.float32(gain)
            + slope * (np.float32(slope_x) * x + np.float32(slope_y) * y)
            - 0.07 * (x**2 + y**2)
        )
        picture *= light[..., None]
        down, right, sign = np.random.default_rng([self.spec.seed, 4, t]).integers((0, 0, 0), (64, 64, 2))
        noise = self._noise[down : down + height, right : right + width]
        picture += noise if sign else -noise
        return np.clip(np.rint(picture), 0, 255).astype(np.uint8)

    def _labels(
        self, points: Points, hidden: npt.NDArray[np.bool_]
    ) -> tuple[Instances, npt.NDArray[np.bool_]]:
        height, width = self.spec.size
        inside: npt.NDArray[np.bool_] = np.all((points >= 0) & (points <= (width - 1, height - 1)), axis=-1)
        keypoints: FloatArray = np.where(inside[..., None], points, np.nan).astype(np.float32)
        present = np.flatnonzero(inside.any(axis=1))
        instances = Instances.from_keypoints(keypoints[present], identity=present, track=present)
        return instances, (hidden & inside)[present]
