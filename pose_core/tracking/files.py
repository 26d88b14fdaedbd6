"""Files of predictions that a command reads one by one, and the results that it makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pose_core.errors import ConfigError, DataError, argument
from pose_core.interfaces.prediction_files import open_predictions
from pose_core.interfaces.writer import PredictionsHeader, PredictionsStream, Writer
from pose_core.io.files import disk_errors, put_in_place
from pose_core.io.name_lengths import name_temporary
from pose_core.reporting import Reporter
from pose_core.structures import Frame
from pose_core.tracking.doubts_file import ENDING, REPORT_ENDING


def find_files(given: Sequence[Path], reporter: Reporter) -> list[tuple[Path, PredictionsStream]]:
    """Open all predictions, those of folders too.

    Raises:
        DataError: one cannot be read, is given twice, or a folder has none.
    """
    found: list[tuple[Path, PredictionsStream]] = []
    seen: dict[Path, Path] = {}

    def add(path: Path, stream: PredictionsStream) -> None:
        if (place := path.resolve()) in seen:
            raise DataError(f"{path}: given twice (also as {seen[place]}); name it once")
        seen[place] = path
        found.append((path, stream))

    for path in given:
        if not path.is_dir():
            add(path, open_predictions(path))
            continue
        held, left = [], []
        for file in sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")):
            try:
                held.append((file, open_predictions(file)))
            except DataError:
                # Notes, plots and tables lie beside predictions; they are named, so that nothing is missed.
                left.append(file.name)
        if not held:
            raise DataError(f"{path}: has no predictions that can be read; name files of predictions")
        strange = [name for name in left if not name.endswith((".info", ENDING, REPORT_ENDING))]
        if strange:
            reporter.note(f"note: {path}: no predictions, left out: {', '.join(strange)}")
        for file, stream in held:
            add(file, stream)
    return found


def name_results(
    files: Sequence[tuple[Path, PredictionsStream]],
    out: Path,
    writer: Writer,
    overwrite: bool,
    also_read: Sequence[Path] = (),
) -> list[Path]:
    """Name the results as the format wants it; files of one video keep their own names apart.

    Raises:
        ConfigError: a result would replace what is read, or one that is there.
    """
    stems = [writer.stem(stream.header) for _, stream in files]
    stems = [
        path.stem if stems.count(stem) > 1 else stem for stem, (path, _) in zip(stems, files, strict=True)
    ]
    results = [out / f"{stem}{writer.extension}" for stem in stems]
    read = {path.resolve() for path in (*(path for path, _ in files), *also_read)}
    for result in results:
        if result.resolve() in read:
            raise ConfigError(
                f"{result}: the result would replace what is read; choose another {argument('out')}"
            )
        if results.count(result) > 1:
            raise ConfigError(
                f"{result}: would be the result of several files; track them one by one, each with another "
                f"{argument('out')}"
            )
        if result.exists() and not overwrite:
            raise ConfigError(
                f"{result}: exists; add {argument('overwrite', True)} or choose another {argument('out')}"
            )
    return results


def write_result(result: Path, writer: Writer, header: PredictionsHeader, frames: Iterator[Frame]) -> None:
    """Write a result whole, or not at all."""
    temporary = name_temporary(result)
    with disk_errors(result.parent, "run the command again"):
        try:
            writer.write(temporary, header, frames)
            put_in_place(temporary, result)
        finally:
            temporary.unlink(missing_ok=True)


def report_frames(path: Path, header: PredictionsHeader, reporter: Reporter) -> Callable[[int], None]:
    """What tells how many frames of a file are done."""
    return lambda done: reporter.progress(path.name, done, header.frames)
