"""Level 1: readers, writers and importers, with files that are none of theirs and with frames that can be
awkward."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pose_core.errors import DataError, PoseError
from pose_core.interfaces import PredictionsHeader
from pose_core.structures import Frame, Instances, Skeleton
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.targets import ComponentSubject, skip

_SKELETON = Skeleton(("nose", "left", "right", "tail"), edges=(("nose", "tail"),), individuals=("one", "two"))


class _Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.trace,)


def _strange(folder: Path) -> Iterator[Path]:
    """Files and folders of no format."""
    trace = folder / "TRACE"
    for name, content in (
        ("empty.yaml", b""),
        ("config.yaml", b"- a list\n- of things: [1, 2\n"),
        ("table.csv", b"a,b\n1\n,,,,\n"),
        ("data.json", b'{"images": 3}'),
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
    for name in ("config.yaml", "project.yaml", "labels.csv", "annotations.json"):
        (inside / name).write_bytes(b"keypoints: 3\nTask: [")
    yield inside


def _refused(call: Callable[[], object], errors: type[Exception], what: str) -> None:
    """Nothing but one line."""
    try:
        call()
    except errors as error:
        demand(
            "\n" not in str(error).strip() and str(error).strip(),
            f"{what}: the error is not one line: {error!r}",
        )
    except Exception as error:
        raise AssertionError(
            f"{what}: {type(error).__name__} ({error}) instead of one line in a {errors.__name__}"
        ) from None


def _make(subject: ComponentSubject) -> Any:
    return subject.component.factory()(subject.config)


@check(1, "reader")
def check_reader_knows_its_format(subject: ComponentSubject) -> None:
    """accepts() is a bool for any file and folder, and raises on none; read() refuses strange ones with a
    DataError."""
    factory: Any = subject.component.factory()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path in _strange(folder):
            try:
                accepted = factory.accepts(path)
            except Exception as error:
                raise AssertionError(f"accepts({path.name}) raises {type(error).__name__}: {error}") from None
            demand(isinstance(accepted, bool), f"accepts({path.name}) gives {accepted!r}, not True or False")
            _refused(partial(_make(subject).read, path), PoseError, f"read({path.name})")
        demand(not (folder / "TRACE").exists(), "reading ran code from a file; never unpickle")


@check(1, "reader")
def check_reader_writes_nothing(subject: ComponentSubject) -> None:
    """Looking at a project changes no file of it, and adds none."""
    factory: Any = subject.component.factory()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = list(_strange(folder))
        before = _contents(folder)
        for path in paths:
            factory.accepts(path)
            try:
                _make(subject).read(path)
            except PoseError:
                continue
        demand(_contents(folder) == before, "files beside the project were changed or added")


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _frames(several: bool) -> list[Frame]:
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


def _header(skeleton: Skeleton, frames: int) -> PredictionsHeader:
    return PredictionsHeader(skeleton, "videos/clip.mp4", frames, 160, 120, 25.0, "kit/model", "runs/kit")


def _written(subject: ComponentSubject, several: bool, path: Path) -> tuple[Any, list[Frame]]:
    frames = _frames(several)
    skeleton = _SKELETON if several else Skeleton(_SKELETON.keypoints)
    writer = _make(subject)
    writer.write(path, _header(skeleton, len(frames)), iter(frames))
    return writer, frames


@check(1, "writer")
def check_writer_takes_all_frames(subject: ComponentSubject) -> None:
    """Frames with two animals, with none, undecoded ones, and no frames at all are written, or refused by
    DataError."""
    writer = _make(subject)
    demand(
        isinstance(writer.extension, str) and writer.extension.startswith("."),
        "extension must begin with a dot",
    )
    demand(writer.stem(_header(_SKELETON, 1)).strip(), "stem() is empty")
    with tempfile.TemporaryDirectory() as temporary:
        for several in (False, True):
            path = Path(temporary) / f"{several}{writer.extension}"
            try:
                _written(subject, several, path)
            except DataError as error:
                demand("\n" not in str(error), f"the refusal is not one line: {error!r}")
                demand(several, f"the frames of one animal are refused: {error}")
                continue
            demand(
                path.is_file() and path.stat().st_size, "write() leaves no file at the path that it is given"
            )
        empty = Path(temporary) / f"empty{writer.extension}"
        _refused(lambda: writer.write(empty, _header(_SKELETON, 0), iter(())), DataError, "no frames at all")


@check(1, "writer")
def check_writer_reads_what_it_writes(subject: ComponentSubject) -> None:
    """Where reads() accepts the file, read() gives back every frame with its index, keypoints, gaps and
    scores."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / f"clip{_make(subject).extension}"
        try:
            writer, frames = _written(subject, True, path)
        except DataError:
            writer, frames = _written(subject, False, path)
        if not type(writer).reads(path):
            raise skip("the format is only written")
        stream = writer.read(path)
        again = list(stream)
    demand(
        [f.index for f in again] == [f.index for f in frames], f"frames {[f.index for f in again]} come back"
    )
    demand(stream.header.skeleton.keypoints == _SKELETON.keypoints, "the names of the keypoints change")
    for frame, found in zip(frames, again, strict=True):
        demand(
            len(found.instances) == len(frame.instances),
            f"frame {frame.index} has {len(frame.instances)} animals, {len(found.instances)} come back",
        )
        same = np.allclose(found.instances.keypoints, frame.instances.keypoints, atol=0.02, equal_nan=True)
        demand(same, f"the keypoints of frame {frame.index} change by more than 0.02 pixels")
        scores = np.allclose(found.instances.keypoint_scores, frame.instances.keypoint_scores, atol=0.01)
        demand(scores, f"the scores of the keypoints of frame {frame.index} change")


@check(1, "writer")
def check_writer_keeps_who_is_who(subject: ComponentSubject) -> None:
    """Animals come back under their name or as unknown, unique keypoints as they were; or a DataError refuses
    them."""
    skeleton = replace(_SKELETON, identified=True, unique_keypoints=("corner",))
    frames = _who_is_who()
    with tempfile.TemporaryDirectory() as temporary:
        writer = _make(subject)
        path = Path(temporary) / f"clip{writer.extension}"
        try:
            writer.write(path, _header(skeleton, len(frames)), iter(frames))
        except DataError as error:
            demand("\n" not in str(error), f"the refusal is not one line: {error!r}")
            raise skip(f"the format refuses identities or unique keypoints: {error}") from None
        if not type(writer).reads(path):
            raise skip("the format is only written")
        stream = writer.read(path)
        again = list(stream)
    found = stream.header.skeleton
    demand(
        found.unique_keypoints == skeleton.unique_keypoints,
        f"unique keypoints {found.unique_keypoints} come back",
    )
    for frame, other in zip(frames, again, strict=True):
        for name, points in _by_name(found, other).items():
            written = _by_name(skeleton, frame).get(name)
            demand(
                written is not None and np.allclose(points, written, atol=0.02, equal_nan=True),
                f"in frame {frame.index} other keypoints than were written come back as {name!r}",
            )
        same = np.allclose(other.unique_keypoints, frame.unique_keypoints, atol=0.02, equal_nan=True)
        demand(same, f"the unique keypoints of frame {frame.index} change")
        scores = np.allclose(other.unique_scores, frame.unique_scores, atol=0.01)
        demand(scores, f"the scores of the unique keypoints of frame {frame.index} change")


def _who_is_who() -> list[Frame]:
    """The second animal before the first, the second alone, nobody, and the first alone."""
    one = _frames(several=False)[0].instances.keypoints
    corner, score = np.array([[3.5, 4.0]], np.float32), np.array([0.5], np.float32)
    gone, nothing = np.full((1, 2), np.nan, np.float32), np.zeros(1, np.float32)
    return [
        Frame(0, Instances.from_keypoints(np.concatenate([one + 30.0, one]), identity=[1, 0]), corner, score),
        Frame(1, Instances.from_keypoints(one + 31.0, identity=[1]), gone, nothing),
        Frame(2, Instances.empty(_SKELETON.num_keypoints), corner + 1.0, score),
        Frame(3, Instances.from_keypoints(one + 2.0, identity=[0]), corner, score),
    ]


def _by_name(skeleton: Skeleton, frame: Frame) -> dict[str, Any]:
    """Keypoints (K, 2) of the animals that are known by name."""
    animals = frame.instances
    pairs = zip(animals.identity.tolist(), animals.keypoints, strict=True)
    return {skeleton.individuals[i]: points for i, points in pairs if i >= 0}


@check(1, "writer")
def check_writer_refuses_strange_files(subject: ComponentSubject) -> None:
    """reads() is a bool for any file and raises on none; read() refuses strange and damaged files with a
    DataError."""
    writer = _make(subject)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path in _strange(folder):
            try:
                readable = type(writer).reads(path)
            except Exception as error:
                raise AssertionError(f"reads({path.name}) raises {type(error).__name__}: {error}") from None
            if readable:
                _refused(partial(_read_all, writer, path), PoseError, f"read({path.name})")
        for case, path in _damaged(subject, folder):
            if type(writer).reads(path):
                _refused(partial(_read_all, writer, path), PoseError, f"read() of a file of its own, {case},")
        demand(not (folder / "TRACE").exists(), "reading ran code from a file; never unpickle")


def _damaged(subject: ComponentSubject, folder: Path) -> Iterator[tuple[str, Path]]:
    """A file that the writer wrote, cut off and with other bytes in its middle."""
    path = folder / f"own{_make(subject).extension}"
    _written(subject, False, path)
    whole = path.read_bytes()
    half = len(whole) // 2
    for case, content in (
        ("cut off in the middle", whole[:half]),
        ("cut off near the end", whole[: len(whole) * 9 // 10]),
        ("with other bytes in its middle", whole[:half] + b"\x00\xff{]" + whole[half + 4 :]),
    ):
        path.write_bytes(content)
        yield case, path


def _read_all(writer: Any, path: Path) -> None:
    for _ in writer.read(path):
        pass


@check(1, "importer")
def check_importer_runs_no_code(subject: ComponentSubject) -> None:
    """Files that are no model are refused in one line, and no code in a pickle is run: load with
    weights_only."""
    importer = _make(subject)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path in _strange(folder):
            _refused(partial(importer.read, path), PoseError, f"read({path.name})")
            config = folder / "config.yaml"
            if path.suffix in (".pt", ".pkl") and config.exists():
                config.write_text(
                    "method: bu\nmetadata: {}\nmodel: {backbone: {type: X}}\n", encoding="utf-8"
                )
                _refused(partial(importer.read, path, config), PoseError, f"read({path.name}, config)")
        demand(not (folder / "TRACE").exists(), "reading ran code from a file; never unpickle")


CHECKS = (
    check_reader_knows_its_format,
    check_reader_writes_nothing,
    check_writer_takes_all_frames,
    check_writer_reads_what_it_writes,
    check_writer_keeps_who_is_who,
    check_writer_refuses_strange_files,
    check_importer_runs_no_code,
)
