"""Claims: which worker works on what, said by files that can be made once.

A claim is a file ``NAME.GENERATION`` that ``O_CREAT | O_EXCL`` makes, which is atomic on network file systems too. Its
owner gives signs of life by touching it. One without a sign for long is taken over by making the next generation;
nothing is renamed, so there is no moment in which two workers own one generation. A worker that gives up leaves
``NAME.GENERATION.failed`` with the reason. Generations that are over count as tries, and after :data:`TRIES` of them
nobody claims the thing again.

Claims save work and keep nothing right: two workers on one thing do no harm, as the first result counts (see
:mod:`pose_core.workers.parts`). Ages are measured by the clock of the file server alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pose_core.io.files import parse_json
from pose_core.workers.disk import DISK, Disk
from pose_core.workers.processes import is_gone

TRIES = 3
"""So often something is tried."""

_NAME = re.compile(r"(?P<name>.+)\.(?P<generation>\d+)(?P<failed>\.failed)?")
_DIED = "the worker on {host} (process {pid}) ended without a word: killed, out of memory, or its machine was lost"


Generations = Mapping[int, bool]
"""Which generations of a claim there are, and whether each has failed."""


@dataclass(frozen=True)
class Held:
    """A claim of this process.

    Attributes:
        path: of its file.
        worker: who has it.
        disk: on which it is.
    """

    path: Path
    worker: str
    disk: Disk = DISK

    def touch(self) -> None:
        """Give a sign of life."""
        try:
            self.disk.touch(self.path)
        except FileNotFoundError:
            # The result came from another worker, and was joined meanwhile.
            return

    def give_back(self) -> None:
        """Let others have it; it counts as no try."""
        self.disk.remove(self.path)

    def fail(self, reason: str, final: bool = False) -> None:
        """Give it up as a try that failed; ``final``: nobody is to try again."""
        content = {"reason": reason, "final": final, "worker": self.worker}
        try:
            self.disk.write_whole(self.path.with_name(f"{self.path.name}.failed"), json.dumps(content))
        except FileNotFoundError:
            return


@dataclass
class Claimed:
    """What is known of the claims of one thing.

    Attributes:
        tries: generations that are over.
        live: what the owner of the newest generation wrote; None where nobody works on it.
        age: seconds since the last sign of life of the newest.
        newest: its number; 0 where there is none.
        reason: why the last try failed.
        set_aside: whether nobody should try again.
    """

    tries: int = 0
    live: Mapping[str, object] | None = None
    age: float = 0.0
    newest: int = 0
    reason: str = ""
    set_aside: bool = False


@dataclass(frozen=True)
class Claims:
    """The claims of one plan.

    Args:
        folder: of them; each video has a folder in it.
        clock: a file of this process in the same file system, whose time is set to read the server's clock.
        stale: seconds without a sign of life after which a claim is taken over.
        owner: what is written into claims, with ``worker``.
        now: the time, where the clock cannot be touched; None: the clock is read.
        disk: on which all of it is.
    """

    folder: Path
    clock: Path
    stale: float
    owner: Mapping[str, object] = field(default_factory=dict)
    now: float | None = None
    disk: Disk = DISK

    def look(self, video: str) -> dict[str, Claimed]:
        """Look at the claims of a video, by name."""
        listed = self.list_names(video)
        now = self.read_clock() if listed else 0.0
        return {
            # One that was given back a moment ago: nobody has it.
            name: self.judge(video, name, made, now) or Claimed(tries=len(made) - 1, newest=max(made))
            for name, made in listed.items()
        }

    def list_names(self, video: str) -> dict[str, Generations]:
        """List what is claimed of a video, by name; one request to the disk, whatever there is."""
        generations: dict[str, dict[int, bool]] = {}
        folder = self.folder / video
        try:
            names = self.disk.list_names(folder)
        except FileNotFoundError:
            return {}
        for file in names:
            if found := _NAME.fullmatch(file):
                made = generations.setdefault(found["name"], {})
                number = int(found["generation"])
                made[number] = made.get(number, False) or bool(found["failed"])
        return dict(generations)

    def take(self, video: str, name: str, seen: Claimed | None) -> Held | None:
        """Claim something.

        Args:
            video: to which it belongs.
            name: of it.
            seen: what :meth:`look` found; None: no claims.

        Returns:
            None where another worker has it, or it was tried too often.
        """
        seen = seen or Claimed()
        if seen.live is not None or seen.set_aside:
            return None
        folder = self.folder / video
        # Not its parents: where the plan was removed, nothing of it is made again.
        self.disk.make_folder(folder)
        path = folder / f"{name}.{seen.newest + 1}"
        try:
            # Where the disk is full nothing is left of it: a claim without an owner would look alive for minutes.
            if not self.disk.make_once(path, json.dumps(self.owner)):
                return None
        except FileNotFoundError:
            # Another worker joined the video a moment ago, and removed the folder.
            return None
        return Held(path, str(self.owner.get("worker", "")), self.disk)

    def forget_failures(self, video: str) -> None:
        """Remove what failed, so that it is tried anew; claims of living workers stay."""
        folder = self.folder / video
        for name, claimed in self.look(video).items():
            for number in range(1, claimed.newest + 1):
                if claimed.live is None or number != claimed.newest:
                    self.disk.remove(folder / f"{name}.{number}")
                    self.disk.remove(folder / f"{name}.{number}.failed")

    def read_clock(self) -> float:
        """Read the clock of the file server: the time that a file gets which is touched now.

        Raises:
            OSError: nothing can be written there.
        """
        if self.now is not None:
            return self.now
        try:
            self.disk.touch(self.clock)
        except FileNotFoundError:
            self.disk.make_once(self.clock, "")
        return self.disk.read_time(self.clock)

    def judge(self, video: str, name: str, made: Generations, now: float) -> Claimed | None:
        """Look at one claim.

        Args:
            video: to which it belongs.
            name: of it.
            made: what :meth:`list_names` found.
            now: time by the server's clock.

        Returns:
            None where it was given back since.
        """
        newest = max(made)
        found = Claimed(tries=len(made), newest=newest)
        path = self.folder / video / f"{name}.{newest}"
        if not made[newest]:
            owner = self._read(path)
            try:
                found.age = now - self.disk.read_time(path)
            except FileNotFoundError:
                return None
            if found.age <= self.stale and not is_gone(owner):
                found.live, found.tries = owner, len(made) - 1
            else:
                found.reason = _DIED.format(host=owner.get("host", "?"), pid=owner.get("pid", "?"))
        else:
            failure = self._read(path.with_name(f"{path.name}.failed"))
            found.reason = str(failure.get("reason", "no reason was written"))
            found.set_aside = failure.get("final") is True
        found.set_aside = found.set_aside or found.tries >= TRIES
        if found.set_aside and not found.reason:
            found.reason = "its workers ended without a word"
        return found

    def _read(self, path: Path) -> dict[str, object]:
        """Read what a worker wrote; empty while it is being written."""
        try:
            content = parse_json(self.disk.read(path))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}
