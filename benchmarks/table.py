"""One table of what people wait for: beside DeepLabCut where it is installed, beside the budgets of the project else.

    python benchmarks/table.py [--only codecs parts networks] [--networks NAME ...] [--write docs/measurements.md]

Runs the benchmarks of small parts, and parity/codecs.py and parity/speed.py, which compare with DeepLabCut where
``make .venv-parity/.installed`` has set it up. First comes what the cores multiply at most. ``--write`` puts the table
into a page, between the two comments that mark its place. The numbers mean something on an idle machine only.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pose_core.io.files import write_whole

ROOT = Path(__file__).resolve().parent.parent
ORIGINAL = ROOT / ".venv-parity" / "bin" / "python"
PARTS = ("target_generation", "simcc", "paf", "dekr", "conditions", "sleap_files")
BEGIN, END = "<!-- make bench: begin -->", "<!-- make bench: end -->"
HEADER = "| what | pose_core | beside it | times as fast | of the cores' limit |\n|---|--:|--:|--:|--:|"
QUICK = ("--repetitions", "2", "--warm-up", "0")


def run(script: str, *arguments: str) -> Any:
    """Run a benchmark in a process of its own, for what one leaves behind in memory changes the next one's times."""
    command = [sys.executable, str(ROOT / script), *arguments, "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def list_parts(quick: Sequence[str]) -> Iterator[str]:
    """Rows of the small parts, beside their budgets."""
    for name in PARTS:
        arguments = quick if name != "sleap_files" else ["--frames", "60"] * bool(quick)
        for row in run(f"benchmarks/{name}.py", *arguments):
            budget = row["budget_ms"]
            beside = "" if budget is None else f"budget {budget:g} ms"
            if budget is not None and row["median_ms"] > budget:
                beside += ": over"
            yield f"| {name}: {row['name']} | {row['median_ms']:.2f} ms | {beside} | | |"


def list_codecs(quick: Sequence[str]) -> Iterator[str]:
    """Rows of targets and decoding."""
    oracle = [] if ORIGINAL.is_file() else ["--oracle", ""]
    for row in run("parity/codecs.py", *oracle, *quick[:2]):
        theirs = row["theirs"]
        over = ": over" if row["ours"] > row["budget_ms"] else ""
        beside = "" if theirs is None else f"DeepLabCut {theirs:.1f} ms, "
        beside += f"budget {row['budget_ms']:g} ms{over}"
        times = "" if theirs is None else f"{theirs / row['ours']:.1f}"
        yield f"| {row['name']} | {row['ours']:.2f} ms | {beside} | {times} | |"


def list_networks(frames: int, repeats: int, names: Sequence[str]) -> Iterator[str]:
    """Rows of videos, from file to file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        command = [sys.executable, str(ROOT / "parity" / "speed.py"), "--json", str(file)]
        command += ["--frames", str(frames), "--repeats", str(repeats)]
        command += ["--only", *names] if names else []
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        rows = json.loads(file.read_text(encoding="utf-8"))
    for row in rows:
        theirs = row["pose_core"] / row["times"]
        most = "" if row["times_at_limit"] is None else f" of {row['times_at_limit']:.2f}"
        yield (
            f"| `{row['network']}`, {row['runtime']} | {row['pose_core']:.2f} frames/s | DeepLabCut {theirs:.2f} "
            f"frames/s | {row['times']:.2f}{most} | {100 * row['share']:.0f} % |"
        )


def find_processor() -> str:
    """Find the name of the processor, as Linux has it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def write(page: Path, table: str) -> None:
    """Put the table in its place in a page.

    Raises:
        SystemExit: the page does not mark the place.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page}: has no lines {BEGIN} and {END} to put the table between")
    write_whole(page, f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = ("parts", "codecs", "networks")
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page as well")
    parser.add_argument(
        "--networks", nargs="+", default=[], metavar="NAME", help="these only, of parity/speed.py"
    )
    parser.add_argument("--frames", type=int, default=24, help="of the video of the networks")
    parser.add_argument("--repeats", type=int, default=5, help="of each of them")
    parser.add_argument("--quick", action="store_true", help="twice each only, to see that it runs")
    options = parser.parse_args()
    quick = QUICK if options.quick else ()
    today = datetime.datetime.now(tz=datetime.UTC)
    machine = (
        f"{today:%Y-%m-%d}, {find_processor()}, {os.cpu_count()} cores, torch {version('torch').partition('+')[0]}; "
        f"two threads multiply {run('parity/limit.py'):.0f} GFLOP/s."
    )
    networks = "networks" in options.only
    if networks and ORIGINAL.is_file():
        machine += f" Networks: {options.frames} frames, medians of {options.repeats}."
    elif networks or "codecs" in options.only:
        machine += (
            f" {ORIGINAL.relative_to(ROOT)} is not there ('make parity'): no networks, nothing beside codecs."
        )
    lines = [machine, "", HEADER]
    print("\n".join(lines), flush=True)
    rows: list[Iterator[str]] = []
    if networks and ORIGINAL.is_file():
        rows.append(list_networks(options.frames, options.repeats, options.networks))
    if "codecs" in options.only:
        rows.append(list_codecs(quick))
    if "parts" in options.only:
        rows.append(list_parts(quick))
    for kind in rows:
        for line in kind:
            print(line, flush=True)
            lines.append(line)
    if options.write is not None:
        write(options.write, "\n".join(lines))


if __name__ == "__main__":
    main()
