"""``pose train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    Nodes,
    Precision,
    Project,
    Replay,
    Seed,
    Seeds,
    StartWeights,
    TestData,
    split_names,
)

if TYPE_CHECKING:
    from pose_core.experiments.seeds import SeedRuns
    from pose_core.runs.run_folder import Run
    from pose_core.specs import AnyRunSpec


@with_networks
def train(
    *,
    data: Project,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder of the run; made if needed.")],
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
    nodes: Nodes = None,
    precision: Precision = None,
    seed: Seed = None,
    keypoints: Keypoints = None,
    seeds: Seeds = None,
    test_data: TestData = None,
    replay: Replay = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the last checkpoint in --out; where there is none, start."),
    ] = False,
) -> None:
    """Train a model on a labelled project.

    The result is a run: a folder with all that is needed to evaluate the model, to predict with it and to
    train it further. A setting of one network (--set stages.detector.train.epochs=3) wins over an option.

    \b
    pose train PROJECT --out runs/first
    pose train PROJECT --model top_down_unet --detector ssdlite --out runs/several
    pose train PROJECT --seeds 0,1,2 --out runs/seeds
    """
    import os

    # torch's C++ warnings about DDP speak to programmers; it reads this when it is imported.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

    from pose_core.cli.terminal import TerminalReporter
    from pose_core.escapes import escape_line
    from pose_core.processes import is_first
    from pose_core.training.options import TrainOptions
    from pose_core.training.train_project import train_project

    reporter = TerminalReporter(lines="training")

    def train_one(seed: int | None, folder: Path) -> Run[AnyRunSpec]:
        return train_project(
            data,
            model,
            out=folder,
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
                nodes=nodes,
                precision=precision,
                seed=seed,
                keypoints=split_names(keypoints),
                test_data=test_data,
                replay=replay,
            ),
            resume=resume,
            reporter=reporter,
        )

    try:
        if seeds is not None:
            from pose_core.experiments.seeds import train_each

            numbers = _parse_seeds(seeds, seed, (devices or 1) * (nodes or 1))
            _show_seeds(train_each(numbers, out, train_one, device or "auto", reporter))
            return
        run = train_one(seed, out)
    finally:
        reporter.close()
    # With several devices each process comes to this line.
    if is_first():
        print(f"{escape_line(out)}: trained; next: {_advise_next(run)}")


def _parse_seeds(text: str, seed: int | None, processes: int) -> list[int]:
    from pose_core.errors import ConfigError

    if seed is not None:
        raise ConfigError("--seed and --seeds: say one of them")
    if processes > 1:
        raise ConfigError("--seeds: trains on one device; leave out --devices and --nodes")
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(f"--seeds {text}: write whole numbers with commas, such as 0,1,2") from None


def _show_seeds(result: SeedRuns) -> None:
    from pose_core.cli.tables import print_table
    from pose_core.escapes import escape_line
    from pose_core.experiments.seeds import SUMMARY

    columns = ["run", *next(iter(result.metrics.values()), {})]
    rows = [
        {"run": run.path.name}
        | {name: _write(result.metrics.get(seed, {}).get(name)) for name in columns[1:]}
        for seed, run in result.runs.items()
    ]
    summary = result.summarize()
    for label, place in (("mean", 0), ("standard deviation", 1)):
        own = {name: _write(summary[name][place]) if name in summary else "-" for name in columns[1:]}
        rows += [{"run": label} | own] if own else []
    print("test images; errors in pixels of the images" if result.metrics else "no test images to measure on")
    print_table(rows, columns)
    print(f"{escape_line(result.folder / SUMMARY)}: written")


def _write(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _advise_next(run: Run[AnyRunSpec]) -> str:
    from pose_core.catalog import get_catalog
    from pose_core.specs import RunSpec
    from pose_core.specs.run import list_answers

    evaluate = f"pose evaluate {run.path}"
    spec = run.spec
    if not isinstance(spec, RunSpec):
        return f"{evaluate}, or pose train DATA --model NAME --detector {run.path} --out RUN"
    # Without test images an evaluation would have nothing to measure.
    following = evaluate if run.provenance["split"]["test"] else f"pose predict {run.path} VIDEO --out FOLDER"
    needs = [need for stage in spec.inference.stages.values() for need in stage.needs()]
    if needs and not spec.stages and spec.skeleton.num_individuals > 1:
        answers = list_answers(needs[0], spec)
        suppliers = [
            s for gives in answers for s in get_catalog().suppliers(gives) if "labels" not in s.takes
        ]
        sources = [f"--{s.name} {s.metavar}" for s in suppliers]
        return f"{following}; to predict videos it needs {needs[0]}: {' or '.join(sources)}"
    return following
