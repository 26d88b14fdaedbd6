"""``pose plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_core.cli.shared_options import PredictionFile


def plot(
    predictions: PredictionFile,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of the plots; made if needed.", show_default=False)
    ],
    keypoint: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Keypoint whose places are plotted; by default the mean of an animal's keypoints.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, metavar="SCORE", help="Smallest score of keypoints that count.")
    ] = 0.2,
) -> None:
    """Plot predictions over time: trajectories, scores and speeds of each animal.

    \b
    pose plot predictions/clip.parquet --out plots
    """
    from pose_core.escapes import escape_line
    from pose_core.prediction.plot import plot_predictions

    for path in plot_predictions(predictions, out, keypoint=keypoint, threshold=threshold):
        print(escape_line(path))
