"""Filter tracks in files; ``pose filter`` in Python."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pose_core.catalog import get_catalog
from pose_core.errors import ConfigError, DataError, argument, command
from pose_core.interfaces.filter import Filter, FilterContext
from pose_core.interfaces.prediction_files import make_writer
from pose_core.interfaces.writer import FILTERS, PredictionsHeader
from pose_core.io.files import make_folder
from pose_core.io.name_lengths import check_name
from pose_core.reporting import Reporter, current_reporter
from pose_core.specs import FilterConfig, parse_component
from pose_core.structures import Frame
from pose_core.tracking.files import find_files, name_results, report_frames, write_result
from pose_core.tracking.filtering import FilterCounts, filter_frames, find_naming

GivenFilter = str | Mapping[str, Any] | FilterConfig
"""Name of a filter, or a mapping with settings too."""

FilterFinished = Callable[[str, "FilterOutcome | DataError"], None]
"""Gets the name of a file of predictions, and its outcome or why it could not be filtered."""

_EVERY = 500


@dataclass(frozen=True)
class FilterOutcome:
    """Outcome of filtering a file of predictions.

    Attributes:
        result: the file with filtered tracks.
        counts: of what was done.
    """

    result: Path
    counts: FilterCounts


def filter_predictions(
    predictions: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    filter: GivenFilter | Sequence[GivenFilter],
    format: str = "parquet",
    overwrite: bool = False,
    reporter: Reporter | None = None,
    finished: FilterFinished | None = None,
) -> list[FilterOutcome | None]:
    """Smooth tracks and fill their gaps in; ``pose filter`` in Python.

    Originals stay as they are. An animal is the same where its track is, or its identity in files without tracks; a
    file with neither may have one animal a frame. Keypoints that are filled in have score 0.

    Args:
        predictions: one or several: files that ``pose track`` or another tool wrote, in any installed format that can
            be read; folders of such files.
        out: folder of the results; made if needed.
        filter: name of a filter, or a mapping with settings (``{"type": "NAME", "setting": value}``); or several,
            which are applied one after another.
        format: name of a writer component.
        overwrite: replace results that are there.
        reporter: is told how the work goes.
        finished: is called after each file.

    Returns:
        for each file what became of it, in order; None for one that could not be filtered (``finished`` gets the
        reason).

    Raises:
        PoseError: an argument or a file cannot be used; nothing was written then. Or the disk is full, or the only file
            of predictions cannot be filtered.
    """
    out = Path(out)
    check_name(out)
    given = [predictions] if isinstance(predictions, Path | str) else list(predictions)
    if not given:
        raise DataError("nothing to filter: name at least one file of predictions")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file, not a folder; choose another {argument('out')}")
    configs = _choose_filters([filter] if isinstance(filter, str | Mapping | FilterConfig) else filter)
    writer = make_writer(format)
    reporter = reporter or current_reporter()
    files = find_files([Path(path) for path in given], reporter)
    results = name_results(files, out, writer, overwrite)
    make_folder(out)
    outcomes: list[FilterOutcome | None] = []
    for (path, stream), result in zip(files, results, strict=True):
        counts = FilterCounts()
        progress = report_frames(path, stream.header, reporter)
        try:
            naming = find_naming(stream, str(path))
            made = _make_filters(configs, stream.header)
            frames = filter_frames(stream, made, naming, counts)
            write_result(result, writer, _describe(configs, stream.header), _report(frames, counts, progress))
        except DataError as error:
            if len(files) == 1:
                raise
            if finished is None:
                reporter.note(f"error: {error}")
            else:
                finished(str(path), error)
            outcomes.append(None)
            continue
        outcome = FilterOutcome(result, counts)
        if finished is not None:
            finished(str(path), outcome)
        outcomes.append(outcome)
    return outcomes


def _choose_filters(given: Sequence[GivenFilter]) -> list[FilterConfig]:
    if not given:
        raise ConfigError(f"name at least one {argument('filter', 'NAME')}; {command('filters')} lists them")
    found = []
    for one in given:
        try:
            found.append(
                one if isinstance(one, FilterConfig) else parse_component("filter", FilterConfig, one)
            )
        except ConfigError as error:
            raise ConfigError(f"{argument('filter')}: {error}; {command('filters')} lists them") from None
    return found


def _make_filters(configs: Sequence[FilterConfig], header: PredictionsHeader) -> list[Filter]:
    context = FilterContext(header.skeleton, header.fps)
    return [get_catalog().component("filter", one.type).factory()(one, context) for one in configs]


def _describe(configs: Sequence[FilterConfig], header: PredictionsHeader) -> PredictionsHeader:
    """Note in a header which filters were applied, after those of before."""
    try:
        before = json.loads(header.metadata.get(FILTERS, "[]"))
    except ValueError:
        before = [header.metadata[FILTERS]]
    applied = [*before, *(one.model_dump(mode="json") for one in configs)]
    return replace(header, metadata={**header.metadata, FILTERS: json.dumps(applied)})


def _report(
    frames: Iterator[Frame], counts: FilterCounts, progress: Callable[[int], None]
) -> Iterator[Frame]:
    for frame in frames:
        if counts.frames % _EVERY == 0:
            progress(counts.frames)
        yield frame
    progress(counts.frames)
