"""Track stored predictions, as ``pose track`` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pose_core.errors import ConfigError, DataError, argument
from pose_core.interfaces.prediction_files import make_writer, open_predictions
from pose_core.interfaces.writer import PredictionsStream
from pose_core.io.files import disk_errors, make_folder, put_in_place
from pose_core.io.name_lengths import check_name, name_temporary
from pose_core.reporting import Reporter, current_reporter
from pose_core.structures import Frame
from pose_core.tracking.choose import GivenTracker, Tracking
from pose_core.tracking.files import find_files, name_results, report_frames, write_result
from pose_core.tracking.follow import TrackCounts, TrackedFrames
from pose_core.tracking.measure import TrackMetrics, measure_tracks

TrackFinished = Callable[[str, "TrackOutcome | DataError"], None]
"""Gets the name of a file of predictions, and its outcome or why it could not be tracked."""


@dataclass(frozen=True)
class TrackOutcome:
    """Outcome of tracking a file of predictions.

    Attributes:
        result: the file with tracks.
        counts: of what was found.
        metrics: how good tracks are, where there is truth to compare with.
        timeline: PNG that shows under which track each animal of the truth was found over time, where there is truth.
    """

    result: Path
    counts: TrackCounts
    metrics: TrackMetrics | None = None
    timeline: Path | None = None


def track(
    predictions: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    tracker: GivenTracker = None,
    animals: int | None = None,
    format: str = "parquet",
    truth: Path | str | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
    finished: TrackFinished | None = None,
) -> list[TrackOutcome | None]:
    """Say who is who in stored predictions; ``pose track`` in Python.

    No network is needed, and no coordinate changes: results are the predictions with tracks. All files are opened,
    and all names of results looked for, before the first is tracked.

    Args:
        predictions: one or several: files that ``pose predict`` or another tool wrote, in any installed format that
            can be read; folders of such files.
        out: folder of the results; made if needed.
        tracker: name of a tracker, or a mapping with settings (``{"type": "NAME", "setting": value}``); None: the
            recommended one.
        animals: how many there are. Tracklets of the whole video are then joined to so many animals, never more,
            numbered from 0 as they appear. None: they may come and go, and each gets a new number.
        format: name of a writer component.
        truth: predictions of the same frames with the right tracks (or identities), in any of these formats, to
            measure with; for one file of predictions.
        overwrite: replace results that are there.
        reporter: is told how the work goes.
        finished: is called after each file.

    Returns:
        for each file what became of it, in order; None for one that could not be tracked (``finished`` gets the
        reason).

    Raises:
        PoseError: an argument or a file cannot be used; nothing was written then. Or the disk is full, the only file
            of predictions cannot be tracked, or the truth is not of its frames.
    """
    out = Path(out)
    check_name(out)
    given = (
        [Path(predictions)] if isinstance(predictions, Path | str) else [Path(path) for path in predictions]
    )
    if not given:
        raise DataError("nothing to track: name at least one file of predictions")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file, not a folder; choose another {argument('out')}")
    tracking = Tracking.choose(tracker, animals)
    writer = make_writer(format)
    reporter = reporter or current_reporter()
    files = find_files(given, reporter)
    if truth is not None and len(files) > 1:
        raise ConfigError(f"{argument('truth', str(truth))}: is of one video; track {len(files)} one by one")
    right = None if truth is None else open_predictions(Path(truth))
    results = name_results(files, out, writer, overwrite, [] if truth is None else [Path(truth)])
    if right is not None and (drawn := _name_timeline(results[0])).exists() and not overwrite:
        raise ConfigError(
            f"{drawn}: exists; add {argument('overwrite', True)} or choose another {argument('out')}"
        )
    make_folder(out)
    outcomes: list[TrackOutcome | None] = []
    for (path, stream), result in zip(files, results, strict=True):
        try:
            with TrackedFrames(
                stream.__iter__,
                stream.header,
                tracking,
                str(path),
                report_frames(path, stream.header, reporter),
            ) as tracked:
                write_result(result, writer, tracking.describe(stream.header), tracked.apply(stream))
                measured, timeline = None, None
                if right is not None:
                    measured, timeline = _measure(right, tracked.apply(stream), str(truth), result)
        except DataError as error:
            if len(files) == 1:
                raise
            if finished is None:
                reporter.note(f"error: {error}")
            else:
                finished(str(path), error)
            outcomes.append(None)
            continue
        outcome = TrackOutcome(result, tracked.counts, measured, timeline)
        if finished is not None:
            finished(str(path), outcome)
        outcomes.append(outcome)
    return outcomes


def _name_timeline(result: Path) -> Path:
    return result.with_name(f"{result.stem}.timeline.png")


def _measure(
    right: PredictionsStream, tracked: Iterator[Frame], name: str, result: Path
) -> tuple[TrackMetrics, Path]:
    """Measure tracks, and draw them beside the result."""
    # Here: it brings matplotlib in, which tracking does without.
    from pose_core.tracking.timeline import Timeline

    timeline, drawn = Timeline(), _name_timeline(result)
    measured = measure_tracks(right, tracked, name, timeline.add)
    temporary = name_temporary(drawn)
    with disk_errors(drawn.parent, "run the command again"):
        try:
            timeline.draw(temporary)
            put_in_place(temporary, drawn)
        finally:
            temporary.unlink(missing_ok=True)
    return measured, drawn
