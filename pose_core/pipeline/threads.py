"""Join threads by bounded queues; they start, fail and stop together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")

# Waiting is interrupted this often, so that Ctrl-C works where a wait without limit would not notice it.
_PATIENCE = 0.5


class Stopped(Exception):
    """The flow was stopped; raised in its threads where they wait."""


class Flow:
    """A group of threads and the channels between them.

    The first thread that fails stops all; :meth:`check` raises its error in the caller. Used as a context
    manager, leaving it (also by an exception or Ctrl-C) stops the threads and waits for them.
    """

    def __init__(self) -> None:
        # One for all channels: a thread that waits at any of them must notice when the flow is stopped.
        self.condition = threading.Condition()
        self.stopped = False
        self._error: BaseException | None = None
        self._threads: list[threading.Thread] = []

    def channel(self, size: int) -> Channel[T]:
        """Make a queue of at most ``size`` items."""
        return Channel(self, size)

    def start(self, name: str, work: Callable[[], None]) -> None:
        """Run ``work`` in a thread of its own."""

        def run() -> None:
            try:
                work()
            except Stopped:
                return
            # Whatever it is: a thread that died silently would leave the others waiting for ever.
            except BaseException as error:
                self.stop(error)

        thread = threading.Thread(target=run, name=f"pose-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self, error: BaseException | None = None) -> None:
        """Stop the threads; of several errors the first counts."""
        with self.condition:
            # After a stop threads fail for want of what others would have sent; that is no news.
            if error is not None and self._error is None and not self.stopped:
                self._error = error
            self.stopped = True
            self.condition.notify_all()

    def check(self) -> None:
        """Raise what a thread failed with, if one did."""
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Flow:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        for thread in self._threads:
            thread.join()


class Channel(Generic[T]):
    """A bounded queue between two threads of a flow."""

    def __init__(self, flow: Flow, size: int) -> None:
        self._flow = flow
        self._size = size
        self._items: deque[T] = deque()
        self._ended = False

    def put(self, item: T) -> None:
        """Append an item, once there is room.

        Raises:
            Stopped: the flow was stopped.
        """
        with self._flow.condition:
            self._wait(lambda: len(self._items) < self._size)
            self._items.append(item)
            self._flow.condition.notify_all()

    def end(self) -> None:
        """Say that no further items will come."""
        with self._flow.condition:
            self._ended = True
            self._flow.condition.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Yield the items as they come, until the end.

        Raises:
            Stopped: the flow was stopped.
        """
        while True:
            with self._flow.condition:
                self._wait(lambda: bool(self._items) or self._ended)
                if not self._items:
                    return
                item = self._items.popleft()
                self._flow.condition.notify_all()
            # Outside of the lock: the caller works on the item while other threads go on.
            yield item

    def _wait(self, ready: Callable[[], bool]) -> None:
        while not self._flow.stopped and not ready():
            self._flow.condition.wait(_PATIENCE)
        if self._flow.stopped:
            raise Stopped


class Timing:
    """Measure the wall-clock time of each kind of work, in several threads.

    Attributes:
        busy: seconds by kind of work, waiting for other threads not included.
        frames: frames done.
    """

    KINDS = ("decode", "resize", "network", "write")

    def __init__(self) -> None:
        self.busy = dict.fromkeys(self.KINDS, 0.0)
        self.frames = 0
        self._lock = threading.Lock()
        self._began = time.perf_counter()
        self._ended: float | None = None

    def add(self, kind: str, seconds: float) -> None:
        """Add to one kind of work."""
        with self._lock:
            self.busy[kind] += seconds

    @contextmanager
    def measure(self, kind: str) -> Iterator[None]:
        """Add the time that the body takes."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(kind, time.perf_counter() - began)

    def finish(self) -> None:
        """Stop the clock."""
        self._ended = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Wall-clock time from the start to :meth:`finish`, or to now."""
        return (self._ended or time.perf_counter()) - self._began

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / max(self.seconds, 1e-9)

    def __str__(self) -> str:
        """Write frames, rate, shares of the time and the bottleneck on one line."""
        # Kinds of work run at the same time, so that the shares may add up to more than 100 %.
        shares = {kind: 100 * busy / max(self.seconds, 1e-9) for kind, busy in self.busy.items()}
        listed = ", ".join(f"{kind} {share:.0f} %" for kind, share in shares.items())
        slowest = max(shares, key=lambda kind: shares[kind])
        return (
            f"{self.frames} frames, {self.rate:.1f} frames/s; busy: {listed} of the time; "
            f"the bottleneck is {slowest}"
        )
