"""``pose plot``: ways, scores and speeds of animals over time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pose_core
from pose_core.errors import ConfigError, DataError
from pose_core.interfaces import PredictionsHeader
from pose_core.interfaces.prediction_files import core_writer
from pose_core.prediction.animal_series import collect_series
from pose_core.prediction.plot import summarize
from pose_core.structures import Frame, Instances, Skeleton

SKELETON = Skeleton(("nose", "tail"), edges=(("nose", "tail"),), individuals=("ann", "bob"))


def frame(
    index: int,
    places: list[tuple[float, float]],
    tracks: list[int] | None = None,
    identity: list[int] | None = None,
    time: float | None = None,
    score: float = 0.8,
) -> Frame:
    """Animals whose nose is 2 px right of the place and whose tail is 2 px left of it."""
    at = np.array(places, np.float32).reshape(-1, 1, 2)
    beside = np.array([2, 0], np.float32)
    keypoints = np.concatenate([at + beside, at - beside], axis=1)
    animals = Instances.from_keypoints(
        keypoints,
        scores=np.full(len(places), score, np.float32),
        track=np.array([-1] * len(places) if tracks is None else tracks, np.int64),
        identity=np.array([-1] * len(places) if identity is None else identity, np.int64),
    )
    return Frame(index, animals, np.zeros((0, 2), np.float32), np.zeros(0, np.float32), time=time)


def write(path: Path, frames: list[Frame], skeleton: Skeleton = SKELETON) -> Path:
    """A file of predictions in frames of 200 x 100 pixels."""
    header = PredictionsHeader(skeleton, "clip.avi", len(frames), 200, 100, 25.0, "model", "run")
    core_writer().write(path, header, frames)
    return path


def test_an_animal_is_its_track_or_its_name_wherever_its_row_is() -> None:
    frames = [frame(0, [(10, 10), (90, 50)], tracks=[5, 3]), frame(1, [(91, 50), (11, 10)], tracks=[3, 5])]
    first, second = sorted(collect_series(frames, SKELETON), key=lambda animal: animal.number)
    assert (first.name, second.name) == ("track 3", "track 5")
    assert first.points.tolist() == [[90, 50], [91, 50]]
    assert second.points.tolist() == [[10, 10], [11, 10]]
    frames = [frame(0, [(10, 10), (90, 50)], identity=[1, 0]), frame(1, [(91, 50)], identity=[0])]
    first, second = collect_series(frames, SKELETON)
    assert (first.name, first.frames.tolist(), second.name) == ("ann", [0, 1], "bob")
    assert first.followed


def test_animals_without_a_name_are_places_in_each_frame() -> None:
    first, second = collect_series([frame(0, [(1, 1), (2, 2)]), frame(1, [(3, 3)])], SKELETON)
    assert (first.name, first.followed) == ("animal 1 of each frame", False)
    assert len(second.frames) == 1
    alone = Skeleton(("nose", "tail"))
    (animal,) = collect_series([frame(0, [(1, 1)])], alone)
    assert (animal.name, animal.followed) == ("animal", True)


def test_doubtful_keypoints_do_not_move_an_animal() -> None:
    made = frame(0, [(10, 10)])
    made.instances.keypoint_scores[0] = [0.9, 0.1]
    (animal,) = collect_series([made], SKELETON, threshold=0.5)
    assert animal.points.tolist() == [[12, 10]]
    (animal,) = collect_series([made], SKELETON, keypoint=1, threshold=0.5)
    assert np.isnan(animal.points).all()
    (animal,) = collect_series([made], SKELETON, keypoint=1)
    assert animal.points.tolist() == [[8, 10]]


def test_speed_is_of_neighbouring_frames_by_their_times() -> None:
    # Frame 3 is not there; between 1 and 2 lies half a second.
    times = {0: 0.0, 1: 0.1, 2: 0.6, 4: 0.8}
    frames = [frame(n, [(10.0 * n, 0)], tracks=[0], time=t) for n, t in times.items()]
    (animal,) = collect_series(frames, SKELETON)
    assert animal.speeds(in_seconds=True) == pytest.approx([np.nan, 100, 20, np.nan], nan_ok=True)
    assert animal.speeds(in_seconds=False) == pytest.approx([np.nan, 10, 10, np.nan], nan_ok=True)
    # Of each fifth frame the one before is five frames away.
    fifth = replace(animal, frames=5 * animal.frames)
    assert np.isnan(fifth.speeds(in_seconds=False)).all()
    assert fifth.speeds(in_seconds=False, every=5) == pytest.approx([np.nan, 2, 2, np.nan], nan_ok=True)


@settings(max_examples=20)
@given(st.integers(1, 60), st.integers(0, 2**31))
def test_the_summary_of_many_values_lies_within_them(bins: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 100, 400))
    values = np.where(rng.uniform(size=400) < 0.2, np.nan, rng.normal(size=400))
    at, low, middle, high = summarize(times, values, bins)
    assert low is not None
    assert high is not None
    assert len(at) == len(middle) == bins
    there = np.isfinite(middle)
    assert (low[there] <= middle[there]).all()
    assert (middle[there] <= high[there]).all()
    assert low[there].min() >= np.nanmin(values)
    assert high[there].max() <= np.nanmax(values)
    # As many values as there are: no bin is left out, and none counted twice.
    few = summarize(times, values, 200)
    assert few[1] is None
    assert few[2] is values


def saturated(picture: Path) -> Any:
    """Pixels that are neither grey nor white, as (rows, columns) of their fractions of the picture."""
    image = cv2.imread(str(picture)).astype(int)
    rows, columns = np.nonzero(image.max(axis=2) - image.min(axis=2) > 60)
    # Without the bar of colours at the right.
    left = columns < 0.75 * image.shape[1]
    return rows[left] / image.shape[0], columns[left] / image.shape[1]


def test_the_command_draws_where_an_animal_went(pose: Any, tmp_path: Path) -> None:
    # From the left to the right along the upper quarter of the frame.
    frames = [frame(n, [(5 + 1.9 * n, 25)], tracks=[0], time=n / 25) for n in range(100)]
    file = write(tmp_path / "clip.parquet", frames)
    process = pose("plot", file, "--out", tmp_path / "plots")
    assert process.returncode == 0, process.stderr
    plots = [tmp_path / "plots" / name for name in ("trajectories.png", "scores.png", "speed.png")]
    assert process.stdout.splitlines() == list(map(str, plots))
    rows, columns = saturated(plots[0])
    assert rows.max() - rows.min() < 0.05
    assert columns.max() - columns.min() > 0.5
    assert rows.mean() < 0.5
    # A constant speed is a level line.
    rows, _ = saturated(plots[2])
    assert rows.max() - rows.min() < 0.05


@pytest.mark.long
def test_many_frames_of_many_animals_are_drawn_with_few_lines(tmp_path: Path) -> None:
    several = Skeleton(("nose", "tail"), individuals=tuple(f"m{n}" for n in range(12)))
    rng = np.random.default_rng(0)
    frames = [
        frame(n, [tuple(rng.uniform(0, 90, 2).tolist()) for _ in range(12)], tracks=list(range(12)))
        for n in range(2000)
    ]
    file = write(tmp_path / "clip.parquet", frames, several)
    drawn = pose_core.plot_predictions(file, tmp_path / "plots", keypoint="nose")
    assert [path.name for path in drawn] == ["trajectories.png", "scores.png", "speed.png"]
    assert all(cv2.imread(str(path)).shape[1] > 1000 for path in drawn)


def test_of_animals_nobody_follows_there_is_no_speed(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "speed.png").write_text("of another file")
    file = write(tmp_path / "clip.parquet", [frame(n, [(1, 1), (2, 2)]) for n in range(5)])
    drawn = pose_core.plot_predictions(file, tmp_path / "plots")
    assert sorted(path.name for path in drawn) == sorted(p.name for p in (tmp_path / "plots").iterdir())
    assert len(drawn) == 2


def test_what_cannot_be_plotted_is_one_line(pose: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "clip.parquet", [frame(0, [])])
    assert "has no animals; nothing to plot" in pose.refuses("plot", file, "--out", "plots")
    with pytest.raises(ConfigError, match=r"keypoint=paw: is none of .*clip\.parquet, which has nose, tail"):
        pose_core.plot_predictions(file, tmp_path / "plots", keypoint="paw")
    with pytest.raises(DataError, match="no such file"):
        pose_core.plot_predictions(tmp_path / "none.parquet", tmp_path / "plots")
