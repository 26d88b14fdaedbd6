"""The demo's report: one page that needs nothing from elsewhere."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pose_core.demo import report as demo_report
from pose_core.demo.report import Clip, DemoReport, KeypointRow, Step, render_report
from pose_core.pictures.page import Picture, Tile

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
REPORT = DemoReport(
    title="A demo",
    lead="An animal that never lived.",
    made=[("demo/run", "the trained model")],
    tiles=[Tile("mean error", "1.23", "px", "95 %: 1.10 to 1.40"), Tile("speed", "80", "frames/s")],
    keypoints=[KeypointRow("left_ear", 1.5, (1.0, 2.0), 24, 0), KeypointRow("tail_tip", None, None, 20, 20)],
    training=Picture(PNG, "loss and error", "the dot is the best epoch"),
    pictures=[Picture(PNG, "predicted and true", "rings are labels")],
    clip=Clip(b"mp4-bytes", "labelled.mp4", "not seen in training"),
    steps=[Step("Train.", "pose train my-project --model unet --out run")],
    configuration="train:\n  seed: 0\n",
    footer="pose_core 0.1.0",
    notes=["a note"],
)
VOID = {"meta", "img", "br", "link", "input", "line", "circle", "polyline", "path"}


class Page(HTMLParser):
    """Collects text, and checks that every element is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.sources: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "poster", "xlink:href")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        return

    def handle_endtag(self, tag: str) -> None:
        if tag != "circle":
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def test_everything_is_in_the_page() -> None:
    page = Page(render_report(REPORT))
    text = " ".join(" ".join(page.text).split())
    for part in (
        "A demo", "An animal that never lived.", "1.23 px", "95 %: 1.10 to 1.40", "left ear", "1.50 px", "1.00 to 2.00",
        "tail tip", "the dot is the best epoch", "rings are labels", "not seen in training", "demo/run",
        "pose train my-project --model unet --out run", "seed: 0", "pose_core 0.1.0", "a note",
    ):  # fmt: skip
        assert part in text, part


def test_nothing_is_loaded_from_elsewhere() -> None:
    html = render_report(REPORT)
    kinds = [source.partition(",")[0] for source in Page(html).sources]
    assert kinds == ["data:video/mp4;base64", "data:image/png;base64", "data:image/png;base64"]
    assert not re.search(r"https?://|@import|url\(|<script|<link", html)
    assert base64.b64encode(PNG).decode() in html
    assert base64.b64encode(b"mp4-bytes").decode() in html


def test_light_and_dark_are_both_styled() -> None:
    html = render_report(REPORT)
    light, dark = html.split("prefers-color-scheme: dark")
    variables = set(re.findall(r"(--[a-z]+):", light))
    assert variables
    assert variables == set(re.findall(r"(--[a-z]+):", dark))
    assert set(re.findall(r"var\((--[a-z]+)\)", html)) <= variables


def test_text_cannot_become_markup() -> None:
    nasty = '<script>alert(1)</script>&"'
    html = render_report(
        replace(
            REPORT,
            title=nasty,
            lead=nasty,
            made=[(nasty, nasty)],
            tiles=[Tile(nasty, nasty, nasty, nasty)],
            keypoints=[KeypointRow(nasty, 1.0, None, 1, 0)],
            training=Picture(PNG, nasty, nasty),
            pictures=[Picture(PNG, nasty, nasty)],
            steps=[Step(nasty, nasty)],
            configuration=nasty,
            footer=nasty,
            notes=[nasty],
        )
    )
    assert "<script" not in html
    Page(html)


def test_a_large_video_is_linked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_report, "LARGEST_VIDEO", 4)
    page = Page(render_report(REPORT))
    assert page.sources[0] == "labelled.mp4"
    assert "too large for this page" in " ".join(page.text)


def test_bars_and_intervals_share_one_scale() -> None:
    rows = [KeypointRow("a", 1.0, (0.5, 2.0), 5, 0), KeypointRow("b", 4.0, (3.0, 5.0), 5, 0)]
    html = render_report(replace(REPORT, keypoints=rows))
    assert 'class="fill" style="width:20.0%"' in html
    assert 'class="fill" style="width:80.0%"' in html
    assert 'style="left:10.0%;width:30.0%"' in html
    assert 'style="left:60.0%;width:40.0%"' in html
