"""What workers refuse, by name, and what they set aside, with the reason."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shared_work import (
    Watcher,
    do_before_each_part,
    list_claims,
    plan_work,
)
from tiny_run import make_run

from pose_core.errors import PoseError, VideoError
from pose_core.pipeline.engine import Pipeline
from pose_core.prediction.predict import predict
from pose_core.prediction.result import Outcome
from pose_core.prediction.worker import work
from pose_core.synthetic.videos import write_numbered_video
from pose_core.workers.plan import Plan
from pose_core.workers.status import read_status


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: make_run(run, seed=1), "the weights of the run"),
        (
            lambda run: (run / "config.yaml").write_text(
                (run / "config.yaml").read_text().replace("threshold: 0.0", "threshold: 0.5")
            ),
            "the model, or the way of using it",
        ),
        (
            lambda run: (run / "config.yaml").write_text(
                (run / "config.yaml").read_text().replace("batch_size: 4", "batch_size: 8")
            ),
            "the model, or the way of using it",
        ),
    ],
)
def test_a_run_that_changed_is_refused_before_a_frame_is_read(
    elsewhere: Any, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, said: str
) -> None:
    run = make_run(tmp_path / "run")
    out = tmp_path / "out"
    plan = plan_work(run, clips, out)
    content = (run / "config.yaml").read_bytes()
    shutil.rmtree(run) if "weights" in said else None
    change(run)
    assert "weights" in said or (run / "config.yaml").read_bytes() != content
    monkeypatch.setattr(Pipeline, "run", None)
    with pytest.raises(PoseError, match=f"the plan was made with another state of .*{said}"):
        work(out)
    with pytest.raises(PoseError, match=f"holds unfinished work that differs in .*{said}"):
        predict(run, clips, out, device="cpu", engine="local")
    assert not list_claims(plan)


def test_another_version_of_a_plugin_is_refused(plan: Plan, tmp_path: Path) -> None:
    path = plan.home / "plan.json"
    content = json.loads(path.read_text())
    assert set(content["maker"]["plugins"]) == {"heatmap", "unet"}
    content["maker"]["plugins"]["unet"] = "pose-unet 9.9"
    path.write_text(json.dumps(content))
    with pytest.raises(PoseError, match=r"the version of a plugin \(unet: pose-unet 9.9, now pose-unet "):
        work(tmp_path)


def test_a_video_that_was_replaced_is_refused_and_the_others_are_predicted(
    elsewhere: Any, run: Path, clips: list[Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    copies = [Path(shutil.copy2(clip, tmp_path / clip.name)) for clip in clips]
    out = tmp_path / "out"
    plan_work(run, copies, out)
    write_numbered_video(copies[1], 50)
    assert work(out)
    status = read_status(out)
    assert [video.state for video in status.videos] == ["done", "set aside", "done"]
    assert status.videos[1].reason.startswith("has changed since the plan was made")
    watcher = Watcher()
    outcomes = predict(run, copies, out, device="cpu", reporter=watcher, finished=watcher.finished)
    # The plan is over, so the new video is predicted as any other.
    assert [isinstance(outcome, Outcome) and outcome.frames for outcome in outcomes] == [60, 50, 30]


def test_a_video_that_is_replaced_between_two_ranges_is_noticed(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = Path(shutil.copy2(clips[0], tmp_path / "clip.mp4"))
    plan_work(run, [clip], tmp_path / "out")
    do_before_each_part(monkeypatch, lambda: os.utime(clip, (1, 1)))
    assert work(tmp_path / "out")
    (video,) = read_status(tmp_path / "out").videos
    assert video.state == "set aside"
    assert video.done == 8
    assert video.reason.startswith("has changed since the plan was made")


def test_a_video_that_fails_is_set_aside_after_three_tries(
    pose: Any, elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_work(run, clips, tmp_path / "out")
    true = Pipeline.run
    tries = 0

    def fail(self: Pipeline, source: Any, *rest: Any) -> Iterator[Any]:
        nonlocal tries
        if source.video.name == "two.mp4":
            tries += 1
            raise VideoError(f"{source.video}: the decoder gave up")
        yield from true(self, source, *rest)

    monkeypatch.setattr(Pipeline, "run", fail)
    assert work(tmp_path / "out")
    assert tries >= 3
    status = pose("status", "out")
    assert status.returncode == 2, status.stdout
    (line,) = [line for line in status.stdout.splitlines() if "two.mp4" in line]
    assert "set aside" in line
    assert "the decoder gave up" in line
    # The same command tries it anew.
    monkeypatch.undo()
    watcher = Watcher()
    outcomes = predict(
        run, clips, tmp_path / "out", device="cpu", reporter=watcher, finished=watcher.finished
    )
    assert all(isinstance(outcome, Outcome) for outcome in outcomes)


def test_what_no_file_explains_ends_a_worker_after_three_times(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Pipeline, *arguments: Any) -> Iterator[Any]:
        raise RuntimeError("CUDA out of memory")
        yield

    monkeypatch.setattr(Pipeline, "run", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        work(tmp_path)
    status = read_status(tmp_path)
    assert not status.over, "one broken machine set videos aside"
    assert any("RuntimeError: CUDA out of memory" in video.reason for video in status.videos)
    assert [w.ended for w in status.workers if w.ended] == ["RuntimeError: CUDA out of memory"]


def test_a_range_on_which_nothing_comes_is_given_up(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_work(run, clips[:1], tmp_path)
    path = plan.home / "plan.json"
    content = json.loads(path.read_text())
    content["times"] |= {"hang": 0.5, "heartbeat": 0.1}
    path.write_text(json.dumps(content))
    true = Pipeline.run
    said: list[str] = []
    stop, woken = threading.Event(), threading.Event()

    def hang(self: Pipeline, source: Any, start: int = 0, *rest: Any) -> Iterator[Any]:
        if start == 16:
            assert woken.wait(60), "nobody saw that it hangs"
        yield from true(self, source, start, *rest)

    def wake(reason: str) -> None:
        said.append(reason)
        stop.set()
        woken.set()

    monkeypatch.setattr(Pipeline, "run", hang)
    work(tmp_path, stop=stop, hung=wake)
    assert len(said) == 1
    assert "no new batch came for" in said[0]
    (video,) = read_status(tmp_path).videos
    assert "no new batch came for" in video.reason


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "slurmm"}, "no engine 'slurmm' is installed"),
        ({"engine": "{type: local, hartbeat: 1}"}, "hartbeat"),
        ({"engine": {"type": "local", "gpus": [7]}}, "there is no GPU 7"),
        ({"workers": 3}, "is for an engine; add engine=NAME"),
        ({"engine": "local", "workers": 0}, "must be at least 1"),
    ],
)
def test_what_cannot_be_meant_is_a_line(
    run: Path, clips: list[Path], tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(PoseError, match=said):
        predict(run, clips, tmp_path / "out", device="cpu", **options)


def test_commands_without_a_plan_say_how_to_make_one(pose: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for command in ("status", "cancel", "worker"):
        line = pose.refuses(command, "out")
        assert "holds no plan of work to share; make one with 'pose predict RUN VIDEO --out" in line
