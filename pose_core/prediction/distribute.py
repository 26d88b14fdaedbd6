"""Predict by several processes: make a plan, have an engine start workers, and follow what they have done."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

from pose_core.errors import ConfigError, DataError, PoseError, VideoError, argument, command, listed
from pose_core.interfaces.engine import Engine, EngineHandle
from pose_core.io.files import disk_errors, make_folder, support_links
from pose_core.prediction.estimator import PoseEstimator
from pose_core.prediction.job import Job, describe_environment, identify, list_plugins
from pose_core.prediction.join import describe_target, remove_parts
from pose_core.prediction.result import Outcome
from pose_core.prediction.same_state import check_environment, check_run
from pose_core.prediction.worker import Worker
from pose_core.reporting import Reporter
from pose_core.specs.engine import EngineConfig
from pose_core.structures import Region
from pose_core.workers.claims import Claims
from pose_core.workers.engines import start_workers
from pose_core.workers.plan import Plan, PlannedVideo, Times, choose_part, read_plan
from pose_core.workers.status import Status, VideoStatus, read_status

_LOOKS = 0.5
"""Seconds between two looks at what workers have done; never more often than a tenth of the time is spent on it."""


@dataclass(frozen=True)
class Pending:
    """What becomes of a source later: workers that outlive this process are at it.

    Attributes:
        result: where the file of predictions will be.
    """

    result: Path


Told = Callable[[str, Outcome | VideoError | DataError], None]


def make_request(load: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Put arguments of a prediction into plain values, as plans hold them.

    Raises:
        ConfigError: one is of a type that no other process could be told.
    """
    return {"load": _to_plain("load", load), **{name: _to_plain(name, value) for name, value in more.items()}}


def _to_plain(name: str, value: Any) -> Any:
    if isinstance(value, Region):
        return [value.x1, value.y1, value.x2, value.y2]
    if isinstance(value, Path):
        return os.fspath(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return _to_plain(name, asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _to_plain(str(key), each) for key, each in value.items()}
    # Tiles are told by a pair or by text, and JSON knows no pairs.
    if name == "tiles" and isinstance(value, tuple):
        return ":".join(map(str, value))
    if isinstance(value, Sequence):
        return [_to_plain(name, each) for each in value]
    raise ConfigError(
        f"{argument(name)}: a {type(value).__name__} cannot be told to other processes; give plain values"
    )


def find_unfinished(out: Path) -> Plan | None:
    """Find the plan in a folder of results, unless nothing of it is left to do."""
    plan = read_plan(out.absolute())
    return None if plan is None or is_over(plan) else plan


def is_over(plan: Plan) -> bool:
    """Whether nothing is left to do, and nobody is at work; what was set aside is not to do."""
    status = read_status(plan.out)
    return status.over and not any(worker.alive for worker in status.workers)


def make_plan(
    estimator: PoseEstimator,
    jobs: Sequence[Job],
    out: Path,
    request: Mapping[str, Any],
    frames: str | None,
    config: EngineConfig,
    workers: int,
) -> Plan:
    """Plan the work on some sources; nothing is written."""
    out = out.absolute()
    counts = [job.source.info.frames for job in jobs]
    part = choose_part(counts, estimator.batch_size, workers, config.part_frames)
    writer, tracking = jobs[0].writer, jobs[0].tracking
    types = [writer.config.type, *([] if tracking is None else [tracking.config.type])]
    maker = {
        **identify(estimator),
        "batch_size": estimator.batch_size,
        "runtime": estimator.computing.name,
        "precision": estimator.spec.inference.precision,
        "format": writer.config.model_dump(mode="json"),
        "tracker": None if tracking is None else tracking.to_json(),
        **describe_environment(list_plugins(estimator.run, *types)),
    }
    videos = tuple(_plan_video(job, frames, estimator, part) for job in jobs)
    # Through JSON and back, so that it equals what is read from a file.
    maker, request = json.loads(json.dumps([maker, dict(request)]))
    return Plan(out, str(Path.cwd()), request, maker, videos, Times.of(config))


def _plan_video(job: Job, frames: str | None, estimator: PoseEstimator, part: int) -> PlannedVideo:
    origin, source = job.origin, job.source
    if origin is None:
        raise ValueError(f"{job.name}: it is not known of which files it was made")
    # One worker does in one go what looks at the frame before, and what must be decoded from its beginning; images, of
    # which there are rarely many, too.
    whole = estimator.pipeline.sequential or source.video is None or source.unseekable is not None
    region = job.region
    return PlannedVideo(
        stem=job.stem,
        name=job.name,
        paths=tuple(os.fspath(path) for path in origin.paths),
        choice=(frames or "suggested") if origin.of_project else None,
        spans=tuple((s.first, s.last, s.step) for s in source.selected),
        region=None if region is None else (region.x1, region.y1, region.x2, region.y2),
        source=json.loads(json.dumps(source.identity())),
        maker=json.loads(json.dumps(job.describe_maker())),
        frames=source.info.frames,
        part=0 if whole else part,
    )


def take_up(plan: Plan, tell: Callable[[str], None]) -> Plan:
    """Write a plan, or take up the same one where it is there already.

    Videos that were set aside are tried anew unless somebody works.

    Raises:
        PoseError: another plan is there that is not finished, or the disk is full.
    """
    make_folder(plan.out)
    found = read_plan(plan.out)
    if found is not None and is_over(found) and _is_other(plan, found):
        # Finished, or given up: its results stay where they are.
        shutil.rmtree(found.home)
        found = None
    if found is None:
        with disk_errors(plan.out):
            plan.home.mkdir(exist_ok=True)
            plan = replace(plan, links=support_links(plan.home))
        found = plan.write()
        if not found.links:
            tell(f"{plan.out}: this file system knows no hard links, so only one worker can be used there")
    if differs := plan.compare(found):
        raise PoseError(
            f"{found.home}: holds unfinished work that differs in {' and '.join(differs)}; give the command that "
            f"it was begun with, choose another {argument('out')}, or remove that folder to give it up"
        )
    found.cancelled.unlink(missing_ok=True)
    status = read_status(found.out)
    done = status.done
    if done:
        tell(f"{done} of {status.frames} frames were done before; going on from there")
    if not any(worker.alive for worker in status.workers):
        claims = Claims(
            found.home / "claims", found.home / "workers" / f".{os.getpid()}.clock", found.times.stale
        )
        with disk_errors(plan.out):
            for video, seen in zip(found.videos, status.videos, strict=True):
                if seen.state == "set aside":
                    claims.forget_failures(video.stem)
            claims.clock.unlink(missing_ok=True)
    return found


def _is_other(plan: Plan, found: Plan) -> bool:
    """Whether a finished plan is of no use for a new one: something differs, or results of it are to be made again."""
    done = any(found.read_done(video) is not None for video in plan.videos)
    return (
        bool(plan.compare(found))
        or done
        or [v.source for v in plan.videos] != [v.source for v in found.videos]
    )


class Distribution:
    """Follows what workers do with a plan.

    Args:
        plan: of the work.
        out: folder of the results, as the caller said it.
        reporter: is told how the work goes.
        finished: is called for each source of which something became.
    """

    def __init__(self, plan: Plan, out: Path, reporter: Reporter, finished: Told) -> None:
        self.plan = plan
        self._out = out
        self._reporter = reporter
        self._finished = finished
        self._outcomes: dict[str, Outcome | None] = {}
        self._waited = True
        self._status: Status | None = None

    def run_here(self, estimator: PoseEstimator) -> None:
        """Work in this process until nothing is left; progress is told between ranges."""
        check_environment(self.plan)
        check_run(self.plan, estimator)
        Worker(self.plan, tell=self._reporter.note, estimator=estimator).work()
        self._look(read_status(self.plan.out))

    @property
    def stems(self) -> set[str]:
        """Names of the results that are made."""
        return {video.stem for video in self.plan.videos}

    def run(self, engine: Engine, workers: int) -> None:
        """Have an engine start workers, and stay until they have ended, where it waits."""
        with closing(start_workers(self.plan, engine, workers)) as handle:
            if not engine.waits:
                self._reporter.note(
                    f"started: {handle.describe()}; {command('status', str(self._out))} says how far they are, "
                    "and the same command again shows the results or starts more"
                )
                self._waited = False
                self._look(read_status(self.plan.out))
                return
            try:
                self._wait(handle)
            except BaseException:
                handle.cancel()
                while handle.alive():
                    time.sleep(0.05)
                raise
        # A worker may have died after the last range and before the join.
        Worker(self.plan, tell=self._reporter.note, joins_only=True).work()
        status = read_status(self.plan.out)
        self._look(status)
        self._tell_ends(status)

    def outcome(self, job: Job) -> Outcome | Pending | None:
        """What became of a source; None: it failed, and ``finished`` was told why."""
        if job.stem in self._outcomes:
            return self._outcomes[job.stem]
        if not self._waited:
            return Pending(job.result)
        videos = (self._status or read_status(self.plan.out)).videos
        (seen,) = [s for v, s in zip(self.plan.videos, videos, strict=True) if v.stem == job.stem]
        why = f" ({seen.reason})" if seen.reason else ""
        self._finished(
            job.name,
            DataError(
                f"{job.name}: is not finished, {seen.done} of {seen.frames} frames are done{why}; give the same "
                "command again to go on"
            ),
        )
        return None

    def _wait(self, handle: EngineHandle) -> None:
        while True:
            # Asked first: what the last worker has done is looked at after it ended.
            alive = handle.alive()
            began = time.monotonic()
            status = read_status(self.plan.out)
            self._look(status)
            if alive == 0:
                return
            if status.over:
                # They would see it by themselves, after their next look.
                handle.cancel()
            time.sleep(max(_LOOKS, 10 * (time.monotonic() - began)))

    def _look(self, status: Status) -> None:
        """Tell what became of videos since the last look."""
        self._status = status
        videos = self.plan.videos
        what = Path(videos[0].name).name if len(videos) == 1 else f"{len(videos)} inputs"
        self._reporter.progress(what, status.done, status.frames)
        for video, seen in zip(videos, status.videos, strict=True):
            if video.stem in self._outcomes or seen.state == "unfinished":
                continue
            self._outcomes[video.stem] = made = self._describe(video, seen)
            if made is not None:
                self._finished(video.name, made)
                continue
            reason = seen.reason.removeprefix(f"{video.name}: ")
            self._finished(video.name, VideoError(f"{video.name}: was set aside: {reason}"))
        if status.over:
            for video, seen in zip(videos, status.videos, strict=True):
                if seen.state == "done":
                    remove_parts(self.plan, video)

    def _describe(self, video: PlannedVideo, seen: VideoStatus) -> Outcome | None:
        record = self.plan.read_done(video)
        if seen.state != "done" or record is None:
            return None
        return Outcome(
            self._out / describe_target(self.plan, video).path.name,
            int(record["frames"]),
            [(int(a), int(b)) for a, b in record["missing"]],
            record["reason"],
            [(int(a), int(b)) for a, b in record["doubtful"]],
        )

    def _tell_ends(self, status: Status) -> None:
        """Tell how workers ended that did not end well."""
        ends = {w.ended: w for w in status.workers if w.ended}
        for line, worker in ends.items():
            self._reporter.note(f"a worker on {worker.host} (process {worker.pid}) ended: {line}")
        if not status.over and not status.workers:
            logs = sorted((self.plan.home / "logs").iterdir(), key=lambda path: path.stat().st_mtime)
            lines = logs[-1].read_text(errors="replace").split("\n") if logs else []
            last = listed([line for line in lines if line.strip()][-1:])
            self._reporter.note(f"no worker began: {last or 'they printed nothing'}")
