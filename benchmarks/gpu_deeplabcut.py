"""DeepLabCut's own loop on the same weights beside ours, on the device; ``parity/speed.py`` does it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from gpu_session import Session

_PARITY = Path(__file__).resolve().parent.parent / "parity"

ORACLE = _PARITY.parent / ".venv-parity" / "bin" / "python"
"""Python of the environment that ``make parity`` makes for DeepLabCut."""


def measure_beside_deeplabcut(session: Session) -> None:
    """Time videos from the file to the file of results by both, in turns, with the same weights."""
    oracle = session.oracle
    if oracle is None and ORACLE.is_file():
        oracle = shlex.join([str(ORACLE), str(_PARITY / "speed_oracle.py")])
    if oracle is None:
        session.leave_out("DeepLabCut beside ours: it is not installed; --oracle, or 'make parity' first")
        return
    sizes, out = session.sizes, session.folder / "speeds.json"
    seconds = min(sizes.deeplabcut_seconds, session.ends - time.monotonic())
    runtimes = ["torch", "cuda_graphs"] if session.device.type == "cuda" else ["torch"]
    command = [sys.executable, str(_PARITY / "speed.py"), "--device", str(session.device), "--oracle", oracle]
    command += [
        "--only",
        *sizes.deeplabcut,
        "--frames",
        str(sizes.deeplabcut_frames),
        "--repeats",
        str(sizes.turns),
    ]
    command += ["--threads", str(os.cpu_count() or 1), "--runtime", *runtimes, "--json", str(out)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
        problem = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]
    except subprocess.TimeoutExpired:
        problem = "no time"
    # What was measured before something went wrong was measured.
    rows = json.loads(out.read_text()) if out.is_file() else []
    for row in rows:
        session.add("deeplabcut", **row)
    missing = [name for name in sizes.deeplabcut if name not in {row["network"] for row in rows}]
    if problem or missing:
        session.leave_out(f"DeepLabCut beside ours: {', '.join(missing)}: {problem}")
