"""Write DeepLabCut's tables of predictions, and read them back."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np

from pose_core.errors import DataError
from pose_core.interfaces import PredictionsHeader, PredictionsStream, Writer
from pose_core.structures import Frame
from pose_deeplabcut.columns import Columns, make_skeleton
from pose_deeplabcut.config import CsvWriterConfig, H5WriterConfig
from pose_deeplabcut.csv_table import CsvRows, parse_numbers
from pose_deeplabcut.hdf_frame import RowName, open_frame
from pose_deeplabcut.hdf_table import TableFile
from pose_deeplabcut.prediction_rows import ROWS, FrameMaker, RowMaker, make_file_stem, make_scorer_name


class H5Writer(Writer):
    """Write the HDF5 table of DeepLabCut's ``analyze_videos``, for ``pandas.read_hdf(path)``."""

    config: H5WriterConfig
    extension = ".h5"
    takes_selected = True

    def stem(self, header: PredictionsHeader) -> str:
        """Make the file name ``<video><scorer>``, as DeepLabCut does."""
        return make_file_stem(header, make_scorer_name(header, self.config.scorer))

    def write(self, path: Path, header: PredictionsHeader, frames: Iterable[Frame]) -> None:
        """Write all frames, some hundreds at a time.

        Raises:
            DataError: a frame has more animals than the project has individuals.
        """
        rows = RowMaker(header, make_scorer_name(header, self.config.scorer), "dlc-h5")
        named, frames = _peek_named(frames)
        with TableFile(path, rows.columns, named) as table:
            for chunk, values in rows.make_chunks(frames):
                table.append(
                    [rows.name_image(f) for f in chunk] if named else [f.index for f in chunk], values
                )

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Test for an HDF5 file with DeepLabCut's table and likelihoods. Never raises."""
        try:
            with open_frame(path) as frame:
                return frame.columns.predicted
        except DataError:
            return False

    def read(self, path: Path) -> PredictionsStream:
        """Open predictions of any program; nothing in the file is unpickled.

        Raises:
            DataError: the file is not of this format or is damaged.
        """
        return _H5Stream(path)


class CsvWriter(Writer):
    """Write the CSV table of DeepLabCut's ``save_as_csv``."""

    config: CsvWriterConfig
    extension = ".csv"
    takes_selected = True

    def stem(self, header: PredictionsHeader) -> str:
        """Make the file name ``<video><scorer>``, as DeepLabCut does."""
        return make_file_stem(header, make_scorer_name(header, self.config.scorer))

    def write(self, path: Path, header: PredictionsHeader, frames: Iterable[Frame]) -> None:
        """Write all frames, some hundreds at a time.

        Raises:
            DataError: a frame has more animals than the project has individuals.
        """
        rows = RowMaker(header, make_scorer_name(header, self.config.scorer), "dlc-csv")
        named, frames = _peek_named(frames)
        with path.open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream, lineterminator="\n")
            for level, names in zip(rows.columns.levels, zip(*rows.columns.tuples, strict=True), strict=True):
                table.writerow([level, *names])
            for number, (chunk, values) in enumerate(rows.make_chunks(frames)):
                missing = np.isnan(values)
                cells = values.astype(object)
                cells[missing] = ""
                if number == 0 and missing[0].all():
                    # pandas takes a first row of empty cells for the names of the index and loses it.
                    cells[0, 0] = "nan"
                table.writerows(
                    [rows.name_image(frame) if named else frame.index, *row]
                    for frame, row in zip(chunk, cells, strict=True)
                )

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Test for a CSV file with DeepLabCut's header and likelihoods. Never raises."""
        try:
            return path.suffix.lower() == ".csv" and CsvRows(path).columns.predicted
        except DataError:
            return False

    def read(self, path: Path) -> PredictionsStream:
        """Open predictions of any program.

        Raises:
            DataError: the file is not of this format or is damaged.
        """
        return _CsvStream(path)


def _peek_named(frames: Iterable[Frame]) -> tuple[bool, Iterator[Frame]]:
    """Look at the first frame: True if it is an image with a name; and all frames."""
    # Looked at before the file is opened: the layout differs, and the frames can be read only once.
    stream = iter(frames)
    first = list(islice(stream, 1))
    return bool(first) and first[0].image is not None, chain(first, stream)


def _make_header(path: Path, columns: Columns, frames: int) -> PredictionsHeader:
    """Make a header from the names of body parts, of individuals and of the scorer."""
    if not columns.predicted:
        raise DataError(
            f"{path}: holds labels, not predictions (it has no likelihood); choose a file of predictions"
        )
    if len(columns.scorers) > 1:
        raise DataError(f"{path}: mixes predictions of {' and '.join(columns.scorers)}; keep those of one")
    scorer = columns.scorers[0]
    return PredictionsHeader(
        skeleton=make_skeleton(columns, str(path)),
        source=path.stem.partition(scorer)[0] or path.stem,
        frames=frames,
        width=0,
        height=0,
        fps=0.0,
        model=scorer,
        run="",
        metadata={"deeplabcut.multianimal": str(columns.multi).lower()},
    )


def _count_frames(rows: int, last: Sequence[RowName]) -> int:
    """Count the frames of the video; 0 where rows are some of its frames, and nothing says how many it has."""
    number = _parse_name(last[0]) if last else None
    return 0 if isinstance(number, int) and number != rows - 1 else rows


def _parse_name(name: RowName) -> int | str:
    """Parse the name of a row: a frame number, or the name of an image."""
    # Frame numbers are text in a CSV file.
    if isinstance(name, int):
        return name
    return int(name[0]) if len(name) == 1 and name[0].strip().isdigit() else "/".join(name)


class _H5Stream(PredictionsStream):
    def __init__(self, path: Path) -> None:
        self._path = path
        with open_frame(path) as frame:
            last = frame.read_names(max(frame.length - 1, 0), frame.length)
            self.header = _make_header(path, frame.columns, _count_frames(frame.length, last))

    def __iter__(self) -> Iterator[Frame]:
        with open_frame(self._path) as frame:
            maker = FrameMaker(frame.columns, self.header.skeleton)
            for start in range(0, frame.length, ROWS):
                stop = min(start + ROWS, frame.length)
                names = [_parse_name(name) for name in frame.read_names(start, stop)]
                yield from maker.make_frames(names, frame.read_values(start, stop), start)


class _CsvStream(PredictionsStream):
    def __init__(self, path: Path) -> None:
        self._path = path
        # A CSV file does not store its number of rows, so it is read once to count them.
        table = CsvRows(path)
        rows, last = 0, []
        for _, name, _ in table:
            rows, last = rows + 1, [name]
        self.header = _make_header(path, table.columns, _count_frames(rows, last))

    def __iter__(self) -> Iterator[Frame]:
        table = CsvRows(self._path)
        maker = FrameMaker(table.columns, self.header.skeleton)
        rows, start = iter(table), 0
        while chunk := list(islice(rows, ROWS)):
            names = [_parse_name(name) for _, name, _ in chunk]
            values = parse_numbers(table, [(line, cells) for line, _, cells in chunk])
            yield from maker.make_frames(names, values, start)
            start += len(chunk)
