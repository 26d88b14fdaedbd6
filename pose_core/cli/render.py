"""``pose render``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_core.cli.shared_options import PredictionFile


def render(
    predictions: PredictionFile,
    video: Annotated[
        Path,
        typer.Argument(
            metavar="VIDEO", help="The video or folder of images that was predicted.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Video to write (.mp4).", show_default=False)],
    threshold: Annotated[
        float, typer.Option(min=0, max=1, metavar="SCORE", help="Smallest score of keypoints that are drawn.")
    ] = 0.2,
    radius: Annotated[
        float | None,
        typer.Option(
            min=0.5,
            metavar="PIXELS",
            help="Radius of the dots; by default it suits the frame.",
            show_default=False,
        ),
    ] = None,
    boxes: Annotated[
        bool,
        typer.Option(
            "--boxes",
            help="Draw the box of every animal and its score in percent, whatever the scores of its keypoints.",
        ),
    ] = False,
    trail: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Frames of the way that is drawn behind each animal that has a track (0: none); by default 25.",
            show_default=False,
        ),
    ] = None,
    bit_depth: Annotated[
        int | None,
        typer.Option(
            min=9,
            max=16,
            metavar="BITS",
            help="Bits that 16-bit images use, where the file does not say; as data.bit_depth of the run.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
) -> None:
    """Draw predictions into their video."""
    from pose_core.escapes import escape_line
    from pose_core.prediction.render import render as render_video

    render_video(
        predictions,
        video,
        out,
        threshold=threshold,
        radius=radius,
        boxes=boxes,
        trail=trail,
        bit_depth=bit_depth,
        overwrite=overwrite,
    )
    print(escape_line(out))
