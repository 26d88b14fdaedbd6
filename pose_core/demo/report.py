"""The demo's report: plain data and pictures -> one self-contained HTML page (nothing is loaded from elsewhere)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files

LARGEST_VIDEO = 8 * 2**20
"""Bytes up to which the video is put into the page; above, the page links to the file beside it."""


@dataclass(frozen=True)
class Tile:
    """One number at the top.

    Attributes:
        label: what it is.
        value: the number as text.
        unit: behind it, smaller.
        note: a line below (an interval ...).
    """

    label: str
    value: str
    unit: str = ""
    note: str = ""


@dataclass(frozen=True)
class KeypointRow:
    """The error of one keypoint.

    Attributes:
        name: of the keypoint.
        error: mean error in pixels; None if it was never predicted.
        interval: its 95 % interval in pixels; None where there is none.
        labelled: how many labels it rests on.
        missing: how many of them have no prediction.
    """

    name: str
    error: float | None
    interval: tuple[float, float] | None
    labelled: int
    missing: int


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        png: the file's bytes.
        alt: what it shows, for those who cannot see it.
        caption: below it.
    """

    png: bytes
    alt: str
    caption: str


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
    """Something to type.

    Attributes:
        text: what it does.
        command: the line.
    """

    text: str
    command: str


@dataclass(frozen=True)
class DemoReport:
    """All that the page shows.

    Attributes:
        title, lead: heading, and the paragraph below it.
        made: (path, what it is).
        tiles: the most important numbers.
        keypoints: errors by keypoint.
        training: loss and validation error over the course of the training.
        pictures: predicted against true keypoints.
        clip: the labelled video.
        steps: what to type for one's own project.
        configuration: as YAML text.
        footer: versions, date.
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
    """The page as HTML text, light or dark as the reader's system is."""
    sections = [
        _section("The video", _clip(report.clip)),
        _section("Predicted and true keypoints", "".join(map(_picture, report.pictures))),
        _section("Error by keypoint", _keypoints(report.keypoints)),
        _section("Training", _picture(report.training)),
        _section("What was made", _made(report.made)),
        _section("Your own project", _steps(report.steps)),
        _section("Configuration", _configuration(report.configuration)),
    ]
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in report.notes)
    style = files("pose_core.demo").joinpath("report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        # The browser is told to fetch nothing, so that a mistake here shows at once.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; media-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(report.title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f'<header>\n<h1>{escape(report.title)}</h1>\n<p class="lead">{escape(report.lead)}</p>\n'
        f'<div class="tiles">{"".join(map(_tile, report.tiles))}</div>\n{notes}</header>\n'
        + "\n".join(sections)
        + f"\n<footer>{escape(report.footer)}</footer>\n</main>\n</body>\n</html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>"


def _tile(tile: Tile) -> str:
    unit = f'<span class="unit">{escape(tile.unit)}</span>' if tile.unit else ""
    note = f'<div class="under">{escape(tile.note)}</div>' if tile.note else ""
    return (
        f'<div class="tile"><div class="label">{escape(tile.label)}</div>'
        f'<div class="value">{escape(tile.value)}{unit}</div>{note}</div>'
    )


def _clip(clip: Clip) -> str:
    caption = f"<figcaption>{escape(clip.caption)}</figcaption>"
    if len(clip.mp4) > LARGEST_VIDEO:
        link = f'<a href="{escape(clip.file)}">{escape(clip.file)}</a>'
        size = f"{len(clip.mp4) / 2**20:.0f} MB"
        return (
            f"<figure><p>The video is too large for this page ({size}); it lies beside it: {link}</p>{caption}</figure>"
        )
    source = f"data:video/mp4;base64,{base64.b64encode(clip.mp4).decode()}"
    return f'<figure><video controls autoplay loop muted playsinline src="{source}"></video>{caption}</figure>'


def _picture(picture: Picture) -> str:
    source = f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
    return (
        f'<figure><img class="sheet" alt="{escape(picture.alt)}" src="{source}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _keypoints(rows: Sequence[KeypointRow]) -> str:
    """A table in which the error is also a bar, with its interval as a line."""
    ends = [r.interval[1] if r.interval else r.error for r in rows if r.error is not None]
    largest = max((e for e in ends if e is not None), default=0.0) or 1.0
    cells = "".join(_keypoint_row(row, largest) for row in rows)
    return (
        '<div class="scroll"><table class="keypoints"><thead><tr><th>keypoint</th><th class="number">mean error</th>'
        '<th class="bar-head">95 % interval</th><th></th><th class="number">labels</th>'
        f'<th class="number">missing</th></tr></thead><tbody>{cells}</tbody></table></div>'
    )


def _keypoint_row(row: KeypointRow, largest: float) -> str:
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


def _made(made: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><td><code>{escape(path)}</code></td><td>{escape(what)}</td></tr>" for path, what in made)
    return f'<div class="scroll"><table class="made"><tbody>{rows}</tbody></table></div>'


def _steps(steps: Iterable[Step]) -> str:
    items = "".join(f"<li>{escape(s.text)}<pre><code>{escape(s.command)}</code></pre></li>" for s in steps)
    return f"<ol>{items}</ol>"


def _configuration(text: str) -> str:
    return (
        "<p>The decided configuration of the run, with the full name of every component. Any of it can be set with "
        "<code>--set key.key=value</code> or in a file given with <code>--config</code>.</p>"
        f"<details><summary>Show config.yaml</summary><pre><code>{escape(text)}</code></pre></details>"
    )
