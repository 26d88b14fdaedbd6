"""``pose show-batch``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_core.cli.sources import with_networks
from pose_core.cli.training_options import Assignments, ConfigFile, ModelName


@with_networks
def show_batch(
    *,
    data: Annotated[
        Path, typer.Argument(metavar="DATA|RUN", help="The labelled project, or the folder of a run.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="Picture to write; replaced if it is there.")],
    model: ModelName = None,
    sources: dict[str, str | None],
    config: ConfigFile = None,
    assignments: Assignments = None,
    images: Annotated[int, typer.Option(metavar="N", help="Rows of the picture, at most.")] = 4,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Which images are shown, and how they are changed.")
    ] = 0,
) -> None:
    """Draw what a training shows its network: inputs with labels, and targets.

    A row an image, as it is after augmentation; then the target of each output, with what is ignored in grey.
    Nothing is trained.

    \b
    pose show-batch PROJECT --model unet --out batch.png
    pose show-batch runs/first --out batch.png
    """
    from pose_core.escapes import escape_line
    from pose_core.inspection.show_batch import draw_batch_of

    given = {name: value for name, value in sources.items() if value is not None}
    print(escape_line(draw_batch_of(data, out, model, images, seed, config, assignments or [], given)))
