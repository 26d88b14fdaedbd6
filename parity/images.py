"""Images to compare on: noise, and shapes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def draw(height: int, width: int, seed: int, structured: bool) -> npt.NDArray[np.uint8]:
    """A random (height, width, 3) RGB image: independent bytes, or soft shapes on a gradient, a little
    grainy."""
    rng = np.random.default_rng(seed)
    if not structured:
        return rng.integers(0, 256, (height, width, 3), np.uint8)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    image = np.stack(
        [rng.uniform(40, 120) + rng.uniform(-0.2, 0.2) * x + rng.uniform(-0.2, 0.2) * y for _ in range(3)], 2
    )
    for _ in range(8):
        cx, cy, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(6, 40)
        angle, aspect = rng.uniform(0, np.pi), rng.uniform(0.3, 1)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        inside = 1 / (1 + np.exp(np.clip((np.hypot(u, v / aspect) - size) / 1.5, -50, 50)))
        image += inside[..., None] * rng.uniform(-120, 150, 3)
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
