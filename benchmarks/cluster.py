"""Measure prediction that processes share: the gain by a second one, what sharing costs, joins, and seeking.

    python benchmarks/cluster.py                              # all of it, twenty minutes or so on two idle cores
    python benchmarks/cluster.py --only gain --repetitions 5
    python benchmarks/cluster.py --only seeking

Four measurements, each beside its limit:

gain: the time of two workers with a core each, for four videos, beside that of one worker; whole commands, in turns.
overhead: what the plan, the search for work, claims, parts and the join take of a job, in seconds of the processor.
join: the most memory that a process holds which joins a short and a long video.
seeking: until the last 100 frames of a long H.264 video have been decoded, beside a group of pictures.

Networks have random weights. What else runs on the machine counts, so the load is printed, too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from pose_core.model.build import build_model
from pose_core.pipeline.video import VideoSource
from pose_core.runs.run_folder import Run
from pose_core.specs import RunSpec
from pose_core.synthetic.videos import write_numbered_video

WAYS = ("gain", "overhead", "join", "seeking")

_LAST = 100
_GROUP = 250
"""Frames from one key frame to the next, as x264 has them by default."""

_SHARE = """
import json, sys, time
from collections import Counter
from pathlib import Path
import pose_core
from pose_core.interfaces.engine import Engine
from pose_core.prediction import part_writer, predict, sharing, worker
from pose_core.specs import EngineConfig
from pose_core.workers import claims, records, tasks

run, video, out, part = sys.argv[1:]
seconds = Counter()
depth = [0]

def watch(owner, name, what):
    true = getattr(owner, name)
    def timed(*given, **named):
        began = time.thread_time()
        depth[0] += 1
        try:
            return true(*given, **named)
        finally:
            depth[0] -= 1
            # What one of them calls of another is counted once.
            if not depth[0]:
                seconds[what] += time.thread_time() - began
    setattr(owner, name, timed)

watch(sharing, "make_plan", "plan")
watch(sharing, "take_up", "plan")
watch(tasks.TaskFinder, "find", "claims")
watch(claims.Held, "give_back", "claims")
watch(records.WorkerRecord, "write", "claims")
watch(part_writer.PartWriter, "flush", "parts")

class Nobody(Engine):
    waits = False
    def start(self, plan, workers):
        raise SystemExit
    def find(self, state):
        raise NotImplementedError

predict.choose_engine = lambda given: Nobody(EngineConfig(type="core/local", part_frames=int(part)))
try:
    pose_core.predict(run, [video], out, device="cpu", engine="nobody", workers=1)
except SystemExit:
    pass

class Joined(BaseException):
    pass

def leave(*given):
    raise Joined

worker.join_video = leave
began, passed = time.process_time(), time.perf_counter()
try:
    pose_core.work(out)
except Joined:
    pass
print(json.dumps({
    "work": time.process_time() - began,
    "passed": time.perf_counter() - passed,
    **seconds,
}))
"""
"""Plans a job, does all of it but the join, and says for how long each took."""

_JOIN = """
import json, resource, sys, time
from pathlib import Path
from pose_core.prediction.worker import Worker
from pose_core.workers.plan import open_plan
plan = open_plan(Path(sys.argv[1]))
began = time.process_time()
assert Worker(plan, joins_only=True).work()
seconds = time.process_time() - began
print(json.dumps({"seconds": seconds, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""
"""Joins what is there, and says how long it took and what it held."""


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    found: str
    limit: str
    within: bool


def make_network(path: Path, filters: int) -> Path:
    """Make a run with random weights."""
    spec = RunSpec.model_validate(
        {
            "skeleton": {"keypoints": ["nose", "tail"], "edges": [["nose", "tail"]]},
            "data": {"source": "nowhere"},
            "model": {
                "name": "random",
                "preprocess": {"scale": 0.5, "min_box": 16.0},
                "backbone": {"type": "unet/unet", "filters": filters, "max_stride": 8, "output_stride": 4},
                "heads": {"keypoints": {"type": "heatmap/heatmap"}},
            },
            "inference": {"batch_size": 8},
            "metadata": {"scorer": "random"},
        }
    )
    torch.manual_seed(0)
    run = Run.create(path, spec, {})
    run.save_weights(build_model(spec).state_dict())
    return path


def run_program(arguments: Sequence[str | Path], threads: int = 1) -> str:
    """Run Python with arguments; what it prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        raise SystemExit(f"{arguments[0]} failed: {done.stderr}")
    return done.stdout


def measure_gain(folder: Path, frames: int, repetitions: int) -> Iterator[Row]:
    """Time one worker and two, in turns."""
    run = make_network(folder / "run", filters=16)
    videos = [folder / f"{number}.mp4" for number in range(4)]
    for video in videos:
        write_numbered_video(video, frames, width=320, height=240, keyframe_every=_GROUP)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    processor: dict[int, list[float]] = {1: [], 2: []}
    loads = []
    for repetition in range(repetitions):
        # Which is first changes, so that a load that grows or falls meets both.
        for workers in (1, 2) if repetition % 2 == 0 else (2, 1):
            out = folder / f"out-{workers}-{repetition}"
            engine = f"{{type: local, threads: 1, part_frames: {max(8, frames // 4)}}}"
            arguments: list[str | Path] = ["-m", "pose_core", "predict", run, *videos, "--device", "cpu"]
            began, used = time.perf_counter(), _read_processor()
            run_program([*arguments, "--out", out, "--engine", engine, "--workers", str(workers)])
            seconds[workers].append(time.perf_counter() - began)
            processor[workers].append(_read_processor() - used)
            loads.append(os.getloadavg()[0])
    one, two = (statistics.median(seconds[workers]) for workers in (1, 2))
    share = statistics.median(b / a for a, b in zip(seconds[1], seconds[2], strict=True))
    what = f"2 workers beside 1, a core each, 4 videos of {frames} frames, {repetitions} in turns"
    both, single = (statistics.median(processor[workers]) for workers in (2, 1))
    found = (
        f"{two:.1f} s of {one:.1f} s: {share:.2f} (of the processor {both:.1f} s and {single:.1f} s; "
        f"load {min(loads):.1f} to {max(loads):.1f})"
    )
    yield Row(what, found, "0.60", share <= 0.6)


def _read_processor() -> float:
    """Read how many seconds of the processor all processes took that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure_sharing(folder: Path, sizes: Sequence[int], ways: Sequence[str]) -> Iterator[Row]:
    """Predict videos with a tiny network as a worker does, and join them in processes of their own."""
    run = make_network(folder / "tiny", filters=4)
    joins = {}
    for frames in sizes:
        video, out = _make_long(folder, frames), folder / f"shared-{frames}"
        took = json.loads(run_program(["-c", _SHARE, run, video, out, "4096"]))
        joins[frames] = json.loads(run_program(["-c", _JOIN, out]))
    if "overhead" in ways:
        whole = took["work"] + took["plan"] + joins[frames]["seconds"]
        parts = {name: took.get(name, 0.0) for name in ("plan", "claims", "parts")}
        parts["join"] = joins[frames]["seconds"]
        each = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in parts.items())
        share = sum(parts.values()) / whole
        what = f"overhead of a job of {frames} frames, {frames / took['work']:.0f} a second of the processor"
        yield Row(what, f"{100 * share:.2f} % of {whole:.0f} s ({each})", "2 %", share < 0.02)
        # The same seconds beside a network that people use.
        usual = sum(parts.values()) / (sum(parts.values()) + frames / 60)
        yield Row(
            "the same beside a network of 60 frames a second", f"{100 * usual:.2f} %", "2 %", usual < 0.02
        )
    if "join" in ways:
        least, most = (joins[frames]["memory"] for frames in (sizes[0], sizes[-1]))
        found = f"{least:.0f} MiB, {most:.0f} MiB"
        yield Row(
            f"memory of the join of {sizes[0]} and {sizes[-1]} frames",
            found,
            "5 % more",
            most < 1.05 * least,
        )


def measure_seeking(folder: Path, frames: int, repetitions: int) -> Iterator[Row]:
    """Time the last frames of a long video, with the index of the plan, and a group of pictures."""
    path, index = _make_long(folder, frames), folder / "index"
    began = time.perf_counter()
    source = VideoSource(path, index=index)
    _ = source.info
    source.keep_index()
    opened = time.perf_counter() - began
    group, last = [], []
    processor = time.process_time()
    for _ in range(repetitions):
        last.append(_time_frames(path, index, frames - _LAST, _LAST))
    processor = (time.process_time() - processor) / repetitions
    for _ in range(repetitions):
        group.append(_time_frames(path, index, 0, min(frames, _GROUP)))
    found, limit = statistics.median(last), 0.5 + statistics.median(group)
    what = f"the last {_LAST} of {frames} frames of H.264, opening the file included"
    seen = (
        f"{found:.2f} s, of the processor {processor:.2f} s (first opened, without an index: {opened:.1f} s)"
    )
    yield Row(what, seen, f"{limit:.2f} s", found < limit)


def _time_frames(path: Path, index: Path, start: int, count: int) -> float:
    began = time.perf_counter()
    frames = VideoSource(path, index=index).read(start)
    for _ in range(count):
        frame = next(frames)
        assert frame.load is not None, frame.reason
        frame.load()
    return time.perf_counter() - began


def _make_long(folder: Path, frames: int) -> Path:
    path = folder / f"long-{frames}.mp4"
    if not path.exists():
        options = {"preset": "veryfast", "bf": "3"}
        write_numbered_video(path, frames, keyframe_every=_GROUP, options=options)
    return path


def measure(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Measure what is asked for, a row after the other."""
    if "seeking" in options.only:
        yield from measure_seeking(folder, options.frames[-1], options.repetitions)
    if "overhead" in options.only or "join" in options.only:
        yield from measure_sharing(folder, options.frames, options.only)
    if "gain" in options.only:
        yield from measure_gain(folder, options.frames_each, options.repetitions)


def main(arguments: list[str]) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--frames-each", type=int, default=1500, help="of the four videos")
    parser.add_argument("--frames", type=int, nargs="+", default=[10_000, 100_000], help="of the long videos")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    if not options.json:
        print("| what | found | limit | |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        for row in measure(Path(name), options):
            rows.append(row)
            if not options.json:
                verdict = "within" if row.within else "exceeded"
                print(f"| {row.what} | {row.found} | {row.limit} | {verdict} |", flush=True)
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    print(f"\n{os.cpu_count()} cores, load average now {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
