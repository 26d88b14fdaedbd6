"""``pose show-maps``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_core.cli.shared_options import ComputeDevice
from pose_core.cli.sources import with_sources


@with_sources("run", "file")
def show_maps(
    *,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that 'pose train --out' made.")],
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="Images, folders of images, or videos.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER|FILE.png", help="Folder that gets a picture a frame; a file for one frame."
        ),
    ],
    frames: Annotated[
        str | None,
        typer.Option(
            metavar="N,N...", help="Numbers of frames, from 0; by default four of a video, all images."
        ),
    ] = None,
    each: Annotated[
        bool,
        typer.Option("--each", help="Also a picture for each output, with a panel for each of its maps."),
    ] = False,
    sources: dict[str, Path | None],
    device: ComputeDevice = "auto",
    region: Annotated[
        str | None,
        typer.Option(
            metavar="X1,Y1,X2,Y2|none",
            help="Part of the frames to look at; by default as the run's project says.",
        ),
    ] = None,
) -> None:
    """Draw what the networks of a run put out, stage by stage.

    Score maps, offsets, affinity fields, identity maps, distributions, the candidates before they are put
    together, and the result, over the image.

    \b
    pose show-maps runs/first frame.png --out maps.png
    pose show-maps runs/first clip.avi --frames 10,20 --out maps
    """
    from pose_core.errors import ConfigError, argument
    from pose_core.escapes import escape_line
    from pose_core.inspection.show_maps import draw_maps

    numbers = None
    if frames is not None:
        try:
            numbers = [int(part) for part in frames.split(",")]
        except ValueError:
            raise ConfigError(
                f"{argument('frames', frames)}: must be numbers of frames, such as 10,20"
            ) from None
    for path in draw_maps(
        run, images, out, frames=numbers, each=each, device=device, region=region, **sources
    ):
        print(escape_line(path))
