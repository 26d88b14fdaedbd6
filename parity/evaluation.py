"""Compares the errors of an imported snapshot on its shuffle with DeepLabCut's own evaluation table.

``python parity/evaluation.py [--project FOLDER] [--oracle COMMAND]``, run by ``make parity``. DeepLabCut makes a
training dataset of the project (by default a small one that is drawn), a snapshot with random weights, and
evaluates it; then ``pose import deeplabcut`` and ``pose evaluate`` do the same with nothing but the snapshot. Ends
with code 1 where they differ.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pose_core.evaluation.results import EvaluationResult
from pose_core.evaluation.run import evaluate
from pose_core.runs.importing import import_model

HERE = Path(__file__).resolve().parent
ORACLE = (str(HERE.parent / ".venv-parity" / "bin" / "python"), str(HERE / "evaluation_oracle.py"))
PIXELS = 0.01
"""Pixels by which the errors may differ; DeepLabCut's table has two decimals."""


def ask(command: Sequence[str]) -> dict[str, Any]:
    """Run a side of a comparison in a process of its own; what its line says."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        list(command),
        env={**environment, "DLClight": "True"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("@@ ")]
    if not lines:
        raise RuntimeError(f"{shlex.join(command)}: ended with code {done.returncode}: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(lines[0][3:])
    return answer


def measure(snapshot: str, folder: Path) -> dict[str, tuple[float, int]]:
    """Import the snapshot; mean error and number of images of the training and the test part of its split."""
    run = import_model({"type": "deeplabcut", "as_trained": True}, snapshot, folder).run
    found = {}
    for part in ("train", "test"):
        result = evaluate(run, part, device="cpu", batch_size=1)
        assert isinstance(result, EvaluationResult)
        assert result.error.mean.value is not None
        found[part] = result.error.mean.value, result.counts.images
    return found


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--project", type=Path, help="a DeepLabCut project; by default a small one is drawn")
    parser.add_argument("--oracle", default=shlex.join(ORACLE), help="the command of the original's side")
    options = parser.parse_args(arguments)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="pose-parity-") as work:
        # DeepLabCut makes, trains (not at all) and evaluates a shuffle.
        own = [] if options.project is None else [str(options.project.resolve())]
        theirs = ask([*shlex.split(options.oracle), str(Path(work) / "project"), *own])
        for part, (ours, images) in measure(theirs["snapshot"], Path(work) / "run").items():
            error = theirs["table"][f"{part} rmse"]
            equal = abs(error - ours) <= PIXELS
            wrong += not equal
            print(
                f"{'ok' if equal else 'FAIL':4} {part}: {images} images, {theirs['versions']} {error:.2f} px, "
                f"here {ours:.4f} px"
            )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
