"""The engine."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pose_core.errors import ConfigError, PoseError
from pose_core.interfaces import WorkerPlan

from {{ cookiecutter.__package }}.config import LaunchedConfig
from {{ cookiecutter.__package }}.engine import LaunchedEngine


def wait(ready: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def make_plan(folder: Path, program: str) -> WorkerPlan:
    return WorkerPlan(folder, (sys.executable, "-c", program), folder, "pose-test", folder / "cancel")


def test_workers_run_behind_the_command(tmp_path: Path) -> None:
    engine = LaunchedEngine(LaunchedConfig(launcher=("env", "PLACE=node1")))
    engine.check()
    handle = engine.start(make_plan(tmp_path, "import os; print(os.environ['PLACE'])"), 2)
    wait(lambda: handle.alive() == 0)
    assert [log.read_text().split() for log in tmp_path.glob("*.log")] == [["node1"], ["node1"]]


def test_another_process_finds_and_cancels_them(tmp_path: Path) -> None:
    engine = LaunchedEngine(LaunchedConfig())
    handle = engine.start(make_plan(tmp_path, "import time; time.sleep(60)"), 2)
    assert handle.alive() == 2
    found = engine.find(json.loads(json.dumps(handle.state())))
    found.cancel()
    wait(lambda: handle.alive() == 0)
    found.cancel()


def test_workers_of_another_machine_are_left_alone(tmp_path: Path) -> None:
    engine = LaunchedEngine(LaunchedConfig())
    handle = engine.start(make_plan(tmp_path, "import time; time.sleep(60)"), 1)
    try:
        engine.find({**handle.state(), "host": "elsewhere"}).cancel()
        time.sleep(0.2)
        assert handle.alive() == 1
    finally:
        handle.cancel()
        wait(lambda: handle.alive() == 0)


def test_what_cannot_be_started_is_a_line(tmp_path: Path) -> None:
    engine = LaunchedEngine(LaunchedConfig(launcher=("no-such-program",)))
    with pytest.raises(ConfigError, match="there is no program 'no-such-program' here"):
        engine.check()
    with pytest.raises(PoseError, match="worker 1 of 3 cannot be started"):
        engine.start(make_plan(tmp_path, ""), 3)
