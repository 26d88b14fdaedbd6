"""Say how far the work of a plan is, from its files alone: no network, no lock, no scheduler."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pose_core.workers.claims import Claims
from pose_core.workers.parts import cover, list_parts
from pose_core.workers.plan import JOIN, Plan, PlannedVideo, open_plan
from pose_core.workers.records import SeenWorker, read_workers

State = Literal["done", "set aside", "unfinished"]


@dataclass(frozen=True)
class VideoStatus:
    """How far a video is.

    Attributes:
        name: of the source.
        state: ``done``: its result is in place; ``set aside``: it failed too often; ``unfinished``.
        done: frames that are predicted and on disk.
        frames: how many there are.
        claimed: ranges that workers are at.
        reason: why it was set aside, or why the last try failed; empty: none did.
        missing: runs (first, last) of frames that could not be decoded; known when it is done.
    """

    name: str
    state: State
    done: int
    frames: int
    claimed: int = 0
    reason: str = ""
    missing: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Status:
    """How far a plan is.

    Attributes:
        out: folder of the results.
        videos: in their order.
        workers: all that ever worked on it.
        rate: frames a second of the living workers together; 0 where unknown.
        cancelled: whether workers were told to stop.
    """

    out: Path
    videos: tuple[VideoStatus, ...]
    workers: tuple[SeenWorker, ...]
    rate: float
    cancelled: bool

    @property
    def done(self) -> int:
        """Frames that are predicted."""
        return sum(video.done for video in self.videos)

    @property
    def frames(self) -> int:
        """Frames of all videos."""
        return sum(video.frames for video in self.videos)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the living workers will have done all but what was set aside; None where unknown."""
        left = sum(v.frames - v.done for v in self.videos if v.state == "unfinished")
        return left / self.rate if self.rate else None if left else 0.0

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return all(video.state != "unfinished" for video in self.videos)

    def to_json(self) -> dict[str, Any]:
        """Put it into plain values."""
        return {
            "out": str(self.out),
            "done": self.done,
            "frames": self.frames,
            "rate": self.rate,
            "seconds_left": self.seconds_left,
            "over": self.over,
            "cancelled": self.cancelled,
            "videos": [vars(video) for video in self.videos],
            "workers": [vars(worker) for worker in self.workers],
        }


def read_status(out: Path | str) -> Status:
    """Say how far the work in a folder of results is.

    Args:
        out: folder that ``predict(..., out, engine=...)`` made.

    Raises:
        PoseError: it holds no plan.
    """
    plan = open_plan(out)
    clock = plan.home / "workers" / f".status-{os.getpid()}.clock"
    claims = Claims(plan.home / "claims", clock, plan.times.stale)
    try:
        now = claims.read_clock()
    except OSError:
        # Whoever may only read sees ages by the clock of this machine.
        now = time.time()
        claims = Claims(plan.home / "claims", clock, plan.times.stale, now=now)
    try:
        videos = tuple(look_at_video(plan, video, claims) for video in plan.videos)
        workers = tuple(read_workers(plan.home / "workers", now, plan.times.stale))
    finally:
        with suppress(OSError):
            clock.unlink(missing_ok=True)
    rate = sum(w.frames / w.seconds for w in workers if w.alive and w.seconds > 0)
    return Status(plan.out, videos, workers, rate, plan.cancelled.exists())


def look_at_video(plan: Plan, video: PlannedVideo, claims: Claims) -> VideoStatus:
    """Say how far one video is."""
    if (record := plan.read_done(video)) is not None:
        missing = tuple((int(a), int(b)) for a, b in record["missing"])
        return VideoStatus(video.name, "done", video.frames, video.frames, missing=missing)
    parts = list_parts(plan.parts(video), plan.mark, plan.disk)
    # A part may go on behind the range in which it begins.
    done = sum(min(cover(parts, first, last)[1], last + 1) - first for first, last in video.ranges())
    claimed = claims.look(video.stem)
    reason = next((c.reason for c in claimed.values() if c.set_aside), "")
    state: State = "set aside" if reason else "unfinished"
    reason = reason or next((c.reason for c in claimed.values() if c.reason), "")
    reason = reason.removeprefix(f"{video.name}: ")
    live = sum(c.live is not None and name != JOIN for name, c in claimed.items())
    return VideoStatus(video.name, state, done, video.frames, live, reason)
