"""A clock and a shared disk that are simulated, for programs that wait for both in the usual way.

Each worker is a greenlet: where it asks the disk or sleeps, it stops, and the one whose turn is next goes on. So code
that knows nothing of it runs as it is, and a thousand workers meet at each request as they would meet on a file server.
"""

from __future__ import annotations

import heapq
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NoReturn

from greenlet import getcurrent, greenlet

from pose_core.workers.disk import Disk


class Clock:
    """Time that passes only where all wait.

    Attributes:
        now: seconds since the beginning.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._queue: list[tuple[float, int, greenlet]] = []
        self._order = count()
        self._main = getcurrent()
        self._dead: set[greenlet] = set()

    def start(self, work: Callable[[], None], after: float = 0.0) -> greenlet:
        """Have something done, as a greenlet of its own."""
        worker = greenlet(work, parent=self._main)
        heapq.heappush(self._queue, (self.now + after, next(self._order), worker))
        return worker

    def kill(self, worker: greenlet) -> None:
        """Have a greenlet never go on; as SIGKILL does, it cleans nothing up."""
        # Kept, since one that is thrown away cleans up.
        self._dead.add(worker)

    def sleep(self, seconds: float) -> None:
        """Let others go on for so long; outside of greenlets nothing is waited for."""
        worker = getcurrent()
        if worker is not self._main:
            heapq.heappush(self._queue, (self.now + seconds, next(self._order), worker))
            self._main.switch()

    def run(self, until: float = float("inf"), over: Callable[[], bool] = lambda: False) -> None:
        """Let all go on until a time, until nobody has anything to do, or until it is over."""
        while self._queue and self._queue[0][0] <= until and not over():
            self.now, _, worker = heapq.heappop(self._queue)
            if worker not in self._dead:
                worker.switch()


@dataclass
class Load:
    """What a disk had to do.

    Attributes:
        requests: by what they were for.
        busy: seconds in which the server worked.
        waited: seconds for which workers waited for its answers.
        longest: seconds that the slowest answer took.
    """

    requests: Counter[str] = field(default_factory=Counter)
    busy: float = 0.0
    waited: float = 0.0
    longest: float = 0.0


class SimulatedDisk(Disk):
    """A file server that answers one request after the other, and keeps names, small contents and times.

    Requests are those of NFS 4 without what a client keeps in memory: opening and closing a file are one each, and a
    listing takes one for every so many names.

    Args:
        clock: by which it works.
        rate: requests that it serves a second.
        latency: seconds from a request to its answer, where no other is served.
        names: of a folder that one request lists.

    Attributes:
        load: since the beginning.
    """

    def __init__(self, clock: Clock, rate: float, latency: float, names: int = 500) -> None:
        self.load = Load()
        self._purposes: dict[greenlet, str] = {}
        self._clock = clock
        self._each = 1 / rate
        self._latency = latency
        self._names = names
        self._free = 0.0
        self._folders: dict[str, dict[str, tuple[float, bytes]]] = {}

    def begin(self, purpose: str) -> None:
        """Say for what this greenlet will ask. Whoever does not say is answered at once, and not counted."""
        self._purposes[getcurrent()] = purpose

    def ask(self, requests: int) -> None:
        """Wait for the answers to requests that depend on each other; the server serves all of its queue before."""
        worker = getcurrent()
        if worker not in self._purposes:
            return
        clock, load = self._clock, self.load
        begun = max(clock.now, self._free)
        self._free = begun + requests * self._each
        seconds = self._free + requests * self._latency - clock.now
        load.requests[self._purposes[worker]] += requests
        load.busy += requests * self._each
        load.waited += seconds
        load.longest = max(load.longest, seconds)
        clock.sleep(seconds)

    def list_names(self, folder: Path) -> list[str]:
        """List a folder."""
        held = self._folders.get(os.fspath(folder))
        self.ask(1 + (len(held) // self._names if held else 0))
        return list(self._folders[os.fspath(folder)]) if os.fspath(folder) in self._folders else _miss(folder)

    def exists(self, path: Path) -> bool:
        """Test for a file or folder."""
        self.ask(1)
        return os.fspath(path) in self._folders or self._find(path) is not None

    def read(self, path: Path) -> bytes:
        """Read a file; where there is none, the first request says so."""
        self.ask(2 if self._find(path) else 1)
        return (self._find(path) or _miss(path))[1]

    def read_time(self, path: Path) -> float:
        """Read a time."""
        self.ask(1)
        return (self._find(path) or _miss(path))[0]

    def touch(self, path: Path) -> None:
        """Set a time."""
        self.ask(1)
        self._put(path, (self._find(path) or _miss(path))[1])

    def make_folder(self, path: Path) -> None:
        """Make a folder."""
        self.ask(1)
        if os.fspath(path.parent) not in self._folders:
            _miss(path)
        self._folders.setdefault(os.fspath(path), {})

    def make_once(self, path: Path, content: str) -> bool:
        """Make a file."""
        self.ask(2)
        if self._find(path) is not None:
            return False
        self._put(path, content.encode())
        return True

    def write_whole(self, path: Path, content: str) -> None:
        """Write a file under another name and rename it; the requests are the system calls of it that strace shows."""
        self.ask(10)
        self._put(path, content.encode())

    def link_once(self, path: Path) -> bool:
        """Put a part in place unless there is one, as :func:`pose_core.workers.parts.publish` does.

        The requests are the system calls of that function that strace shows: the folder is asked for, the file made,
        written, opened again, synchronised, linked, and its first name removed.
        """
        self.ask(12)
        if self._find(path) is not None:
            return False
        self._put(path, b"")
        return True

    def remove(self, path: Path) -> None:
        """Remove a file."""
        self.ask(1)
        self._folders.get(os.fspath(path.parent), {}).pop(path.name, None)

    def remove_folder(self, path: Path) -> None:
        """Remove a folder: it is listed, and each file removed."""
        held = self._folders.get(os.fspath(path))
        self.ask(2 + len(held) if held else 1)
        self._folders.pop(os.fspath(path), None)

    def add_folder(self, path: Path) -> None:
        """Have a folder there, of which nobody asked."""
        self._folders[os.fspath(path)] = {}

    def add_file(self, path: Path) -> None:
        """Have an empty file there, of which nobody asked; its folder must be there."""
        self._put(path, b"")

    def _find(self, path: Path) -> tuple[float, bytes] | None:
        return self._folders.get(os.fspath(path.parent), {}).get(path.name)

    def _put(self, path: Path, content: bytes) -> None:
        folder = self._folders.get(os.fspath(path.parent))
        if folder is None:
            _miss(path)
        else:
            folder[path.name] = (self._clock.now, content)


def _miss(path: Path) -> NoReturn:
    raise FileNotFoundError(2, "No such file or directory", os.fspath(path))
