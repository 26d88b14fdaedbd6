"""A synthetic rodent seen from above: keypoints, posture and body parts."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pose_core.structures import Skeleton
from pose_core.synthetic import textures
from pose_core.synthetic.drawing import (
    Coverage,
    Picture,
    Points,
    compute_normals,
    outline_band,
    outline_disc,
    outline_ellipse,
    rasterize,
)
from pose_core.synthetic.motion import Gait, Route, place_joint, sample_smooth_noise

KEYPOINTS = (
    "nose",
    "left_ear",
    "right_ear",
    "neck",
    "back",
    "tail_base",
    "tail_tip",
    "left_forepaw",
    "right_forepaw",
    "left_hindpaw",
    "right_hindpaw",
)
EDGES = (
    ("nose", "left_ear"),
    ("nose", "right_ear"),
    ("left_ear", "neck"),
    ("right_ear", "neck"),
    ("neck", "back"),
    ("back", "tail_base"),
    ("tail_base", "tail_tip"),
    ("neck", "left_forepaw"),
    ("neck", "right_forepaw"),
    ("tail_base", "left_hindpaw"),
    ("tail_base", "right_hindpaw"),
)
SYMMETRY = (("left_ear", "right_ear"), ("left_forepaw", "right_forepaw"), ("left_hindpaw", "right_hindpaw"))

# Half width of the body, as a fraction of its length, from the nose (0) to the base of the tail (1).
_PROFILE = np.array(
    [
        (0.0, 0.026),
        (0.05, 0.052),
        (0.12, 0.080),
        (0.20, 0.098),
        (0.29, 0.094),
        (0.36, 0.090),
        (0.47, 0.112),
        (0.60, 0.132),
        (0.74, 0.156),
        (0.85, 0.150),
        (0.93, 0.104),
        (0.98, 0.054),
        (1.0, 0.036),
    ]
)
# Points along the spine; the indices of keypoints on the trunk follow from it.
_SAMPLES = 41
# Length of the tail as a fraction of the body's.
_TAIL = 0.75
# Towards the lamp: from the upper left, and from above the ground (z points to the camera).
_LIGHT = np.array([-0.46, -0.52, 0.72])


@dataclass(frozen=True)
class Limb:
    """One leg; lengths are fractions of the body's.

    Attributes:
        keypoint: its paw.
        side: -1 left, 1 right.
        behind, aside: root of the limb along and beside the spine.
        reach: how far in front of the root the paw stands in the middle of its stance.
        stand: where the paw stands beside the route.
        bone: length of each of the two bones.
        width: half width at the root.
        phase: in the gait, a walk.
        bends: 1 when the middle joint points forwards, -1 backwards.
    """

    keypoint: str
    side: int
    behind: float
    aside: float
    reach: float
    stand: float
    bone: float
    width: float
    phase: float
    bends: float


LIMBS = (
    Limb("left_hindpaw", -1, 0.80, 0.085, 0.06, 0.235, 0.165, 0.052, 0.00, 1),
    Limb("right_hindpaw", 1, 0.80, 0.085, 0.06, 0.235, 0.165, 0.052, 0.50, 1),
    Limb("left_forepaw", -1, 0.42, 0.060, 0.10, 0.185, 0.125, 0.034, 0.30, -1),
    Limb("right_forepaw", 1, 0.42, 0.060, 0.10, 0.185, 0.125, 0.034, 0.80, -1),
)


def make_skeleton(animals: int = 1) -> Skeleton:
    """Describe the keypoints of a scene with ``animals`` individuals."""
    names = ("animal",) if animals == 1 else tuple(f"animal{i + 1}" for i in range(animals))
    return Skeleton(keypoints=KEYPOINTS, edges=EDGES, symmetry=SYMMETRY, individuals=names)


@dataclass(frozen=True, eq=False)
class Part:
    """An outline to draw, and its colour.

    Attributes:
        outline: (P, 2) in pixels.
        colour: RGB, or a picture (h, w, 3) for the window of the outline's coverage.
        opacity: 1 hides what is below.
        keypoints: indices of the keypoints that lie on it.
    """

    outline: Points
    colour: npt.NDArray[np.float32] | None
    opacity: float = 1.0
    keypoints: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Pose:
    """The posture of an animal in one frame, in pixels.

    Attributes:
        keypoints: (K, 2).
        spine: (_SAMPLES, 2) from the nose to the base of the tail.
        tail: (T, 2) from base to tip.
        limbs: for each limb (3, 2): root, middle joint, paw.
    """

    keypoints: Points
    spine: Points
    tail: Points
    limbs: tuple[Points, ...]


class Animal:
    """One animal with its coat, route and movements.

    Args:
        rng: source of everything random.
        length: from the nose to the base of the tail, pixels.
        frames: number of frames.
        coat: which coat.
        way: route of its nose.
        travelled: (frames,) distance of the nose along the route, pixels.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        length: float,
        frames: int,
        coat: int,
        way: Route,
        travelled: npt.ArrayLike,
    ) -> None:
        self.length = length
        self.way = way
        self.travelled = np.asarray(travelled, float)
        self.gait = Gait(stride=0.62 * length)
        self._yaw = 0.22 * sample_smooth_noise(rng, frames, 22)
        self._tail_bend = 0.9 * sample_smooth_noise(rng, frames, 40)
        self._tail_curl = 0.8 * sample_smooth_noise(rng, frames, 28)
        self._ears = 0.12 * sample_smooth_noise(rng, frames, 12)
        self._fur = textures.paint_coat(rng, coat)
        tint = np.array(textures.COATS[coat % len(textures.COATS)][0], np.float32)
        self._leg = tint * 0.86
        self._skin = np.array([206, 152, 140], np.float32) * float(rng.uniform(0.9, 1.05))

    def pose(self, t: int) -> Pose:
        """Compute the posture in frame ``t``."""
        size, travelled = self.length, float(self.travelled[t])
        cycle = 2 * np.pi * travelled / self.gait.stride
        spine = self._spine(t, travelled, cycle)
        # Right of the line is the animal's left, because the spine runs from the nose backwards.
        left = compute_normals(spine)
        tail = self._tail(t, spine, cycle)

        def beside(along: float, aside: float) -> Points:
            i = along * (_SAMPLES - 1)
            j = min(int(i), _SAMPLES - 2)
            point = spine[j] + (i - j) * (spine[j + 1] - spine[j])
            return np.asarray(point - aside * size * left[round(i)])

        limbs = []
        for limb in LIMBS:
            root = beside(limb.behind, limb.side * limb.aside)
            behind, aside = (limb.behind - limb.reach) * size, limb.side * limb.stand * size
            foot = self.gait.paw(self.way, travelled, behind, aside, limb.phase)
            middle, paw = place_joint(root, foot, limb.bone * size, limb.bone * size, -limb.side * limb.bends)
            limbs.append(np.stack([root, middle, paw]))
        ears = [beside(0.255 - side * float(self._ears[t]) * 0.1, side * 0.105) for side in (-1, 1)]
        points = [spine[0], *ears, beside(0.36, 0), beside(0.66, 0), spine[-1], tail[-1]]
        paws = {limb.keypoint: chain[2] for limb, chain in zip(LIMBS, limbs, strict=True)}
        points += [paws[name] for name in KEYPOINTS[7:]]
        return Pose(np.stack(points), spine, tail, tuple(limbs))

    def _spine(self, t: int, travelled: float, cycle: float) -> Points:
        """Bend the trunk along the route, with the gait's swing and the head's own turn.

        Returns:
            (_SAMPLES, 2) pixels, from the nose to the base of the tail.
        """
        along = np.linspace(0, 1, _SAMPLES)
        line = self.way.at(travelled - along * self.length)
        swing = 0.022 * self.length * np.sin(cycle - 2 * np.pi * 0.9 * along) * np.clip(along * 2, 0, 1)
        line = line + swing[:, None] * compute_normals(line)
        pivot = round(0.36 * (_SAMPLES - 1))
        turn = float(self._yaw[t]) * np.clip(1 - along / 0.36, 0, 1)
        # The steps are turned, not the points: the head keeps its length however far it turns.
        steps = line[:pivot] - line[1 : pivot + 1]
        cosine, sine = np.cos(turn[:pivot]), np.sin(turn[:pivot])
        steps = np.stack(
            [cosine * steps[:, 0] - sine * steps[:, 1], sine * steps[:, 0] + cosine * steps[:, 1]], axis=1
        )
        line[:pivot] = line[pivot] + np.cumsum(steps[::-1], axis=0)[::-1]
        return line

    def _tail(self, t: int, spine: Points, cycle: float) -> Points:
        """Bend the tail: it leaves the trunk straight, then bends and curls."""
        count = 22
        along = np.linspace(0, 1, count)
        back = spine[-1] - spine[-5]
        heading = np.arctan2(back[1], back[0])
        angle = (
            heading
            + float(self._tail_bend[t]) * along
            + float(self._tail_curl[t]) * along**2
            + 0.22 * np.sin(cycle - 3.5 * along) * along
        )
        step = _TAIL * self.length / (count - 1)
        steps = step * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return np.asarray(np.concatenate([spine[-1:], spine[-1] + np.cumsum(steps[1:], axis=0)]))

    def silhouette(self, pose: Pose) -> list[Points]:
        """Outline trunk and tail; together they cover the animal without its paws."""
        widths = np.interp(np.linspace(0, 1, _SAMPLES), _PROFILE[:, 0], _PROFILE[:, 1]) * self.length
        return [outline_band(pose.spine, widths), self._tail_outline(pose, 1.0)]

    def _tail_outline(self, pose: Pose, share: float) -> Points:
        return outline_band(pose.tail, np.linspace(0.038, 0.018, len(pose.tail)) * self.length * share)

    def parts(self, pose: Pose, size: tuple[int, int]) -> list[Part]:
        """List the parts to draw, the lowest first.

        Args:
            pose: of the animal in this frame.
            size: (H, W) of the image.
        """
        unit, skin = self.length, self._skin
        index = {name: i for i, name in enumerate(KEYPOINTS)}
        body, tail = self.silhouette(pose)
        tip = (index["tail_tip"],)
        parts = [Part(tail, skin * 0.72), Part(self._tail_outline(pose, 0.5), skin * 0.92, 1.0, tip)]
        for k in range(3, len(pose.tail) - 1, 2):
            parts.append(
                Part(
                    outline_band(pose.tail[k : k + 2], (0.038 - 0.02 * k / 21) * unit * 0.8), skin * 0.6, 0.25
                )
            )
        for limb, chain in zip(LIMBS, pose.limbs, strict=True):
            parts += self._limb(limb, chain, index[limb.keypoint])
        on_body = tuple(index[n] for n in ("neck", "back", "tail_base"))
        parts.append(Part(body, self._shaded_fur(pose, rasterize(body, size)), 1.0, on_body))
        parts += self._head(pose, index)
        return parts

    def _limb(self, limb: Limb, chain: Points, keypoint: int) -> list[Part]:
        unit, skin = self.length, self._skin
        root, middle, paw = chain
        bend = np.linspace(0, 1, 9)[:, None]
        # A quadratic Bezier curve; its control point is chosen
        # so that the curve passes through the middle joint.
        line = (
            (1 - bend) ** 2 * root + 2 * bend * (1 - bend) * (2 * middle - (root + paw) / 2) + bend**2 * paw
        )
        widths = np.linspace(limb.width, 0.019, 9) * unit
        toward = (paw - middle) / max(float(np.hypot(*(paw - middle))), 1e-6)
        across = np.array([-toward[1], toward[0]])
        parts = [
            Part(outline_band(line, widths), self._leg),
            Part(outline_band(line[:7] - 0.006 * unit, widths[:7] * 0.5), self._leg * 1.16),
        ]
        for spread in (-0.9, -0.3, 0.3, 0.9):
            toe = paw + unit * (0.058 * toward * np.cos(spread) + 0.05 * across * np.sin(spread))
            parts.append(
                Part(outline_band(np.stack([paw, (paw + toe) / 2, toe]), 0.0105 * unit), skin * 0.95)
            )
        parts.append(Part(outline_disc(paw, 0.035 * unit), skin, 1.0, (keypoint,)))
        return parts

    def _head(self, pose: Pose, index: dict[str, int]) -> list[Part]:
        unit, skin = self.length, self._skin
        forward = pose.spine[0] - pose.spine[10]
        forward = forward / max(float(np.hypot(*forward)), 1e-6)
        left = np.array([forward[1], -forward[0]])
        parts = []
        for name, side in (("left_ear", 1), ("right_ear", -1)):
            ear = pose.keypoints[index[name]]
            parts.append(Part(outline_ellipse(ear, (0.052 * unit, 0.063 * unit), forward), self._leg * 0.8))
            parts.append(
                Part(
                    outline_ellipse(ear, (0.036 * unit, 0.046 * unit), forward),
                    skin * 0.82,
                    1.0,
                    (index[name],),
                )
            )
            eye = pose.spine[0] - 0.125 * unit * forward + side * 0.056 * unit * left
            parts.append(Part(outline_disc(eye, 0.0175 * unit), np.array([16, 13, 14], np.float32)))
            parts.append(
                Part(
                    outline_disc(eye - 0.006 * unit, 0.0055 * unit),
                    np.array([235, 235, 235], np.float32),
                    0.9,
                )
            )
            whisker = pose.spine[0] - 0.035 * unit * forward + side * 0.022 * unit * left
            for angle in (0.1, 0.5, 0.9):
                tip = whisker + 0.1 * unit * (side * left * np.cos(angle) - forward * (np.sin(angle) - 0.5))
                parts.append(
                    Part(
                        outline_band(np.stack([whisker, tip]), 0.25),
                        np.array([232, 226, 220], np.float32),
                        0.5,
                    )
                )
        nose = pose.keypoints[index["nose"]]
        parts.append(Part(outline_disc(nose, 0.020 * unit), skin * 0.85, 1.0, (index["nose"],)))
        return parts

    def _shaded_fur(self, pose: Pose, coverage: Coverage | None) -> Picture | None:
        """Wrap the coat around the trunk and light it from the upper left.

        Returns:
            (h, w, 3) float32 RGB for the window of ``coverage``; None where the trunk lies outside the image.
        """
        if coverage is None:
            return None
        height, width = coverage.mask.shape
        rows, columns = np.mgrid[:height, :width]
        pixels = np.stack([columns.ravel() + coverage.x, rows.ravel() + coverage.y], axis=1).astype(
            np.float32
        )
        spine = pose.spine.astype(np.float32)
        right = -compute_normals(pose.spine).astype(np.float32)
        # Squared distances without |pixel|², which is the same for all spine points: an array of pixels x
        # points, not of pixels x points x 2.
        nearest = ((spine**2).sum(1) - 2 * pixels @ spine.T).argmin(axis=1)
        offset = pixels - spine[nearest]
        across = (offset * right[nearest]).sum(1)
        ahead = offset[:, 1] * right[nearest, 0] - offset[:, 0] * right[nearest, 1]
        along = (nearest + ahead / self.length * (_SAMPLES - 1)) / (_SAMPLES - 1)
        half = np.interp(along, _PROFILE[:, 0], _PROFILE[:, 1]).astype(np.float32) * self.length
        side = np.clip(across / half, -1, 1)
        fur = cv2.remap(
            self._fur,
            (along * (self._fur.shape[1] - 1)).astype(np.float32).reshape(height, width),
            ((side + 1) / 2 * (self._fur.shape[0] - 1)).astype(np.float32).reshape(height, width),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        # Shaded as a half cylinder: across the trunk the normal
        # turns from its left side over the top to the right.
        normal = side[:, None] * right[nearest]
        light = normal @ _LIGHT[:2].astype(np.float32) + np.sqrt(1 - side**2) * np.float32(_LIGHT[2])
        shade = (0.5 + 0.72 * np.clip(light, 0, 1)).reshape(height, width, 1)
        return np.asarray(fur * shade, np.float32)
