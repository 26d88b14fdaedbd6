"""Plan: what is to be predicted, written once and whole, so that any number of workers can share it.

It lies in the hidden folder ``.plan`` of the results::

    plan.json       videos, ranges, and what decides the numbers: run, settings, versions
    parts/VIDEO/    ranges that are done (see :mod:`pose_core.workers.parts`)
    claims/VIDEO/   who works on what (see :mod:`pose_core.workers.claims`)
    done/           a file for each video whose result is in place
    workers/        a file for each worker: where it runs, what it does
    engines/        a file for each engine that started workers, to cancel them
    logs/           what workers print
    cancel          while it is there, workers stop

What is done is said by these files alone, never by the states of a scheduler.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pose_core.errors import PoseError, argument, command
from pose_core.io.files import disk_errors, link_in_place, parse_json, write_whole
from pose_core.specs.engine import EngineConfig
from pose_core.workers.disk import DISK, Disk

FOLDER = ".plan"
"""Name of the hidden folder in that of the results."""

VERSION = 1
JOIN = "join"
"""What a worker claims that makes the result of a video from its parts."""

USUAL_PART = 4096
_SMALLEST_PART = 512
_CLAIMS_EACH = 4


@dataclass(frozen=True)
class Times:
    """Seconds that all workers of a plan keep to; as the fields of :class:`~pose_core.specs.EngineConfig`."""

    keep_every: float
    heartbeat: float
    stale: float
    hang: float

    @classmethod
    def of(cls, config: EngineConfig) -> Times:
        """Take them from the config of an engine."""
        return cls(config.keep_every, config.heartbeat, config.stale, config.hang)


@dataclass(frozen=True)
class PlannedVideo:
    """One result to be made.

    Attributes:
        stem: name of the result without extension; no other has it.
        name: how the source is called.
        paths: that open it: a video, a folder, or image files.
        choice: which images of a labelled project, as the user said it; None where it is none.
        spans: which frames of a video, (first, last, step) each; empty: all.
        region: (x1, y1, x2, y2) in pixels of the frame; None: whole frames.
        source: what tells its content from another.
        maker: what decides the result, as the note beside it says.
        frames: how many are predicted.
        part: of these at once, a multiple of the batch size; 0: all.
    """

    stem: str
    name: str
    paths: tuple[str, ...]
    choice: str | None
    spans: tuple[tuple[int, int, int], ...]
    region: tuple[int, int, int, int] | None
    source: Mapping[str, object]
    maker: Mapping[str, object]
    frames: int
    part: int

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Places (first, last) among the frames that are predicted, both included, one range after the other."""
        size = self.part or max(self.frames, 1)
        for first in range(0, self.frames, size):
            yield first, min(first + size, self.frames) - 1

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> PlannedVideo:
        """Take up what was stored."""
        region = content["region"]
        return cls(
            **{
                **content,
                "paths": tuple(content["paths"]),
                "spans": tuple((a, b, step) for a, b, step in content["spans"]),
                "region": None if region is None else tuple(region),
            }
        )


@dataclass(frozen=True)
class Plan:
    """The work that several processes share.

    Attributes:
        out: folder of the results.
        folder: the current folder of the command that made the plan, from which its relative paths count.
        request: ``load``, the arguments with which a worker loads the run, and ``format``, ``tracker``, ``animals``,
            ``bit_depth``.
        maker: what decides the numbers: hashes and versions by name.
        videos: in order.
        times: that workers keep to.
        links: whether the file system knows hard links; where not, one worker only.
        disk: on which the hidden folder is.
    """

    out: Path
    folder: str
    request: Mapping[str, Any]
    maker: Mapping[str, Any]
    videos: tuple[PlannedVideo, ...]
    times: Times
    links: bool = True
    disk: Disk = field(default=DISK, compare=False, repr=False)

    @property
    def home(self) -> Path:
        """The hidden folder."""
        return self.out / FOLDER

    @property
    def mark(self) -> str:
        """Eight letters that tell the parts of this plan from those of another run, setting or version."""
        return hashlib.sha256(json.dumps(self.maker, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def cancelled(self) -> Path:
        """The file that tells workers to stop."""
        return self.home / "cancel"

    def parts(self, video: PlannedVideo) -> Path:
        """The folder of a video's parts."""
        return self.home / "parts" / video.stem

    def done(self, video: PlannedVideo) -> Path:
        """The file that says that the result of a video is in place."""
        return self.home / "done" / f"{video.stem}.json"

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Places of the videos, by their stems."""
        return {video.stem: place for place, video in enumerate(self.videos)}

    def read_done(self, video: PlannedVideo) -> dict[str, Any] | None:
        """Read what became of a video; None where its result is not yet in place."""
        try:
            content = parse_json(self.disk.read(self.done(video)))
        except (FileNotFoundError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def write(self) -> Plan:
        """Write the plan, unless another process was first.

        Returns:
            the plan that is there.

        Raises:
            PoseError: the disk is full or cannot be written.
        """
        with disk_errors(self.out):
            for name in ("parts", "claims", "done", "workers", "engines", "logs"):
                (self.home / name).mkdir(parents=True, exist_ok=True)
            content = {
                "version": VERSION,
                "folder": self.folder,
                "request": self.request,
                "maker": self.maker,
                "times": asdict(self.times),
                "links": self.links,
                "videos": [asdict(video) for video in self.videos],
            }
            # Text without letters beyond ASCII: names of files may hold bytes that no text has.
            text = json.dumps(content, indent=1)
            path = self.home / "plan.json"
            if not self.links:
                write_whole(path, text)
                return self
            temporary = path.with_name(f".plan.{uuid.uuid4().hex[:12]}.new")
            temporary.write_text(text, encoding="utf-8")
            if link_in_place(temporary, path):
                return self
        found = read_plan(self.out)
        return self if found is None else found

    @property
    def how(self) -> dict[str, Any]:
        """What the notes beside results say of versions."""
        return {name: self.maker[name] for name in ("runtime", "precision", "torch", "pose_core")}

    def describe_differences(self, here: Mapping[str, object]) -> list[str]:
        """Say in words what of hashes and versions found here is not that of the plan; the caller's names first."""
        return [_word(name, here, self.maker) for name in here if here[name] != self.maker.get(name)]

    def compare(self, other: Plan) -> list[str]:
        """Say what differs from another plan, so that workers of one cannot work on the other; in words."""
        differs = [name for name in self.maker if self.maker[name] != other.maker.get(name)]
        mine, theirs = (sorted(map(_describe, plan.videos)) for plan in (self, other))
        return [_word(name, self.maker, other.maker) for name in differs] + (
            [_words()["videos"]] if mine != theirs else []
        )


def _words() -> dict[str, str]:
    """Words for what decides the numbers, in those of the caller."""
    return {
        "weights": "the weights of the run",
        "model": f"the model, or the way of using it ({argument('threshold')} ...)",
        "sources": f"what the model needs beside its network ({argument('detector')} ...)",
        "format": f"the format ({argument('format')})",
        "tracker": f"the tracker ({argument('tracker')})",
        "batch_size": f"the batch size ({argument('batch_size')})",
        "runtime": f"the runtime ({argument('runtime')})",
        "precision": f"the precision ({argument('precision')})",
        "torch": "the version of torch",
        "pose_core": "the version of pose-core",
        "plugins": "the version of a plugin",
        "videos": "the videos, or which of their frames",
    }


def _word(name: str, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    now, then = mine[name], theirs.get(name)
    if isinstance(now, dict) and isinstance(then, dict):
        changed = sorted(key for key in {*now, *then} if now.get(key) != then.get(key))
        return f"{_words()[name]} ({', '.join(f'{k}: {then.get(k)}, now {now.get(k)}' for k in changed)})"
    if name in ("torch", "pose_core", "batch_size", "runtime", "precision"):
        return f"{_words()[name]} ({then}, now {now})"
    return _words()[name]


def _describe(video: PlannedVideo) -> str:
    """What makes a result another one; not what its source holds, which may be refused by itself."""
    return json.dumps([video.stem, video.name, video.choice, video.spans, video.region])


def read_plan(out: Path) -> Plan | None:
    """Read the plan of a folder of results; None where there is none.

    Raises:
        PoseError: it is damaged, or of a newer version.
    """
    path = out / FOLDER / "plan.json"
    try:
        content = parse_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        raise PoseError(f"{path}: is damaged; remove {path.parent} and predict again") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PoseError(f"{path}: cannot be read ({reason}); try again") from None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise PoseError(
            f"{path}: was written by another version of pose-core; use that one, or remove {path.parent}"
        )
    try:
        return Plan(
            out,
            str(content["folder"]),
            dict(content["request"]),
            dict(content["maker"]),
            tuple(map(PlannedVideo.from_json, content["videos"])),
            Times(**content["times"]),
            bool(content["links"]),
        )
    except (KeyError, TypeError, ValueError):
        raise PoseError(f"{path}: is damaged; remove {path.parent} and predict again") from None


def open_plan(out: Path | str) -> Plan:
    """Read the plan of a folder of results, which must have one.

    Raises:
        PoseError: it has none.
    """
    out = Path(out).absolute()
    plan = read_plan(out)
    if plan is None:
        raise PoseError(
            f"{out}: holds no plan of work to share; make one with "
            f"{command('predict', 'RUN', 'VIDEO', argument('out', str(out)), argument('engine', 'NAME'))}"
        )
    return plan


def choose_part(frames: Sequence[int], batch_size: int, workers: int, wanted: int | None) -> int:
    """Choose how many frames a worker claims at once.

    Args:
        frames: of all videos.
        batch_size: frames a batch; a range begins and ends between batches.
        workers: that will work.
        wanted: by the user; None: by the videos.

    Returns:
        a multiple of ``batch_size``.
    """
    if wanted is None:
        # Several for each worker, so that the slow ones are not waited for.
        share = sum(frames) // (workers * _CLAIMS_EACH)
        wanted = min(max(share, _SMALLEST_PART), USUAL_PART)
    return max(1, round(wanted / batch_size)) * batch_size
