"""``pose status`` and ``pose cancel``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pose_core.cli.shared_options import SharedWork
from pose_core.cli.tables import print_json, print_table

if TYPE_CHECKING:
    from pose_core.workers.records import SeenWorker


def status(
    out: SharedWork,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how far the work of several processes is: videos, workers, what failed, and when it will be finished.

    It reads files alone, so that it says the same anywhere, while workers run and afterwards. The exit code is 0 if
    every video has its result, 2 if one was set aside, 3 while one is unfinished.
    """
    from pose_core.workers.status import read_status

    found = read_status(out)
    if json:
        print_json(found.to_json())
    else:
        print_table(
            [
                {
                    "video": video.name,
                    "state": video.state,
                    "frames": f"{video.done} of {video.frames}",
                    "workers": video.claimed,
                    "why": video.reason or "-",
                }
                for video in found.videos
            ],
            ("video", "state", "frames", "workers", "why"),
        )
        typer.echo("")
        # Not those that were told to stop, or found nothing left.
        seen = [worker for worker in found.workers if worker.ended != ""]
        if seen:
            print_table(
                [
                    {
                        "worker": f"{worker.host} {worker.pid}",
                        "job": worker.job or "-",
                        "sign of life": f"{worker.age:.0f} s ago",
                        "frames": worker.frames,
                        "frames/s": f"{worker.frames / worker.seconds:.1f}" if worker.seconds else "-",
                        "does": _describe_doing(worker),
                    }
                    for worker in seen
                ],
                ("worker", "job", "sign of life", "frames", "frames/s", "does"),
            )
            typer.echo("")
        alive = sum(worker.alive for worker in found.workers)
        left = found.seconds_left
        end = "" if not alive or left is None else f", {_describe_seconds(left)} left"
        typer.echo(
            f"{found.done} of {found.frames} frames, {alive} workers, {found.rate:.1f} frames/s{end}"
            + ("; cancelled" if found.cancelled else "")
        )
    if not found.over:
        raise typer.Exit(3)
    if any(video.state == "set aside" for video in found.videos):
        raise typer.Exit(2)


def cancel(out: SharedWork) -> None:
    """Tell all workers to stop after the batch that they are at; what is done stays.

    The same 'pose predict' command goes on with it.
    """
    from pose_core.workers import engines

    for line in engines.cancel(out):
        typer.echo(line, err=True)


def _describe_doing(worker: SeenWorker) -> str:
    if worker.alive:
        return worker.doing
    return f"gone; last: {worker.doing}" if worker.ended is None else f"ended: {worker.ended}"


def _describe_seconds(seconds: float) -> str:
    """Write ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
