"""Level 1: readers, writers and importers, with files that are none of theirs and with frames that can be
awkward."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from pose_core.errors import DataError, PoseError
from pose_core.interfaces import Importer, PredictionsHeader, Reader, Writer
from pose_core.structures import Frame, FrameSpan, Instances, Skeleton
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.targets import ComponentSubject, skip

_SKELETON = Skeleton(("nose", "left", "right", "tail"), edges=(("nose", "tail"),), individuals=("one", "two"))


class _Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.trace,)


def _write_strange_files(folder: Path) -> Iterator[Path]:
    """Write files and folders of no format."""
    trace = folder / "TRACE"
    for name, content in (
        ("empty.yaml", b""),
        ("config.yaml", b"- a list\n- of things: [1, 2\n"),
        ("table.csv", b"a,b\n1\n,,,,\n"),
        ("data.json", b'{"images": 3}'),
        # The first bytes are right where a format has some: readers that trust them go on to open the file.
        ("data.h5", b"\x89HDF\r\n\x1a\nbroken"),
        ("noise.bin", bytes(range(256)) * 4),
        ("weights.pt", pickle.dumps(_Bomb(trace))),
        ("snapshot.pkl", pickle.dumps(_Bomb(trace))),
        ("results.parquet", b"PAR1 nothing PAR1"),
    ):
        (folder / name).write_bytes(content)
        yield folder / name
    (folder / "nothing").mkdir()
    yield folder / "nothing"
    inside = folder / "project"
    inside.mkdir()
    # Names that formats look for in a folder, with a content that breaks off.
    for name in ("config.yaml", "project.yaml", "labels.csv", "annotations.json"):
        (inside / name).write_bytes(b"keypoints: 3\nTask: [")
    yield inside


def _demand_refusal(call: Callable[[], object], errors: type[Exception], what: str) -> None:
    """Demand that a call fails with one line."""
    try:
        call()
    except errors as error:
        demand(
            # Commands print errors as they are, on one line.
            "\n" not in str(error).strip() and str(error).strip(),
            f"{what}: the error is not one line: {error!r}",
        )
    except Exception as error:
        raise AssertionError(
            f"{what}: {type(error).__name__} ({error}) instead of one line in a {errors.__name__}"
        ) from None


def _make_reader(subject: ComponentSubject) -> Reader:
    return cast("Reader", subject.component.factory()(subject.config))


def _make_writer(subject: ComponentSubject) -> Writer:
    return cast("Writer", subject.component.factory()(subject.config))


@check(1, "reader")
def check_reader_knows_its_format(subject: ComponentSubject) -> None:
    """accepts() is a bool for any file and folder, and raises on none; read() refuses strange ones with a
    DataError."""
    factory: type[Reader] = subject.component.factory()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path in _write_strange_files(folder):
            try:
                accepted = factory.accepts(path)
            except Exception as error:
                raise AssertionError(f"accepts({path.name}) raises {type(error).__name__}: {error}") from None
            demand(isinstance(accepted, bool), f"accepts({path.name}) gives {accepted!r}, not True or False")
            _demand_refusal(partial(_make_reader(subject).read, path), PoseError, f"read({path.name})")
        demand(not (folder / "TRACE").exists(), "reading ran code from a file; never unpickle")


@check(1, "reader")
def check_reader_writes_nothing(subject: ComponentSubject) -> None:
    """Looking at a project changes no file of it, and adds none."""
    factory: type[Reader] = subject.component.factory()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = list(_write_strange_files(folder))
        before = _read_contents(folder)
        for path in paths:
            factory.accepts(path)
            try:
                _make_reader(subject).read(path)
            except PoseError:
                continue
        demand(_read_contents(folder) == before, "files beside the project were changed or added")


def _read_contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _make_frames(several: bool) -> list[Frame]:
    """Two animals, one with a missing keypoint, none, and a frame that could not be decoded."""
    points = np.array([[[10.5, 20.25], [30.0, 21.0], [12.0, 50.0], [40.0, 44.0]]], np.float32)
    two = np.concatenate([points, points + 30.0]) if several else points
    hole = points.copy()
    hole[0, 1] = np.nan
    scores = np.full(two.shape[:2], 0.75, np.float32)
    return [
        Frame(0, Instances.from_keypoints(two, keypoint_scores=scores)),
        Frame(1, Instances.from_keypoints(hole, keypoint_scores=np.full((1, 4), 0.5, np.float32))),
        Frame(2, Instances.empty(4)),
        Frame.absent(3, _SKELETON, "damaged"),
        Frame(4, Instances.from_keypoints(points + 1.0, keypoint_scores=np.full((1, 4), 0.25, np.float32))),
    ]


def _make_header(skeleton: Skeleton, frames: int) -> PredictionsHeader:
    return PredictionsHeader(skeleton, "videos/clip.mp4", frames, 160, 120, 25.0, "kit/model", "runs/kit")


def _write_frames(subject: ComponentSubject, several: bool, path: Path) -> tuple[Writer, list[Frame]]:
    frames = _make_frames(several)
    # Without individuals, as the project of one animal has it.
    skeleton = _SKELETON if several else Skeleton(_SKELETON.keypoints)
    writer = _make_writer(subject)
    writer.write(path, _make_header(skeleton, len(frames)), iter(frames))
    return writer, frames


@check(1, "writer")
def check_writer_takes_all_frames(subject: ComponentSubject) -> None:
    """Frames with two animals, with none, undecoded ones, and no frames at all are written, or refused by
    DataError."""
    writer = _make_writer(subject)
    demand(
        isinstance(writer.extension, str) and writer.extension.startswith("."),
        "extension must begin with a dot",
    )
    demand(writer.stem(_make_header(_SKELETON, 1)).strip(), "stem() is empty")
    with tempfile.TemporaryDirectory() as temporary:
        for several in (False, True):
            path = Path(temporary) / f"{several}{writer.extension}"
            try:
                _write_frames(subject, several, path)
            except DataError as error:
                demand("\n" not in str(error), f"the refusal is not one line: {error!r}")
                demand(several, f"the frames of one animal are refused: {error}")
                continue
            demand(
                path.is_file() and path.stat().st_size, "write() leaves no file at the path that it is given"
            )
        empty = Path(temporary) / f"empty{writer.extension}"
        _demand_refusal(
            lambda: writer.write(empty, _make_header(_SKELETON, 0), iter(())), DataError, "no frames at all"
        )


@check(1, "writer")
def check_writer_reads_what_it_writes(subject: ComponentSubject) -> None:
    """Where reads() accepts the file, read() gives back every frame with its index, keypoints, gaps and scores."""
    # Of a format with complete = False every frame with animals.
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / f"clip{_make_writer(subject).extension}"
        try:
            writer, frames = _write_frames(subject, True, path)
        # Formats of one animal refuse two, and still must read back what they take.
        except DataError:
            writer, frames = _write_frames(subject, False, path)
        if not type(writer).reads(path):
            raise skip("the format is only written")
        stream = writer.read(path)
        again = list(stream)
    if writer.complete:
        demand(stream.header.skeleton.keypoints == _SKELETON.keypoints, "the names of the keypoints change")
    else:
        frames, again = _leave_empty_out(frames), _leave_empty_out(again)
    demand(
        [f.index for f in again] == [f.index for f in frames], f"frames {[f.index for f in again]} come back"
    )
    for frame, found in zip(frames, again, strict=True):
        demand(
            len(found.instances) == len(frame.instances),
            f"frame {frame.index} has {len(frame.instances)} animals, {len(found.instances)} come back",
        )
        # Text formats round, so equal within a fiftieth of a pixel.
        same = np.allclose(found.instances.keypoints, frame.instances.keypoints, atol=0.02, equal_nan=True)
        demand(same, f"the keypoints of frame {frame.index} change by more than 0.02 pixels")
        scores = np.allclose(found.instances.keypoint_scores, frame.instances.keypoint_scores, atol=0.01)
        demand(scores, f"the scores of the keypoints of frame {frame.index} change")


@check(1, "writer")
def check_writer_keeps_numbers_of_selected_frames(subject: ComponentSubject) -> None:
    """A writer with takes_selected takes some of a video's frames, and they come back under their numbers."""
    writer = _make_writer(subject)
    if not writer.takes_selected:
        raise skip("the format takes whole videos")
    skeleton = Skeleton(_SKELETON.keypoints)
    frames = [replace(frame, index=3 + 4 * frame.index) for frame in _make_frames(several=False)]
    header = replace(_make_header(skeleton, 30), selected=(FrameSpan(3, 19, 4),))
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / f"clip{writer.extension}"
        try:
            writer.write(path, header, iter(frames))
        except DataError as error:
            raise AssertionError(f"the frames 3-19:4 are refused: {error}") from None
        if not type(writer).reads(path):
            raise skip("the format is only written")
        again = list(writer.read(path))
    if not writer.complete:
        frames, again = _leave_empty_out(frames), _leave_empty_out(again)
    due, numbers = [frame.index for frame in frames], [frame.index for frame in again]
    demand(numbers == due, f"frames {numbers} come back for {', '.join(map(str, due))}")


def _leave_empty_out(frames: Iterable[Frame]) -> list[Frame]:
    return [frame for frame in frames if len(frame.instances)]


@check(1, "writer")
def check_writer_keeps_who_is_who(subject: ComponentSubject) -> None:
    """Animals come back under their name or as unknown, unique keypoints as they were; or a DataError refuses
    them."""
    skeleton = replace(_SKELETON, identified=True, unique_keypoints=("corner",))
    frames = _make_identified_frames()
    with tempfile.TemporaryDirectory() as temporary:
        writer = _make_writer(subject)
        path = Path(temporary) / f"clip{writer.extension}"
        try:
            writer.write(path, _make_header(skeleton, len(frames)), iter(frames))
        except DataError as error:
            demand("\n" not in str(error), f"the refusal is not one line: {error!r}")
            raise skip(f"the format refuses identities or unique keypoints: {error}") from None
        if not type(writer).reads(path):
            raise skip("the format is only written")
        stream = writer.read(path)
        again = list(stream)
    found = stream.header.skeleton
    demand(
        found.unique_keypoints == skeleton.unique_keypoints or not writer.complete,
        f"unique keypoints {found.unique_keypoints} come back",
    )
    for frame, other in zip(frames, again, strict=True):
        # Names that come back must be right; that none come back is allowed, an unknown animal is no wrong
        # one.
        for name, points in _group_by_name(found, other).items():
            written = _group_by_name(skeleton, frame).get(name)
            demand(
                written is not None and np.allclose(points, written, atol=0.02, equal_nan=True),
                f"in frame {frame.index} other keypoints than were written come back as {name!r}",
            )
        same = np.allclose(other.unique_keypoints, frame.unique_keypoints, atol=0.02, equal_nan=True)
        demand(same, f"the unique keypoints of frame {frame.index} change")
        scores = np.allclose(other.unique_scores, frame.unique_scores, atol=0.01)
        demand(scores, f"the scores of the unique keypoints of frame {frame.index} change")


def _make_identified_frames() -> list[Frame]:
    """The second animal before the first, the second alone, none, and the first alone."""
    one = _make_frames(several=False)[0].instances.keypoints
    corner, score = np.array([[3.5, 4.0]], np.float32), np.array([0.5], np.float32)
    gone, nothing = np.full((1, 2), np.nan, np.float32), np.zeros(1, np.float32)
    return [
        Frame(0, Instances.from_keypoints(np.concatenate([one + 30.0, one]), identity=[1, 0]), corner, score),
        Frame(1, Instances.from_keypoints(one + 31.0, identity=[1]), gone, nothing),
        Frame(2, Instances.empty(_SKELETON.num_keypoints), corner + 1.0, score),
        Frame(3, Instances.from_keypoints(one + 2.0, identity=[0]), corner, score),
    ]


def _group_by_name(skeleton: Skeleton, frame: Frame) -> dict[str, np.ndarray]:
    """Keypoints (K, 2) of the animals that are known by name."""
    animals = frame.instances
    pairs = zip(animals.identity.tolist(), animals.keypoints, strict=True)
    return {skeleton.individuals[i]: points for i, points in pairs if i >= 0}


@check(1, "writer")
def check_writer_refuses_strange_files(subject: ComponentSubject) -> None:
    """reads() is a bool for any file and raises on none; read() refuses strange and damaged files with a
    DataError."""
    writer = _make_writer(subject)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path in _write_strange_files(folder):
            try:
                readable = type(writer).reads(path)
            except Exception as error:
                raise AssertionError(f"reads({path.name}) raises {type(error).__name__}: {error}") from None
            if readable:
                _demand_refusal(partial(_read_all, writer, path), PoseError, f"read({path.name})")
        for case, path in _write_damaged_files(subject, folder):
            if type(writer).reads(path):
                _demand_refusal(
                    partial(_read_all, writer, path), PoseError, f"read() of a file of its own, {case},"
                )
        demand(not (folder / "TRACE").exists(), "reading ran code from a file; never unpickle")


def _write_damaged_files(subject: ComponentSubject, folder: Path) -> Iterator[tuple[str, Path]]:
    """A file that the writer wrote, cut off and with other bytes in its middle."""
    path = folder / f"own{_make_writer(subject).extension}"
    _write_frames(subject, False, path)
    whole = path.read_bytes()
    # From the middle of the file: the beginning, which formats look at, stays right.
    half = len(whole) // 2
    for case, content in (
        ("cut off in the middle", whole[:half]),
        # Parquet keeps its index at the end, so most rows are whole here and cannot be found.
        ("cut off near the end", whole[: len(whole) * 9 // 10]),
        ("with other bytes in its middle", whole[:half] + b"\x00\xff{]" + whole[half + 4 :]),
    ):
        path.write_bytes(content)
        yield case, path


def _read_all(writer: Writer, path: Path) -> None:
    for _ in writer.read(path):
        pass


@check(1, "importer")
def check_importer_runs_no_code(subject: ComponentSubject) -> None:
    """Files that are no model are refused in one line, and no code in a pickle is run: load with
    weights_only."""
    importer = cast("Importer", subject.component.factory()(subject.config))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path in _write_strange_files(folder):
            _demand_refusal(partial(importer.read, path), PoseError, f"read({path.name})")
            config = folder / "config.yaml"
            # Beside a configuration that can be read an importer goes on and opens the weights, which is
            # the dangerous part.
            if path.suffix in (".pt", ".pkl") and config.exists():
                config.write_text(
                    "method: bu\nmetadata: {}\nmodel: {backbone: {type: X}}\n", encoding="utf-8"
                )
                _demand_refusal(partial(importer.read, path, config), PoseError, f"read({path.name}, config)")
        demand(not (folder / "TRACE").exists(), "reading ran code from a file; never unpickle")


CHECKS = (
    check_reader_knows_its_format,
    check_reader_writes_nothing,
    check_writer_takes_all_frames,
    check_writer_reads_what_it_writes,
    check_writer_keeps_numbers_of_selected_frames,
    check_writer_keeps_who_is_who,
    check_writer_refuses_strange_files,
    check_importer_runs_no_code,
)
