"""The simulated disk of benchmarks/ does what a disk does, and its clock is fair."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_core.workers.disk import Disk

NAMES = st.sampled_from(["a", "b", "folder/a", "folder/b", "missing/a"])
STEPS = st.one_of(
    st.tuples(st.just("make_folder"), st.sampled_from(["folder", "missing/folder"])),
    st.tuples(st.just("remove_folder"), st.just("folder")),
    st.tuples(st.just("list_names"), st.sampled_from(["folder", "missing"])),
    *(st.tuples(st.just(name), NAMES) for name in ("exists", "read", "remove", "touch")),
    *(st.tuples(st.just(name), NAMES, st.sampled_from(["", "x"])) for name in ("make_once", "write_whole")),
)


@pytest.fixture(scope="session")
def simulated(load_tool: Callable[..., Any]) -> Any:
    return load_tool("simulated_disk", "benchmarks")


def do(disk: Disk, root: Path, step: tuple[str, ...]) -> object:
    """What an operation gives."""
    try:
        given = getattr(disk, step[0])(root / step[1], *step[2:])
    except FileNotFoundError:
        return FileNotFoundError
    return sorted(given) if isinstance(given, list) else given


@settings(max_examples=50, deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_the_simulated_disk_does_what_a_disk_does(
    simulated: Any, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, ...]]
) -> None:
    root = tmp_path_factory.mktemp("disk")
    real, other = Disk(), simulated.SimulatedDisk(simulated.Clock(), 1000, 0.001)
    other.add_folder(root)
    for step in steps:
        assert do(other, root, step) == do(real, root, step), f"{step} of {steps}"


def test_greenlets_meet_at_the_server_one_after_the_other(simulated: Any) -> None:
    clock = simulated.Clock()
    disk = simulated.SimulatedDisk(clock, rate=10, latency=0.5)
    disk.add_folder(Path("/s"))
    made: list[tuple[float, bool]] = []

    def work() -> None:
        disk.begin("test")
        first = disk.make_once(Path("/s/file"), "")
        made.append((round(clock.now, 6), first))

    workers = [clock.start(work) for _ in range(3)]
    clock.kill(workers[2])
    clock.run()
    # Two requests each, of a tenth of a second, in turn; half a second more to each answer.
    assert made == [(1.2, True), (1.4, False)]
    assert disk.load.requests == {"test": 4}
    assert disk.load.busy == pytest.approx(0.4)
    assert clock.now == pytest.approx(1.4)
