"""Several processes predict into one folder: the results are those of one."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shared_work import (
    FRAMES,
    THREADS,
    Elsewhere,
    Nobody,
    Watcher,
    plan_work,
    read_folder,
    watch_frames,
)
from tiny_run import make_run

import pose_core
from pose_core.errors import ConfigError, PoseError
from pose_core.io.video_decoder import VideoDecoder
from pose_core.pipeline.engine import Pipeline
from pose_core.prediction.distribute import Pending, make_request
from pose_core.prediction.predict import predict
from pose_core.prediction.result import Outcome
from pose_core.prediction.worker import work
from pose_core.structures import Frame, Region
from pose_core.synthetic.videos import overwrite_bytes, write_numbered_video
from pose_core.tracking.choose import choose_tracker
from pose_core.workers.disk import Disk
from pose_core.workers.plan import Plan, open_plan
from pose_core.workers.status import read_status


def test_two_workers_make_what_one_process_makes(
    pose: Any, run: Path, clips: list[Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    engine = f"{{type: local, part_frames: 8, threads: {THREADS}}}"
    process = pose(
        *(
            "predict",
            run,
            *clips,
            "--out",
            "out",
            "--device",
            "cpu",
            "--engine",
            engine,
            "--workers",
            "2",
        ),
    )
    assert process.returncode == 0, process.stderr
    assert sorted(process.stdout.split()) == sorted(f"out/{Path(name).stem}.parquet" for name in FRAMES)
    assert read_folder(tmp_path / "out") == undisturbed
    rows = json.loads(pose("status", "out", "--json").stdout)
    assert (rows["done"], rows["frames"], rows["over"]) == (134, 134, True)
    assert sum(worker["frames"] for worker in rows["workers"]) == 134
    again = pose("predict", run, *clips, "--out", "out", "--device", "cpu", "--engine", engine)
    assert again.returncode == 0
    assert "is complete" in again.stderr


def test_a_plan_says_all_and_any_process_may_finish_it(
    elsewhere: Any, run: Path, clips: list[Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    watcher = Watcher()
    outcomes = predict(run, clips, tmp_path, device="cpu", engine="x", reporter=watcher)
    assert outcomes == [Pending(tmp_path / f"{Path(name).stem}.parquet") for name in FRAMES]
    status = read_status(tmp_path)
    assert (status.done, status.frames, status.over, status.rate) == (0, 134, False, 0)
    plan = open_plan(tmp_path)
    assert [list(video.ranges())[-1] for video in plan.videos] == [(56, 59), (40, 43), (24, 29)]
    # Without an engine, this process does the rest.
    outcomes = predict(run, clips, tmp_path, device="cpu", reporter=watcher)
    assert all(isinstance(outcome, Outcome) for outcome in outcomes)
    assert read_folder(tmp_path) == undisturbed
    assert watcher.steps[-1] == 134
    assert not any((plan.home / "parts").iterdir())
    assert not any((plan.home / "claims").iterdir())


def test_two_workers_share_and_do_not_repeat(
    plan: Plan, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watch_frames(monkeypatch)
    threads = [threading.Thread(target=work, args=(tmp_path,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == len(set(seen)) == 134, "a frame was predicted twice"
    assert read_folder(tmp_path) == undisturbed


def test_whether_decoding_may_begin_anywhere_is_tried_once_for_all_workers(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Path] = []
    true = VideoDecoder._find_obstacle

    def watch(self: VideoDecoder) -> str | None:
        tried.append(self.path)
        return true(self)

    monkeypatch.setattr(VideoDecoder, "_find_obstacle", watch)
    plan_work(run, clips, tmp_path)
    assert tried == clips
    assert work(tmp_path)
    assert tried == clips


def test_a_second_start_of_the_command_works_on_the_same_plan(
    plan: Plan, run: Path, clips: list[Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    watcher = Watcher()
    predict(run, clips, tmp_path, device="cpu", engine="local", workers=7, reporter=watcher)
    assert open_plan(tmp_path) == plan
    assert len(list((plan.home / "engines").iterdir())) == 2
    work(tmp_path)
    assert read_folder(tmp_path) == undisturbed


@pytest.mark.parametrize("needs_images", [False, True])
def test_trackers_run_where_parts_are_joined(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path, needs_images: bool
) -> None:
    one, out = tmp_path / "one", tmp_path / "out"
    trackers = pose_core.catalog.get_catalog().components("tracker")
    chosen = [
        t.full_name for t in trackers if ("images" in choose_tracker(t.full_name).needs()) == needs_images
    ]
    options = {"tracker": chosen[0], "animals": 1}
    predict(run, clips[:1], one, device="cpu", **options)
    plan_work(run, clips[:1], out, **options)
    assert work(out)
    assert read_folder(out) == read_folder(one)


def test_regions_frames_images_and_stages_that_look_back(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path
) -> None:
    """What is predicted of a source, and how it must be read, is in the plan."""
    images = tmp_path / "images"
    images.mkdir()
    import cv2

    from pose_core.synthetic.videos import draw_number

    for number in range(10):
        cv2.imwrite(str(images / f"{number}.png"), draw_number(number))
    cases: list[tuple[list[Path], dict[str, Any], set[int]]] = [
        (clips[:2], {"region": {"left": (0, 0, 32, 48), "right": "32,0,64,48"}}, {8}),
        (clips[:2], {"frames": "4-40:3"}, {8}),
        ([images], {}, {0}),
        ([images / "3.png", images / "1.png"], {}, {0}),
        (clips[:2], {"settings": {"inference.threshold": 0.1}, "batch_size": 2, "format": "parquet"}, {8}),
    ]
    for number, (paths, options, sizes) in enumerate(cases):
        one, out = tmp_path / f"one{number}", tmp_path / f"out{number}"
        predict(run, paths, one, device="cpu", **options)
        plan = plan_work(run, paths, out, **options)
        assert {video.part for video in plan.videos} == sizes
        assert work(out)
        assert read_folder(out) == read_folder(one)


def test_a_stage_that_looks_back_goes_on_from_the_frame_before(
    elsewhere: Any, tmp_path: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    one, out = tmp_path / "one", tmp_path / "out"
    predict(run, clips[:1], one, device="cpu", follow=True)
    plan = plan_work(run, clips[:1], out, follow=True)
    assert plan.videos[0].part == 0
    previous: list[Frame | None] = []
    true = Pipeline.run
    stop = threading.Event()

    def watch(self: Pipeline, source: Any, start: int, timing: Any, before: Any, *rest: Any) -> Iterator[Any]:
        previous.append(before)
        for number, result in enumerate(true(self, source, start, timing, before, *rest)):
            yield result
            if number == 4:
                stop.set()

    monkeypatch.setattr(Pipeline, "run", watch)
    work(out, stop=stop)
    assert work(out)
    assert previous[0] is None
    assert previous[1] is not None
    assert previous[1].index % 4 == 3
    assert read_folder(out) == read_folder(one)


def test_a_damaged_video_gives_the_same_frames_wherever_a_range_begins(
    elsewhere: Any, run: Path, tmp_path: Path
) -> None:
    video = tmp_path / "damaged.mp4"
    packets = write_numbered_video(video, 60)
    for at in (17, 40):
        overwrite_bytes(video, packets[at][0], packets[at][1] // 2)
    one, out = tmp_path / "one", tmp_path / "out"
    watcher, other = Watcher(), Watcher()
    (expected,) = predict(run, [video], one, device="cpu", reporter=watcher)
    plan_work(run, [video], out)
    assert work(out)
    (outcome,) = predict(run, [video], out, device="cpu", engine="local", reporter=other)
    assert isinstance(expected, Outcome)
    assert isinstance(outcome, Outcome)
    assert outcome.missing == expected.missing
    assert read_folder(out) == read_folder(one)
    record = open_plan(out).read_done(open_plan(out).videos[0])
    assert record is not None
    assert [tuple(each) for each in record["doubtful"]] == expected.doubtful


def test_a_finished_plan_makes_room_for_another(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path
) -> None:
    plan_work(run, clips[:1], tmp_path)
    with pytest.raises(PoseError, match=r"differs in the videos, or which of their frames"):
        predict(run, clips, tmp_path, device="cpu", engine="local")
    work(tmp_path)
    plan = plan_work(run, clips, tmp_path)
    assert [video.stem for video in plan.videos] == ["two", "three"]
    assert work(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.parquet")) == [
        "one.parquet",
        "three.parquet",
        "two.parquet",
    ]
    again = plan_work(run, clips[:1], tmp_path, overwrite=True)
    assert [video.stem for video in again.videos] == ["one"]
    assert work(tmp_path)


def test_where_links_are_unknown_one_worker_works_alone(
    run: Path,
    clips: list[Path],
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    elsewhere: Any,
) -> None:
    def link(source: Path, target: Path) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    started: list[int] = []
    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(
        Elsewhere, "start", lambda self, plan, workers: started.append(workers) or Nobody(plan.logs)
    )
    watcher = Watcher()
    predict(run, clips, tmp_path, device="cpu", engine="local", workers=5, reporter=watcher)
    assert started == [1]
    assert any("knows no hard links, so only one worker" in line for line in watcher.notes)
    assert work(tmp_path)
    assert read_folder(tmp_path) == undisturbed


def test_500_videos_are_planned_and_looked_at_quickly(
    elsewhere: Any, run: Path, clips: list[Path], tmp_path: Path
) -> None:
    """One opened file each, and a few listings of folders: no more than that grows with the number of videos."""
    videos = [tmp_path / f"{number:03d}.avi" for number in range(500)]
    for video in videos:
        os.link(clips[2], video)
    plan = plan_work(run, videos, tmp_path / "out")
    assert len(plan.videos) == 500
    listed: list[Path] = []
    true = Disk.list_names

    def list_names(self: Disk, folder: Path) -> list[str]:
        listed.append(folder)
        return true(self, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Disk, "list_names", list_names)
        read_status(tmp_path / "out")
    assert 0 < len(listed) <= 2 * len(videos)


def test_requests_that_cannot_be_told_are_refused() -> None:
    plain = make_request({"region": Region(0, 8, 2, 6), "tiles": (64, 16), "run": Path("run")}, animals=None)
    assert plain == {"load": {"region": [0, 2, 8, 6], "tiles": "64:16", "run": "run"}, "animals": None}
    with pytest.raises(ConfigError, match="cannot be told to other processes"):
        make_request({"settings": {"inference.threshold": object()}})


def test_of_plans_that_are_made_at_the_same_time_the_first_counts(
    elsewhere: Any, run: Path, clips: list[Path], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    plans: list[Plan] = []
    together = threading.Barrier(4)

    def begin() -> None:
        together.wait()
        plans.append(plan_work(run, clips, tmp_path))

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(plans) == 4
    assert all(plan == open_plan(tmp_path) for plan in plans)
    assert not list((tmp_path / ".plan").glob(".plan.*")), "a plan that came second is left"
    assert work(tmp_path)
    assert read_folder(tmp_path) == undisturbed


def test_what_a_power_cut_left_is_no_part_and_goes_with_the_others(
    plan: Plan, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    folder = plan.parts(plan.videos[0])
    folder.mkdir()
    (folder / ".0000000000-0000000059.vm-1-abc.new").write_bytes(b"PAR1 and no more")
    (folder / f"0000000000-0000000059.{'0' * 8}.parquet").write_bytes(b"of another plan")
    assert read_status(tmp_path).done == 0
    assert work(tmp_path)
    assert not folder.exists()
    assert read_folder(tmp_path) == undisturbed
