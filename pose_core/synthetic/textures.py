"""Procedural textures of fur and cluttered ground: float32 RGB, 0 to 255."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from pose_core.synthetic.drawing import Picture, Points, outline_band, outline_ellipse, paint, rasterize

Colour = tuple[float, float, float]

COATS: tuple[tuple[Colour, Colour], ...] = (
    ((122, 92, 62), (58, 42, 30)),  # agouti: base, dorsal stripe
    ((98, 96, 98), (48, 47, 52)),
    ((176, 122, 74), (112, 66, 34)),
    ((66, 58, 54), (28, 25, 26)),
    ((196, 176, 146), (142, 112, 84)),
)
GROUNDS: tuple[tuple[Colour, Colour], ...] = (
    ((190, 168, 132), (226, 208, 172)),  # wood chips: ground, what lies on it
    ((150, 133, 110), (186, 170, 146)),
    ((146, 150, 130), (108, 128, 82)),
    ((170, 164, 158), (128, 122, 120)),
    ((204, 196, 186), (176, 158, 138)),
)


def sample_fractal_noise(
    rng: np.random.Generator, size: tuple[int, int], coarsest: float, octaves: int = 4
) -> Picture:
    """Sample fractal noise (value noise of several octaves).

    Args:
        rng: source of everything random.
        size: (H, W).
        coarsest: size in pixels of the features of the first octave; each further octave has half of it.
        octaves: number of octaves.

    Returns:
        (H, W) float32 of about unit variance.
    """
    height, width = size
    total: Picture = np.zeros(size, np.float32)
    weights = 0.0
    for octave in range(octaves):
        cell = max(coarsest / 2**octave, 1.0)
        shape = (max(round(height / cell), 1) + 3, max(round(width / cell), 1) + 3)
        grid = rng.standard_normal(shape, dtype=np.float32)
        weight = 0.6**octave
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        weights += weight**2
    # Interpolating between the points of the grid lowers
    # the deviation; divided by 0.75 it is about 1.1 again.
    return np.asarray(total / np.float32(np.sqrt(weights) * 0.75), np.float32)


def paint_coat(rng: np.random.Generator, kind: int, size: tuple[int, int] = (48, 160)) -> Picture:
    """Paint the fur of an animal, unrolled into a rectangle.

    Returns:
        (height, width, 3): rows from its left to its right side, columns from nose to tail.
    """
    base, stripe = (np.array(c, np.float32) for c in COATS[kind % len(COATS)])
    height, width = size
    across = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    along = np.linspace(0, 1, width, dtype=np.float32)[None]
    hairs = cv2.GaussianBlur(rng.standard_normal(size, dtype=np.float32), (0, 0), 2.2, sigmaY=0.7) * 2.6
    clumps = sample_fractal_noise(rng, size, 18, 3)
    ridge = (
        np.exp(-((across / 0.34) ** 2)) * np.clip(along * 6 - 0.6, 0, 1) * np.clip((1.05 - along) * 6, 0, 1)
    )
    ridge = np.clip(ridge * (0.85 + 0.12 * clumps), 0, 1)[..., None]
    fur = base * (1 - ridge) + stripe * ridge
    # Both flanks are pale: only the head tells left from right.
    flank = np.clip(np.abs(across) - 0.55, 0, 1) * 0.9
    fur = fur * (1 + flank[..., None] * 0.5)
    fur = fur * (1 + 0.09 * hairs + 0.06 * clumps)[..., None]
    return np.asarray(np.clip(fur, 0, 255), np.float32)


def paint_ground(rng: np.random.Generator, size: tuple[int, int], kind: int, clutter: float) -> Picture:
    """Paint cluttered ground without animals: (H, W, 3).

    Args:
        rng: source of everything random.
        size: (H, W).
        kind: which palette.
        clutter: 0 for bare ground, 1 for the usual litter, stones, leaves and animal-like blobs.
    """
    base, litter = (np.array(c, np.float32) for c in GROUNDS[kind % len(GROUNDS)])
    # Sizes below are those of a picture of 256 pixels.
    scale = min(size) / 256
    picture = np.empty((*size, 3), np.float32)
    tone = 0.045 * sample_fractal_noise(rng, size, 80 * scale, 3) + 0.055 * sample_fractal_noise(
        rng, size, 12 * scale, 3
    )
    hue = 0.04 * sample_fractal_noise(rng, size, 90 * scale, 3)
    picture[:] = base * (1 + tone[..., None]) + hue[..., None] * np.array([30, 0, -30], np.float32)
    area = size[0] * size[1] / 256**2 / scale**2
    for _ in range(round(260 * clutter * area)):
        tint = litter * rng.uniform(0.68, 1.12)
        _draw_chip(picture, rng, rng.uniform((0, 0), size[::-1]), rng.uniform(2.5, 9) * scale, tint)
    things: tuple[Callable[..., None], ...] = (
        _draw_stone,
        _draw_stone,
        _draw_leaf,
        _draw_twig,
        _draw_pellet,
        _draw_blob,
    )
    for i in range(round(20 * clutter * area)):
        things[i % len(things)](picture, rng, rng.uniform((0, 0), size[::-1]), scale)
    return np.clip(picture, 0, 255)


def _sample_direction(rng: np.random.Generator) -> Points:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def _draw_outline(picture: Picture, outline: Points, colour: npt.ArrayLike, opacity: float = 1.0) -> None:
    paint(picture, rasterize(outline, (picture.shape[0], picture.shape[1])), colour, opacity)


def _draw_solid(
    picture: Picture,
    centre: Points,
    radii: tuple[float, float],
    direction: Points,
    colour: Picture,
    height: float,
) -> None:
    """Draw an ellipse with a cast shadow and a lighter top."""
    _draw_outline(picture, outline_ellipse(centre + 0.6 * height, radii, direction), (20, 16, 12), 0.35)
    for k, step in enumerate(np.linspace(0, 0.7, 6)):
        smaller = (radii[0] * (1 - step), radii[1] * (1 - step))
        _draw_outline(
            picture,
            outline_ellipse(centre - step * height * 0.5, smaller, direction),
            colour * (0.78 + 0.07 * k),
        )


def _draw_chip(
    picture: Picture, rng: np.random.Generator, centre: Points, size: float, colour: Picture
) -> None:
    direction = _sample_direction(rng)
    across = np.array([-direction[1], direction[0]]) * size * rng.uniform(0.12, 0.3)
    ends = np.stack([centre - direction * size / 2, centre + direction * size / 2])
    outline = np.concatenate([ends - across, (ends + across)[::-1]])
    _draw_outline(picture, outline + 0.8, (30, 24, 18), 0.25)
    _draw_outline(picture, outline, colour)


def _draw_stone(picture: Picture, rng: np.random.Generator, centre: Points, scale: float) -> None:
    size = rng.uniform(4, 11) * scale
    colour = np.array([138, 134, 128], np.float32) * rng.uniform(0.6, 1.2) + rng.uniform(-10, 10, 3).astype(
        np.float32
    )
    _draw_solid(
        picture, centre, (size, size * rng.uniform(0.6, 0.95)), _sample_direction(rng), colour, size * 0.4
    )


def _draw_leaf(picture: Picture, rng: np.random.Generator, centre: Points, scale: float) -> None:
    length, direction = rng.uniform(9, 20) * scale, _sample_direction(rng)
    along = np.linspace(-1, 1, 24)[:, None] * length
    width = (0.34 * length * np.cos(np.linspace(-1, 1, 24) * np.pi / 2) ** 0.8).clip(0.3)
    line = centre + along * direction + 0.15 * along**2 / length * np.array([-direction[1], direction[0]])
    green = np.array([96, 122, 58], np.float32) * rng.uniform(0.7, 1.2) + rng.uniform(-14, 14, 3).astype(
        np.float32
    )
    _draw_outline(picture, outline_band(line + 1.5 * scale, width), (20, 16, 12), 0.35)
    _draw_outline(picture, outline_band(line, width), green)
    _draw_outline(picture, outline_band(line - 0.15 * width[:, None], width * 0.6), green * 1.12, 0.6)
    _draw_outline(picture, outline_band(line, 0.5 * scale), green * 1.35)


def _draw_twig(picture: Picture, rng: np.random.Generator, centre: Points, scale: float) -> None:
    """Draw a bent twig, as thin and as long as a tail."""
    length, direction = rng.uniform(18, 46) * scale, _sample_direction(rng)
    along = np.linspace(-0.5, 0.5, 24)[:, None] * length
    bend = rng.uniform(-0.6, 0.6) * along**2 / length * np.array([-direction[1], direction[0]])
    width = np.linspace(1.6, 0.7, 24) * scale * rng.uniform(0.7, 1.3)
    colour = np.array([118, 92, 70], np.float32) * rng.uniform(0.7, 1.3)
    _draw_outline(
        picture, outline_band(centre + along * direction + bend + 1.2 * scale, width), (20, 16, 12), 0.35
    )
    _draw_outline(picture, outline_band(centre + along * direction + bend, width), colour)
    _draw_outline(
        picture, outline_band(centre + along * direction + bend - 0.4 * scale, width * 0.4), colour * 1.3
    )


def _draw_pellet(picture: Picture, rng: np.random.Generator, centre: Points, scale: float) -> None:
    size = rng.uniform(2.5, 4.5) * scale
    colour = np.array([112, 78, 52], np.float32) * rng.uniform(0.7, 1.3)
    _draw_solid(picture, centre, (size * 1.7, size), _sample_direction(rng), colour, size * 0.5)


def _draw_blob(picture: Picture, rng: np.random.Generator, centre: Points, scale: float) -> None:
    """Draw a round distractor in the colour of a coat."""
    base = np.array(COATS[int(rng.integers(len(COATS)))][0], np.float32)
    size = rng.uniform(7, 14) * scale
    _draw_solid(
        picture,
        centre,
        (size * rng.uniform(1, 1.6), size * 0.8),
        _sample_direction(rng),
        base * 0.95,
        size * 0.4,
    )
