"""Compares every supported model of DeepLabCut with what ``pose import deeplabcut`` makes of it.

``python parity/run.py [--only NAME ...] [--report FILE] [--oracle COMMAND]``, run by ``make parity``. Ends
with code 1 when a row fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from cases import CASES
from compare import Row, compare
from report import write_report

from pose_core import __version__
from pose_core.runs.importing import import_training

HERE = Path(__file__).resolve().parent
ORACLE = (str(HERE.parent / ".venv-parity" / "bin" / "python"), str(HERE / "oracle.py"))
"""The original's side, in an environment of its own."""


class Oracle:
    """The original, in a process of its own."""

    def __init__(self, log: Path, command: Sequence[str]) -> None:
        self._log = log.open("w")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**environment, "DLClight": "True"},
        )

    def make(self, name: str, folder: Path) -> dict[str, Any]:
        """The files of a case."""
        return self.ask(f"{name}\t{folder}")

    def ask(self, line: str) -> dict[str, Any]:
        """What it answers to a line."""
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answers is not None
        asked.write(f"{line}\n")
        asked.flush()
        for line in answers:
            if line.startswith("@@ "):
                answer: dict[str, Any] = json.loads(line[3:])
                return answer
        return {"error": f"the original ended with code {self._process.wait()}; see {self._log.name}"}

    def close(self) -> None:
        """Let it end."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=list(CASES), help="these rows only")
    parser.add_argument(
        "--report", type=Path, help="by default docs/parity.md where all rows are compared, else none"
    )
    parser.add_argument(
        "--oracle", default=shlex.join(ORACLE), help="the command that makes and runs the originals"
    )
    options = parser.parse_args(arguments)
    report = options.report or (HERE.parent / "docs" / "parity.md" if options.only is None else None)
    rows = []
    with tempfile.TemporaryDirectory(prefix="pose-parity-") as work:
        oracle = Oracle(Path(work) / "original.log", shlex.split(options.oracle))
        for name in options.only or CASES:
            row = _row(oracle, name, Path(work) / "case")
            print(f"{'ok' if row.passed else 'FAIL':4} {name}: {_metrics(row)}", flush=True)
            rows.append(row)
        oracle.close()
    if report is not None:
        theirs = next((row.versions for row in rows if row.versions), "the original")
        write_report(
            rows, f"Compared: {theirs}, and pose_core {__version__} on torch {torch.__version__}.", report
        )
        print(f"{report}: written")
    failed = [row.case.name for row in rows if not row.passed]
    print(
        f"{len(rows) - len(failed)} of {len(rows)} rows agree"
        + (f"; these do not: {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


def _row(oracle: Oracle, name: str, folder: Path) -> Row:
    case = CASES[name]
    try:
        made = oracle.make(name, folder)
        if "error" in made:
            return Row(case, problem=f"original: {made['error']}")
        row = compare(case, made, folder)
        # A file of the zoo has no configuration beside it.
        unknown = find_unknown_settings(folder) if case.zoo is None else ""
        return replace(row, problem=f"settings: {unknown}") if unknown and not row.problem else row
    except Exception as error:
        # One model that cannot be taken over must not keep the others from being compared.
        return Row(case, problem=f"{type(error).__name__}: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_unknown_settings(folder: Path) -> str:
    """Say which keys of the original's pytorch_config.yaml are in no table of ours; empty where all are."""
    file = next(folder.rglob("pytorch_config.yaml"))
    notes = import_training("deeplabcut", file, folder / "settings.yaml")
    return "; ".join(note for note in notes if "says nothing of a training here" in note)


def _metrics(row: Row) -> str:
    if row.problem:
        return row.problem
    counts = (
        f"{row.theirs} parameters" if row.theirs == row.ours else f"{row.theirs} parameters, ours {row.ours}"
    )
    counts += f", {row.animals} animals" if row.animals else ""
    return f"{counts}, raw {row.raw:.1e}, {row.pixels:.1e} px, score {row.score:.1e}, alive {row.alive:.2f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
