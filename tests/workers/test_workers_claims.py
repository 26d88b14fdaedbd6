"""Claims and parts: one owner at a time, dead owners are followed, and what is on disk covers the frames."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_core.errors import ConfigError
from pose_core.interfaces import PredictionsHeader
from pose_core.io import files
from pose_core.io.files import NoLinksError, link_in_place, support_links
from pose_core.specs import EngineConfig
from pose_core.structures import Frame, Instances, Skeleton
from pose_core.workers.claims import TRIES, Claims
from pose_core.workers.disk import Disk
from pose_core.workers.parts import (
    DamagedPartError,
    Part,
    cover,
    list_parts,
    name_range,
    publish,
    read_frames,
    read_header,
    read_last_decoded,
)
from pose_core.workers.plan import choose_part
from pose_core.workers.processes import describe_process, is_gone

STALE = 100.0
SKELETON = Skeleton(("nose", "tail"))
HEADER = PredictionsHeader(SKELETON, "clip.mp4", 40, 64, 48, 30.0, "tiny", "run", {"scorer": "me"})


def make_claims(folder: Path, worker: str = "one", **owner: object) -> Claims:
    (folder / "claims").mkdir(exist_ok=True)
    return Claims(folder / "claims", folder / f"{worker}.clock", STALE, {"worker": worker, **owner})


def make_frames(first: int, count: int) -> list[Frame]:
    rng = np.random.default_rng(first)
    return [
        Frame(i, Instances.from_keypoints(rng.uniform(0, 40, (1, 2, 2)).astype(np.float32)))
        for i in range(first, first + count)
    ]


def test_one_worker_has_a_range_at_a_time(tmp_path: Path) -> None:
    one, other = make_claims(tmp_path), make_claims(tmp_path, "other")
    held = one.take("clip", "r", None)
    assert held is not None
    assert other.take("clip", "r", None) is None, "a claim was made twice"
    (seen,) = other.look("clip").values()
    assert seen.live is not None
    assert seen.live["worker"] == "one"
    assert other.take("clip", "r", seen) is None
    held.give_back()
    assert other.look("clip") == {}
    assert other.take("clip", "r", None) is not None


@pytest.mark.parametrize("clock", [0.0, 3600.0, -3600.0])
def test_only_the_clock_of_the_file_server_tells_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: float
) -> None:
    """The clock of a worker's machine may be wrong by an hour."""
    import time

    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + clock)
    one, other = make_claims(tmp_path), make_claims(tmp_path, "other")
    held = one.take("clip", "r", None)
    assert held is not None
    server = one.read_clock()
    os.utime(held.path, (server - STALE + 20, server - STALE + 20))
    assert other.look("clip")["r"].live is not None
    os.utime(held.path, (server - STALE - 20, server - STALE - 20))
    seen = other.look("clip")["r"]
    assert (seen.live, seen.tries) == (None, 1)
    taken = other.take("clip", "r", seen)
    assert taken is not None
    assert taken.path.name == "r.2"
    held.touch()
    assert one.look("clip")["r"].live == other.owner, "the former owner has it again"


def test_a_folder_that_a_join_removes_meanwhile_is_no_error(tmp_path: Path) -> None:
    """Else a worker that looked a moment earlier would end with a traceback."""

    class Joined(Disk):
        def make_folder(self, path: Path) -> None:
            super().make_folder(path)
            self.remove_folder(path)

    claims = make_claims(tmp_path)
    late = Claims(claims.folder, claims.clock, STALE, {"worker": "late"}, disk=Joined())
    assert late.take("clip", "r", None) is None
    (tmp_path / "claims").rmdir()
    with pytest.raises(FileNotFoundError):
        late.take("clip", "r", None)


def test_what_failed_three_times_is_set_aside_with_the_reason(tmp_path: Path) -> None:
    claims = make_claims(tmp_path)
    for number in range(1, TRIES + 1):
        seen = claims.look("clip").get("r")
        held = claims.take("clip", "r", seen)
        assert held is not None
        held.fail(f"try {number}: no such codec")
    seen = claims.look("clip")["r"]
    assert seen.set_aside
    assert seen.reason == "try 3: no such codec"
    assert claims.take("clip", "r", seen) is None
    claims.forget_failures("clip")
    assert claims.take("clip", "r", claims.look("clip").get("r")) is not None


def test_a_final_failure_is_not_tried_again(tmp_path: Path) -> None:
    claims = make_claims(tmp_path)
    held = claims.take("clip", "r", None)
    assert held is not None
    held.fail("another file", final=True)
    assert claims.look("clip")["r"].set_aside


def test_forgetting_failures_leaves_the_living_alone(tmp_path: Path) -> None:
    claims = make_claims(tmp_path)
    held = claims.take("clip", "r", None)
    assert held is not None
    held.fail("first")
    again = claims.take("clip", "r", claims.look("clip")["r"])
    assert again is not None
    claims.forget_failures("clip")
    assert [p.name for p in (tmp_path / "claims" / "clip").iterdir()] == ["r.2"]
    assert claims.look("clip")["r"].live is not None


def test_a_dead_process_of_this_machine_is_followed_at_once(tmp_path: Path) -> None:
    program = (
        "import json, sys; from pose_core.workers.processes import describe_process\n"
        "print(json.dumps(describe_process()), flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    described: dict[str, Any] = json.loads(process.stdout.readline())
    if not described["machine"]:
        pytest.skip("this system does not say which processes run")
    one, other = make_claims(tmp_path, "one", **described), make_claims(tmp_path, "other")
    assert one.take("clip", "r", None) is not None
    assert other.look("clip")["r"].live is not None
    process.send_signal(signal.SIGKILL)
    # Killed and not yet buried by its parent: it does nothing more all the same.
    while not is_gone(described):
        pass
    seen = other.look("clip")["r"]
    assert seen.live is None
    assert f"process {described['pid']}" in seen.reason
    process.communicate()
    assert is_gone(described)


def test_only_processes_of_this_machine_are_judged() -> None:
    mine = describe_process()
    assert not is_gone(mine)
    assert not is_gone({**mine, "machine": "another boot", "pid": 2**22 + 1})
    assert is_gone({**mine, "started": "1"}), "its number was given to another process"


def test_eight_processes_make_every_claim_once(tmp_path: Path) -> None:
    (tmp_path / "claims").mkdir()
    program = (
        "import sys; from pathlib import Path; from pose_core.workers.claims import Claims\n"
        "root, name = Path(sys.argv[1]), sys.argv[2]\n"
        "claims = Claims(root / 'claims', root / f'{name}.clock', 100.0, {'worker': name})\n"
        "sys.stdin.read()\n"
        "print(*(i for i in range(150) if claims.take('clip', str(i), claims.look('clip').get(str(i)))))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), str(n)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(8)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    taken = [int(i) for process in processes for i in process.communicate()[0].split()]
    assert sorted(taken) == list(range(150))


def test_the_first_part_counts_and_nothing_half_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    first, second = make_frames(0, 8), make_frames(100, 8)
    second = [Frame(i, frame.instances) for i, frame in enumerate(second)]
    assert publish(folder, 0, "0" * 8, "one", HEADER, first, {"sizes": "64x48"})
    assert not publish(folder, 0, "0" * 8, "other", HEADER, second, {"sizes": "64x48"})
    (part,) = list_parts(folder, "0" * 8)
    assert [p.name for p in folder.iterdir()] == [part.path.name]
    header, notes = read_header(part)
    assert header == HEADER
    assert notes == {"sizes": "64x48"}
    np.testing.assert_array_equal(
        next(read_frames(cover([part], 0, 7)[0])).instances.keypoints, first[0].instances.keypoints
    )
    assert list_parts(folder, "1" * 8) == [], "parts of another run are used"


def test_a_link_whose_answer_was_lost_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system repeats a call that it got no answer to, and finds the name taken, by itself."""
    true = os.link

    def link(source: Path, target: Path) -> None:
        true(source, target)
        raise FileExistsError(errno.EEXIST, "File exists", str(source), str(target))

    monkeypatch.setattr(os, "link", link)
    one = tmp_path / "one.new"
    one.write_text("mine")
    assert link_in_place(one, tmp_path / "final")
    monkeypatch.undo()
    other = tmp_path / "other.new"
    other.write_text("theirs")
    assert not link_in_place(other, tmp_path / "final")
    assert (tmp_path / "final").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["final"]


def test_a_file_system_without_links_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert support_links(tmp_path)

    def link(source: Path, target: Path) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(files.os, "link", link)
    assert not support_links(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "one").touch()
    with pytest.raises(NoLinksError):
        link_in_place(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize("size", [0, 100, None])
def test_a_damaged_part_is_named_and_removed(tmp_path: Path, size: int | None) -> None:
    folder = tmp_path / "clip"
    publish(folder, 0, "0" * 8, "one", HEADER, make_frames(0, 8), {"sizes": "64x48"})
    (part,) = list_parts(folder, "0" * 8)
    content = part.path.read_bytes()
    # Cut off, or whole and of other frames than its name says.
    if size is None:
        renamed = Part(0, 9, folder / f"{name_range(0, 9)}.{'0' * 8}.parquet")
        part.path.rename(renamed.path)
        part = renamed
    else:
        part.path.write_bytes(content[:size])
    reaches, _ = cover([part], 0, part.last)
    with pytest.raises(DamagedPartError, match=part.path.name):
        list(read_frames(reaches))
    assert list_parts(folder, "0" * 8) == []


def test_the_last_decoded_frame_may_lie_parts_before(tmp_path: Path) -> None:
    missing = [Frame.absent(i, SKELETON, "damaged") for i in range(8, 12)]
    publish(tmp_path / "clip", 0, "0" * 8, "one", HEADER, make_frames(0, 8), {})
    publish(tmp_path / "clip", 8, "0" * 8, "one", HEADER, missing, {})
    reaches, due = cover(list_parts(tmp_path / "clip", "0" * 8), 0, 11)
    last = read_last_decoded(reaches)
    assert due == 12
    assert last is not None
    assert last.index == 7


@given(st.data())
def test_a_cover_is_without_gap_and_as_long_as_the_parts_allow(data: st.DataObject) -> None:
    spans = data.draw(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=12))
    parts = sorted(Part(first, first + more, Path(str(i))) for i, (first, more) in enumerate(spans))
    first = data.draw(st.integers(0, 30))
    last = data.draw(st.integers(first, 45))
    reaches, due = cover(parts, first, last)
    held = {place for part in parts for place in range(part.first, part.last + 1)}
    expected = first
    while expected in held:
        expected += 1
    # Beyond the last place it may end with the part that holds that one.
    assert due == expected if due <= last else expected >= due
    at = first
    for reach in reaches:
        assert reach.first == at
        assert reach.part.first <= at <= reach.part.last
        at = reach.part.last + 1
    assert at == due


@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=5),
    st.integers(1, 64),
    st.integers(1, 100),
    st.none() | st.integers(1, 10**5),
)
def test_ranges_end_between_batches(frames: list[int], batch: int, workers: int, wanted: int | None) -> None:
    part = choose_part(frames, batch, workers, wanted)
    assert part >= batch
    assert part % batch == 0
    if wanted is not None:
        assert abs(part - max(wanted, batch)) <= batch


def test_signs_of_life_must_come_before_the_end_of_patience() -> None:
    with pytest.raises(ValueError, match="less than two heartbeats"):
        EngineConfig(heartbeat=10, stale=15)
    from pose_core.workers.engines import choose_engine

    with pytest.raises(ConfigError, match="no engine 'slurmm' is installed"):
        choose_engine("slurmm")
    with pytest.raises(ConfigError, match="hartbeat"):
        choose_engine("{type: local, hartbeat: 3}")
