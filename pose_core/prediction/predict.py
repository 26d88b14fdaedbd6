"""Predict videos and images into files, as ``pose predict`` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pose_core.catalog import get_catalog
from pose_core.errors import ConfigError, DataError, VideoError, argument, listed, readable
from pose_core.interfaces import Writer
from pose_core.interfaces.prediction_files import make_writer
from pose_core.io.files import make_folder
from pose_core.io.name_lengths import check_name
from pose_core.prediction.distribute import Pending
from pose_core.prediction.estimator import PoseEstimator, load
from pose_core.prediction.frame_choice import FrameChoice, parse_frame_choice
from pose_core.prediction.frame_region import NONE, GivenRegion
from pose_core.prediction.given_tiles import GivenTiles
from pose_core.prediction.inputs import find_inputs, unique_names
from pose_core.prediction.job import INDEX, Job, identify, name_result
from pose_core.prediction.result import Outcome
from pose_core.prediction.sharing import Sharing, share
from pose_core.reporting import Reporter, current_reporter
from pose_core.runs.run_folder import CONFIG, PROVENANCE
from pose_core.runs.size_notes import SIZES, describe_other_size
from pose_core.tracking.choose import GivenTracker, Tracking
from pose_core.workers.engines import GivenEngine, choose_engine

_NEARLY_BLACK = 2**14

Finished = Callable[[str, "Outcome | VideoError | DataError"], None]
"""Gets the name of a source, and its outcome or why it could not be predicted."""


def predict(
    run: Path | str,
    paths: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    format: str = "parquet",
    device: str = "auto",
    batch_size: int | None = None,
    overwrite: bool = False,
    threshold: float | None = None,
    max_animals: int | str | None = None,
    follow: bool | None = None,
    region: GivenRegion = None,
    tiles: GivenTiles = None,
    settings: Mapping[str, Any] | None = None,
    snapshot: str | int | None = None,
    runtime: str | None = None,
    precision: int | None = None,
    accept_drift: bool | None = None,
    frames: str | None = None,
    tracker: GivenTracker = None,
    animals: int | None = None,
    engine: GivenEngine = None,
    workers: int | None = None,
    reporter: Reporter | None = None,
    finished: Finished | None = None,
    **sources: Path | str | bool | None,
) -> list[Outcome | Pending | None]:
    """Predict videos, images and folders of them into files.

    All inputs are opened, and all results looked for, before the first is predicted. A result that the same
    model made of the same source is not made again; one that was interrupted is finished. What several processes
    began (``engine``) any process or engine goes on with, told the same.

    Args:
        run: as for :func:`pose_core.load`.
        paths: one or several: videos, image files (together one sequence), folders of images (one sequence
            each) or of videos; labelled projects.
        out: folder of the results; made if needed.
        format: name of a writer component.
        device: as for :func:`pose_core.load`.
        batch_size: frames a batch; by default as the run says.
        overwrite: make results again that are there.
        threshold, max_animals, follow, tiles, settings, snapshot, precision, accept_drift: as for
            :func:`pose_core.load`.
        runtime: the same; but ``auto`` measures the installed runtimes on the first frames of a long prediction,
            remembers the fastest for these networks on this machine, and uses it. An unfinished result is finished by
            the runtime that began it.
        region: as for :func:`pose_core.load`; or several by name, ``{"left": (0, 0, 320, 480), ...}`` or texts
            ``left=0,0,320,480``: each source gets a result for each, called by it.
        frames: which frames: ranges separated by commas, of each video, folder of images or video of a labelled
            project: ``100-200,250``, ``1000-2000:5`` (each fifth), ``500-`` (to the end); ``clip.mp4:100-200`` is of
            one. Frames keep their numbers. Or which images of labelled projects: ``suggested`` for labelling next,
            ``labelled``; every path is a project then. By default all frames, and the suggested ones of projects
            that are a file.
        tracker: who is who is decided by this tracker when all frames of a source are predicted, as
            :func:`pose_core.track` does; None: it is not.
        animals: with a tracker, how many animals there are; as for :func:`pose_core.track`.
        engine: what starts the processes that share the work, such as ``local``; a mapping with settings too, or that
            mapping as YAML (``{type: NAME, setting: value}``). None: this process works alone.
        workers: with an engine, how many processes; by default as many as it suggests.
        reporter: is told how the work goes; of progress in frames, those of an earlier attempt included.
        finished: is called after each source.
        sources: as for :func:`pose_core.load`; one that is a file is of one video or sequence.

    Returns:
        for each source what became of it, in order; None for one that could not be predicted (``finished``
        gets the reason); with an engine whose workers outlive this process also what they are still at.

    Raises:
        PoseError: an input, option or the run cannot be used; nothing was predicted then. Or the disk is
            full; what was predicted is kept.
    """
    out = Path(out)
    check_name(out)
    inputs = [Path(paths)] if isinstance(paths, Path | str) else [Path(path) for path in paths]
    if not inputs:
        raise DataError("nothing to predict: name at least one video, image or folder")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file, not a folder; choose another {argument('out')}")
    chosen = None if frames is None else parse_frame_choice(frames)
    if animals is not None and tracker is None:
        raise ConfigError(
            f"{argument('animals', str(animals))}: is for a tracker; add {argument('tracker', 'NAME')}"
        )
    tracking = None if tracker is None else Tracking.choose(tracker, animals)
    _check_workers(engine, workers)
    chosen_engine = None if engine is None else choose_engine(engine)
    reporter = reporter or current_reporter()
    finished = finished or _note_failure(reporter)
    writer = find_writer(format)
    arguments: dict[str, Any] = {
        "run": run,
        "device": device,
        "batch_size": batch_size,
        "threshold": threshold,
        "max_animals": max_animals,
        "follow": follow,
        "region": region,
        "tiles": tiles,
        "settings": settings,
        "snapshot": snapshot,
        "runtime": runtime,
        "precision": precision,
        "accept_drift": accept_drift,
        **sources,
    }
    # Beside an engine this process computes nothing, and may be where no GPU is.
    estimator = load(**{**arguments, "device": device if chosen_engine is None else "cpu"})
    if estimator.in_memory:
        raise ConfigError(
            f"{argument(estimator.in_memory[0], True)}: is for images in memory; give a file of poses to predict files"
        )
    jobs = _make_jobs(estimator, inputs, out, writer, reporter, chosen, tracking)
    if not writer.takes_selected and any(isinstance(job, Job) and job.source.selected for _, job in jobs):
        raise ConfigError(
            f"{argument('format', format)}: holds all frames of a video or none, and {argument('frames', str(frames))} "
            "chooses some; parquet takes them"
        )
    for _, job in jobs:
        if isinstance(job, VideoError):
            continue
        _note_depth(job, estimator, reporter)
        if job.region is not None and region is None:
            reporter.note(
                f"{job.name}: cropped to {job.region}, as in the project of the run; "
                f"{argument('region', NONE)} predicts whole frames"
            )
    _note_sizes([job for _, job in jobs if isinstance(job, Job)], estimator, reporter)
    for name, file in estimator.files.items():
        if (count := len({name for name, _ in jobs})) > 1:
            raise ConfigError(
                f"{argument(name, str(file))}: is of one video or sequence; predict {count} one by one"
            )
    # All results are looked for first, so that a name that is taken is no surprise after hours.
    there = [job.check(overwrite) if isinstance(job, Job) else None for _, job in jobs]
    make_folder(out)
    for (_, job), outcome in zip(jobs, there, strict=True):
        if isinstance(job, Job) and outcome is None:
            job.check_names()
    for name, job in jobs:
        if isinstance(job, VideoError):
            finished(name, job)
    # A runtime that has to be prepared is prepared for all of them.
    left = sum(
        job.source.info.frames
        for (_, job), o in zip(jobs, there, strict=True)
        if isinstance(job, Job) and o is None
    )
    how = {
        "format": format,
        "tracker": _to_mapping(tracking),
        "animals": animals,
        "bit_depth": estimator.spec.data.decided_bit_depth(),
    }
    sharing = Sharing(out, arguments, how, frames, chosen_engine, workers)
    shared = share(estimator, [job for _, job in jobs], there, sharing, reporter, finished)
    outcomes: list[Outcome | Pending | None] = []
    tell = _tell_once(reporter)
    for (name, job), outcome in zip(jobs, there, strict=True):
        if isinstance(job, VideoError):
            outcomes.append(None)
        elif shared is not None and job.stem in shared.stems:
            outcomes.append(shared.outcome(job))
        elif outcome is not None:
            reporter.note(f"{job.result} is complete; {argument('overwrite', True)} makes it again")
            finished(name, outcome)
            outcomes.append(outcome)
        else:
            outcomes.append(_predict_job(job, estimator, left, tell, reporter, finished))
            left -= job.source.info.frames
    return outcomes


def _check_workers(engine: GivenEngine, workers: int | None) -> None:
    if workers is not None and engine is None:
        raise ConfigError(
            f"{argument('workers', str(workers))}: is for an engine; add {argument('engine', 'NAME')}"
        )
    if workers is not None and workers < 1:
        raise ConfigError(f"{argument('workers', str(workers))}: must be at least 1")


def _to_mapping(tracking: Tracking | None) -> dict[str, Any] | None:
    return None if tracking is None else tracking.config.model_dump(mode="json")


def _predict_job(
    job: Job,
    estimator: PoseEstimator,
    left: int,
    tell: Callable[[str], None],
    reporter: Reporter,
    finished: Finished,
) -> Outcome | None:
    try:
        job.choose_runtime(estimator, left)
        made = job.predict(estimator, tell, _report_frames(job, reporter))
    # A damaged source is no reason to leave the others; a full disk (PoseError) is.
    except (VideoError, DataError) as error:
        finished(job.name, error)
        return None
    finished(job.name, made)
    return made


def _tell_once(reporter: Reporter) -> Callable[[str], None]:
    """Pass lines on, each once: what is true of the folder is found out at each source."""
    told: set[str] = set()

    def tell(line: str) -> None:
        if line not in told:
            told.add(line)
            reporter.note(line)

    return tell


def find_writer(name: str) -> Writer:
    """Find the writer of that name.

    Raises:
        ConfigError: no such writer is installed; the message lists those that are.
    """
    try:
        return make_writer(name)
    except ConfigError as error:
        names = ", ".join(c.name for c in get_catalog().components("writer"))
        listed = "" if names in str(error) else f"; installed formats: {names}"
        raise ConfigError(f"{argument('format')}: {error}{listed}") from None


def _make_jobs(
    estimator: PoseEstimator,
    paths: Sequence[Path],
    out: Path,
    writer: Writer,
    reporter: Reporter,
    frames: FrameChoice | None,
    tracking: Tracking | None,
) -> list[tuple[str, Job | VideoError]]:
    """Make a job of each input, by its name; or the reason why it does not open."""
    open_video = partial(estimator.open_video, index=out / INDEX)
    inputs = find_inputs(paths, open_video, estimator.spec.data.decided_bit_depth(), frames)
    for line in inputs.notes:
        reporter.note(f"note: {line}")
    identity = identify(estimator)
    names = [str(found.path) for found in inputs.found]
    # With those that do not open: the others are called the same once these do.
    stems = unique_names(
        [name_result(estimator.run, name, writer) for name in names], [found.path for found in inputs.found]
    )
    jobs: list[tuple[str, Job | VideoError]] = []
    for name, stem, found in zip(names, stems, inputs.found, strict=True):
        if isinstance(found.source, VideoError):
            jobs.append((name, found.source))
            continue
        for called, region in estimator.regions.of_source(found.source, name).items():
            its_stem = f"{stem}.{called}" if called else stem
            job = Job(
                estimator.run, found.source, name, its_stem, out, writer, identity, region, tracking, found
            )
            if shortened := job.fit_names():
                reporter.note(f"note: {shortened}")
            jobs.append((name, job))
    return jobs


def _note_depth(job: Job, estimator: PoseEstimator, reporter: Reporter) -> None:
    """Say that frames come out nearly black, where neither they nor the run say how many bits they use."""
    if estimator.spec.data.decided_bit_depth() is not None:
        return
    peaks = job.source.measure_peaks()
    if peaks and max(peaks) < _NEARLY_BLACK:
        reporter.note(
            f"{job.name}: its first frames have 16 bits with values up to {max(peaks)} only and come out "
            f"nearly black; if its camera has {max(peaks).bit_length()} bits, write bit_depth: "
            f"{max(9, max(peaks).bit_length())} under data in {estimator.run.path / CONFIG}"
        )


def _note_sizes(jobs: Sequence[Job], estimator: PoseEstimator, reporter: Reporter) -> None:
    """Say what has another size than the images of the training, a line for each size."""
    run = estimator.run
    recorded = run.provenance.get(SIZES) if (run.path / PROVENANCE).is_file() else None
    names: dict[str, list[str]] = {}
    for job in jobs:
        # Of images that differ in size the first stands for all.
        _, (width, height) = next(iter(job.source.sizes()), ("", (0, 0)))
        if job.region is not None:
            width, height = job.region.x2 - job.region.x1, job.region.y2 - job.region.y1
        if line := describe_other_size(width, height, recorded):
            names.setdefault(line, []).append(job.name)
    for line, which in names.items():
        reporter.note(f"note: {listed(which, ', ', 3)}: {line}")


def _report_frames(job: Job, reporter: Reporter) -> Callable[[int], None]:
    name, total = Path(job.name).name, job.source.info.frames
    return lambda done: reporter.progress(name, done, total)


def _note_failure(reporter: Reporter) -> Finished:
    def note(name: str, outcome: Outcome | VideoError | DataError) -> None:
        if not isinstance(outcome, Outcome):
            reporter.note(f"error: {readable(str(outcome))}")

    return note
