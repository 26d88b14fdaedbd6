"""Write what a worker predicts of a range, now and then, as parts."""

from __future__ import annotations

import time

import torch

from pose_core.io.files import disk_errors
from pose_core.pipeline.engine import Result
from pose_core.prediction.estimator import PoseEstimator
from pose_core.prediction.job import Job
from pose_core.prediction.journal import Sizes
from pose_core.structures import Frame
from pose_core.workers.parts import publish
from pose_core.workers.plan import Plan, PlannedVideo
from pose_core.workers.records import WorkerRecord

_MOST = 4096
"""Frames in memory, at most."""


class PartWriter:
    """Frames that were predicted and are not yet on disk.

    Args:
        plan: of the work.
        video: of it.
        job: that predicts it.
        due: place of the first frame that will come.
        record: of the worker, which counts what is done.
        estimator: that predicts.
    """

    def __init__(
        self,
        plan: Plan,
        video: PlannedVideo,
        job: Job,
        due: int,
        record: WorkerRecord,
        estimator: PoseEstimator,
    ) -> None:
        self._plan, self._video, self._job, self._record = plan, video, job, record
        self._due = due
        self._frames: list[Frame] = []
        self._sizes = Sizes()
        self._since = time.monotonic()
        self._notes = {
            "device": estimator.device.type,
            "threads": torch.get_num_threads(),
            "host": record.process["host"],
            "worker": record.worker,
        }

    def append(self, result: Result) -> None:
        """Keep a batch, and write what there is when it is time."""
        self._frames += result.frames
        self._sizes = self._sizes.including(result.sizes)
        full = len(self._frames) >= _MOST
        if full or time.monotonic() - self._since >= self._plan.times.keep_every:
            self.flush()

    def flush(self) -> None:
        """Write what there is.

        Raises:
            PoseError: the disk is full.
        """
        frames, sizes, now = self._frames, self._sizes, time.monotonic()
        seconds = now - self._since
        self._frames, self._sizes, self._since = [], Sizes(), now
        if not frames:
            return
        due, self._due = self._due, self._due + len(frames)
        plan, video = self._plan, self._video
        # Late: all parts came from others, and were joined.
        if plan.done(video).exists():
            return
        with disk_errors(plan.out):
            try:
                publish(
                    plan.parts(video),
                    due,
                    plan.mark,
                    self._record.worker,
                    self._job.make_header(),
                    frames,
                    {"sizes": sizes.to_text(), **self._notes},
                    plan.links,
                )
            except FileNotFoundError:
                # Joined meanwhile, and its parts removed.
                if not plan.done(video).exists():
                    raise
            self._record.count(len(frames), seconds)
