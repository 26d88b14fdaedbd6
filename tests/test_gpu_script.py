"""All that is asked of a GPU, in small and on a CPU: five minutes, of ``make test-all`` alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_all_that_a_gpu_is_asked_in_small_by_the_script_of_the_shell(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    done = subprocess.run(
        ["bash", ROOT / "benchmarks" / "gpu.sh", "--small", "--seconds", "880", "--out", out],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "GPU_SECONDS": "900"},
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    parts = json.loads(out.read_text())["parts"]
    # What is not installed on a machine is left out, and was tried in small elsewhere.
    asked = ["machine", "views", "parity", "runtimes", "rates", "training", "conformance"]
    assert [part for part in parts if part not in ("decoding", "deeplabcut")] == asked
    assert all(row["end_to_end"] > 0 < row["views_by_device"] for row in parts["rates"])
    assert all(row["last_loss"] < row["first_loss"] for row in parts["training"])
    (checked,) = parts["conformance"]
    assert checked["passed"] > 10
    assert "failed" not in checked
