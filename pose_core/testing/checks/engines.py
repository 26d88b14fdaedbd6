"""Level 1: engines, which start workers."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from pose_core.catalog import find_missing_package
from pose_core.errors import ConfigError
from pose_core.interfaces.engine import Engine, EngineHandle, WorkerPlan
from pose_core.testing.checks.check import check, demand
from pose_core.testing.checks.targets import ComponentSubject, skip

_WORKERS = 2
_PATIENCE = 60.0
"""Seconds to wait for a queue."""

_ENDS = "import os, sys; open(os.path.join(sys.argv[1], f'{os.getpid()}.began'), 'w').close()"
# Not for ever, so that a wrong engine leaves nothing behind.
_STAYS = f"{_ENDS}\nimport time; time.sleep(90)"


def _make(subject: ComponentSubject) -> Engine:
    factory = subject.component.factory()
    if (missing := find_missing_package(factory)) is not None:
        raise skip(f"needs {missing}")
    engine: Engine = factory(subject.config)
    try:
        engine.check()
    except ConfigError as error:
        raise skip(f"cannot work here: {error}") from None
    return engine


def _start(engine: Engine, folder: Path, program: str) -> EngineHandle:
    (folder / "logs").mkdir()
    command = (sys.executable, "-c", program, str(folder))
    handle = engine.start(
        WorkerPlan(folder, command, folder / "logs", "pose-check", folder / "cancel"), _WORKERS
    )
    demand(isinstance(handle, EngineHandle), "start() returns no EngineHandle")
    return handle


def _count_began(folder: Path) -> int:
    return len(list(folder.glob("*.began")))


def _wait(ready: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + _PATIENCE
    while not ready():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
    return True


@check(1, "engine")
def check_engine_starts_workers(subject: ComponentSubject) -> None:
    """It starts as many workers as it is told, and sees when they have ended."""
    engine = _make(subject)
    demand(engine.suggest_workers() >= 1, "it suggests no workers")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        with closing(_start(engine, folder, _ENDS)) as handle:
            _wait(lambda: handle.alive() == 0 or _count_began(folder) >= _WORKERS)
            began = _count_began(folder)
            demand(began == _WORKERS, f"{_WORKERS} workers were asked for, {began} began")
            if handle.alive() is not None:
                demand(_wait(lambda: handle.alive() == 0), "workers that have ended are counted as alive")


@check(1, "engine")
def check_engine_finds_and_cancels_workers(subject: ComponentSubject) -> None:
    """What its handle writes down finds the workers again, in plain values, and cancels them."""
    engine = _make(subject)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        handle = _start(engine, folder, _STAYS)
        try:
            demand(_wait(lambda: _count_began(folder) >= _WORKERS), "not all workers began")
            try:
                state = json.loads(json.dumps(handle.state()))
            except (TypeError, ValueError) as error:
                demand(False, f"its state is no plain values: {error}")
            demand(state == handle.state(), "its state is another one after it was stored as JSON")
            with closing(engine.find(state)) as found:
                alive = found.alive()
                demand(alive in (None, _WORKERS), f"found again, {alive} of {_WORKERS} workers are alive")
                found.cancel()
                demand(_wait(lambda: not handle.alive()), "workers that were cancelled are still alive")
                found.cancel()
        finally:
            handle.cancel()
            handle.close()


CHECKS = (check_engine_starts_workers, check_engine_finds_and_cancels_workers)
