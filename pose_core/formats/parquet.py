"""Write and read predictions as a Parquet table, the default of ``pose predict``.

One row for each animal of a frame; one row for a frame without animals and for a frame that could not be
decoded, so that every frame from 0 to ``frames - 1`` is in the table. In pandas:
``pandas.read_parquet("video.parquet")``.

========================  =======  =======================================================================
column                    type     what it holds
========================  =======  =======================================================================
frame                     int64    number of the frame, from 0
time                      float64  seconds after the first frame; null where there are no times
status                    string   ``animal``; ``empty``: no animal was found; ``missing``: not decodable
reason                    string   why the frame is missing; null otherwise
image                     string   path of the image file; null for videos
animal                    int32    row of the animal within the frame, from 0; null where there is none
track                     int64    track number; null where not tracked
track_margin              float32  how much better than the next-best choice the track was for the tracker, 0 to
                                   1; null where there was no other
identity                  string   name of the individual; null where unknown
identity_score            float32  how probable that name is, 0 to 1; null where unknown
identity_probabilities    list     float32, 0 to 1, how probable each individual of the header is; null where
                                   the model says nothing. Only where the header has several individuals
score                     float32  confidence in the animal, 0 to 1
box_x1 ... box_y2         float32  box of the animal in pixels
interpolated              bool     filtered predictions only: whether keypoints were filled in: those with score 0
<keypoint>.x, .y          float32  pixels; null where the keypoint was not found
<keypoint>.score          float32  0 to 1; 0 where the keypoint was not found
<unique keypoint>.x, ...  float32  keypoints that exist once a frame: on its first row, null on others
========================  =======  =======================================================================

Coordinates are pixels of the frame, x to the right, y down, the centre of the top-left pixel at (0, 0). The
schema's metadata hold, under the key ``pose_core``, a JSON object with the skeleton, source, average frame
rate and model; tables written before ``track_margin`` and ``identity_probabilities`` were stored lack these
columns, and are read all the same::

    json.loads(pyarrow.parquet.read_schema("video.parquet").metadata[b"pose_core"])
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pose_core.errors import DataError, command
from pose_core.formats.config import ParquetConfig
from pose_core.interfaces import PredictionsHeader, PredictionsStream, Writer
from pose_core.interfaces.writer import FILTERS
from pose_core.io.files import parse_json
from pose_core.structures import Frame, FrameSpan, Instances, Skeleton

KEY = b"pose_core"

# The names of columns in a spoilt footer may be no text.
_UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError)
FORMAT = "pose_core predictions"
VERSION = 1

_BOX = ("box_x1", "box_y1", "box_x2", "box_y2")
_INTERPOLATED = "interpolated"
_PARTS = ("x", "y", "score")
_MARGIN, _CHANCES = "track_margin", "identity_probabilities"


class ParquetWriter(Writer):
    """Write and read the table that this module describes."""

    extension = ".parquet"
    takes_selected = True
    config: ParquetConfig

    def write(self, path: Path, header: PredictionsHeader, frames: Iterable[Frame]) -> None:
        """Write frames, a row group at a time.

        Memory holds at most ``row_group`` rows and one frame.

        Raises:
            DataError: a frame is out of order.
        """
        schema = _make_schema(header)
        # Dictionaries of numbers that hardly repeat make files larger, and take most of the time of writing.
        options = {"compression": self.config.compression, "use_dictionary": _find_texts(schema)}
        # A file that Python opened reports a full disk as OSError with its number.
        with path.open("wb") as file, pq.ParquetWriter(file, schema, **options) as table:
            held: list[Frame] = []
            rows = 0
            # A part of a video (its journal writes several) may begin at any frame.
            before: int | None = None
            for frame in frames:
                if before is not None and (
                    frame.index <= before or (not header.selected and frame.index > before + 1)
                ):
                    raise DataError(f"got frame {frame.index} after frame {before}; write frames in order")
                before = frame.index
                held.append(frame)
                rows += max(len(frame.instances), 1)
                if rows >= self.config.row_group:
                    table.write_batch(_make_batch(held, header.skeleton, schema))
                    held, rows = [], 0
            if held:
                table.write_batch(_make_batch(held, header.skeleton, schema))

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Test for a Parquet file with the core's metadata."""
        if path.suffix.lower() != cls.extension or not path.is_file():
            return False
        try:
            return KEY in (_read_schema(path).metadata or {})
        except _UNREADABLE:
            return False

    def read(self, path: Path) -> PredictionsStream:
        """Open a table; its rows are read in batches.

        Raises:
            DataError: the table does not exist, is damaged, or was written by a newer version.
        """
        return ParquetPredictions(path)


class ParquetPredictions(PredictionsStream):
    """Predictions in a Parquet table, read frame by frame.

    Args:
        path: of the table.

    Raises:
        DataError: the table does not exist, is damaged, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            schema = _read_schema(path)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file; check the path") from None
        except _UNREADABLE as error:
            raise DataError(
                f"{path}: not readable as Parquet ({_shorten_error(error)}); predict again"
            ) from None
        metadata = schema.metadata or {}
        if KEY not in metadata:
            raise DataError(
                f"{path}: a Parquet file, but not of predictions; name a file that {command('predict')} wrote"
            )
        self.header = _parse_header(path, metadata[KEY])
        for column in _make_schema(self.header):
            place = schema.get_field_index(column.name)
            if place < 0 and column.name in (_MARGIN, _CHANCES):
                continue
            if place < 0 or schema.field(place).type != column.type:
                raise DataError(f"{path}: lacks the column {column.name!r} of {column.type}; predict again")

    def __iter__(self) -> Iterator[Frame]:
        skeleton = self.header.skeleton
        left: pa.Table | None = None
        try:
            with self.path.open("rb") as stream, pq.ParquetFile(stream) as file:
                for table in _read_batches(file):
                    if left is not None:
                        table = pa.concat_tables([left, table])
                    numbers = _read_integers(table, "frame")
                    # The animals of the last frame may continue in the next batch.
                    whole = int(np.searchsorted(numbers, numbers[-1])) if len(numbers) else 0
                    left = table.slice(whole)
                    yield from _make_frames(table.slice(0, whole), skeleton)
            if left is not None:
                yield from _make_frames(left, skeleton)
        except (*_UNREADABLE, KeyError) as error:
            raise DataError(f"{self.path}: damaged ({_shorten_error(error)}); predict again") from None


def _find_texts(schema: pa.Schema) -> list[str]:
    """Find the columns of text, of which the same few values are in many rows."""
    return [column.name for column in schema if pa.types.is_string(column.type)]


def _read_batches(file: pq.ParquetFile) -> Iterator[pa.Table]:
    # Row groups one by one: Arrow keeps the bytes of those that it has read until the last is done.
    for group in range(file.num_row_groups):
        for batch in file.iter_batches(batch_size=4096, row_groups=[group]):
            yield pa.Table.from_batches([batch])


def _read_schema(path: Path) -> pa.Schema:
    # Arrow takes some paths for addresses of other file systems, and none whose bytes are not UTF-8.
    with path.open("rb") as stream:
        return pq.read_schema(stream)


def _shorten_error(error: BaseException) -> str:
    """Shorten a library's message to what stands before its first colon.

    Arrow appends names of its internal parts there.
    """
    return " ".join(str(error).split()).partition(":")[0][:120]


def _make_schema(header: PredictionsHeader) -> pa.Schema:
    columns: list[tuple[str, pa.DataType]] = [
        ("frame", pa.int64()),
        ("time", pa.float64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("image", pa.string()),
        ("animal", pa.int32()),
        ("track", pa.int64()),
        (_MARGIN, pa.float32()),
        ("identity", pa.string()),
        ("identity_score", pa.float32()),
        *([(_CHANCES, pa.list_(pa.float32()))] if len(header.skeleton.individuals) > 1 else ()),
        ("score", pa.float32()),
        *((name, pa.float32()) for name in _BOX),
    ]
    if FILTERS in header.metadata:
        columns.append((_INTERPOLATED, pa.bool_()))
    for keypoint in (*header.skeleton.keypoints, *header.skeleton.unique_keypoints):
        columns.extend((f"{keypoint}.{part}", pa.float32()) for part in _PARTS)
    content = {"format": FORMAT, "version": VERSION, **asdict(header)}
    return pa.schema(columns, metadata={KEY: json.dumps(content, ensure_ascii=False).encode()})


def _parse_header(path: Path, content: bytes) -> PredictionsHeader:
    try:
        values = parse_json(content)
        version = values.pop("version")
        if values.pop("format") != FORMAT:
            raise ValueError("another format")
        if version > VERSION:
            raise DataError(
                f"{path}: written by a newer version (table version {version}); upgrade pose-core"
            )
        skeleton = values.pop("skeleton")
        # JSON has no tuples; the skeleton is compared with others, so its fields must be of the same types.
        for name in ("keypoints", "individuals", "unique_keypoints"):
            skeleton[name] = tuple(skeleton[name])
        for name in ("edges", "symmetry"):
            skeleton[name] = tuple((a, b) for a, b in skeleton[name])
        if skeleton.get("landmarks") is not None:
            skeleton["landmarks"] = tuple(skeleton["landmarks"])
        selected = tuple(FrameSpan(*map(int, span)) for span in values.pop("selected", ()))
        return PredictionsHeader(skeleton=Skeleton(**skeleton), selected=selected, **values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: the metadata are damaged ({_shorten_error(error)}); predict again"
        ) from None


def _make_batch(frames: list[Frame], skeleton: Skeleton, schema: pa.Schema) -> pa.RecordBatch:
    """Lay out frames as rows; a frame without animals takes one row.

    The arrays of all animals are joined once and scattered to their rows: no loop over animals or keypoints.
    """
    animals = np.array([len(f.instances) for f in frames])
    height = np.maximum(animals, 1)
    first = np.cumsum(height) - height
    total = int(height.sum())
    frame_of = np.repeat(np.arange(len(frames)), height)
    slot = np.arange(total) - first[frame_of]
    used = slot < animals[frame_of]

    def spread(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        column = np.full((total, *values.shape[1:]), np.nan, np.float32)
        column[used] = values
        return column

    def join(name: str) -> npt.NDArray[np.generic]:
        return np.concatenate([getattr(f.instances, name) for f in frames])

    # NaN would be a value in a table, and pandas would count it; nulls say that there is none.
    def to_floats(values: npt.NDArray[np.float32]) -> pa.Array:
        return pa.array(np.ascontiguousarray(values), mask=np.isnan(values))

    # Text is converted once for each frame and then repeated by Arrow.
    def repeat_rows(values: list[str | None]) -> pa.Array:
        return pa.array(values, pa.string()).take(pa.array(frame_of))

    points, scores, boxes = join("keypoints"), join("keypoint_scores"), spread(join("boxes"))
    points, scores = spread(points), spread(scores)
    track, identity = np.full(total, -1, np.int64), np.full(total, -1, np.int64)
    track[used], identity[used] = join("track"), join("identity")
    named = spread(join("identity_scores"))
    named[identity < 0] = np.nan
    status = [
        "missing" if f.missing is not None else "animal" if n else "empty"
        for f, n in zip(frames, animals, strict=True)
    ]
    columns: list[pa.Array] = [
        pa.array(np.array([f.index for f in frames], np.int64)[frame_of]),
        pa.array([f.time for f in frames], pa.float64()).take(pa.array(frame_of)),
        repeat_rows(list(status)),
        repeat_rows([f.missing for f in frames]),
        repeat_rows([f.image for f in frames]),
        pa.array(slot.astype(np.int32), mask=~used),
        pa.array(track, mask=track < 0),
        to_floats(spread(join("track_margins"))),
        pa.array(list(skeleton.individuals), pa.string()).take(pa.array(identity, mask=identity < 0)),
        to_floats(named),
        *([_list_chances(frames, used)] if len(skeleton.individuals) > 1 else ()),
        to_floats(spread(join("scores"))),
        *(to_floats(boxes[:, i]) for i in range(4)),
    ]
    if schema.get_field_index(_INTERPOLATED) >= 0:
        filled = (np.isfinite(points).all(axis=-1) & (scores == 0)).any(axis=1)
        columns.append(pa.array(filled, mask=~used))
    for k in range(skeleton.num_keypoints):
        columns += [to_floats(points[:, k, 0]), to_floats(points[:, k, 1]), to_floats(scores[:, k])]
    if skeleton.unique_keypoints:
        unique = np.full((total, len(skeleton.unique_keypoints), 3), np.nan, np.float32)
        present = np.array([f.missing is None for f in frames])
        values = np.stack(
            [np.concatenate([f.unique_keypoints, f.unique_scores[:, None]], axis=1) for f in frames]
        )
        unique[first[present]] = values[present]
        columns += [to_floats(unique[:, u, part]) for u in range(unique.shape[1]) for part in range(3)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _list_chances(frames: list[Frame], used: npt.NDArray[np.bool_]) -> pa.Array:
    """List the probabilities of individuals for each row; null where there are none."""
    kind = pa.list_(pa.float32())
    widths = {f.instances.identity_probabilities.shape[1] for f in frames if len(f.instances)}
    width = max(widths, default=0)
    if not width:
        return pa.nulls(len(used), kind)
    # Of frames that no network with names has seen, every row says nothing.
    rows = np.concatenate(
        [
            f.instances.identity_probabilities
            if f.instances.identity_probabilities.shape[1]
            else np.full((len(f.instances), width), np.nan, np.float32)
            for f in frames
        ]
    )
    known = np.zeros(len(used), bool)
    known[used] = np.isfinite(rows).all(axis=1)
    ends = np.cumsum(known * width)
    offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32), mask=np.append(~known, False))
    values = rows[np.isfinite(rows).all(axis=1)].ravel()
    return pa.ListArray.from_arrays(offsets, pa.array(values, pa.float32()))


def _read_chances(table: pa.Table, individuals: int) -> npt.NDArray[np.float32]:
    """Read the probabilities of individuals (rows, individuals), or (rows, 0) where no row has any."""
    if _CHANCES not in table.column_names:
        return np.zeros((table.num_rows, 0), np.float32)
    column = table.column(_CHANCES).combine_chunks()
    known = ~column.is_null().to_numpy(zero_copy_only=False)
    if not known.any():
        return np.zeros((table.num_rows, 0), np.float32)
    values = np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.float32)
    if values.size != known.sum() * individuals:
        raise pa.ArrowInvalid("identity_probabilities are not one for each individual")
    chances = np.full((table.num_rows, individuals), np.nan, np.float32)
    chances[known] = values.reshape(-1, individuals)
    return chances


def _read_floats(table: pa.Table, name: str) -> npt.NDArray[np.float32]:
    """Read a column of floats; nulls become NaN."""
    return np.asarray(table.column(name).combine_chunks().to_numpy(zero_copy_only=False), np.float32)


def _read_integers(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    """Read a column of integers; nulls become -1."""
    return np.asarray(
        table.column(name).combine_chunks().fill_null(-1).to_numpy(zero_copy_only=False), np.int64
    )


def _read_points(
    table: pa.Table, names: tuple[str, ...]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Read coordinates (rows, len(names), 2) and scores (rows, len(names))."""
    parts = [np.stack([_read_floats(table, f"{n}.{p}") for n in names], axis=1) for p in _PARTS]
    return np.stack(parts[:2], axis=-1), np.nan_to_num(parts[2], nan=0.0)


def _make_frames(table: pa.Table, skeleton: Skeleton) -> Iterator[Frame]:
    if not table.num_rows:
        return
    numbers = _read_integers(table, "frame")
    # Rows of one frame stand together: a frame begins where its number differs from that of the row before.
    first = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
    last = np.append(first[1:], len(numbers))
    used = ~table.column("animal").combine_chunks().is_null().to_numpy(zero_copy_only=False)
    points, point_scores = _read_points(table, skeleton.keypoints)
    boxes = np.stack([_read_floats(table, n) for n in _BOX], axis=1)
    score, track = _read_floats(table, "score"), _read_integers(table, "track")
    margins = np.full(len(numbers), np.nan, np.float32)
    if _MARGIN in table.column_names:
        margins = _read_floats(table, _MARGIN)
    chances = _read_chances(table, len(skeleton.individuals))
    place = {name: i for i, name in enumerate(skeleton.individuals)}
    identity = np.array([place.get(n, -1) for n in table.column("identity").to_pylist()], np.int64)
    named = np.nan_to_num(_read_floats(table, "identity_score"))
    reason, image, time = (table.column(n).to_pylist() for n in ("reason", "image", "time"))
    unique = np.zeros((len(numbers), 0, 2), np.float32), np.zeros((len(numbers), 0), np.float32)
    if skeleton.unique_keypoints:
        unique = _read_points(table, skeleton.unique_keypoints)
    for number, there, a, b in zip(
        numbers[first].tolist(), used[first].tolist(), first.tolist(), last.tolist(), strict=True
    ):
        rows = slice(a, b) if there else slice(a, a)
        yield Frame(
            index=number,
            instances=Instances(
                keypoints=points[rows],
                keypoint_scores=point_scores[rows],
                scores=score[rows],
                boxes=boxes[rows],
                identity=identity[rows],
                track=track[rows],
                identity_scores=named[rows],
                track_margins=margins[rows],
                identity_probabilities=chances[rows],
            ),
            unique_keypoints=unique[0][a],
            unique_scores=unique[1][a],
            missing=reason[a],
            image=image[a],
            time=time[a],
        )
