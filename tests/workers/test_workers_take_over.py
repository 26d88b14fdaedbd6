"""What one process began and did not finish is finished by workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shared_work import Watcher, plan_work, read_folder, watch_frames

from pose_core.errors import PoseError
from pose_core.io.locks import FolderLock
from pose_core.pipeline.engine import Pipeline
from pose_core.prediction.predict import predict
from pose_core.prediction.worker import work
from pose_core.workers.status import read_status


class Stopped(Exception):
    """Raised by a test in the middle of a prediction."""


def begin(run: Path, clips: list[Path], out: Path, batches: int, **options: Any) -> None:
    """Predict without an engine, and stop after some batches."""
    true = Pipeline.run

    def stop(self: Pipeline, *arguments: Any) -> Iterator[Any]:
        for number, result in enumerate(true(self, *arguments)):
            if number == batches:
                raise Stopped
            yield result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pipeline, "run", stop)
        with pytest.raises(Stopped):
            predict(run, clips, out, device="cpu", **options)


@pytest.mark.parametrize("batches", [1, 3, 11])
def test_frames_that_one_process_kept_are_not_predicted_again(
    elsewhere: Any,
    run: Path,
    clips: list[Path],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batches: int,
) -> None:
    begin(run, clips, tmp_path, batches)
    watcher = Watcher()
    plan_work(run, clips, tmp_path, reporter=watcher)
    assert read_status(tmp_path).done == 4 * batches
    assert any(
        f"{4 * batches} frames were done before; going on from there" in line for line in watcher.notes
    )
    assert not list(tmp_path.glob(".*.partial"))
    seen = watch_frames(monkeypatch)
    assert work(tmp_path)
    assert len(seen) == len(set(seen)) == 134 - 4 * batches
    assert read_folder(tmp_path) == undisturbed


def test_killed_while_it_is_taken_over_nothing_is_lost(
    elsewhere: Any,
    run: Path,
    clips: list[Path],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The parts are in place, and the journal still there."""
    begin(run, clips, tmp_path, 5)
    monkeypatch.setattr("pose_core.prediction.journal.Journal.remove", lambda self: None)
    plan_work(run, clips, tmp_path)
    assert list(tmp_path.glob(".*.partial"))
    monkeypatch.undo()
    predict(run, clips, tmp_path, device="cpu")
    assert read_folder(tmp_path) == undisturbed
    assert not list(tmp_path.glob(".*.partial"))


def test_what_other_settings_made_is_discarded_with_a_note(
    elsewhere: Any, run: Path, clips: list[Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    begin(run, clips, tmp_path, 5, threshold=0.3)
    watcher = Watcher()
    plan_work(run, clips, tmp_path, reporter=watcher)
    assert any(
        "an unfinished result made with other settings (model) was discarded" in line
        for line in watcher.notes
    )
    assert read_status(tmp_path).done == 0
    assert work(tmp_path)
    assert read_folder(tmp_path) == undisturbed


def test_what_a_gpu_made_is_kept_and_named(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path
) -> None:
    """The process that makes a plan may be where no GPU is."""
    begin(run, clips[:1], tmp_path, 5)
    (journal,) = tmp_path.glob(".*.partial/journal.json")
    journal.write_text(json.dumps({**json.loads(journal.read_text()), "device": "cuda"}))
    plan_work(run, clips[:1], tmp_path)
    assert read_status(tmp_path).done == 20
    assert work(tmp_path)
    note = json.loads((tmp_path / "one.parquet.info").read_text())
    assert note["maker"]["device"] == "cpu+cuda"


def test_a_process_that_is_still_at_it_is_not_disturbed(
    elsewhere: Any, run: Path, clips: list[Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    begin(run, clips, tmp_path, 5)
    (partial,) = tmp_path.glob(".*.partial")
    lock = FolderLock(partial)
    try:
        with pytest.raises(PoseError, match="is working on the same result; wait for it"):
            plan_work(run, clips, tmp_path)
        assert sorted(partial.glob("*.parquet"))
        assert not (tmp_path / ".plan").exists()
    finally:
        lock.release()
    predict(run, clips, tmp_path, device="cpu")
    assert read_folder(tmp_path) == undisturbed
