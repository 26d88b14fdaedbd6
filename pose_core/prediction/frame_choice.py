"""Choose which frames are predicted: a list of a labelled project, or ranges with steps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pose_core.errors import ConfigError, argument
from pose_core.pipeline.selected_frames import SelectedFrames
from pose_core.pipeline.sources import FrameSource
from pose_core.structures import FrameSpan, VideoRange

_LISTS: tuple[Literal["suggested", "labelled"], ...] = ("suggested", "labelled")
_SPAN = r"(?P<first>\d{1,12})(?:(?P<to>-)(?P<last>\d{1,12})?(?::(?P<step>\d{1,12}))?)?"
# The shortest name before a colon: what follows it may have a colon of its own, before the step.
_RANGE, _OF_VIDEO = re.compile(_SPAN), re.compile(f"(?P<video>.+?):{_SPAN}")


@dataclass(frozen=True)
class OpenRange:
    """A range of frames as it is written, which may go on to the end.

    Attributes:
        video: name of the video or folder; None: each.
        first: number of the first frame, from 0.
        last: of the last one; None: that of the video.
        step: from one frame to the next.
    """

    video: str | None
    first: int
    last: int | None
    step: int


FrameChoice = Literal["suggested", "labelled"] | tuple[OpenRange, ...]
"""Which frames are predicted: a list of a labelled project, or ranges."""


def parse_frame_choice(text: str) -> FrameChoice:
    """Parse which frames are wanted.

    Args:
        text: ``suggested``, ``labelled``, or ranges of frames separated by commas: ``100-200``, ``250``,
            ``1000-2000:5`` (each fifth) and ``1000-`` (to the end) are of each video, ``clip.mp4:100-200`` of one.

    Raises:
        ConfigError: it is none of these.
    """
    for name in _LISTS:
        if text == name:
            return name
    ranges = []
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip()) or _OF_VIDEO.fullmatch(part.strip())
        values = found.groupdict() if found else {}
        first = int(values.get("first") or 0)
        last = int(values["last"]) if values.get("last") else None if values.get("to") else first
        step = int(values.get("step") or 1)
        if found is None or step < 1 or (last is not None and first > last):
            raise ConfigError(
                f"{argument('frames', text)}: must be suggested, labelled, or ranges of frames such as 100-200, "
                "1000-2000:5 (each fifth), 500- (to the end) or clip.mp4:100-200,300-350"
            )
        ranges.append(OpenRange(values.get("video"), first, last, step))
    return tuple(ranges)


def parse_ranges(text: str) -> tuple[OpenRange, ...]:
    """Parse ranges of frames, as :func:`parse_frame_choice`, where there is no project.

    Raises:
        ConfigError: they are none.
    """
    choice = parse_frame_choice(text)
    if isinstance(choice, str):
        raise ConfigError(f"{argument('frames', text)}: is of labelled projects; give ranges such as 100-200")
    return choice


def select_frames(source: FrameSource, name: Path, ranges: Sequence[OpenRange]) -> SelectedFrames:
    """Select the frames of one video or sequence; as :func:`choose_spans`."""
    return SelectedFrames(source, choose_spans(ranges, name, source.info.frames))


def close_ranges(ranges: Sequence[OpenRange], path: Path) -> tuple[VideoRange, ...]:
    """Close ranges for a labelled project, whose videos may differ in length.

    Raises:
        ConfigError: one goes on to the end.
    """
    for wanted in ranges:
        if wanted.last is None:
            raise ConfigError(
                f"{argument('frames', f'{wanted.first}-')}: the videos of the project {path} have ends of their own; "
                "say the last frame, too"
            )
    return tuple(VideoRange(r.video, r.first, r.last or 0, r.step) for r in ranges)


def choose_spans(ranges: Sequence[OpenRange], name: Path, frames: int) -> tuple[FrameSpan, ...]:
    """Choose the frames of one video or sequence.

    Args:
        ranges: of each one, or of those that are called as they say.
        name: path of the video, or folder of the images.
        frames: that it has.

    Returns:
        the ranges that are of it, in order of their first frames.

    Raises:
        ConfigError: a range goes past its end, or none is of it.
    """
    spans = []
    for wanted in ranges:
        if wanted.video is not None and wanted.video not in (name.name, str(name)):
            continue
        last = frames - 1 if wanted.last is None else wanted.last
        if max(wanted.first, last) >= frames:
            raise ConfigError(
                f"{argument('frames', str(FrameSpan(wanted.first, max(wanted.first, last), wanted.step)))}: {name} has "
                f"{frames} frames, 0 to {frames - 1}; choose among these"
            )
        spans.append(FrameSpan(wanted.first, last, wanted.step))
    if not spans:
        raise ConfigError(f"{argument('frames')}: names no frames of {name}; add some, or leave it out")
    return tuple(sorted(spans))


def check_names(ranges: Sequence[OpenRange], names: Sequence[Path]) -> None:
    """Check that each range that names a video names one that is there.

    Raises:
        ConfigError: one does not.
    """
    known = {text for name in names for text in (name.name, str(name))}
    for wanted in ranges:
        if wanted.video is not None and wanted.video not in known:
            raise ConfigError(
                f"{argument('frames')}: {wanted.video} is none of what is predicted "
                f"({', '.join(name.name for name in names[:5])}); name one of these"
            )
