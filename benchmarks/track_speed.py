"""Measure what ``pose track`` takes, from Parquet to Parquet: frames a second, and memory over long videos.

    python benchmarks/track_speed.py                                     # 10,000 frames of 5 and of 10 animals
    python benchmarks/track_speed.py --frames 10000 100000 1000000       # does memory grow?

A crowd of look-alike animals that cross is written once and repeated, a row group each, until there are enough frames.
Each line is a process of its own. Seconds are those of the processor, all of ``pose track`` included; memory is the
most that the process held (resident), and what it held when everything was imported and a short file had been tracked.
The tracker alone is asked for the first frames once more, announced many at a time as ``pose track`` does, and one by
one as they come from a camera.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pose_core.interfaces.prediction_files import core_writer
from pose_core.interfaces.writer import PredictionsHeader
from pose_core.synthetic.crowd import CROWD_SKELETON, Crowd, CrowdSpec

REPEATED = 2000
"""Frames that are repeated."""

AT_ONCE = 256
"""Frames that the tracker alone is told of at once."""

_PROGRAM = """
import itertools, json, resource, sys, time
import pose_core
from pathlib import Path
from pose_core.interfaces.prediction_files import open_predictions
from pose_core.interfaces.tracker import TrackerContext
from pose_core.tracking.choose import ask_tracker, choose_tracker, make_tracker
short, clip, out, tracker, animals, at_once, repeated = sys.argv[1:]
animals = int(animals) or None

def ask_alone(at_once):
    stream = open_predictions(Path(clip))
    frames = [frame for frame in itertools.islice(stream, int(repeated)) if len(frame.instances)]
    about = stream.header
    context = TrackerContext(about.skeleton, animals, animals is not None, about.width, about.height)
    asked = make_tracker(choose_tracker(tracker), context)
    began = time.process_time()
    for place, frame in enumerate(frames):
        if at_once and place % at_once == 0:
            asked.prepare(frames[place : place + at_once])
        ask_tracker(asked, frame)
    return len(frames) / (time.process_time() - began)

pose_core.track(short, out, tracker=tracker, animals=animals)
least = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.process_time()
(outcome,) = pose_core.track(clip, out, tracker=tracker, animals=animals)
seconds = time.process_time() - began
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({
    "seconds": seconds,
    "announced": ask_alone(int(at_once)),
    "one_by_one": ask_alone(0),
    "tracklets": outcome.counts.tracklets,
    "least": least / 1024,
    "most": most / 1024,
    "torch": "torch" in sys.modules,
}))
"""


@dataclass(frozen=True)
class Row:
    """What tracking a file took; memory in MiB.

    ``announced`` and ``one_by_one`` are frames a second of the tracker alone.
    """

    tracker: str
    animals: int
    frames: int
    tracklets: int
    seconds: float
    frames_a_second: float
    announced: float
    one_by_one: float
    least_memory: float
    most_memory: float
    torch: bool


def make_video(path: Path, frames: int, animals: int) -> Path:
    """Write the predictions of a long video."""
    side = int(360 * animals**0.5)
    crowd = Crowd(
        CrowdSpec(frames=min(frames, REPEATED), animals=animals, size=(side, side), pull=0.5, seed=1)
    )
    header = PredictionsHeader(CROWD_SKELETON, f"{path.stem}.mp4", frames, side, side, 30.0, "synthetic", "")
    block = path.with_suffix(".block")
    core_writer().write(block, header, crowd.found())
    table = pq.read_table(block)
    block.unlink()
    place = table.schema.get_field_index("frame")
    numbers = table.column("frame").to_numpy()
    # Arrow's own writer: the core's would compare a million frames one by one.
    with pq.ParquetWriter(path, table.schema) as writer:
        for first in range(0, frames, REPEATED):
            shifted = table.set_column(place, table.schema.field(place), pa.array(numbers + first))
            kept = int((numbers + first < frames).sum())
            writer.write_table(shifted.slice(0, kept))
    return path


def measure(tracker: str, animals: int, frames: int, linked: bool, folder: Path) -> Row:
    """Track a video in a process of its own."""
    short = make_video(folder / "short.parquet", 100, animals)
    clip = make_video(folder / "clip.parquet", frames, animals)
    out = folder / f"{tracker}-{animals}-{frames}"
    numbers = animals if linked else 0, AT_ONCE, REPEATED
    arguments = [str(short), str(clip), str(out), tracker, *map(str, numbers)]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    for file in (short, clip, *out.iterdir()):
        file.unlink()
    seconds = found["seconds"]
    return Row(
        tracker=tracker,
        animals=animals,
        frames=frames,
        tracklets=found["tracklets"],
        seconds=seconds,
        frames_a_second=frames / seconds,
        announced=found["announced"],
        one_by_one=found["one_by_one"],
        least_memory=found["least"],
        most_memory=found["most"],
        torch=found["torch"],
    )


def main(arguments: list[str]) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, nargs="+", default=[10_000])
    parser.add_argument("--animals", type=int, nargs="+", default=[5, 10])
    parser.add_argument("--trackers", nargs="+", default=["oks"])
    parser.add_argument(
        "--open", action="store_true", help="do not tell the tracker how many animals there are"
    )
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    options = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for tracker in options.trackers:
            for animals in options.animals:
                rows += [
                    measure(tracker, animals, frames, not options.open, Path(folder))
                    for frames in options.frames
                ]
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
        return 0
    print(
        "| tracker | animals | frames | tracklets | seconds | frames/s | alone, announced | alone, one by one "
        "| MiB at first | MiB at most |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.tracker} | {row.animals} | {row.frames} | {row.tracklets} | {row.seconds:.1f} "
            f"| {row.frames_a_second:.0f} | {row.announced:.0f} | {row.one_by_one:.0f} "
            f"| {row.least_memory:.0f} | {row.most_memory:.0f} |"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
