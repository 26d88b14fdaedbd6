"""``pose import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


# The trailing underscore, for 'import' is a word of Python; main takes it off.
def import_(
    importer: Annotated[
        str,
        typer.Argument(
            metavar="TOOL", help="The tool that trained it, by the name of the plugin's importer."
        ),
    ],
    snapshot: Annotated[
        Path,
        typer.Argument(metavar="SNAPSHOT", help="The file with its weights, or the folder of the model."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="RUN",
            help="Folder of the run; made if needed. A name that ends in .yaml: SNAPSHOT holds the settings of "
            "a training, and becomes a configuration for pose train --config.",
        ),
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File that describes the model; by default it is looked for beside SNAPSHOT."
        ),
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(
            metavar="SNAPSHOT",
            help="Weights of the network that finds the animals of a top-down model: a detector or centroid model.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="PROJECT", help="The labelled project; by default where the model says."),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            metavar="PROJECT[/NETWORK]",
            help="SNAPSHOT is a file of a zoo, of this project, where its name does not say so; 'pose weights' lists "
            "them.",
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting of the importer; may be repeated."),
    ] = None,
) -> None:
    """Import a model that another tool trained, or the settings of its training.

    The result is a run like any other: evaluate it, predict with it, train it further. Code in the file is
    never run.
    """
    from rich.console import Console

    from pose_core.errors import ConfigError, readable
    from pose_core.escapes import escape_line
    from pose_core.runs.importing import import_model, import_training
    from pose_core.specs import RunSpec
    from pose_core.specs.resolve import parse_assignments

    console = Console(stderr=True, markup=False, emoji=False)

    def print_notes(notes: tuple[str, ...]) -> None:
        # Notes to standard error: standard output has the run's line alone, for scripts.
        for note in notes:
            console.print(f"note: {readable(note)}", highlight=False, soft_wrap=True)

    settings = {**parse_assignments(assignments or []).content, "type": importer}
    if out.suffix in (".yaml", ".yml"):
        for option, value in (("--config", config), ("--detector", detector), ("--project", project)):
            if value is not None:
                raise ConfigError(f"{option}: is for models; SNAPSHOT names the settings of a training")
        print_notes(import_training(settings, snapshot, out, data=data))
        print(f"{escape_line(out)}: written; next: pose train DATA --config {escape_line(out)} --out RUN")
        return
    made = import_model(settings, snapshot, out, config=config, detector=detector, data=data, project=project)
    print_notes(made.notes)
    spec = made.run.spec
    detected = "".join(f", with {name} {network.name}" for name, network in spec.builds_on().items())
    console.print(
        f"{spec.name}, {made.parameters / 1e6:.2f} million parameters, {spec.skeleton.num_keypoints} "
        "keypoints"
        f"{detected}",
        highlight=False,
        soft_wrap=True,
    )
    use = f"pose predict {escape_line(out)} VIDEO --out FOLDER"
    if not isinstance(spec, RunSpec):
        use = f"pose predict RUN VIDEO --detector {escape_line(out)} --out FOLDER"
    print(f"{escape_line(out)}: imported; next: {use}")
