"""A worker: takes ranges of a plan, predicts them, and joins what is complete."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pose_core.errors import DataError, PoseError, VideoError, described
from pose_core.interfaces.prediction_files import make_writer
from pose_core.io.files import disk_errors
from pose_core.pipeline.threads import Timing
from pose_core.prediction.estimator import PoseEstimator, load
from pose_core.prediction.job import INDEX, Job, identify
from pose_core.prediction.join import SourceChangedError, check_source, join_video, open_source
from pose_core.prediction.part_writer import PartWriter
from pose_core.prediction.same_state import check_environment, check_run
from pose_core.structures import Region
from pose_core.workers.claims import Claims, Held
from pose_core.workers.heart import Heart
from pose_core.workers.parts import (
    DamagedPartError,
    Part,
    cover,
    list_parts,
    name_range,
    read_last_decoded,
)
from pose_core.workers.plan import JOIN, Plan, PlannedVideo, open_plan
from pose_core.workers.records import WorkerRecord

_DEFECTS = 3
"""So many failures in a row that no file explains are of this machine, and the worker ends."""

_PATIENCE = (0.2, 10.0)
"""Seconds between two looks for work while others are at it: the first, and the longest."""


@dataclass(frozen=True)
class _Task:
    """Something claimed: a range, or, without one, the join of a video."""

    video: PlannedVideo
    held: Held
    span: tuple[int, int] | None
    parts: Sequence[Part]


class Worker:
    """Works on a plan until nothing is left, or until it is told to stop.

    Args:
        plan: of the work.
        device: where to compute; None: as the plan says.
        stop: when it is set, the worker keeps what it has at the next batch and gives its claim back.
        tell: gets lines for the user.
        hung: is called, in another thread, when no batch comes any more; the range is given up then.
        estimator: where the caller has loaded the run already.
        joins_only: predict nothing, and wait for nobody.
    """

    def __init__(
        self,
        plan: Plan,
        device: str | None = None,
        stop: threading.Event | None = None,
        tell: Callable[[str], None] = lambda line: None,
        hung: Callable[[str], None] = lambda line: None,
        estimator: PoseEstimator | None = None,
        joins_only: bool = False,
    ) -> None:
        self.plan = plan
        self._device = device
        self._stop = stop or threading.Event()
        self._tell = tell
        self._hung = hung
        self._estimator = estimator
        self._joins_only = joins_only
        self._over: set[str] = set()
        self._jobs: dict[str, Job] = {}
        self._defects = 0

    def work(self) -> bool:
        """Work.

        Returns:
            whether nothing is left to do; what was set aside is not.

        Raises:
            PoseError: the run, a version, or the disk keeps it from working; claims are given back.
        """
        plan = self.plan
        check_environment(plan)
        with disk_errors(plan.out):
            record = WorkerRecord(plan.home / "workers")
            record.write("starts")
        claims = Claims(plan.home / "claims", record.clock, plan.times.stale, record.owner)
        # Each begins with another video, so that few of them read the same.
        self._order = list(plan.videos)
        turn = random.Random(record.worker).randrange(len(self._order) or 1)
        self._order = self._order[turn:] + self._order[:turn]
        ended = ""
        try:
            with _enter(plan.folder), Heart(plan, record, self._stop, self._hung) as heart:
                try:
                    # Records of what it does are written between all that has a place of its own for errors.
                    with disk_errors(plan.out):
                        self._work(record, claims, heart)
                except FileNotFoundError:
                    if (plan.home / "plan.json").exists():
                        raise
                    heart.removed = True
                if heart.removed:
                    raise PoseError(f"{plan.home}: the plan was removed; nothing is left to work on")
        except BaseException as error:
            ended = (
                str(error) if isinstance(error, PoseError) else f"{type(error).__name__}: {described(error)}"
            )
            raise
        finally:
            # Where even this cannot be written, what is raised says why.
            with contextlib.suppress(OSError):
                record.write("", ended)
        return not self._is_left()

    def _work(self, record: WorkerRecord, claims: Claims, heart: Heart) -> None:
        patience, longest = _PATIENCE
        while not self._stop.is_set() and not self.plan.cancelled.exists():
            task = self._take(claims)
            if task is None:
                if self._joins_only or not self._is_left():
                    return
                record.write("waits for others")
                self._stop.wait(patience)
                patience = min(1.5 * patience, longest, self.plan.times.heartbeat)
                continue
            patience = _PATIENCE[0]
            with heart.holding(task.held):
                try:
                    self._do(task, record, heart)
                except BaseException:
                    # The disk or this machine is at fault, and not the range: others may have it at once.
                    with contextlib.suppress(OSError):
                        task.held.give_back()
                    raise

    def _is_left(self) -> bool:
        return any(video.stem not in self._over for video in self.plan.videos)

    def _take(self, claims: Claims) -> _Task | None:
        """Claim something to do; what failed before comes last."""
        later: list[tuple[int, int, PlannedVideo]] = []
        for place, video in enumerate(self._order):
            if video.stem in self._over:
                continue
            if self.plan.read_done(video) is not None:
                self._over.add(video.stem)
                continue
            task, tries = self._take_of(claims, video, 0)
            if task is not None:
                # It goes on with this video, which it has open.
                self._order = self._order[place:] + self._order[:place]
                return task
            if tries:
                later.append((tries, place, video))
        for tries, _, video in sorted(later, key=lambda each: each[:2]):
            task, _ = self._take_of(claims, video, tries)
            if task is not None:
                return task
        return None

    def _take_of(self, claims: Claims, video: PlannedVideo, tries: int) -> tuple[_Task | None, int]:
        """Claim something of one video that was tried at most so often; or say how often it was, 0 where there is
        nothing."""
        claimed = claims.look(video.stem)
        if any(each.set_aside for each in claimed.values()):
            self._over.add(video.stem)
            return None, 0
        parts = list_parts(self.plan.parts(video), self.plan.mark)
        ranges = [(name_range(*span), span) for span in video.ranges() if cover(parts, *span)[1] <= span[1]]
        wanted: Sequence[tuple[str, tuple[int, int] | None]] = ranges or [(JOIN, None)]
        if self._joins_only and ranges:
            return None, 0
        least = 0
        for name, span in wanted:
            seen = claimed.get(name)
            if seen is not None and seen.live is not None:
                continue
            if seen is not None and seen.tries > tries:
                least = min(least or seen.tries, seen.tries)
                continue
            with disk_errors(self.plan.out):
                held = claims.take(video.stem, name, seen)
            if held is not None:
                return _Task(video, held, span, parts), 0
        return None, least

    def _do(self, task: _Task, record: WorkerRecord, heart: Heart) -> None:
        """Do what was claimed; a failure of the video or of the network is noted beside the claim."""
        video = task.video
        # What is wrong with the run, or with what it needs, is no fault of the video.
        estimator = None if task.span is None else self._load()
        try:
            if task.span is None or estimator is None:
                record.write(f"joins {video.name}")
                # Between two looks another worker may have done it.
                if self.plan.read_done(video) is None:
                    join_video(self.plan, video, record.worker, self._tell)
                task.held.give_back()
                return
            record.write(f"predicts {video.name}, frames {task.span[0]}-{task.span[1]}")
            self._predict(task, task.span, estimator, record, heart)
        except DamagedPartError as error:
            # Another worker that was thought dead may have joined the video, and removed its parts.
            if self.plan.read_done(video) is None:
                self._tell(str(error))
            task.held.give_back()
        except SourceChangedError as error:
            self._give_up(task, str(error), final=True)
        except (VideoError, DataError) as error:
            self._give_up(task, str(error))

    def _give_up(self, task: _Task, reason: str, final: bool = False) -> None:
        self._tell(f"{task.video.name}: {reason}" if task.video.name not in reason else reason)
        with disk_errors(self.plan.out):
            task.held.fail(reason, final)

    def _predict(
        self,
        task: _Task,
        span: tuple[int, int],
        estimator: PoseEstimator,
        record: WorkerRecord,
        heart: Heart,
    ) -> None:
        plan, video = self.plan, task.video
        job = self._open(video, estimator)
        reaches, due = cover(task.parts, *span)
        previous = read_last_decoded(reaches) if estimator.pipeline.sequential else None
        kept = PartWriter(plan, video, job, due, record, estimator)
        results = estimator.pipeline.run(
            job.source,
            due,
            Timing(),
            previous,
            job.region,
            None if span[1] == video.frames - 1 else span[1] + 1,
        )
        failure: Exception | None = None
        heart.begin_batches()
        try:
            # Closed at once where writing fails: else the threads of the pipeline would run on.
            with closing(results):
                while not self._stop.is_set():
                    try:
                        result = next(results, None)
                    # Whatever a decoder, a network or a plugin raises: what was predicted before it is kept.
                    except Exception as error:
                        failure = error
                        break
                    if result is None:
                        break
                    heart.beat()
                    kept.append(result)
        finally:
            heart.end_batches()
            kept.flush()
        if failure is None:
            self._defects = 0
            task.held.give_back()
        elif isinstance(failure, PoseError):
            raise failure
        else:
            self._note_defect(task, failure)

    def _note_defect(self, task: _Task, failure: Exception) -> None:
        self._give_up(task, f"{task.video.name}: {type(failure).__name__}: {described(failure)}")
        self._defects += 1
        if self._defects >= _DEFECTS:
            # No memory on its GPU, a broken driver: it would set all videos aside, one after the other.
            raise failure

    def _load(self) -> PoseEstimator:
        if self._estimator is None:
            request = dict(self.plan.request["load"])
            if self._device is not None:
                request["device"] = self._device
            self._estimator = load(**request)
        check_run(self.plan, self._estimator)
        return self._estimator

    def _open(self, video: PlannedVideo, estimator: PoseEstimator) -> Job:
        if (job := self._jobs.get(video.stem)) is not None:
            # Anew for each range: a file may be replaced while it is open.
            check_source(video, job.source)
            return job
        source = open_source(
            video,
            partial(estimator.open_video, index=self.plan.out / INDEX),
            estimator.spec.data.decided_bit_depth(),
        )
        region = None
        if video.region is not None:
            x1, y1, x2, y2 = video.region
            region = Region(x1, x2, y1, y2)
        writer = make_writer(self.plan.request["format"])
        job = Job(
            estimator.run, source, video.name, video.stem, self.plan.out, writer, identify(estimator), region
        )
        for line in source.notes:
            self._tell(f"note: {video.name}: {line}")
        # One at a time: a worker stays with a video as long as there is work, and open files are memory.
        self._jobs = {video.stem: job}
        return job


@contextlib.contextmanager
def _enter(folder: str) -> Iterator[None]:
    """Work in the folder from which relative paths of a plan count."""
    try:
        # Nothing is done where it is the current one already: the current folder belongs to all threads.
        with contextlib.nullcontext() if Path(folder) == Path.cwd() else contextlib.chdir(folder):
            yield
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        if error.filename != folder:
            raise
        raise PoseError(
            f"{folder}: the plan was made in this folder, and it is not on this machine; mount it under the same path"
        ) from None


def work(
    out: Path | str,
    device: str | None = None,
    stop: threading.Event | None = None,
    tell: Callable[[str], None] = lambda line: None,
    hung: Callable[[str], None] = lambda line: None,
) -> bool:
    """Work on the plan in a folder of results until nothing is left; as ``pose worker`` does.

    Any number of processes may do so at a time, on any machines that see the folder, the videos and the run under
    the same paths.

    Args:
        out: folder that ``predict(..., out, engine=...)`` made.
        device: where to compute; None: as the plan says.
        stop: when it is set, the worker keeps what it has at the next batch and gives its claim back.
        tell: gets lines for the user.
        hung: is called, in another thread, when no batch comes any more.

    Returns:
        whether nothing is left to do.

    Raises:
        PoseError: there is no plan, the run or a version is another one, or the disk is full.
    """
    return Worker(open_plan(Path(os.fspath(out))), device, stop, tell, hung).work()
