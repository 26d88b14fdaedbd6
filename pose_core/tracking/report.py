"""Write a page that shows a person who was where when, and what to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from pathlib import Path

from pose_core.interfaces.writer import PredictionsHeader
from pose_core.io.files import disk_errors, write_whole
from pose_core.pictures.page import Picture, Tile, render_page, render_picture
from pose_core.structures import Frame
from pose_core.tracking.choose import Tracking
from pose_core.tracking.doubt_pictures import DoubtPictures
from pose_core.tracking.doubts import Doubt, Doubts
from pose_core.tracking.doubts_file import name_doubts, name_report
from pose_core.tracking.follow import TrackCounts
from pose_core.tracking.frame_images import ReadImage
from pose_core.tracking.presence import Presence, draw_presence

PICTURES = 12
"""Moments that are shown with pictures, those with most need."""

LISTED = 100
"""Moments that are listed in the page; the file beside it has all of them."""


@dataclass(frozen=True)
class TrackedVideo:
    """What a report is of.

    Attributes:
        header: of the predictions.
        tracking: how it was tracked.
        counts: of what was found.
        doubts: of the tracks.
        names: track -> its individual, where it has one.
        first, last: numbers of the first and the last frame.
    """

    header: PredictionsHeader
    tracking: Tracking
    counts: TrackCounts
    doubts: Doubts
    names: dict[int, str]
    first: int
    last: int


def write_report(
    result: Path, video: TrackedVideo, frames: Iterable[Frame], pictures: ReadImage | str
) -> Path:
    """Write the report of a result beside it, as one HTML file that needs nothing else.

    Args:
        result: the file with tracks.
        video: what is reported.
        frames: with tracks, once more.
        pictures: what reads those of frames, or why there are none.

    Returns:
        the file.

    Raises:
        PoseError: the disk is full.
    """
    presence = Presence(video.first, video.last)
    shown = video.doubts.found[:PICTURES] if callable(pictures) else ()
    drawn = DoubtPictures(video.header.skeleton, shown, video.first, video.last)
    for frame in frames:
        presence.add(frame)
        drawn.add(frame)
    files = drawn.draw(pictures) if callable(pictures) else []
    path = name_report(result)
    with disk_errors(path.parent, "run the command again"):
        write_whole(path, _render(result, video, presence, files, "" if callable(pictures) else pictures))
    return path


def _render(
    result: Path, video: TrackedVideo, presence: Presence, pictures: Sequence[bytes | str], without: str
) -> str:
    tracks, more = presence.list_tracks()
    names = [_name_track(video, track) for track in tracks]
    strip = draw_presence(presence, video.doubts.found, names, video.header.fps)
    caption = (
        "A row for each track, in its colour where it is seen; triangles are moments to look at, darker the more they "
        "need it."
    )
    if more:
        caption += f" {more} more tracks, seen less, are not shown."
    count = len(video.doubts.found) + video.doubts.left_out
    counts = video.counts
    share = 100 * (1 - counts.without / max(counts.animals, 1))
    notes = [f"Without pictures: {without}."] if without else []
    looks = "".join(
        _render_moment(video, number, doubt, picture)
        for number, (doubt, picture) in enumerate(zip(video.doubts.found, pictures, strict=False), 1)
    )
    return render_page(
        f"Tracks of {Path(video.header.source).name or result.stem}",
        f"By {video.tracking.config.type}, in {counts.frames} frames. "
        + (
            "These are the moments in which two animals may have been exchanged, those with most need first."
            if count
            else "There is no moment in which two animals are likely to have been exchanged."
        ),
        [
            Tile("tracks", str(counts.tracks)),
            Tile("animals with a track", f"{share:.1f}", "%", f"of {counts.animals} found"),
            Tile("moments to look at", str(count)),
        ],
        [
            ("Who was where when", render_picture(Picture(strip, "tracks over time", caption))),
            ("What to look at", looks + _render_list(video, result)),
            ("Mending it", _explain_mending(video)),
        ],
        notes,
        f"pose_core {version('pose-core')}",
    )


def _name_track(video: TrackedVideo, track: int) -> str:
    name = video.names.get(track)
    return f"{track}" if name is None else f"{track} ({name})"


def _render_moment(video: TrackedVideo, number: int, doubt: Doubt, picture: bytes | str) -> str:
    caption = f"{number}. Frames {doubt.first} to {doubt.last}, need {doubt.need:.2f}: {doubt.look}."
    if isinstance(picture, str):
        return f'<p class="note">{escape(caption)} {escape(picture)}</p>'
    tracks = " and ".join(_name_track(video, track) for track in doubt.tracks)
    return render_picture(Picture(picture, f"before, at and after a moment of track {tracks}", caption))


def _render_list(video: TrackedVideo, result: Path) -> str:
    found, left_out = video.doubts.found, video.doubts.left_out
    if not found:
        return "<p>Nothing.</p>"
    rows = "".join(
        f'<tr><td class="number">{doubt.need:.2f}</td><td class="number">{doubt.frame}</td>'
        f'<td class="number">{doubt.first} to {doubt.last}</td>'
        f"<td>{escape(', '.join(_name_track(video, track) for track in doubt.tracks))}</td>"
        f"<td>{escape(doubt.kind)}</td><td>{escape(doubt.look)}</td></tr>"
        for doubt in found[:LISTED]
    )
    hidden = len(found) - min(len(found), LISTED)
    more = f"<p>{hidden} more are in {escape(name_doubts(result).name)}.</p>" if hidden else ""
    more += f"<p>{left_out} with less need are listed nowhere.</p>" if left_out else ""
    head = "".join(
        f'<th class="number">{name}</th>' if name in ("need", "frame", "frames") else f"<th>{name}</th>"
        for name in ("need", "frame", "frames", "tracks", "sign", "what")
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{more}'
    )


def _explain_mending(video: TrackedVideo) -> str:
    if video.tracking.corrections:
        return (
            f"<p>{len(video.tracking.corrections)} corrections are applied here. Rows of their file count tracks as "
            "they are without it: look numbers up in the report that was made without corrections.</p>"
        )
    example = "frame,track,should_be\n1200,0,1\n1200,1,0"
    return (
        "<p>Write what you decide into a file: from this frame on, this track is that animal. The two rows below "
        f"exchange tracks 0 and 1 from frame 1200 on.</p><pre><code>{example}</code></pre><p>Then run the same command "
        "again with <code>--fix</code> and that file (<code>fix=</code> in Python), with the number of animals and "
        "another place for the result. Pieces are joined again so that all rows hold.</p>"
    )
