"""A worker: takes ranges of a plan, predicts them, and joins what is complete."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
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
from pose_core.workers.claims import Claims
from pose_core.workers.heart import Heart
from pose_core.workers.parts import DamagedPartError, cover, read_last_decoded
from pose_core.workers.plan import Plan, PlannedVideo, open_plan
from pose_core.workers.records import WorkerRecord
from pose_core.workers.tasks import Task, TaskFinder

_DEFECTS = 3
"""So many failures in a row that no file explains are of this machine, and the worker ends."""


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
        claims = Claims(plan.home / "claims", record.clock, plan.times.stale, record.owner, disk=plan.disk)
        finder = TaskFinder(plan, claims, self._joins_only)
        ended = ""
        try:
            with _enter(plan.folder), Heart(plan, record, self._stop, self._hung) as heart:
                try:
                    # Records of what it does are written between all that has a place of its own for errors.
                    with disk_errors(plan.out):
                        self._work(record, finder, heart)
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
        return not finder.is_left()

    def _work(self, record: WorkerRecord, finder: TaskFinder, heart: Heart) -> None:
        waits = False
        while not self._stop.is_set() and not self.plan.cancelled.exists():
            task = finder.find()
            if task is None:
                if self._joins_only or not finder.is_left():
                    return
                if not waits:
                    record.write("waits for others")
                waits = True
                self._stop.wait(finder.choose_pause())
                continue
            waits = False
            with heart.holding(task.held):
                try:
                    self._do(task, record, heart)
                except BaseException:
                    # The disk or this machine is at fault, and not the range: others may have it at once.
                    with contextlib.suppress(OSError):
                        task.held.give_back()
                    raise

    def _do(self, task: Task, record: WorkerRecord, heart: Heart) -> None:
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

    def _give_up(self, task: Task, reason: str, final: bool = False) -> None:
        self._tell(f"{task.video.name}: {reason}" if task.video.name not in reason else reason)
        with disk_errors(self.plan.out):
            task.held.fail(reason, final)

    def _predict(
        self,
        task: Task,
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

    def _note_defect(self, task: Task, failure: Exception) -> None:
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
