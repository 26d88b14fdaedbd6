"""Track stored predictions, as ``pose track`` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pose_core.errors import ConfigError, DataError, argument
from pose_core.interfaces.prediction_files import make_writer, open_predictions
from pose_core.interfaces.writer import PredictionsHeader, PredictionsStream
from pose_core.io.files import disk_errors, make_folder, put_in_place
from pose_core.io.name_lengths import check_name, name_temporary
from pose_core.reporting import Reporter, current_reporter
from pose_core.structures import Frame
from pose_core.tracking.choose import GivenTracker, Tracking
from pose_core.tracking.corrections import GivenCorrections
from pose_core.tracking.doubts import Doubts
from pose_core.tracking.doubts_file import name_report, write_doubts
from pose_core.tracking.files import find_files, name_results, report_frames, write_result
from pose_core.tracking.follow import TrackCounts, TrackedFrames
from pose_core.tracking.measure import TrackMetrics, measure_tracks

if TYPE_CHECKING:
    from pose_core.tracking.frame_images import ReadImage

TrackFinished = Callable[[str, "TrackOutcome | DataError"], None]
"""Gets the name of a file of predictions, and its outcome or why it could not be tracked."""


@dataclass(frozen=True)
class TrackOutcome:
    """Outcome of tracking a file of predictions.

    Attributes:
        result: the file with tracks.
        counts: of what was found.
        doubts: moments in which a swap is likely; they are also in a file beside the result.
        metrics: how good tracks are, where there is truth to compare with.
        report: the page, where it was wanted.
        timeline: PNG that shows under which track each animal of the truth was found over time, where there is truth.
    """

    result: Path
    counts: TrackCounts
    doubts: Doubts
    metrics: TrackMetrics | None = None
    report: Path | None = None
    timeline: Path | None = None


def track(
    predictions: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    tracker: GivenTracker = None,
    animals: int | None = None,
    format: str = "parquet",
    truth: Path | str | None = None,
    fix: GivenCorrections = None,
    report: bool = False,
    video: Path | str | None = None,
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
        fix: what a person decided, for one file of predictions: a CSV file with the columns ``frame``, ``track``,
            ``should_be``, or such rows: from that frame on, what is numbered ``track`` without corrections is
            ``should_be``. Pieces are joined again so that all of them hold.
        report: write a page beside each result that shows who was where when, and pictures of the moments in which a
            swap is likely; without pictures where the video is not found.
        video: the video or folder of images that was predicted, for one file of predictions, where it is no longer
            at the place that these name. For a tracker that needs images; with others there is a report then, too.
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
    tracking = Tracking.choose(tracker, animals, fix)
    writer = make_writer(format)
    reporter = reporter or current_reporter()
    files = find_files(given, reporter)
    if truth is not None and len(files) > 1:
        raise ConfigError(f"{argument('truth', str(truth))}: is of one video; track {len(files)} one by one")
    if tracking.corrections and len(files) > 1:
        raise ConfigError(f"{argument('fix')}: corrections are of one video; track {len(files)} one by one")
    if video is not None and len(files) > 1:
        raise ConfigError(f"{argument('video', str(video))}: is one video; track {len(files)} one by one")
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
            images, pictures = None, None
            if tracking.needs_images:
                images = _find_images(path, stream.header, video, tracking)
            if report or (video is not None and images is None):
                pictures = _find_pictures(path, stream.header, video, reporter)
            with TrackedFrames(
                stream.__iter__,
                stream.header,
                tracking,
                str(path),
                report_frames(path, stream.header, reporter),
                images,
            ) as tracked:
                finder = tracked.make_doubt_finder()
                header = tracking.describe(stream.header)
                write_result(result, writer, header, tracked.apply(stream, finder.watch))
                doubts = finder.finish()
                write_doubts(result, doubts)
                # A page of the result that was replaced would show other tracks.
                name_report(result).unlink(missing_ok=True)
                page = None
                if pictures is not None:
                    page = _write_report(result, stream, tracking, tracked, doubts, pictures)
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
        outcome = TrackOutcome(result, tracked.counts, doubts, measured, page, timeline)
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


def _find_images(
    path: Path, header: PredictionsHeader, video: Path | str | None, tracking: Tracking
) -> ReadImage:
    """Find the images for a tracker that needs them."""
    from pose_core.tracking.frame_images import find_images

    images = find_images(header, path, None if video is None else Path(video))
    if isinstance(images, str):
        raise DataError(f"{path}: the tracker {tracking.config.type} needs images: {images}")
    return images


def _find_pictures(
    path: Path, header: PredictionsHeader, video: Path | str | None, reporter: Reporter
) -> ReadImage | str:
    from pose_core.tracking.frame_images import find_images

    pictures = find_images(header, path, None if video is None else Path(video))
    if isinstance(pictures, str):
        reporter.note(f"note: {path}: the report has no pictures: {pictures}")
    return pictures


def _write_report(
    result: Path,
    stream: PredictionsStream,
    tracking: Tracking,
    tracked: TrackedFrames,
    doubts: Doubts,
    pictures: ReadImage | str,
) -> Path:
    # Here, since matplotlib takes a second to import and is for reports alone.
    from pose_core.tracking.report import TrackedVideo, write_report

    individuals = stream.header.skeleton.individuals
    names = {track: individuals[individual] for track, (individual, _) in tracked.names.items()}
    first, last = tracked.span
    about = TrackedVideo(stream.header, tracking, tracked.counts, doubts, names, first, last)
    return write_report(result, about, tracked.apply(stream), pictures)
