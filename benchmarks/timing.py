"""What the benchmarks of small parts share: options, a clock, and the table."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch

from pose_core.training.memory import keep_freed_memory


@dataclass(frozen=True)
class Case:
    """Something to measure.

    Attributes:
        name: as it stands in the table.
        work: makes one call.
        budget_ms: what a call may take; None where there is no budget.
        share: of the repetitions and of the warm-up, less than 1 for slow work.
    """

    name: str
    work: Callable[[], object]
    budget_ms: float | None = None
    share: float = 1.0


@dataclass(frozen=True)
class Row:
    """Median and least milliseconds of a call."""

    name: str
    median_ms: float
    least_ms: float
    budget_ms: float | None

    def format(self) -> str:
        """Make the line of the table."""
        text = f"{self.name:56} median {self.median_ms:7.2f} ms, least {self.least_ms:7.2f} ms"
        if self.budget_ms is None:
            return text
        verdict = "within" if self.median_ms <= self.budget_ms else "over"
        return f"{text}: {verdict} the budget of {self.budget_ms:g} ms"


def run(
    doc: str | None,
    make_cases: Callable[[str], Sequence[Case]],
    *,
    threads: int = 2,
    repetitions: int = 30,
    warm_up: int = 30,
) -> None:
    """Read the options, measure the cases, and print a table, or JSON.

    Args:
        doc: of the script, the first line of which ``--help`` shows.
        make_cases: is given the device.
        threads, repetitions, warm_up: defaults of the options.
    """
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=threads, help="of torch on the CPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repetitions", type=int, default=repetitions, help="measured calls of each case")
    # The first calls wait for memory from the operating system; in training it is there.
    parser.add_argument("--warm-up", type=int, default=warm_up, help="calls before them")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    keep_freed_memory()  # as every training does
    cases = make_cases(options.device)
    rows = [measure(case, options.repetitions, options.warm_up, options.device) for case in cases]
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    for row in rows:
        print(row.format())


def measure(case: Case, repetitions: int, warm_up: int, device: str) -> Row:
    """Time the calls of a case."""
    before, counted = math.ceil(warm_up * case.share), max(1, math.ceil(repetitions * case.share))
    milliseconds = []
    for repetition in range(before + counted):
        start = time.perf_counter()
        case.work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        if repetition >= before:
            milliseconds.append(1e3 * (time.perf_counter() - start))
    return Row(
        case.name, round(statistics.median(milliseconds), 3), round(min(milliseconds), 3), case.budget_ms
    )
