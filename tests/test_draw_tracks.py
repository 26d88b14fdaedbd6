"""Tracked animals are drawn in the colours of their tracks, with ids and trails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from crowd_files import store
from hypothesis import given
from hypothesis import strategies as st

from pose_core.data.draw_tracks import TrackDrawing
from pose_core.data.palette import animal_colour
from pose_core.interfaces import open_predictions
from pose_core.structures import Frame, Instances, Skeleton
from pose_core.synthetic.videos import write_numbered_video

SKELETON = Skeleton(("a", "b"))
BLACK = np.zeros((120, 200, 3), np.uint8)


def frame(index: int, *places: tuple[float, float], tracks: list[int]) -> Frame:
    points = np.array(places)[:, None] + np.array([[-4, 0], [4, 0]])
    return Frame(index, Instances.from_keypoints(points, track=tracks))


def is_coloured(pixels: np.ndarray[Any, Any], track: int) -> bool:
    """Whether some pixel has the hue of a track, bright or dark."""
    colour = np.array(animal_colour(track), float)
    values = pixels.reshape(-1, 3).astype(float)
    bright = values[values.sum(axis=1) > 60]
    if not len(bright):
        return False
    alike = (bright @ colour) / (np.linalg.norm(bright, axis=1) * np.linalg.norm(colour))
    return bool((alike > 0.995).any())


@given(st.integers(0, 30))
def test_the_trail_has_as_many_frames_as_asked_for(trail: int) -> None:
    drawing = TrackDrawing(SKELETON, trail, radius=2)
    for t in range(41):
        drawing.add(frame(t, (20 + 4 * t, 100), tracks=[3]))
    drawn = drawing.draw(BLACK, frame(40, (180, 100), tracks=[3]))
    way = np.flatnonzero(drawn[98:103, :165].any(axis=(0, 2)))
    assert len(way) == 0 or abs(way.min() - (180 - 4 * trail)) <= 2
    assert bool(len(way)) == (180 - 4 * trail < 165)
    assert not len(way) or is_coloured(drawn[98:103, :165], 3)


def test_animals_without_a_track_are_grey_and_have_no_id() -> None:
    drawing = TrackDrawing(SKELETON, radius=3)
    both = frame(0, (50, 80), (150, 80), tracks=[1, -1])
    drawing.add(both)
    drawn = drawing.draw(BLACK, both)
    assert is_coloured(drawn[:, :100], 1)
    grey = drawn[:, 100:].reshape(-1, 3)
    assert (grey == grey[:, :1]).all()
    assert grey.any()
    # The id stands above the animal; the other one has none.
    assert drawn[50:74, 40:70].any()
    assert not drawn[:74, 100:].any()


def test_ids_are_names_where_there_are_names() -> None:
    named = Skeleton(("a", "b"), individuals=("anna", "bert"))
    animal = Instances.from_keypoints([[[50, 80], [58, 80]]], track=[0], identity=[1])
    nameless = Instances.from_keypoints([[[50, 80], [58, 80]]], track=[0])
    widths = []
    for animals in (animal, nameless):
        drawing = TrackDrawing(named)
        drawing.add(Frame(0, animals))
        drawn = drawing.draw(BLACK, Frame(0, animals))
        widths.append(np.flatnonzero(drawn[:74].any(axis=(0, 2))).size)
    assert widths[0] > 2 * widths[1] > 0


def test_without_tracks_a_frame_is_drawn_as_before_and_a_trail_is_noted(pose: Any, tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "clip.mp4", 6)
    tracked = [frame(t, (20 + 4 * t, 40), tracks=[0]) for t in range(6)]
    free = [frame(t, (20 + 4 * t, 40), tracks=[-1]) for t in range(6)]
    width, height = 0, 0
    for name, frames in (("tracked", tracked), ("free", free)):
        store(tmp_path / f"{name}.parquet", frames, skeleton=SKELETON, size=(width, height))
        done = pose("render", f"{name}.parquet", "clip.mp4", "--out", f"{name}.mp4", "--trail", "3")
        assert done.returncode == 0, done.stderr
        assert ("no animal has a track" in done.stderr) == (name == "free")
    assert len(list(open_predictions(tmp_path / "free.parquet"))) == 6
    assert (tmp_path / "tracked.mp4").read_bytes() != (tmp_path / "free.mp4").read_bytes()
