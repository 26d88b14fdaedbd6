"""Draw line charts as SVG in the colours of their page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

Point = tuple[float, float]

WIDTH, HEIGHT = 460, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 16, 40


def draw_line_chart(points: Sequence[Point], *, x_label: str, label: str, mark_lowest: bool = False) -> str:
    """Draw one line as an SVG element.

    The y axis is logarithmic where the values span more than a factor of 8.

    Args:
        points: (x, y), finite, with increasing x.
        x_label: of the x axis.
        label: description of the chart, for screen readers.
        mark_lowest: mark the smallest y with a dot and its value.

    Raises:
        ValueError: there are no points.
    """
    if not points:
        raise ValueError("a chart needs at least one point")
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    logarithmic = min(ys) > 0 and max(ys) / min(ys) > 8
    y_ticks = _choose_log_ticks(min(ys), max(ys)) if logarithmic else _choose_ticks(min(0.0, *ys), max(ys), 5)
    x_ticks = [t for t in _choose_ticks(min(xs), max(xs), 6) if min(xs) <= t <= max(xs)]
    transform = math.log if logarithmic else float
    low, high = transform(min(y_ticks[0], min(ys))), transform(max(y_ticks[-1], max(ys)))
    # A single point, or a flat line, has no extent to divide by.
    x_low, x_span = min(xs), (max(xs) - min(xs)) or 1.0

    def at(point: Point) -> Point:
        x = _LEFT + (point[0] - x_low) / x_span * (WIDTH - _LEFT - _RIGHT)
        y = HEIGHT - _BOTTOM - (transform(point[1]) - low) / ((high - low) or 1.0) * (HEIGHT - _TOP - _BOTTOM)
        return round(x, 1), round(y, 1)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">']
    for tick in y_ticks:
        y = at((x_low, tick))[1]
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    for tick in x_ticks:
        x = at((tick, max(ys)))[0]
        parts.append(f'<text class="tick" x="{x}" y="{HEIGHT - _BOTTOM + 18}" text-anchor="middle">{tick:g}</text>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text class="tick" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>')
    placed = [at(p) for p in points]
    parts.append(f'<polyline class="line" points="{" ".join(f"{x},{y}" for x, y in placed)}"/>')
    for (x, y), point in zip(placed, points, strict=True):
        title = f"<title>{escape(x_label)} {point[0]:g}: {point[1]:.4g}</title>"
        parts.append(f'<circle class="dot" cx="{x}" cy="{y}" r="{3 if len(points) <= 30 else 1.8}">{title}</circle>')
    if mark_lowest:
        parts.append(_draw_lowest(placed[ys.index(min(ys))], min(ys)))
    return "".join([*parts, "</svg>"])


def _draw_lowest(place: Point, value: float) -> str:
    x, y = place
    # On the right the label would run over the chart's edge.
    anchor, shift = ("end", 2) if x > WIDTH * 0.75 else ("middle", 0)
    return (
        f'<circle class="best" cx="{x}" cy="{y}" r="5"/>'
        f'<text class="best-label" x="{x + shift}" y="{y - 12}" text-anchor="{anchor}">best '
        f"{value:.2f}</text>"
    )


def _choose_ticks(low: float, high: float, count: int) -> list[float]:
    """Choose about ``count`` round numbers that enclose the range."""
    # A smaller span becomes zero once it is divided, and zero has no logarithm.
    span = max((high - low) or abs(high) or 1.0, 1e-300)
    unit = 10.0 ** math.floor(math.log10(span / count))
    step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit * count >= span * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    # 3 * 0.1 is 0.30000000000000004; ten digits make it 0.3 again.
    return [float(f"{i * step:.10g}") for i in range(first, max(last, first + 1) + 1)]


def _choose_log_ticks(low: float, high: float) -> list[float]:
    """Choose powers of ten that enclose the range.

    They are multiplied with 1, 2 and 5, or over many decades with 1 alone.
    """
    steps = (1.0, 2.0, 5.0) if high / low < 500 else (1.0,)
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    ticks = [float(f"{m * 10.0**d:.10g}") for d in decades for m in steps]
    below = [t for t in ticks if t <= low]
    above = [t for t in ticks if t >= high]
    return [t for t in ticks if below[-1] <= t <= above[0]]
