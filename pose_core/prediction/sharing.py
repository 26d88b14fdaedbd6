"""Share a prediction among several processes: begin a plan, take up what was begun, and start workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pose_core.errors import VideoError
from pose_core.interfaces.engine import Engine
from pose_core.io.files import disk_errors
from pose_core.io.locks import FolderLock
from pose_core.model.device import choose_device
from pose_core.model.runtime_config import AutoRuntimeConfig
from pose_core.pipeline.computing import TORCH
from pose_core.prediction.distribute import (
    Distribution,
    Told,
    find_unfinished,
    make_plan,
    make_request,
    take_up,
)
from pose_core.prediction.estimator import PoseEstimator
from pose_core.prediction.job import Job
from pose_core.prediction.journal import Journal, find_begun
from pose_core.prediction.result import Outcome
from pose_core.reporting import Reporter
from pose_core.specs import EngineConfig
from pose_core.workers.parts import publish
from pose_core.workers.plan import Plan


@dataclass(frozen=True)
class Sharing:
    """What is said of work that several processes share.

    Attributes:
        out: folder of the results.
        arguments: of :func:`~pose_core.prediction.estimator.load`.
        how: what else a plan holds: ``format``, ``tracker``, ``animals``.
        frames: which, as the user said it; None: all.
        engine: that starts workers; None: this process works alone, at most on a plan that is there.
        workers: how many; None: as the engine suggests.
    """

    out: Path
    arguments: Mapping[str, Any]
    how: Mapping[str, Any]
    frames: str | None
    engine: Engine | None
    workers: int | None


def share(
    estimator: PoseEstimator,
    jobs: Sequence[Job | VideoError],
    there: Sequence[Outcome | None],
    said: Sharing,
    reporter: Reporter,
    finished: Told,
) -> Distribution | None:
    """Do work by several processes, or go on with what several began.

    Args:
        estimator: of the run.
        jobs: one for each source, or why it does not open.
        there: what became of each before.
        said: how the work is shared.
        reporter: is told how it goes.
        finished: is called for each source of which something became.

    Returns:
        None where this process works alone.

    Raises:
        PoseError: another plan is there, another process works on one of the results, or workers cannot be started.
    """
    out, engine = said.out, said.engine
    found = find_unfinished(out)
    planned = set() if found is None else {video.stem for video in found.videos}
    # What was complete before a plan was made is none of it.
    mine = [
        job
        for job, outcome in zip(jobs, there, strict=True)
        if isinstance(job, Job) and (outcome is None or job.stem in planned) and job.source.info.frames
    ]
    if not mine or (engine is None and not planned & {job.stem for job in mine}):
        return None
    for job in mine:
        # Before anything is written: a process that is at it would finish its result beside the plan.
        if job.partial.is_dir():
            FolderLock(job.partial).release()
    config = EngineConfig() if engine is None else engine.config
    workers = 1 if engine is None else said.workers or engine.suggest_workers()
    request = make_request({**said.arguments, **_choose_runtime(estimator, mine, found, said)}, **said.how)
    made = make_plan(estimator, mine, out, request, said.frames, config, workers)
    with disk_errors(out):
        for job in mine:
            # After planning, which asks whether a decoder may begin anywhere: workers need not try that again.
            job.source.keep_index()
    plan = take_up(made, reporter.note)
    for job in mine:
        _take_over(plan, job, estimator, reporter)
    distribution = Distribution(plan, out, reporter, finished)
    if engine is None:
        distribution.run_here(estimator)
    else:
        distribution.run(engine, workers if plan.links else 1)
    return distribution


def _choose_runtime(
    estimator: PoseEstimator, jobs: Sequence[Job], found: Plan | None, said: Sharing
) -> dict[str, str]:
    """Choose once what ``auto`` is for all workers, whose numbers would differ in the last digits otherwise.

    Returns:
        the argument that tells them; empty where the user named a runtime.
    """
    inference = estimator.spec.inference
    if not isinstance(inference.runtime, AutoRuntimeConfig) or inference.precision != 32:
        return {}
    if estimator.computing.leaves_detectors_to_torch:
        # Workers are told the runtime by name, and another one that is named refuses such a detector.
        estimator.computing.use(TORCH)
    elif found is not None:
        # Where this machine cannot, the plan is refused by the name of its runtime.
        estimator.computing.use(str(found.maker["runtime"]))
    # What is fastest on this CPU says nothing of a machine elsewhere, which may have a GPU.
    elif said.engine is not None and _compute_on_cpu(said.engine, said.arguments["device"]):
        begun = next((job for job in jobs if job.partial.is_dir()), jobs[0])
        begun.choose_runtime(estimator, sum(job.source.info.frames for job in jobs))
    return {"runtime": estimator.computing.name}


def _compute_on_cpu(engine: Engine, device: str) -> bool:
    """Whether workers are known to compute on a CPU."""
    return device == "cpu" or (engine.on_this_machine and choose_device(device).type == "cpu")


def _take_over(plan: Plan, job: Job, estimator: PoseEstimator, reporter: Reporter) -> None:
    """Make parts of a plan of what one process kept of an unfinished result.

    What other settings made is discarded with a note, as by a single process.

    Raises:
        PoseError: a process is at it.
    """
    if not job.partial.is_dir():
        return
    (video,) = [video for video in plan.videos if video.stem == job.stem]
    kept = job.describe_kept(estimator)
    # Beside an engine this process may be where no GPU is. Parts say what computed them.
    kept["device"] = find_begun(job.partial, kept, "device") or kept["device"]
    header, folder = job.make_header(), plan.parts(video)
    journal = Journal(job.partial, kept, header, job.source.numbers)
    try:
        if journal.note:
            reporter.note(f"{job.name}: {journal.note}")
        if plan.read_done(video) is None:
            with disk_errors(plan.out):
                for first, sizes, frames in journal.parts():
                    notes = {"sizes": sizes.to_text(), "device": kept["device"], "worker": "a single process"}
                    publish(folder, first, plan.mark, "journal", header, frames, notes, plan.links)
        journal.remove()
    finally:
        journal.close()
