"""``pose inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="The labelled project: its folder or its file.")
    ],
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of a model; left out, one is chosen as 'pose train' does."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML file with settings for the training.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting for the training; may be repeated."),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the labels in doubt to this picture.")
    ] = None,
    estimate: Annotated[
        bool,
        typer.Option("--estimate/--no-estimate", help="Measure a training step, to tell memory and time."),
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what a labelled project holds and what a training on it would decide.

    Counts of labels, labels in doubt, the model, scale, crops and augmentation that would be chosen, and the
    memory and time that the training would take on this machine. Nothing is trained or written.

    \b
    pose inspect PROJECT
    pose inspect PROJECT --sheet doubt.png
    """
    from pose_core.cli.tables import print_json
    from pose_core.inspection.inspect_project import inspect_project

    report = inspect_project(
        data, model, config=config, settings=assignments or [], sheet=sheet, estimate=estimate
    )
    if json:
        print_json(report.to_json())
    else:
        print("\n".join(report.lines()))
