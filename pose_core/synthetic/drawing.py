"""Rasterize outlines with sub-pixel precision into antialiased masks.

Outlines are filled on a grid of ``SUPERSAMPLING`` times the resolution and averaged down, so that the
centroid of a mask lies on the centroid of its outline to a few hundredths of a pixel. Coordinates are pixels
of the image, x right, y down, the centre of the top-left pixel at (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.float32]
Picture = npt.NDArray[np.float32]

SUPERSAMPLING = 4
# Bits behind the binary point of the fixed-point coordinates that OpenCV's drawing functions take.
_SHIFT = 8


def _sample_arc(start: float, stop: float, corners: int) -> Points:
    angles = np.linspace(start, stop, corners, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


# The corners lie slightly outside, so that the polygon has the area of the circle.
_CIRCLE = _sample_arc(0, 2 * np.pi, 28) * np.sqrt((2 * np.pi / 28) / np.sin(2 * np.pi / 28))
# From 30 degrees on: the corner at 0 degrees is the side of the band itself.
_CAP = _sample_arc(np.pi / 6, np.pi, 5)


@dataclass(frozen=True, eq=False)
class Coverage:
    """The share of each pixel of a window that an outline covers.

    Attributes:
        x, y: column and row of the window's top-left pixel in the image.
        mask: (h, w) float32 in [0, 1].
    """

    x: int
    y: int
    mask: Mask

    @property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns of the image that the mask covers."""
        height, width = self.mask.shape
        return slice(self.y, self.y + height), slice(self.x, self.x + width)


def find_window(
    points: Points, size: tuple[int, int], margin: float = 1.0
) -> tuple[int, int, int, int] | None:
    """Find the part of an image that some points can touch.

    Args:
        points: (P, 2) in pixels.
        size: (H, W) of the image.
        margin: pixels added around the points.

    Returns:
        ``x1, y1, x2, y2``, ends exclusive; None when nothing of it lies in the image.
    """
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    x1, y1 = max(int(np.floor(low[0])), 0), max(int(np.floor(low[1])), 0)
    x2, y2 = min(int(np.ceil(high[0])) + 1, size[1]), min(int(np.ceil(high[1])) + 1, size[0])
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def rasterize(outline: Points, size: tuple[int, int]) -> Coverage | None:
    """Compute the coverage of a closed outline.

    Args:
        outline: (P, 2) in pixels.
        size: (H, W) of the image.

    Returns:
        the coverage; None when the outline lies outside the image.
    """
    box = find_window(outline, size)
    if box is None:
        return None
    x1, y1, x2, y2 = box
    fine = np.zeros(((y2 - y1) * SUPERSAMPLING, (x2 - x1) * SUPERSAMPLING), np.uint8)
    # Coordinates are those of pixel centres; scaling is about
    # the window's corner, half a pixel up and left of it.
    corners = (outline - (x1, y1) + 0.5) * SUPERSAMPLING - 0.5
    closed = [np.round(corners * (1 << _SHIFT)).astype(np.int32)]
    cv2.fillPoly(fine, closed, 255, cv2.LINE_8, _SHIFT)
    # OpenCV fills every pixel that the outline touches; half of each lies inside.
    cv2.polylines(fine, closed, True, 128, 1, cv2.LINE_AA, _SHIFT)
    mask = cv2.resize(fine, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
    return Coverage(x1, y1, mask.astype(np.float32) / np.float32(255))


def paint(picture: Picture, coverage: Coverage | None, colour: npt.ArrayLike, opacity: float = 1.0) -> None:
    """Blend a colour into a picture, in place.

    Args:
        picture: (H, W, 3) float32.
        coverage: where; None paints nothing.
        colour: (3,), or (h, w, 3) for the coverage's window.
        opacity: 1 hides what is below.
    """
    if coverage is None:
        return
    part = picture[coverage.window]
    alpha = coverage.mask[..., None] * np.float32(opacity)
    part += alpha * (np.asarray(colour, np.float32) - part)


def contains(outline: Points, points: Points) -> npt.NDArray[np.bool_]:
    """Test which points (P, 2) lie inside a closed outline; NaN lies outside.

    Returns:
        (P,) bool.
    """
    low, high = outline.min(axis=0), outline.max(axis=0)
    inside: npt.NDArray[np.bool_] = np.all((points >= low) & (points <= high), axis=1)
    # Only points in the bounding box are left (NaN is not among them, as it compares false).
    contour = outline.astype(np.float32)
    for i in np.flatnonzero(inside):
        inside[i] = cv2.pointPolygonTest(contour, (float(points[i, 0]), float(points[i, 1])), False) > 0
    return inside


def outline_ellipse(
    centre: npt.ArrayLike, radii: tuple[float, float], direction: npt.ArrayLike = (1.0, 0.0)
) -> Points:
    """Outline an ellipse: (P, 2); ``radii`` along and across the unit vector ``direction``."""
    along = np.asarray(direction, float)
    frame = np.array([radii[0] * along, radii[1] * np.array([-along[1], along[0]])])
    return np.asarray(centre + _CIRCLE @ frame)


def outline_disc(centre: npt.ArrayLike, radius: float) -> Points:
    """Outline a disc: (P, 2)."""
    return outline_ellipse(centre, (radius, radius))


def compute_normals(line: Points) -> Points:
    """Compute unit vectors to the right of a line.

    Args:
        line: (P, 2), walked from its first point; y points down.

    Returns:
        (P, 2).
    """
    along = np.empty_like(line)
    along[1:-1] = line[2:] - line[:-2]
    along[0], along[-1] = line[1] - line[0], line[-1] - line[-2]
    along /= np.maximum(np.sqrt((along**2).sum(axis=1, keepdims=True)), 1e-9)
    return along[:, ::-1] * (-1, 1)


def outline_band(line: Points, half_widths: npt.NDArray[np.float64] | float) -> Points:
    """Outline a band with rounded ends around a line.

    Args:
        line: (P, 2).
        half_widths: (P,), or one for all points.

    Returns:
        (Q, 2), closed.
    """
    widths = np.full(len(line), half_widths) if isinstance(half_widths, float) else half_widths
    right = compute_normals(line)
    aside = widths[:, None] * right
    forward = aside[:, ::-1] * (1, -1)
    end = line[-1] + _CAP @ np.stack([aside[-1], forward[-1]])
    start = line[0] - _CAP @ np.stack([aside[0], forward[0]])
    return np.concatenate([line + aside, end, (line - aside)[::-1], start])
