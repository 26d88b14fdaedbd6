"""Choose an engine by its name, start its workers, and find them again."""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from pose_core.catalog import find_missing_package, get_catalog
from pose_core.errors import ConfigError, PoseError, argument, command
from pose_core.interfaces.engine import Engine, EngineHandle, WorkerPlan
from pose_core.io.files import disk_errors, parse_json, write_whole
from pose_core.specs import EngineConfig, parse_component
from pose_core.workers.plan import Plan, open_plan

GivenEngine = str | Mapping[str, Any] | EngineConfig | None


def choose_engine(given: str | Mapping[str, Any] | EngineConfig) -> Engine:
    """Find the engine that is meant, and ask whether it can work here.

    Args:
        given: its name, a mapping with settings too, or that mapping as YAML (``{type: NAME, setting: value}``).

    Raises:
        ConfigError: no such engine is installed, a package or program is missing, or a setting is wrong.
    """
    if isinstance(given, EngineConfig):
        config = given
    else:
        try:
            config = parse_component("engine", EngineConfig, given if isinstance(given, str) else dict(given))
        except ConfigError as error:
            raise ConfigError(f"{argument('engine')}: {error}; {command('engines')} lists them") from None
    factory = get_catalog().component("engine", config.type).factory()
    if (missing := find_missing_package(factory)) is not None:
        raise ConfigError(
            f"{argument('engine', config.type)}: needs {missing}, which is not installed: pip install {missing}"
        )
    engine: Engine = factory(config)
    engine.check()
    return engine


def start_workers(plan: Plan, engine: Engine, workers: int) -> EngineHandle:
    """Start workers of a plan, and note how to find them again.

    Raises:
        PoseError: they cannot be started, or the disk is full.
    """
    handle = engine.start(
        WorkerPlan(
            plan.out,
            (sys.executable, "-m", "pose_core", "worker", str(plan.out)),
            plan.home / "logs",
            re.sub(r"[^A-Za-z0-9-]+", "-", f"pose-{plan.out.name}")[:40],
            plan.cancelled,
        ),
        workers,
    )
    note = {"engine": engine.config.model_dump(mode="json"), "workers": workers, "state": handle.state()}
    try:
        with disk_errors(plan.out):
            write_whole(plan.home / "engines" / f"{uuid.uuid4().hex[:12]}.json", json.dumps(note, indent=1))
    except PoseError:
        handle.cancel()
        handle.close()
        raise
    return handle


def cancel(out: Path | str) -> list[str]:
    """Tell all workers in a folder of results to stop; what is done stays.

    Workers give back what they are at after the batch; those that an engine started are told by it, too.

    Args:
        out: folder that ``predict(..., out, engine=...)`` made.

    Returns:
        a line for each engine that could not be told; its workers see it by themselves after a heartbeat.

    Raises:
        PoseError: there is no plan, or the disk is full.
    """
    plan = open_plan(out)
    with disk_errors(plan.out, "try again"):
        write_whole(plan.cancelled, "")
    lines = []
    for path in sorted((plan.home / "engines").glob("*.json")):
        try:
            note = parse_json(path.read_bytes())
            engine = choose_engine(note["engine"])
            with closing(engine.find(note["state"])) as handle:
                handle.cancel()
        except (PoseError, OSError, ValueError, KeyError, TypeError) as error:
            lines.append(f"{path}: its workers could not be told ({error}); they stop after a heartbeat")
    return lines
