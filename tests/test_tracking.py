"""Tracking of stored predictions: pose track, and the same in Python."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pose_core
from pose_core.errors import ConfigError, DataError, PluginError
from pose_core.interfaces import PredictionsHeader, Tracker, open_predictions
from pose_core.interfaces.prediction_files import make_writer
from pose_core.structures import Frame, Instances, Skeleton
from pose_core.synthetic.crowd import CROWD_SKELETON, Crowd, CrowdSpec
from pose_core.tracking.choose import Tracking
from pose_core.tracking.follow import TrackedFrames

EASY = CrowdSpec(frames=120, animals=3, lost=0.05)
NAMED = replace(CROWD_SKELETON, individuals=("anna", "bert", "carl"))


def store(
    path: Path, frames: Sequence[Frame], format: str = "parquet", skeleton: Skeleton = CROWD_SKELETON
) -> Path:
    header = PredictionsHeader(skeleton, f"{path.stem}.mp4", len(frames), 800, 800, 30.0, "model", "run")
    make_writer(format).write(path, header, frames)
    return path


def read(path: Path) -> list[Frame]:
    return list(open_predictions(path))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return store(tmp_path / "clip.parquet", list(Crowd(EASY).found()))


def test_pose_track_gives_as_many_tracks_as_animals_and_prints_the_result(pose: Any, clip: Path) -> None:
    done = pose("track", str(clip), "--animals", "3", "--out", "tracks")
    assert done.stdout.splitlines() == ["tracks/clip.parquet"]
    assert "3 tracks in 120 frames" in done.stderr
    tracks = {
        i for frame in read(clip.parent / "tracks/clip.parquet") for i in frame.instances.track.tolist()
    }
    assert tracks - {-1} == {0, 1, 2}


def test_coordinates_and_scores_stay_as_they_are(clip: Path, tmp_path: Path) -> None:
    pose_core.track(clip, tmp_path / "out", animals=3)
    for before, after in zip(read(clip), read(tmp_path / "out/clip.parquet"), strict=True):
        for name in ("keypoints", "keypoint_scores", "scores", "boxes"):
            one, other = getattr(before.instances, name), getattr(after.instances, name)
            assert np.array_equal(one, other, equal_nan=True), name
        assert before.index == after.index


def test_no_frame_has_more_tracks_than_animals_and_none_twice(tmp_path: Path) -> None:
    crowded = store(
        tmp_path / "clip.parquet", list(Crowd(CrowdSpec(frames=200, animals=6, double=0.2)).found())
    )
    pose_core.track(crowded, tmp_path / "out", animals=3)
    for frame in read(tmp_path / "out/clip.parquet"):
        ids = frame.instances.track[frame.instances.track >= 0]
        assert len(ids) == len(set(ids.tolist())) <= 3


def test_fed_frame_by_frame_it_gives_the_same_ids(clip: Path, tmp_path: Path) -> None:
    pose_core.track(clip, tmp_path / "out")
    live = pose_core.FrameTracker(CROWD_SKELETON, width=800, height=800)
    for before, after in zip(read(clip), read(tmp_path / "out/clip.parquet"), strict=True):
        assert live.update(before).instances.track.tolist() == after.instances.track.tolist()


def test_more_frames_than_are_held_at_once_have_the_ids_of_frames_one_by_one(tmp_path: Path) -> None:
    """Some without animals, some left out, at the ends of blocks too."""
    found = list(Crowd(CrowdSpec(frames=700, animals=3, pull=1.0, lost=0.2, double=0.1)).found())
    none = Instances.empty(len(CROWD_SKELETON.keypoints))
    empty = {0, *range(250, 262), 400, 699}
    frames = [replace(f, instances=none) if f.index in empty else f for f in found if f.index % 37]
    header = PredictionsHeader(CROWD_SKELETON, "clip.mp4", 700, 800, 800, 30.0, "synthetic", "")
    live = pose_core.FrameTracker(CROWD_SKELETON, width=800, height=800)
    with TrackedFrames(lambda: frames, header, Tracking.choose(None, None)) as tracked:
        for one, given in zip(tracked.apply(frames), frames, strict=True):
            animals, other = one.instances, live.update(given).instances
            assert one.index == given.index
            assert np.array_equal(animals.keypoints, given.instances.keypoints, equal_nan=True)
            assert animals.track.tolist() == other.track.tolist()
            assert np.array_equal(animals.track_margins, other.track_margins, equal_nan=True)
        # The file was written anew in between.
        more = [replace(f, instances=found[50].instances) if f.index == 699 else f for f in frames]
        with pytest.raises(DataError, match=r"other animals than a moment ago \(frame 699\)"):
            list(tracked.apply(more))


def test_of_tracks_of_the_truth_nothing_is_wrong(tmp_path: Path) -> None:
    truth = store(tmp_path / "clip.parquet", list(Crowd(EASY).truth()))
    (outcome,) = pose_core.track(truth, tmp_path / "out", animals=3, truth=truth)
    assert outcome is not None
    assert outcome.metrics is not None
    for scores in (outcome.metrics.keypoints, outcome.metrics.boxes):
        assert scores.hota == scores.idf1 == scores.mota == 1.0
        assert scores.switches == scores.fragments == scores.missed == scores.false == 0


@pytest.mark.long
def test_truth_is_printed_as_a_table_and_as_json(pose: Any, clip: Path, tmp_path: Path) -> None:
    truth = store(tmp_path / "truth.parquet", list(Crowd(EASY).truth()))
    done = pose("track", str(clip), "--animals", "3", "--truth", str(truth), "--out", "out")
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["SIMILARITY", "keypoints", "boxes"]
    done = pose("track", str(clip), "--truth", str(truth), "--out", "out", "--overwrite", "--json")
    (made,) = json.loads(done.stdout)
    assert made["metrics"]["keypoints"]["hota"] > 0.7
    assert made["counts"]["frames"] == 120


@pytest.mark.parametrize(
    ("format", "name"), [("dlc-h5", "clip.h5"), ("slp", "clip.slp"), ("dlc-csv", "clip.csv")]
)
def test_predictions_of_other_tools_are_tracked(tmp_path: Path, format: str, name: str) -> None:
    # Each frame in another order: columns (DeepLabCut's) say nothing of who is who.
    frames = list(Crowd(replace(EASY, double=0, lost=0)).found())
    stored = store(tmp_path / name, frames, format, NAMED)
    (outcome,) = pose_core.track(stored, tmp_path / "out", animals=3, format=format)
    assert outcome is not None
    assert outcome.counts.tracks == 3
    parquet = pose_core.track(stored, tmp_path / "out", animals=3)[0]
    assert parquet is not None
    # What is read back has the same animals in the same columns.
    for one, other in zip(read(outcome.result), read(parquet.result), strict=True):
        assert _by_place(one.instances) == _by_place(other.instances)


def _by_place(animals: Instances) -> dict[str, int]:
    points = np.nan_to_num(animals.keypoints)
    return {str(p.round(2).tolist()): int(i) for p, i in zip(points, animals.identity, strict=True)}


def test_a_folder_is_tracked_at_once_and_what_is_no_prediction_is_named(pose: Any, tmp_path: Path) -> None:
    folder = tmp_path / "predictions"
    folder.mkdir()
    for number in range(2):
        store(folder / f"clip{number}.parquet", list(Crowd(replace(EASY, seed=number, frames=20)).found()))
    (folder / "notes.txt").write_text("night 3")
    done = pose("track", "predictions", "--out", "out")
    assert done.stdout.splitlines() == ["out/clip0.parquet", "out/clip1.parquet"]
    assert "left out: notes.txt" in done.stderr


def test_one_spoilt_file_does_not_stop_the_others(pose: Any, tmp_path: Path) -> None:
    frames = list(Crowd(replace(EASY, frames=20)).found())
    good = store(tmp_path / "good.parquet", frames)
    nameless = store(tmp_path / "other.parquet", frames)
    done = pose("track", str(nameless), str(good), "--tracker", "identity", "--out", "out")
    assert done.returncode == 2
    assert done.stderr.count("needs identities") == 2


def test_frames_that_could_not_be_decoded_stay_marked(tmp_path: Path) -> None:
    frames = list(Crowd(replace(EASY, frames=30)).found())
    frames[10] = Frame.absent(10, CROWD_SKELETON, "damaged")
    frames[11] = Frame(11, Instances.empty(12))
    stored = store(tmp_path / "clip.parquet", frames)
    pose_core.track(stored, tmp_path / "out", animals=3)
    after = read(tmp_path / "out/clip.parquet")
    assert after[10].missing == "damaged"
    assert not len(after[11].instances)
    assert len(after) == 30


def test_a_video_without_animals_has_no_tracks(tmp_path: Path) -> None:
    stored = store(tmp_path / "clip.parquet", [Frame(i, Instances.empty(12)) for i in range(5)])
    (outcome,) = pose_core.track(stored, tmp_path / "out", animals=2)
    assert outcome is not None
    assert outcome.counts.tracks == 0
    assert len(read(outcome.result)) == 5


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--tracker", "orks"], "no tracker 'orks'"),
        (["--tracker", "{type: oks, gaet: 2}"], "gaet"),
        (["--animals", "0"], "must be at least 1"),
        (["--format", "xlsx"], "xlsx"),
        (["--truth", "clip.parquet"], "without track and identity"),
    ],
)
def test_what_cannot_be_is_one_line(pose: Any, clip: Path, options: list[str], line: str) -> None:
    done = pose("track", clip.name, "--out", "out", *options)
    assert done.returncode == 2
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1 or "--truth" in options


def test_a_result_does_not_replace_its_predictions_or_another_file(pose: Any, clip: Path) -> None:
    done = pose("track", clip.name, "--out", ".", "--overwrite")
    assert "would replace what is read" in done.stderr
    pose("track", clip.name, "--out", "out")
    done = pose("track", clip.name, "--out", "out")
    assert "exists; add --overwrite" in done.stderr


def test_frames_out_of_order_are_refused_live(clip: Path) -> None:
    live = pose_core.FrameTracker(CROWD_SKELETON)
    frames = read(clip)
    live.update(frames[4])
    with pytest.raises(DataError, match="frame 4 comes after frame 4"):
        live.update(frames[4])
    with pytest.raises(ConfigError, match="at least 1"):
        pose_core.FrameTracker(CROWD_SKELETON, animals=0)


def test_the_result_says_how_it_was_tracked(clip: Path, tmp_path: Path) -> None:
    pose_core.track(clip, tmp_path / "out", tracker={"type": "oks", "track_buffer": 7}, animals=3)
    made = json.loads(open_predictions(tmp_path / "out/clip.parquet").header.metadata["tracker"])
    assert (made["type"], made["track_buffer"], made["animals"]) == ("tracking/oks", 7, 3)


def test_tracking_imports_no_torch(clip: Path) -> None:
    program = (
        "import sys, pose_core\n"
        f"pose_core.track({str(clip)!r}, {str(clip.parent / 'out')!r}, animals=3)\n"
        "print({'torch', 'lightning', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_tracker_that_breaks_its_promise_is_named(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(Tracker):
        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, state: Any) -> None: ...

        def update(self, frame: int, instances: Instances) -> np.ndarray[Any, Any]:
            return np.zeros(len(instances), np.int64)

    monkeypatch.setattr("pose_core.tracking.live.make_tracker", Wrong)
    frames = [frame for frame in read(clip) if len(frame.instances) > 1]
    with pytest.raises(PluginError, match="one id to two animals"):
        pose_core.FrameTracker(CROWD_SKELETON).update(frames[0])


def test_the_files_of_a_folder_are_not_taken_twice(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="given twice"):
        pose_core.track([clip.parent, clip], tmp_path / "out")


def test_nothing_is_left_of_a_result_that_cannot_be_written(tmp_path: Path) -> None:
    frames = list(Crowd(replace(EASY, frames=20, double=0, lost=0)).found())
    stored = store(tmp_path / "clip.parquet", frames)
    # One individual in the skeleton, so one set of columns.
    with pytest.raises(DataError, match="write the format parquet"):
        pose_core.track(stored, tmp_path / "out", animals=3, format="dlc-h5")
    assert list((tmp_path / "out").iterdir()) == []
