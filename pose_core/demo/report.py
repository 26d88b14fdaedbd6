"""Render the demo's report as one self-contained HTML page."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from pose_core.pictures.page import Picture, Tile, render_page, render_picture

LARGEST_VIDEO = 8 * 2**20
"""Bytes up to which the video is embedded in the page; a larger one is linked."""


@dataclass(frozen=True)
class KeypointRow:
    """The error of one keypoint.

    Attributes:
        name: of the keypoint.
        error: mean error in pixels; None if it was never predicted.
        interval: its 95 % interval in pixels; None where there is none.
        labelled: number of labels that the error is measured on.
        missing: number of them without a prediction.
    """

    name: str
    error: float | None
    interval: tuple[float, float] | None
    labelled: int
    missing: int


@dataclass(frozen=True)
class Clip:
    """The labelled video.

    Attributes:
        mp4: the file's bytes.
        file: name of the file beside the report.
        caption: below it.
    """

    mp4: bytes
    file: str
    caption: str


@dataclass(frozen=True)
class Step:
    """A command for the reader to type.

    Attributes:
        text: its purpose.
        command: the command line.
    """

    text: str
    command: str


@dataclass(frozen=True)
class DemoReport:
    """The content of the page.

    Attributes:
        title, lead: heading, and the paragraph below it.
        made: (path, description) of each file.
        tiles: the most important numbers.
        keypoints: errors by keypoint.
        training: loss and validation error over the course of the training.
        pictures: predicted against true keypoints.
        clip: the labelled video.
        steps: commands for the reader's own project.
        configuration: as YAML text.
        footer: versions, seed and duration.
        notes: remarks below the numbers.
    """

    title: str
    lead: str
    made: Sequence[tuple[str, str]]
    tiles: Sequence[Tile]
    keypoints: Sequence[KeypointRow]
    training: Picture
    pictures: Sequence[Picture]
    clip: Clip
    steps: Sequence[Step]
    configuration: str
    footer: str = ""
    notes: Sequence[str] = field(default=())


def render_report(report: DemoReport) -> str:
    """Render the page as HTML text, light or dark as the reader's system is."""
    return render_page(
        report.title,
        report.lead,
        report.tiles,
        [
            ("The video", _render_clip(report.clip)),
            ("Predicted and true keypoints", "".join(map(render_picture, report.pictures))),
            ("Error by keypoint", _render_keypoints(report.keypoints)),
            ("Training", render_picture(report.training)),
            ("What was made", _render_made(report.made)),
            ("Your own project", _render_steps(report.steps)),
            ("Configuration", _render_configuration(report.configuration)),
        ],
        report.notes,
        report.footer,
    )


def _render_clip(clip: Clip) -> str:
    caption = f"<figcaption>{escape(clip.caption)}</figcaption>"
    if len(clip.mp4) > LARGEST_VIDEO:
        link = f'<a href="{escape(clip.file)}">{escape(clip.file)}</a>'
        size = f"{len(clip.mp4) / 2**20:.0f} MB"
        return (
            f"<figure><p>The video is too large for this page ({size}); it is beside this file: {link}</p>"
            f"{caption}</figure>"
        )
    # Muted, because browsers play nothing by themselves that could be heard.
    source = f"data:video/mp4;base64,{base64.b64encode(clip.mp4).decode()}"
    return (
        f'<figure><video controls autoplay loop muted playsinline src="{source}"></video>{caption}</figure>'
    )


def _render_keypoints(rows: Sequence[KeypointRow]) -> str:
    """Render a table in which errors are also bars, with their intervals."""
    # Bars are scaled by the largest end of an interval, so that none leaves its cell.
    ends = [r.interval[1] if r.interval else r.error for r in rows if r.error is not None]
    largest = max((e for e in ends if e is not None), default=0.0) or 1.0
    cells = "".join(_render_keypoint(row, largest) for row in rows)
    return (
        '<div class="scroll"><table class="keypoints"><thead><tr><th>keypoint</th><th class="number">mean '
        "error</th>"
        '<th class="bar-head">95 % interval</th><th></th><th class="number">labels</th>'
        f'<th class="number">missing</th></tr></thead><tbody>{cells}</tbody></table></div>'
    )


def _render_keypoint(row: KeypointRow, largest: float) -> str:
    counts = f'<td class="number">{row.labelled}</td><td class="number">{row.missing}</td>'
    name = f"<td>{escape(row.name.replace('_', ' '))}</td>"
    if row.error is None:
        return f'<tr>{name}<td class="number">–</td><td></td><td></td>{counts}</tr>'
    bar = f'<div class="fill" style="width:{100 * row.error / largest:.1f}%"></div>'
    interval = ""
    if row.interval is not None:
        low, high = row.interval
        place = f"left:{100 * low / largest:.1f}%;width:{100 * (high - low) / largest:.1f}%"
        bar += f'<div class="whisker" style="{place}"></div>'
        interval = f"{low:.2f} to {high:.2f}"
    return (
        f'<tr>{name}<td class="number">{row.error:.2f} px</td><td class="bar"><div>{bar}</div></td>'
        f'<td class="interval">{interval}</td>{counts}</tr>'
    )


def _render_made(made: Iterable[tuple[str, str]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(path)}</code></td><td>{escape(what)}</td></tr>" for path, what in made
    )
    return f'<div class="scroll"><table class="made"><tbody>{rows}</tbody></table></div>'


def _render_steps(steps: Iterable[Step]) -> str:
    items = "".join(f"<li>{escape(s.text)}<pre><code>{escape(s.command)}</code></pre></li>" for s in steps)
    return f"<ol>{items}</ol>"


def _render_configuration(text: str) -> str:
    return (
        "<p>The complete configuration of the run, with the full name of every component. Set any key with "
        "<code>--set key.key=value</code>, or in a file given with <code>--config</code>.</p>"
        f"<details><summary>Show config.yaml</summary><pre><code>{escape(text)}</code></pre></details>"
    )
