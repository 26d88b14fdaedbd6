"""Colours of animals and keypoints, the same in every picture, plot and video."""

from __future__ import annotations

import colorsys

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

# Okabe and Ito (2008), told apart also by colour-blind people; black left out, which is not seen on dark
# frames.
_FEW: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)


def animal_colour(number: int) -> Colour:
    """Colour of a track, individual or row."""
    return _FEW[number % len(_FEW)]


def keypoint_colours(count: int) -> list[Colour]:
    """Colours for ``count`` keypoints: of seven or fewer those of animals, of more evenly around the colour
    circle."""
    if count <= len(_FEW):
        return list(_FEW[:count])
    # Not all the way around: the last would look like the first.
    hues = (colorsys.hsv_to_rgb(0.9 * i / count, 0.85, 1.0) for i in range(count))
    return [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in hues]


def to_hex(colour: Colour) -> str:
    """The colour as matplotlib and web pages write it: ``#e69f00``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
