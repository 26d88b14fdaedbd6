"""The demo's report: one page that needs nothing from elsewhere."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pose_core.demo import report as demo_report
from pose_core.demo.charts import HEIGHT, WIDTH, draw_line_chart
from pose_core.demo.report import Clip, Curve, DemoReport, KeypointRow, Picture, Step, Tile, render_report

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
REPORT = DemoReport(
    title="A demo",
    lead="An animal that never lived.",
    made=[("demo/run", "the trained model")],
    tiles=[Tile("mean error", "1.23", "px", "95 %: 1.10 to 1.40"), Tile("speed", "80", "frames/s")],
    keypoints=[KeypointRow("left_ear", 1.5, (1.0, 2.0), 24, 0), KeypointRow("tail_tip", None, None, 20, 20)],
    curves=[
        Curve("validation error (px)", [(1, 40.0), (5, 8.0), (10, 1.5)], best=True),
        Curve("loss", [(1, 0.5)]),
    ],
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
        "tail tip", "validation error (px)", "best 1.50", "rings are labels", "not seen in training", "demo/run",
        "pose train my-project --model unet --out run", "seed: 0", "pose_core 0.1.0", "a note",
    ):  # fmt: skip
        assert part in text, part


def test_nothing_is_loaded_from_elsewhere() -> None:
    html = render_report(REPORT)
    assert [s.partition(",")[0] for s in Page(html).sources] == [
        "data:video/mp4;base64",
        "data:image/png;base64",
    ]
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
            curves=[Curve(nasty, [(0, 1)], x_label=nasty)],
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


@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.floats(1e-6, 1e6) | st.just(0.0)), min_size=1, max_size=40),
)
@example([(5e-324, 1.0)])
@example([(0.0, 1.0), (5e-324, 2.0)])
def test_a_chart_keeps_its_line_inside(points: list[tuple[float, float]]) -> None:
    points = sorted({x: (x, y) for x, y in points}.values())
    svg = draw_line_chart(points, x_label="epoch", label="error", mark_lowest=True)
    (line,) = re.findall(r'points="([^"]*)"', svg)
    places = [tuple(map(float, pair.split(","))) for pair in line.split()]
    assert len(places) == len(points)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    lowest, highest = min(points, key=lambda p: p[1]), max(points, key=lambda p: p[1])
    if highest[1] > 2 * lowest[1]:
        assert places[points.index(lowest)][1] > places[points.index(highest)][1]


def test_a_chart_over_decades_is_logarithmic() -> None:
    svg = draw_line_chart([(0, 100.0), (1, 10.0), (2, 1.0)], x_label="epoch", label="error")
    (line,) = re.findall(r'points="([^"]*)"', svg)
    heights = [float(pair.split(",")[1]) for pair in line.split()]
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=0.2)


def test_a_chart_without_points_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one point"):
        draw_line_chart([], x_label="epoch", label="error")
