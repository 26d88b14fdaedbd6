"""Filtering of stored tracks: pose filter, and the same in Python."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import pose_core
from pose_core.errors import DataError, PluginError
from pose_core.interfaces import PredictionsHeader, open_predictions
from pose_core.interfaces.prediction_files import make_writer
from pose_core.structures import Frame, Instances, Skeleton
from pose_core.synthetic.crowd import CROWD_SKELETON, Crowd, CrowdSpec
from pose_core.tracking import filtering

SKELETON = Skeleton(("nose", "tail"), individuals=("anna", "bert"), unique_keypoints=("corner",))
SMALL = CrowdSpec(frames=150, animals=3, lost=0.05, double=0)


def store(
    path: Path, frames: Sequence[Frame], skeleton: Skeleton = SKELETON, format: str = "parquet"
) -> Path:
    header = PredictionsHeader(skeleton, f"{path.stem}.mp4", len(frames), 800, 800, 30.0, "model", "run")
    make_writer(format).write(path, header, frames)
    return path


def read(path: Path) -> list[Frame]:
    return list(open_predictions(path))


def make_frames(length: int, gone: Sequence[int] = ()) -> list[Frame]:
    """Two animals that go straight, in changing order; the second is not found in some frames."""
    frames = []
    for t in range(length):
        points = np.array([[[t, 10], [t, 20]], [[100, 2 * t], [110, 2 * t]]], np.float32)
        order = [0] if t in gone else [1, 0] if t % 2 else [0, 1]
        animals = Instances.from_keypoints(points[order], keypoint_scores=np.full((len(order), 2), 0.8))
        frames.append(
            Frame(
                t,
                replace(animals, track=np.array([5, 2])[order]),
                unique_keypoints=np.array([[t, 0]], np.float32),
                unique_scores=np.array([0.9], np.float32),
                time=t / 30,
            )
        )
    return frames


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crowd")
    found = store(folder / "clip.parquet", list(Crowd(SMALL).found()), CROWD_SKELETON)
    (outcome,) = pose_core.track(found, folder / "tracks", animals=3)
    assert outcome is not None
    return outcome.result


def test_an_animal_that_was_not_found_is_filled_in_and_flagged(pose: Any, tmp_path: Path) -> None:
    stored = store(tmp_path / "clip.parquet", make_frames(20, gone=(7, 8, 15)))
    before = stored.read_bytes()
    done = pose("filter", stored.name, "--filter", "interpolate", "--out", "out")
    assert done.stdout.splitlines() == ["out/clip.parquet"]
    assert "0 moved, 0 removed; 6 filled in" in done.stderr
    assert stored.read_bytes() == before
    frames = read(tmp_path / "out/clip.parquet")
    for t in (7, 8, 15):
        animals = frames[t].instances
        assert animals.track.tolist() == [5, 2]
        assert animals.keypoints[1].tolist() == [[100, 2 * t], [110, 2 * t]]
        assert animals.keypoint_scores[1].tolist() == [0, 0]
        assert animals.scores[1] == 0
    table = pq.read_table(tmp_path / "out/clip.parquet").to_pandas()
    assert table.query("interpolated")[["frame", "track"]].to_numpy().tolist() == [[7, 2], [8, 2], [15, 2]]
    assert "interpolated" not in pq.read_schema(stored).names


def test_what_is_not_filtered_does_not_move(crowd: Path, tmp_path: Path) -> None:
    (outcome,) = pose_core.filter_predictions(crowd, tmp_path, filter="interpolate")
    assert outcome is not None
    assert outcome.counts.moved == outcome.counts.removed == 0 < outcome.counts.filled
    for one, other in zip(read(crowd), read(outcome.result), strict=True):
        kept = other.instances.select(np.arange(len(one.instances)))
        measured = one.instances.keypoint_scores > 0
        assert np.array_equal(one.instances.keypoints[measured], kept.keypoints[measured])
        assert np.array_equal(one.instances.keypoint_scores, kept.keypoint_scores)
        assert np.array_equal(one.instances.track, kept.track)


def test_settings_and_order_of_filters_count(tmp_path: Path) -> None:
    stored = store(tmp_path / "clip.parquet", make_frames(20, gone=range(5, 9)))
    short = pose_core.filter_predictions(
        stored, tmp_path / "a", filter=[{"type": "interpolate", "max_gap": 3}]
    )
    whole = pose_core.filter_predictions(stored, tmp_path / "b", filter=["median", "interpolate"])
    assert (short[0].counts.filled, whole[0].counts.filled) == (0, 8)  # type: ignore[union-attr]
    header = open_predictions(tmp_path / "b/clip.parquet").header
    assert [one["type"] for one in json.loads(header.metadata["filters"])] == [
        "smoothing/median",
        "smoothing/interpolate",
    ]
    again = pose_core.filter_predictions(tmp_path / "b/clip.parquet", tmp_path / "c", filter="kalman")
    # What was filled in is no measurement, and stays marked.
    assert again[0].counts.filled == 0  # type: ignore[union-attr]
    assert (read(tmp_path / "c/clip.parquet")[6].instances.keypoint_scores[1] == 0).all()
    header = open_predictions(tmp_path / "c/clip.parquet").header
    assert len(json.loads(header.metadata["filters"])) == 3


@pytest.mark.parametrize("names", [["median"], ["interpolate", "savgol"], ["kalman"]])
def test_where_windows_end_decides_nothing(
    crowd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    found = []
    for window in (16, 50, 100_000):
        monkeypatch.setattr(filtering, "WINDOW", window)
        (outcome,) = pose_core.filter_predictions(crowd, tmp_path / str(window), filter=names)
        assert outcome is not None
        found.append(read(outcome.result))
        assert outcome.counts.frames == SMALL.frames
    for frames in zip(*found, strict=True):
        for frame in frames[:2]:
            assert frame.instances.track.tolist() == frames[2].instances.track.tolist()
            one, other = frame.instances.keypoints, frames[2].instances.keypoints
            assert np.allclose(one, other, rtol=0, atol=0.02 if "kalman" in names else 1e-4, equal_nan=True)


def test_run_again_it_is_the_same_file(crowd: Path, tmp_path: Path) -> None:
    made = [
        pose_core.filter_predictions(crowd, tmp_path / name, filter=["interpolate", "kalman"])[0]
        for name in "ab"
    ]
    assert made[0].result.read_bytes() == made[1].result.read_bytes()  # type: ignore[union-attr]


def test_smoothed_tracks_are_nearer_to_the_truth(crowd: Path, tmp_path: Path) -> None:
    truth = list(Crowd(SMALL).truth())

    def measure(path: Path) -> float:
        apart = []
        for right, frame in zip(truth, read(path), strict=True):
            animals = frame.instances
            far = np.linalg.norm(animals.keypoints[:, None] - right.instances.keypoints[None], axis=-1)
            if len(animals):
                apart.append(np.nanmedian(far, axis=-1).min(axis=1).mean())
        return float(np.mean(apart))

    before = measure(crowd)
    for name in ("savgol", "kalman"):
        pose_core.filter_predictions(crowd, tmp_path / name, filter=name)
        assert measure(tmp_path / name / "clip.parquet") < 0.9 * before


def test_frames_that_are_missing_count_as_time_and_stay_missing(tmp_path: Path) -> None:
    frames = make_frames(20)
    frames[9] = Frame.absent(9, SKELETON, "damaged")
    frames[10] = Frame(10, Instances.empty(2), unique_keypoints=np.full((1, 2), np.nan, np.float32),
                       unique_scores=np.zeros(1, np.float32))  # fmt: skip
    stored = store(tmp_path / "clip.parquet", frames)
    pose_core.filter_predictions(stored, tmp_path / "out", filter=["interpolate", "savgol"])
    after = read(tmp_path / "out/clip.parquet")
    assert after[9].missing == "damaged"
    assert not len(after[9].instances)
    assert sorted(after[10].instances.track.tolist()) == [2, 5]
    row = after[10].instances.track.tolist().index(2)
    assert after[10].instances.keypoints[row, 0] == pytest.approx([100, 20], abs=1e-3)
    # Keypoints that exist once a frame are filtered as well.
    assert after[10].unique_keypoints[0] == pytest.approx([10, 0], abs=1e-3)
    assert after[10].unique_scores.tolist() == [0]


def test_numbers_far_apart_take_no_time(tmp_path: Path) -> None:
    frames = [
        replace(frame, index=frame.index + (10**9 if frame.index > 10 else 0)) for frame in make_frames(20)
    ]
    counts = filtering.FilterCounts()
    made = list(filtering.filter_frames(frames, [], "track", counts))
    assert [frame.index for frame in made] == [frame.index for frame in frames]


def test_identities_serve_where_there_are_no_tracks(tmp_path: Path) -> None:
    frames = make_frames(20, gone=(7,))
    named = [
        replace(
            f,
            instances=replace(f.instances, track=f.instances.track * 0 - 1, identity=f.instances.track // 3),
        )
        for f in frames
    ]
    stored = store(tmp_path / "clip.h5", named, format="dlc-h5")
    (outcome,) = pose_core.filter_predictions(stored, tmp_path / "out", filter="interpolate", format="dlc-h5")
    assert outcome is not None
    assert outcome.counts.filled == 2
    assert read(outcome.result)[7].instances.keypoints.shape[0] == 2


def test_an_animal_that_is_filled_in_has_the_name_of_its_track(tmp_path: Path) -> None:
    frames = make_frames(20, gone=(7, 8))
    named = [replace(f, instances=replace(f.instances, identity=f.instances.track // 3)) for f in frames]
    stored = store(tmp_path / "clip.parquet", named)
    pose_core.filter_predictions(stored, tmp_path / "out", filter="interpolate", format="dlc-h5")
    (made,) = (tmp_path / "out").glob("*.h5")
    for t, frame in enumerate(read(made)):
        assert frame.instances.keypoints[frame.instances.identity == 0][0, 0].tolist() == [100, 2 * t]


def test_one_animal_needs_no_track(tmp_path: Path) -> None:
    alone = [
        replace(f, instances=replace(f.instances.select([0]), track=np.array([-1])))
        for f in make_frames(9, range(9))
    ]
    stored = store(tmp_path / "clip.parquet", alone)
    (outcome,) = pose_core.filter_predictions(stored, tmp_path / "out", filter="median")
    assert outcome is not None
    assert outcome.counts.keypoints == 27


def test_a_video_without_animals_stays_without(tmp_path: Path) -> None:
    stored = store(tmp_path / "clip.parquet", [Frame(i, Instances.empty(2)) for i in range(5)],
                   Skeleton(("nose", "tail")))  # fmt: skip
    (outcome,) = pose_core.filter_predictions(stored, tmp_path / "out", filter=["interpolate", "kalman"])
    assert outcome is not None
    assert outcome.counts.frames == 5


def _untracked(frame: Frame) -> Frame:
    return replace(frame, instances=replace(frame.instances, track=frame.instances.track * 0 - 1))


def _unscored(frame: Frame) -> Frame:
    return replace(
        frame, instances=replace(frame.instances, keypoint_scores=frame.instances.keypoint_scores * 0)
    )


def _twice(frame: Frame) -> Frame:
    return replace(frame, instances=replace(frame.instances, track=frame.instances.track * 0))


@pytest.mark.parametrize(
    ("options", "change", "line"),
    [
        (["--filter", "medain"], None, "did you mean median"),
        (["--filter", "{type: median, window: 4}"], None, "window must be odd"),
        (["--filter", "{type: median, widow: 5}"], None, "widow"),
        ([], None, "--filter"),
        (["--filter", "median"], _untracked, "frame 0 has several animals, and nothing says who is who"),
        (["--filter", "median"], _unscored, "no keypoint has a score above 0"),
        (["--filter", "median"], _twice, "frame 0 has two animals with one track"),
    ],
)
def test_what_cannot_be_is_one_line(
    pose: Any, tmp_path: Path, options: list[str], change: Any, line: str
) -> None:
    frames = make_frames(5)
    store(tmp_path / "clip.parquet", frames if change is None else [change(frame) for frame in frames])
    done = pose("filter", "clip.parquet", "--out", "out", *options)
    assert done.returncode == 2
    assert line in done.stderr
    assert "Traceback" not in done.stderr
    assert not options or len(done.stderr.splitlines()) == 1


def test_a_result_does_not_replace_its_predictions(pose: Any, tmp_path: Path) -> None:
    store(tmp_path / "clip.parquet", make_frames(5))
    done = pose("filter", "clip.parquet", "--filter", "median", "--out", ".", "--overwrite")
    assert "would replace what is read" in done.stderr


def test_one_spoilt_file_does_not_stop_the_others(pose: Any, tmp_path: Path) -> None:
    store(tmp_path / "a.parquet", [_untracked(frame) for frame in make_frames(5)])
    store(tmp_path / "b.parquet", make_frames(5))
    done = pose("filter", "a.parquet", "b.parquet", "--filter", "median", "--out", "out", "--json")
    assert done.returncode == 2
    assert [Path(one["result"]).name for one in json.loads(done.stdout)] == ["b.parquet"]
    assert "nothing says who is who" in done.stderr


def test_a_filter_that_breaks_its_promise_is_named(crowd: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("pose_smoothing.median.Median.apply", lambda self, series: series.points[1:])
    with pytest.raises(PluginError, match=r"filter smoothing/median: gives"):
        pose_core.filter_predictions(crowd, tmp_path, filter="median")


def test_frames_out_of_order_are_refused() -> None:
    frames = make_frames(3)
    with pytest.raises(DataError, match="frame 1 comes after frame 2"):
        filtering.find_naming([frames[2], frames[1]], "clip")
