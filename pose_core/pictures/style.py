"""The look of plots and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib

INK, GREY, FAINT = "#222222", "#6b7280", "#e5e7eb"

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.color": INK,
    "savefig.dpi": 140,
    "figure.facecolor": "white",
    # Names of users are text: a dollar sign in one begins no formula.
    "text.parse_math": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Set the look of all plots and pictures."""
    with matplotlib.rc_context(_STYLE):
        yield
