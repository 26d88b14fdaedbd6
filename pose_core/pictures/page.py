"""Render reports as self-contained HTML pages."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files


@dataclass(frozen=True)
class Tile:
    """A number at the top of the report.

    Attributes:
        label: its name.
        value: the number as text.
        unit: behind it, smaller.
        note: a line below, such as its interval.
    """

    label: str
    value: str
    unit: str = ""
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture with its caption.

    Attributes:
        png: the file's bytes.
        alt: description of the picture, for screen readers.
        caption: below it.
    """

    png: bytes
    alt: str
    caption: str


def render_page(
    title: str,
    lead: str,
    tiles: Sequence[Tile],
    sections: Sequence[tuple[str, str]],
    notes: Sequence[str] = (),
    footer: str = "",
) -> str:
    """Render a page as HTML text, light or dark as the reader's system is.

    Args:
        title, lead: heading, and the paragraph below it.
        tiles: the most important numbers.
        sections: headings, and their content as HTML.
        notes: remarks below the numbers.
        footer: the last line.
    """
    remarks = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    content = "\n".join(f"<section>\n<h2>{escape(name)}</h2>\n{html}\n</section>" for name, html in sections)
    css = files("pose_core.pictures").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        # The page must not depend on anything else; with this policy a mistake shows at once.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; media-src '
        "data:; "
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>\n"
        f'<header>\n<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n'
        f'<div class="tiles">{"".join(map(_render_tile, tiles))}</div>\n{remarks}</header>\n'
        + content
        + f"\n<footer>{escape(footer)}</footer>\n</main>\n</body>\n</html>\n"
    )


def _render_tile(tile: Tile) -> str:
    unit = f'<span class="unit">{escape(tile.unit)}</span>' if tile.unit else ""
    note = f'<div class="under">{escape(tile.note)}</div>' if tile.note else ""
    return (
        f'<div class="tile"><div class="label">{escape(tile.label)}</div>'
        f'<div class="value">{escape(tile.value)}{unit}</div>{note}</div>'
    )


def render_picture(picture: Picture) -> str:
    """Render a picture with its caption as HTML; it is part of the text."""
    source = f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
    return (
        f'<figure><img class="sheet" alt="{escape(picture.alt)}" src="{source}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )
