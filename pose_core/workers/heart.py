"""A worker's signs of life, given by a thread of its own, and its watch over work that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from pose_core.workers.claims import Held
from pose_core.workers.plan import Plan
from pose_core.workers.records import WorkerRecord

_SLOWER = 20
"""So many times the slowest batch so far is not yet a hang."""


class Heart:
    """Touches the claim and the record of a worker, and sees when it should stop.

    Args:
        plan: that it works on.
        record: of the worker.
        stop: is set when workers are told to stop, or the plan was removed.
        hung: is called, in the thread, when no batch came for too long; the claim has been given up as failed then.

    Attributes:
        removed: whether the plan was removed.
    """

    def __init__(
        self, plan: Plan, record: WorkerRecord, stop: threading.Event, hung: Callable[[str], None]
    ) -> None:
        self.removed = False
        self._plan = plan
        self._record = record
        self._stop = stop
        self._hung = hung
        self._held: Held | None = None
        self._watched = False
        self._beat_at = time.monotonic()
        self._slowest = 0.0
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._live, name="pose-heart", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    @contextmanager
    def holding(self, held: Held) -> Iterator[None]:
        """Touch a claim meanwhile."""
        with self._lock:
            self._held = held
        try:
            yield
        finally:
            with self._lock:
                self._held, self._watched = None, False

    def begin_batches(self) -> None:
        """Watch from now on that batches come."""
        with self._lock:
            self._watched, self._beat_at = True, time.monotonic()

    def beat(self) -> None:
        """Say that a batch came."""
        now = time.monotonic()
        with self._lock:
            self._slowest = max(self._slowest, now - self._beat_at)
            self._beat_at = now

    def end_batches(self) -> None:
        """Watch no longer: what comes now may take its time."""
        with self._lock:
            self._watched = False

    def _live(self) -> None:
        while not self._end.wait(self._plan.times.heartbeat):
            try:
                self._give_sign()
            except OSError:
                # The disk or its network fails for a moment. Without signs of life others take over, and no harm is
                # done; where it goes on failing, the worker meets the error when it writes.
                continue

    def _give_sign(self) -> None:
        if not (self._plan.home / "plan.json").exists():
            self.removed = True
            self._stop.set()
            return
        if self._plan.cancelled.exists():
            self._stop.set()
        self._record.touch()
        with self._lock:
            held, silent = self._held, time.monotonic() - self._beat_at
            limit = max(self._plan.times.hang, _SLOWER * self._slowest)
            hangs = self._watched and silent > limit
            if hangs:
                self._held, self._watched = None, False
        if held is None:
            return
        if not hangs:
            held.touch()
            return
        reason = f"no new batch came for {silent:.0f} s: the decoder, the network or the disk hangs"
        held.fail(reason)
        self._record.write("", reason)
        self._hung(reason)
