"""Pictures of synthetic crowds, for trackers that look at them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from pose_core.structures import ByteArray, Frame


def draw_crowd(frames: Iterable[Frame], side: int) -> list[ByteArray]:
    """Draw animals, (side, side, 3) RGB each: every keypoint is a spot of its own brightness on speckled ground."""
    rng = np.random.default_rng(0)
    ground = rng.integers(40, 80, (side, side), np.uint8).astype(np.float64)
    y, x = np.mgrid[:side, :side]
    drawn = []
    for frame in frames:
        image = ground.copy()
        for points in frame.instances.keypoints:
            for number, (px, py) in enumerate(points):
                if np.isfinite(px):
                    spot = np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8)
                    image += spot * ((130 + 60 * (number % 2)) - image)
        drawn.append(np.repeat(image.round().astype(np.uint8)[..., None], 3, axis=2))
    return drawn


def write_crowd_video(path: Path, images: Sequence[ByteArray]) -> Path:
    """Write a video without loss."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=30)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for image in images:
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(picture.reformat(format="bgr0")))
        container.mux(stream.encode())
    return path
