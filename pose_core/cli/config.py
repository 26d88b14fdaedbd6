"""``pose config``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_core.cli.sources import with_networks
from pose_core.cli.training_options import (
    Assignments,
    BatchSize,
    ConfigFile,
    Device,
    Devices,
    Epochs,
    Keypoints,
    MaxTime,
    ModelName,
    Precision,
    Project,
    Replay,
    Seed,
    StartWeights,
    TestData,
    split_names,
)


@with_networks
def config(
    *,
    data: Project,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File that gets the configuration; printed without it."),
    ] = None,
    model: ModelName = None,
    sources: dict[str, str | None],
    config: ConfigFile = None,
    assignments: Assignments = None,
    weights: StartWeights = None,
    epochs: Epochs = None,
    max_time: MaxTime = None,
    batch_size: BatchSize = None,
    device: Device = None,
    devices: Devices = None,
    precision: Precision = None,
    seed: Seed = None,
    keypoints: Keypoints = None,
    test_data: TestData = None,
    replay: Replay = False,
) -> None:
    """Write the whole configuration of a training before it starts.

    Every key stands in it, with a line that says what it means and where its value comes from: the labels,
    the project, the model, your file or options, or a default. Change what you like, and train it as it stands.

    \b
    pose config PROJECT --model unet --out mouse.yaml
    pose train PROJECT --config mouse.yaml --out runs/mouse
    """
    from pose_core.cli.terminal import TerminalReporter
    from pose_core.errors import readable
    from pose_core.escapes import escape_line
    from pose_core.training.decided_config import decide_config
    from pose_core.training.options import TrainOptions

    decided = decide_config(
        data,
        model,
        networks={name: given for name, given in sources.items() if given is not None},
        config=config,
        assignments=assignments or [],
        options=TrainOptions(
            weights=weights,
            epochs=epochs,
            max_time=max_time,
            batch_size=batch_size,
            device=device,
            devices=devices,
            precision=precision,
            seed=seed,
            keypoints=split_names(keypoints),
            test_data=test_data,
            replay=replay,
        ),
        out=out,
    )
    reporter = TerminalReporter()
    for note in decided.notes:
        reporter.note(f"note: {readable(note)}")
    if out is None:
        print(decided.to_yaml(), end="")
    else:
        print(f"{escape_line(out)}: written; next: {escape_line(decided.command)}")
